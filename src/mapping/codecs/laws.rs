//! The laws that every codec keeps, for the codecs' own tests.

use proptest::prelude::*;

use super::Codec;

/// `value` is in the domain, and what is written of it reads as it.
#[track_caller]
pub(super) fn holds_for_value(codec: Codec, value: &str) {
    let written = codec.write(value);
    let wire = written.unwrap_or_else(|| panic!("{codec:?} does not write {value:?}"));
    assert_eq!(codec.read(&wire).as_deref(), Some(value), "{codec:?} wrote {wire:?}");
    if let Some(alphabet) = codec.alphabet() {
        let foreign = wire.chars().find(|&character| !alphabet.contains(character));
        assert_eq!(foreign, None, "{codec:?} wrote {wire:?}");
    }
}

/// As [`holds_for_value`], for a text that may be no value at all.
#[track_caller]
pub(super) fn holds_if_in_domain(codec: Codec, text: &str) {
    if codec.write(text).is_some() {
        holds_for_value(codec, text);
    }
}

/// If `wire` can be read, its value can be written, and what is written is its own normal form.
#[track_caller]
pub(super) fn holds_for_wire(codec: Codec, wire: &str) {
    let Some(value) = codec.read(wire) else {
        return;
    };
    holds_for_value(codec, &value);
    let normal = codec.write(&value).unwrap();
    let again = codec.read(&normal).unwrap();
    assert_eq!(codec.write(&again), Some(normal.clone()), "{codec:?} read {wire:?}");
}

/// Neither side takes any of these.
#[track_caller]
pub(super) fn refuses(codec: Codec, texts: &[&str]) {
    for text in texts {
        assert_eq!(codec.read(text), None, "{codec:?} read {text:?}");
        assert_eq!(codec.write(text), None, "{codec:?} wrote {text:?}");
    }
}

/// A canonical time within these years.
pub(super) fn times(years: std::ops::RangeInclusive<u16>) -> impl Strategy<Value = String> {
    let date = (years, 1..=12_u8, 1..=28_u8);
    let time = (0..24_u8, 0..60_u8, 0..60_u8);
    (date, time).prop_map(|((year, month, day), (hour, minute, second))| {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    })
}
