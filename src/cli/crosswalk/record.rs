//! A line of a crosswalk file as a pair: CSV below its header, or NDJSON.

use std::fmt;

use csv::StringRecord;
use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::Value;

use super::{Format, shown};
use crate::store::crosswalk::{Kind, Pair, SystemId, fit_id, fit_note, fit_system};

/// What the first line of a CSV file is.
const HEADER: &str = "the first line is `kind,SYSTEM,SYSTEM` or `kind,SYSTEM,SYSTEM,note`";

/// Reads lines, in the order of the file.
pub(super) enum Records {
    /// CSV whose header was not read yet.
    Begin,
    /// CSV without a header that says what there is.
    Lost,
    /// CSV below its header.
    Csv {
        systems: [String; 2],
        has_note: bool,
        record: StringRecord,
    },
    Ndjson {
        has_begun: bool,
    },
}

impl Records {
    pub(super) fn new(format: Format) -> Self {
        match format {
            Format::Csv => Self::Begin,
            Format::Ndjson => Self::Ndjson { has_begun: false },
        }
    }

    /// True if no line of the file can be read.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self, Self::Begin | Self::Lost)
    }

    /// True if there was a header, or a first line.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self, Self::Csv { .. } | Self::Ndjson { has_begun: true })
    }

    /// The pair of a line; none if it has none.
    pub(super) fn read(&mut self, line: &str) -> Result<Option<Pair>, String> {
        match self {
            Self::Begin | Self::Lost => {
                *self = Self::Lost;
                *self = header(line)?;
                Ok(None)
            }
            _ if line.trim().is_empty() => Ok(None),
            Self::Csv { systems, has_note, record } => {
                split(line, record)?;
                pair_of_fields(systems, *has_note, record).map(Some)
            }
            Self::Ndjson { has_begun } => {
                *has_begun = true;
                pair_of_members(line).map(Some)
            }
        }
    }
}

/// The fields of one line.
fn split(line: &str, record: &mut StringRecord) -> Result<(), String> {
    if !line.contains('"') {
        record.clear();
        line.split(',').for_each(|field| record.push_field(field));
        return Ok(());
    }
    // A quote inside quotes is two of them, so that of whole fields there is an even number.
    if line.matches('"').count() % 2 == 1 {
        return Err("a quote is not closed in its line".to_owned());
    }
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).flexible(true).from_reader(line.as_bytes());
    match reader.read_record(record) {
        Ok(true) => Ok(()),
        Ok(false) => Err("the line cannot be read".to_owned()),
        Err(error) => Err(format!("the line cannot be read: {error}")),
    }
}

fn header(line: &str) -> Result<Records, String> {
    let mut record = StringRecord::new();
    split(line, &mut record)?;
    let fields: Vec<&str> = record.iter().collect();
    let (systems, has_note) = match fields[..] {
        ["kind", one, other] => ([one, other], false),
        ["kind", one, other, "note"] => ([one, other], true),
        _ => return Err(format!("the header is {}: {HEADER}", shown(line))),
    };
    for system in systems {
        fit_system(system)
            .map_err(|wrong| format!("the system {} {wrong}: {HEADER}", shown(system)))?;
    }
    if systems[0] == systems[1] {
        return Err(format!("both systems are {}: {HEADER}", shown(systems[0])));
    }
    Ok(Records::Csv { systems: systems.map(str::to_owned), has_note, record })
}

fn pair_of_fields(
    systems: &[String; 2],
    has_note: bool,
    record: &StringRecord,
) -> Result<Pair, String> {
    let fields = [0, 1, 2].map(|at| record.get(at).unwrap_or_default());
    let wanted = if has_note { 4 } else { 3 };
    if record.len() != wanted {
        let plural = if record.len() == 1 { "" } else { "s" };
        return Err(format!("{} field{plural} where the header has {wanted}", record.len()));
    }
    let [kind, one, other] = fields;
    let ids = [SystemId::new(&systems[0], one), SystemId::new(&systems[1], other)];
    let note = record.get(3).filter(|note| !note.is_empty());
    checked(kind, ids, note.map(str::to_owned))
}

/// The members of an object in their order, repeats too.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn pair_of_members(line: &str) -> Result<Pair, String> {
    let Members(members) = serde_json::from_str(line)
        .map_err(|error| format!("the line is no JSON object: {error}"))?;
    let (mut kind, mut note, mut ids) = (None, None, Vec::new());
    for (name, value) in members {
        let Value::String(text) = value else {
            return Err(format!("{} is no text: write it in quotes", shown(&name)));
        };
        let before = match name.as_str() {
            "kind" => kind.replace(text).is_some(),
            "note" => note.replace(text).is_some(),
            _ if ids.iter().any(|at: &SystemId| at.system == name) => true,
            _ => {
                fit_system(&name)
                    .map_err(|wrong| format!("the system {} {wrong}", shown(&name)))?;
                ids.push(SystemId::new(name.as_str(), text));
                false
            }
        };
        if before {
            return Err(format!("{} stands twice", shown(&name)));
        }
    }
    let count = ids.len();
    let ids: [SystemId; 2] =
        ids.try_into().map_err(|_| format!("ids of {count} systems: a pair has two"))?;
    checked(&kind.ok_or("no `kind`")?, ids, note.filter(|note| !note.is_empty()))
}

fn checked(kind: &str, ids: [SystemId; 2], note: Option<String>) -> Result<Pair, String> {
    let kind = Kind::named(kind)
        .ok_or_else(|| format!("the kind {} is neither `ticket` nor `user`", shown(kind)))?;
    for at in &ids {
        fit_id(&at.id)
            .map_err(|wrong| format!("the id {} of {} {wrong}", shown(&at.id), at.system))?;
    }
    if let Some(note) = &note {
        fit_note(note).map_err(|wrong| format!("the note {} {wrong}", shown(note)))?;
    }
    Ok(Pair { kind, ids, note })
}
