//! A change as text, and as a line of JSON.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::ident::CallId;
use crate::store::journal::{Entry, Outcome};

/// A change on a few short lines: what came of it first.
pub(super) fn shown(entry: &Entry) -> String {
    let Entry { intent, outcome, .. } = entry;
    let (from, to) = (text(intent.from.as_deref()), text(intent.to.as_deref()));
    let ticket = text(intent.client_ticket.as_deref());
    // Writing to a text never fails.
    let mut out = format!("{}  {:7}  {ticket}  ", time(intent.began), outcome.name());
    let _ = match intent.from {
        Some(_) => writeln!(out, "{from} -> {to}"),
        None => writeln!(out, "-> {to}"),
    };
    let (route, consumer) = (printable(&intent.route), text(intent.consumer.as_deref()));
    let _ = writeln!(out, "  {} by {consumer} on {route}", printable(&intent.operation));
    if intent.upstream_ticket != intent.client_ticket {
        let theirs = text(intent.upstream_ticket.as_deref());
        let _ = writeln!(out, "  {} of {}", theirs, printable(&intent.upstream));
    }
    if let Some(told) = told(entry) {
        let _ = writeln!(out, "  {told}");
    }
    let _ = writeln!(out, "  call {}", &*CallId::of_bytes(intent.call).digits());
    out
}

/// Who said what came of it, and what else is known of that.
fn told(entry: &Entry) -> Option<String> {
    let Entry { outcome, fault, settled, by, read, why, .. } = entry;
    if *outcome == Outcome::Open {
        return None;
    }
    let mut told = by.as_deref().unwrap_or("-").to_owned();
    let _ = write!(told, " {}", settled.map(time).unwrap_or_default());
    for (name, known) in [("fault", fault), ("read", read), ("why", why)] {
        if let Some(known) = known {
            let _ = write!(told, ", {name} {}", printable(known));
        }
    }
    Some(told)
}

fn text(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), printable)
}

/// A terminal is told nothing that is not to be seen.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

fn time(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| milliseconds.to_string(), |time| format!("{time:.3}"))
}

/// A change as one line of JSON.
pub(super) fn ndjson(entry: &Entry) -> Value {
    let Entry { intent, outcome, fault, settled, by, read, why, .. } = entry;
    let or_null = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let members = [
        ("call", Value::from(&*CallId::of_bytes(intent.call).digits())),
        ("time", Value::from(time(intent.began))),
        ("route", Value::from(intent.route.as_str())),
        ("consumer", or_null(&intent.consumer)),
        ("operation", Value::from(intent.operation.as_str())),
        ("client_ticket", or_null(&intent.client_ticket)),
        ("upstream_ticket", or_null(&intent.upstream_ticket)),
        ("from", or_null(&intent.from)),
        ("to", or_null(&intent.to)),
        ("outcome", Value::from(outcome.name())),
        ("fault", or_null(fault)),
        ("upstream", Value::from(intent.upstream.as_str())),
        ("settled", settled.map(time).map_or(Value::Null, Value::from)),
        ("by", or_null(by)),
        ("read", or_null(read)),
        ("why", or_null(why)),
    ];
    Value::Object(Map::from_iter(members.map(|(name, value)| (name.to_owned(), value))))
}
