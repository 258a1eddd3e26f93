//! The fault switches: how a simulator misbehaves on purpose, and how a switch is written on the command
//! line, `FAULT[,every=N]`.
//!
//! Two kinds, by what they prove. `http`, `html` and `redirect` stand *in front of* the vendor, as a
//! balancer or a log-in page does: the vendor never sees the request and its tickets stay as they are.
//! All others spoil the *way back*: the vendor has done its work, and the caller cannot know.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use http::{HeaderValue, StatusCode};

/// Statuses that a server can send as its last word.
const STATUS_RANGE: std::ops::RangeInclusive<u16> = 200..=599;

/// One way to misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// `latency=200ms`: the answer waits.
    Latency(Duration),
    /// `reset`: the connection is reset before a byte of the answer.
    Reset,
    /// `http=500`: this status, in the vendor's own error shape if it has one for it.
    Http(StatusCode),
    /// `garbage`: bytes that are no HTTP answer.
    Garbage,
    /// `truncate`: the connection ends in the middle of the body.
    Truncate,
    /// `empty`: the connection ends without a byte.
    Empty,
    /// `html`: 200 with a web page.
    Html,
    /// `huge`: the right body, followed by 5 MiB of blanks.
    Huge,
    /// `redirect`: 302 to another path.
    Redirect,
    /// `type=text/html`: the right body under another Content-Type.
    ContentType(HeaderValue),
}

/// A fault and how often it strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSwitch {
    /// What happens.
    pub fault: Fault,
    /// To each how-manieth request.
    pub every: NonZeroU32,
}

/// A fault switch that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// No fault has this name.
    Unknown(String),
    /// The fault needs a value: its name and an example.
    ValueMissing(&'static str, &'static str),
    /// The fault takes none.
    ValueUnwanted(String),
    /// The value is no duration in `ms`, `s`, `m` or `h`.
    Duration(String),
    /// The value is no status from 200 to 599.
    Status(String),
    /// The value is no media type.
    ContentType(String),
    /// `every=` is not followed by a number from 1.
    Every(String),
}

/// The switches of one simulator and its count of requests.
#[derive(Default)]
pub(super) struct Faults {
    switches: Vec<FaultSwitch>,
    requests: u64,
}

/// What is to happen to one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) latency: Option<Duration>,
    /// Any fault but latency.
    pub(super) fault: Option<Fault>,
}

impl FaultSwitch {
    /// A fault that strikes every request.
    pub fn always(fault: Fault) -> FaultSwitch {
        FaultSwitch { fault, every: NonZeroU32::MIN }
    }
}

impl Faults {
    /// New switches; counting for `every=N` starts anew.
    pub(super) fn new(switches: Vec<FaultSwitch>) -> Faults {
        Faults { switches, requests: 0 }
    }

    /// Counts one request and tells what strikes it: all latencies add up, of the others the first
    /// listed wins.
    pub(super) fn next(&mut self) -> Due {
        self.requests += 1;
        let mut due = Due::default();
        for switch in &self.switches {
            if !self.requests.is_multiple_of(u64::from(switch.every.get())) {
                continue;
            }
            match &switch.fault {
                Fault::Latency(wait) => *due.latency.get_or_insert_default() += *wait,
                other => {
                    due.fault.get_or_insert_with(|| other.clone());
                }
            }
        }
        due
    }
}

impl FromStr for FaultSwitch {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<FaultSwitch, FaultError> {
        let Some((fault, every)) = text.split_once(",every=") else {
            return Ok(FaultSwitch::always(text.parse()?));
        };
        let every = every.parse().map_err(|_| FaultError::Every(every.to_owned()))?;
        Ok(FaultSwitch { fault: fault.parse()?, every })
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Fault, FaultError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let plain = match name {
            "latency" => {
                return duration(value.ok_or(FaultError::ValueMissing("latency", "200ms"))?);
            }
            "http" => return status(value.ok_or(FaultError::ValueMissing("http", "500"))?),
            "type" => {
                return content_type(value.ok_or(FaultError::ValueMissing("type", "text/html"))?);
            }
            "reset" => Fault::Reset,
            "garbage" => Fault::Garbage,
            "truncate" => Fault::Truncate,
            "empty" => Fault::Empty,
            "html" => Fault::Html,
            "huge" => Fault::Huge,
            "redirect" => Fault::Redirect,
            _ => return Err(FaultError::Unknown(name.to_owned())),
        };
        match value {
            None => Ok(plain),
            Some(_) => Err(FaultError::ValueUnwanted(name.to_owned())),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Latency(wait) => write!(f, "latency={}ms", wait.as_millis()),
            Fault::Reset => f.write_str("reset"),
            Fault::Http(status) => write!(f, "http={}", status.as_u16()),
            Fault::Garbage => f.write_str("garbage"),
            Fault::Truncate => f.write_str("truncate"),
            Fault::Empty => f.write_str("empty"),
            Fault::Html => f.write_str("html"),
            Fault::Huge => f.write_str("huge"),
            Fault::Redirect => f.write_str("redirect"),
            Fault::ContentType(value) => {
                write!(f, "type={}", String::from_utf8_lossy(value.as_bytes()))
            }
        }
    }
}

impl fmt::Display for FaultSwitch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.every.get() {
            1 => self.fault.fmt(f),
            every => write!(f, "{},every={every}", self.fault),
        }
    }
}

impl fmt::Display for FaultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultError::Unknown(name) => write!(
                f,
                "no fault is named `{name}`; there are latency=200ms, reset, http=500, garbage, \
                 truncate, empty, html, huge, redirect, type=text/html, each with ,every=N"
            ),
            FaultError::ValueMissing(name, example) => {
                write!(f, "`{name}` needs a value, as in {name}={example}")
            }
            FaultError::ValueUnwanted(name) => write!(f, "`{name}` takes no value"),
            FaultError::Duration(text) => {
                write!(f, "`{text}` is no duration: a number with ms, s, m or h, as in 200ms")
            }
            FaultError::Status(text) => write!(f, "`{text}` is no status from 200 to 599"),
            FaultError::ContentType(text) => {
                write!(f, "`{text}` is no media type, as in text/html")
            }
            FaultError::Every(text) => {
                write!(f, "every={text}: the number of a request, from 1, and last in the switch")
            }
        }
    }
}

impl std::error::Error for FaultError {}

fn duration(text: &str) -> Result<Fault, FaultError> {
    let wrong = || FaultError::Duration(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    let total_ms = number.checked_mul(unit_ms).ok_or_else(wrong)?;
    Ok(Fault::Latency(Duration::from_millis(total_ms)))
}

fn status(text: &str) -> Result<Fault, FaultError> {
    let code = text.parse().ok().filter(|code| STATUS_RANGE.contains(code));
    code.and_then(|code| StatusCode::from_u16(code).ok())
        .map(Fault::Http)
        .ok_or_else(|| FaultError::Status(text.to_owned()))
}

fn content_type(text: &str) -> Result<Fault, FaultError> {
    let wrong = || FaultError::ContentType(text.to_owned());
    if !text.contains('/') || text.contains(',') {
        return Err(wrong());
    }
    HeaderValue::from_str(text).map(Fault::ContentType).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(texts: &[&str]) -> Faults {
        Faults::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    #[test]
    fn a_switch_is_read_as_it_is_written() {
        for text in [
            "latency=200ms",
            "reset",
            "http=500",
            "garbage",
            "truncate",
            "empty",
            "html",
            "huge",
            "redirect",
            "type=text/html",
            "reset,every=3",
            "latency=5ms,every=2",
        ] {
            let switch: FaultSwitch = text.parse().unwrap();
            assert_eq!(switch.to_string(), text);
        }
        let Fault::Latency(wait) = "latency=2m".parse().unwrap() else { panic!("not a latency") };
        assert_eq!(wait, Duration::from_secs(120));
    }

    #[test]
    fn a_wrong_switch_says_what_is_wrong() {
        for (text, says) in [
            ("lag=1s", "no fault is named `lag`; there are latency=200ms,"),
            ("latency", "`latency` needs a value, as in latency=200ms"),
            ("latency=1", "`1` is no duration"),
            ("latency=ms", "`ms` is no duration"),
            ("latency=99999999999999999999s", "is no duration"),
            ("latency=9999999999999999999h", "is no duration"),
            ("http=99", "`99` is no status from 200 to 599"),
            ("http=100", "`100` is no status"),
            ("reset=1", "`reset` takes no value"),
            ("type=html", "`html` is no media type"),
            ("reset,every=0", "every=0: the number of a request, from 1"),
            ("reset,every=", "every=: the number"),
        ] {
            let error = text.parse::<FaultSwitch>().unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn every_counts_requests() {
        let mut faults = switches(&["reset,every=3"]);
        let struck: Vec<bool> = (0..7).map(|_| faults.next().fault.is_some()).collect();
        assert_eq!(struck, [false, false, true, false, false, true, false]);
    }

    #[test]
    fn latencies_add_up_and_the_first_other_fault_wins() {
        let mut faults = switches(&["latency=1ms", "html", "latency=2ms", "reset"]);
        let due = faults.next();
        assert_eq!(due.latency, Some(Duration::from_millis(3)));
        assert_eq!(due.fault, Some(Fault::Html));
    }
}
