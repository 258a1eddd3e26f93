use std::io::Write;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

/// What Google's encoder (1.2.1, quality 11) makes of `{"status":"resolved"}`, eight times.
const BROTLI: &[u8] = b"\x1b\xa7\x00\xf8\x8d\xd4\x62\xcd\x19\xee\x94\x22\x64\x7b\xa5\xd3\x97\x94\
                        \x74\xa2\x59\x56\x40\x82\x33\x26\x7c\x6e\x32";

fn codings(names: &str) -> Codings {
    Codings::read([names.as_bytes()]).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// RFC 7932 section 9.2: blocks that are stored as they are, and an empty last one. The length of a block
/// has 16 bits here, which begin at the second bit behind the window's one.
fn brotli(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    let mut put = |out: &mut Vec<u8>, value: u32, size: u32, align: bool| {
        bits |= value << count;
        count += size;
        while count >= 8 || (align && count > 0) {
            out.push(bits as u8);
            bits >>= 8;
            count = count.saturating_sub(8);
        }
    };
    put(&mut out, 0, 1, false);
    for block in bytes.chunks(0x1_0000) {
        put(&mut out, 0, 1 + 2, false);
        put(&mut out, block.len() as u32 - 1, 16, false);
        put(&mut out, 1, 1, true);
        out.extend_from_slice(block);
    }
    put(&mut out, 0b11, 2, true);
    out
}

fn each(bytes: &[u8]) -> [(&'static str, Vec<u8>); 5] {
    [
        ("gzip", gzip(bytes)),
        ("x-gzip", gzip(bytes)),
        ("deflate", zlib(bytes)),
        ("deflate", deflate(bytes)),
        ("br", brotli(bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_coded_comes_out_and_nothing_above_the_cap(
        bytes in prop::collection::vec(any::<u8>(), 0..70_000),
    ) {
        for (name, coded) in each(&bytes) {
            let codings = codings(name);
            let decoded = codings.decode(&coded, bytes.len());
            prop_assert_eq!(decoded.as_ref(), Ok(&bytes), "{}", name);
            if !bytes.is_empty() {
                let cut = codings.decode(&coded, bytes.len() - 1);
                prop_assert_eq!(cut, Err(Undecoded::TooLarge), "{}", name);
            }
        }
    }

    #[test]
    fn a_stream_that_ends_early_or_goes_on_is_broken(
        bytes in prop::collection::vec(any::<u8>(), 1..2_000),
        at in any::<prop::sample::Index>(),
        more in any::<u8>(),
    ) {
        for (name, coded) in each(&bytes) {
            let codings = codings(name);
            let short = codings.decode(&coded[..at.index(coded.len())], 10_000);
            prop_assert_eq!(short, Err(Undecoded::Broken), "{}", name);
            let long = [&coded[..], &[more]].concat();
            prop_assert_eq!(codings.decode(&long, 10_000), Err(Undecoded::Broken), "{}", name);
        }
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(
        bytes in prop::collection::vec(any::<u8>(), 0..500),
        // Damaged streams get further than noise.
        place in any::<prop::sample::Index>(),
        other in any::<u8>(),
    ) {
        for (name, mut coded) in each(&bytes) {
            let codings = codings(name);
            for bytes in [&bytes, &coded] {
                let decoded = codings.decode(bytes, 1_000);
                prop_assert!(decoded.is_err() || decoded.is_ok_and(|bytes| bytes.len() <= 1_000));
            }
            let place = place.index(coded.len());
            coded[place] ^= other;
            let _ = codings.decode(&coded, 1_000);
        }
        let mut coded = BROTLI.to_vec();
        let place = place.index(coded.len());
        coded[place] ^= other;
        let _ = codings("br").decode(&coded, 1_000);
    }

    #[test]
    fn codings_come_off_in_the_order_of_their_list(
        names in prop::collection::vec(prop::sample::select(vec!["gzip", "deflate", "br"]), 1..=4),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let coded = names.iter().fold(bytes.clone(), |bytes, name| match *name {
            "gzip" => gzip(&bytes),
            "deflate" => zlib(&bytes),
            _ => brotli(&bytes),
        });
        let decoded = codings(&names.join(", ")).decode(&coded, 10_000);
        prop_assert_eq!(decoded, Ok(bytes));
    }
}

#[test]
fn a_list_of_codings_is_read_as_the_page_writes_it() {
    use Coding::{Brotli, Deflate, Gzip};
    let read = |values: &[&str]| Codings::read(values.iter().map(|value| value.as_bytes()));
    let of = |codings: &[Coding]| Ok(Codings(codings.into()));
    assert_eq!(read(&[]), of(&[]));
    assert_eq!(read(&["identity"]), of(&[]));
    assert_eq!(read(&["", " , ,identity,"]), of(&[]));
    assert_eq!(read(&["GZip"]), of(&[Gzip]));
    assert_eq!(read(&["x-gzip ,\tdeflate", "br"]), of(&[Gzip, Deflate, Brotli]));
    for unknown in ["zstd", "compress", "gzip;q=1", "gzip deflate", "gzip, \u{e9}", "*"] {
        assert_eq!(read(&[unknown]), Err(Unread), "{unknown}");
    }
    assert!(read(&[&["gzip"; bounds::CODINGS_MAX].join(",")]).is_ok());
    assert_eq!(read(&[&["gzip"; bounds::CODINGS_MAX + 1].join(",")]), Err(Unread));
}

#[test]
fn what_another_encoder_made_is_read() {
    let text = "{\"status\":\"resolved\"}".repeat(8);
    assert_eq!(codings("br").decode(BROTLI, text.len()).as_deref(), Ok(text.as_bytes()));
    assert_eq!(codings("br").decode(BROTLI, text.len() - 1), Err(Undecoded::TooLarge));
    for end in 0..BROTLI.len() {
        assert_eq!(codings("br").decode(&BROTLI[..end], 1_000), Err(Undecoded::Broken), "{end}");
    }
    let more = [BROTLI, b"\0"].concat();
    assert_eq!(codings("br").decode(&more, 1_000), Err(Undecoded::Broken));
}

#[test]
fn a_damaged_byte_is_seen_by_the_checksum() {
    let stored = |mut coded: Vec<u8>| {
        let place = coded.windows(4).position(|window| window == b"\x00\x01\x02\x03").unwrap();
        coded[place] ^= 1;
        coded
    };
    let bytes: Vec<u8> = (0..=255).collect();
    for (name, coded) in [("gzip", gzip(&bytes)), ("deflate", zlib(&bytes))] {
        assert_eq!(codings(name).decode(&stored(coded), 1_000), Err(Undecoded::Broken), "{name}");
    }
}

#[test]
fn members_behind_each_other_are_one_body() {
    let two = [gzip(b"one "), gzip(b"two")].concat();
    assert_eq!(codings("gzip").decode(&two, 7).as_deref(), Ok(&b"one two"[..]));
    assert_eq!(codings("gzip").decode(&two, 6), Err(Undecoded::TooLarge));
}

fn zeros(bytes: usize, mut encoder: impl Write) {
    let piece = vec![0; 1024 * 1024];
    (0..bytes / piece.len()).for_each(|_| encoder.write_all(&piece).unwrap());
    encoder.flush().unwrap();
}

#[test]
fn a_bomb_stops_at_the_cap() {
    // What grew with what comes out would take minutes; the machine may be busy.
    let patience = Duration::from_secs(30);
    let cap = 1024 * 1024;
    let mut gzipped = GzEncoder::new(Vec::new(), Compression::best());
    // A gigabyte takes long to write and no longer to refuse: the rest of it is the same block again.
    zeros(16 * cap, &mut gzipped);
    let gzipped = gzipped.finish().unwrap().repeat(64);
    assert!(gzipped.len() < 1_200_000, "{}", gzipped.len());
    // 64 MiB, by Google's encoder.
    let brotlied = include_bytes!("tests/zeros-64m.br");
    let twice = gzip(&gzipped);
    for (names, bomb) in [("gzip", &gzipped[..]), ("br", brotlied), ("gzip, gzip", &twice)] {
        let began = Instant::now();
        assert_eq!(codings(names).decode(bomb, cap), Err(Undecoded::TooLarge), "{names}");
        assert!(began.elapsed() < patience, "{names}: {:?}", began.elapsed());
    }
    // As many members as fit into a megabyte, with nothing in any.
    let empty = gzip(b"");
    let many = empty.repeat(cap / empty.len());
    let began = Instant::now();
    assert_eq!(codings("gzip").decode(&many, cap), Ok(Vec::new()));
    assert!(began.elapsed() < patience, "{:?}", began.elapsed());
}
