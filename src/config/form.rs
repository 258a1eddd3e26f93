//! The forms of the configuration's scalars: a text in, a checked value or [`Malformed`] out.
//!
//! Each reader is a pure function of the text, so that it says the same of a value in the file and of one
//! in the environment. Where values stand and how they are reported is not known here.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) mod net;
pub(super) mod state_url;
pub(super) mod url;

pub use net::Cidr;
pub use url::{Scheme, Url};

use crate::bounds;

/// Why a text has not the wanted form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// What was found, as the end of a sentence that starts with the key.
    pub(super) found: String,
    /// What to write instead.
    pub(super) hint: String,
}

/// So many in so much time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    /// In what time: a second, a minute, an hour or a day.
    pub per: Duration,
}

/// The most that a rate or a burst may count.
const COUNT_MAX: u32 = 1_000_000;
/// Characters of a wrong value that a message repeats.
const QUOTED_CHARS_MAX: usize = 60;

impl Malformed {
    pub(super) fn new(found: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { found: found.into(), hint: hint.into() }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = RATE_UNITS.iter().find(|(_, seconds)| *seconds == self.per.as_secs());
        write!(f, "{}/{}", self.count, per.map_or("?", |(unit, _)| unit))
    }
}

/// The units of a rate, in seconds.
const RATE_UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3_600), ("day", 86_400)];

/// A value as a message repeats it: in backticks, short, without control characters.
pub(super) fn quote(text: &str) -> String {
    let mut short = String::new();
    for character in text.chars().take(QUOTED_CHARS_MAX) {
        if character.is_control() {
            short.extend(character.escape_default());
        } else {
            short.push(character);
        }
    }
    if text.chars().nth(QUOTED_CHARS_MAX).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// `512KiB` or `4MiB`, in bytes.
pub(super) fn size(text: &str) -> Result<u64, Malformed> {
    let hint = "write a whole number with `KiB` or `MiB`, such as `512KiB` or `4MiB`";
    let (digits, unit) = number_and_unit(text);
    let factor = match unit {
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(Malformed::new(format!("{} is not a size", quote(text)), hint)),
    };
    whole(digits)
        .and_then(|count| count.checked_mul(factor))
        .ok_or_else(|| Malformed::new(format!("{} is not a size", quote(text)), hint))
}

/// `250ms`, `30s`, `5m` or `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, Malformed> {
    let malformed = || {
        Malformed::new(
            format!("{} is not a duration", quote(text)),
            "write a whole number with `ms`, `s`, `m` or `h`, such as `250ms` or `30s`",
        )
    };
    let (digits, unit) = number_and_unit(text);
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(malformed()),
    };
    whole(digits)
        .and_then(|count| count.checked_mul(milliseconds))
        .map(Duration::from_millis)
        .ok_or_else(malformed)
}

/// A moment of RFC 3339, since the Unix epoch.
pub(super) fn moment(text: &str) -> Result<Duration, Malformed> {
    let malformed = || {
        let hint = "write a date, a time and its offset, such as `2027-01-31T00:00:00Z`";
        Malformed::new(format!("{} is not a moment", quote(text)), hint)
    };
    let moment: jiff::Timestamp = text.parse().map_err(|_| malformed())?;
    u64::try_from(moment.as_millisecond()).map(Duration::from_millis).map_err(|_| malformed())
}

/// `25/s`, `100/m`, `1000/h` or `5000/day`.
pub(super) fn rate(text: &str) -> Result<Rate, Malformed> {
    rate_to(COUNT_MAX, text)
}

/// The same with another maximum.
pub(super) fn rate_to(most: u32, text: &str) -> Result<Rate, Malformed> {
    let malformed = || {
        Malformed::new(
            format!("{} is not a rate", quote(text)),
            "write a whole number and `/s`, `/m`, `/h` or `/day`, such as `25/s`",
        )
    };
    let (digits, unit) = text.split_once('/').ok_or_else(malformed)?;
    let (_, seconds) = RATE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
    whole(digits).ok_or_else(malformed)?;
    let count = count_to(most)(digits).map_err(|_| {
        let hint = format!("write `1/{unit}` to `{most}/{unit}`");
        Malformed::new(format!("{} is out of range", quote(text)), hint)
    })?;
    Ok(Rate { count, per: Duration::from_secs(*seconds) })
}

/// A whole number from 1 to what a rate or a burst may count.
pub(super) fn count(text: &str) -> Result<u32, Malformed> {
    count_to(COUNT_MAX)(text)
}

/// A reader of whole numbers from 1 to a maximum.
pub(super) fn count_to(max: u32) -> impl Fn(&str) -> Result<u32, Malformed> {
    count_in((1, max))
}

/// A reader of whole numbers within a range.
pub(super) fn count_in((least, most): (u32, u32)) -> impl Fn(&str) -> Result<u32, Malformed> {
    move |text| {
        let hint = format!("write a whole number from {least} to {most}");
        let Some(count) = whole(text) else {
            return Err(Malformed::new(format!("{} is not a whole number", quote(text)), hint));
        };
        match u32::try_from(count) {
            Ok(count) if (least..=most).contains(&count) => Ok(count),
            Ok(_) | Err(_) => Err(Malformed::new(format!("{} is out of range", quote(text)), hint)),
        }
    }
}

/// A reader of shares within a range, in percent: `20%`.
pub(super) fn percent_in((least, most): (u32, u32)) -> impl Fn(&str) -> Result<u32, Malformed> {
    move |text| {
        let hint = format!("write a whole number with `%`, from `{least}%` to `{most}%`");
        let Some(percent) = text.strip_suffix('%').and_then(whole) else {
            return Err(Malformed::new(format!("{} is not a share", quote(text)), hint));
        };
        match u32::try_from(percent) {
            Ok(percent) if (least..=most).contains(&percent) => Ok(percent),
            Ok(_) | Err(_) => Err(Malformed::new(format!("{} is out of range", quote(text)), hint)),
        }
    }
}

/// The status of an answer, 200 to 599.
pub(super) fn status(text: &str) -> Result<u16, Malformed> {
    match whole(text).and_then(|status| u16::try_from(status).ok()) {
        Some(status) if (200..=599).contains(&status) => Ok(status),
        Some(_) | None => Err(Malformed::new(
            format!("{} is not the status of an answer", quote(text)),
            "write a number from 200 to 599",
        )),
    }
}

/// `true` or `false`, and nothing else that some YAML reads so.
pub(super) fn boolean(text: &str) -> Result<bool, Malformed> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Malformed::new(
            format!("{} is neither true nor false", quote(text)),
            "write `true` or `false`",
        )),
    }
}

/// `127.0.0.1:8080` or `[::1]:8080`.
pub(super) fn address(text: &str) -> Result<SocketAddr, Malformed> {
    text.parse().map_err(|_| {
        let hint = match text.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(ip)) => format!("add a port: `[{ip}]:8080`"),
            Ok(std::net::IpAddr::V4(ip)) => format!("add a port: `{ip}:8080`"),
            Err(_) => {
                "write an IP address and a port, such as `127.0.0.1:8080` or `[::1]:8080`".into()
            }
        };
        Malformed::new(format!("{} is not an address to listen on", quote(text)), hint)
    })
}

/// `[a-z][a-z0-9_-]*`, the names of upstreams, consumers, routes, limits and settings.
pub(super) fn name(text: &str) -> Result<String, Malformed> {
    if text.len() > bounds::NAME_BYTES_MAX {
        return Err(Malformed::new(
            format!("a name of {} bytes is too long", text.len()),
            format!("write at most {} bytes", bounds::NAME_BYTES_MAX),
        ));
    }
    let mut characters = text.chars();
    let starts = characters.next().is_some_and(|first| first.is_ascii_lowercase());
    if starts && characters.all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-')) {
        return Ok(text.to_owned());
    }
    Err(Malformed::new(
        format!("{} is not a name", quote(text)),
        "write lower-case letters, digits, `_` and `-`, a letter first",
    ))
}

/// True for what can be the name of an environment variable.
pub(super) fn variable_name(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(word)
}

/// A text that is not empty and holds no control characters.
pub(super) fn text(text: &str) -> Result<String, Malformed> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(Malformed::new(
            format!("{} is not a usable text", quote(text)),
            "write a text without control characters",
        ));
    }
    Ok(text.to_owned())
}

/// Splits leading digits from what follows.
fn number_and_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Digits only: `u64::from_str` would also take `+1`.
pub(super) fn whole(digits: &str) -> Option<u64> {
    let digits_only = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if digits_only { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests;
