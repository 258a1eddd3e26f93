//! Merges the file and the environment with the `config` crate, and gives every value its place back.
//!
//! `config` merges well and forgets where things stood: it keeps no order, has no lines, and would retype
//! `007`. So it is fed texts only, the file as one source and the overrides as another, and the merged value
//! is then walked along the file's own tree, which knows order and places. A text that came from the
//! environment carries its variable as `origin`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::environment::Override;
use super::tree::{Entry, Item, Kind, Spanned};
use crate::diag::{Location, SourceFile, Span};
use crate::yaml;

/// The one key that everything stands under: `config` reads keys at the top as paths, so that an operator's
/// `a.b` would become `b` below `a`.
const TOP: &str = "configuration";

/// One side of the merge, already in the form that `config` merges.
#[derive(Clone, Debug)]
struct Side(Map<String, Value>);

impl Source for Side {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(Map::from([(TOP.to_owned(), Value::new(None, ValueKind::Table(self.0.clone())))]))
    }
}

/// The file's tree with the overrides in it; all places point into `shown`, or into an override's variable.
///
/// `config` gets those of the file's sections alone that an override is for: it holds a tree three times
/// over, in hash tables, and a gateway may have a hundred thousand consumers.
pub(super) fn merge(
    shown: &Arc<SourceFile>,
    root: &yaml::Node,
    overrides: &[Override],
) -> Result<Item, ConfigError> {
    let variables = overrides.iter().map(|one| (one.at.file.name.as_str(), &one.at)).collect();
    let places = Places { shown, overrides: variables };
    // A file that is no map is merged with nothing; the reader will say what it is.
    let Some(sections) = root.entries().filter(|_| !overrides.is_empty()) else {
        return Ok(places.as_it_stands(root));
    };
    let touched: BTreeSet<&str> =
        overrides.iter().filter_map(|one| one.path.first()).map(String::as_str).collect();
    let file = sections.iter().filter(|(name, _)| touched.contains(name.text.as_str()));
    let file = file.map(|(name, node)| (name.text.clone(), value_of(node))).collect();
    let mut merged = config::Config::builder()
        .add_source(Side(file))
        .add_source(Side(table_of(overrides)))
        .build()?
        .cache
        .into_table()?
        .remove(TOP)
        .unwrap_or_default()
        .into_table()?;
    let mut entries: Vec<Entry> = sections
        .iter()
        .map(|(name, node)| match merged.remove(&name.text) {
            Some(value) => places.entry(name, places.item(value, Some(node))),
            None => places.entry(name, places.as_it_stands(node)),
        })
        .collect();
    entries.extend(places.added(merged));
    Ok(Item { kind: Kind::Map(entries), at: places.at(root.headline(shown)) })
}

/// A node of the file as `config` holds it: texts stay texts.
fn value_of(node: &yaml::Node) -> Value {
    let kind = match &node.kind {
        yaml::Kind::Map(entries) => ValueKind::Table(
            entries.iter().map(|(name, node)| (name.text.clone(), value_of(node))).collect(),
        ),
        yaml::Kind::List(items) => ValueKind::Array(items.iter().map(value_of).collect()),
        yaml::Kind::Scalar(scalar) if scalar.is_null() => ValueKind::Nil,
        yaml::Kind::Scalar(scalar) => ValueKind::String(scalar.text.clone()),
    };
    Value::new(None, kind)
}

/// The overrides as one table of tables.
fn table_of(overrides: &[Override]) -> Map<String, Value> {
    let mut top = Map::new();
    for one in overrides {
        let Some((last, before)) = one.path.split_last() else { continue };
        let mut table = &mut top;
        for key in before {
            let below = table
                .entry(key.clone())
                .or_insert_with(|| Value::new(None, Map::<String, Value>::new()));
            if !matches!(below.kind, ValueKind::Table(_)) {
                below.kind = ValueKind::Table(Map::new());
            }
            let ValueKind::Table(inner) = &mut below.kind else {
                unreachable!("it was just made a table")
            };
            table = inner;
        }
        let text = ValueKind::String(one.value.clone());
        table.insert(last.clone(), Value::new(Some(&one.at.file.name), text));
    }
    top
}

/// Where values stand: in the file, or in the variables by their file's name.
struct Places<'a> {
    shown: &'a Arc<SourceFile>,
    overrides: BTreeMap<&'a str, &'a Location>,
}

impl Places<'_> {
    fn item(&self, value: Value, node: Option<&yaml::Node>) -> Item {
        let variable = value.origin().and_then(|origin| self.overrides.get(origin));
        let at = match (variable, node) {
            (Some(at), _) => (*at).clone(),
            (None, Some(node)) => self.at(node.headline(self.shown)),
            (None, None) => self.at(Span::default()),
        };
        let kind = match value.kind {
            ValueKind::Table(table) => Kind::Map(self.entries(table, node)),
            ValueKind::Array(values) => Kind::List(self.items(values, node)),
            ValueKind::Nil => Kind::Nothing,
            ValueKind::String(text) => Kind::Text(text),
            number @ (ValueKind::Boolean(_)
            | ValueKind::I64(_)
            | ValueKind::I128(_)
            | ValueKind::U64(_)
            | ValueKind::U128(_)
            | ValueKind::Float(_)) => Kind::Text(number.to_string()),
        };
        Item { kind, at }
    }

    /// A node that nothing is merged into.
    fn as_it_stands(&self, node: &yaml::Node) -> Item {
        let kind = match &node.kind {
            yaml::Kind::Map(entries) => Kind::Map(
                entries
                    .iter()
                    .map(|(name, node)| self.entry(name, self.as_it_stands(node)))
                    .collect(),
            ),
            yaml::Kind::List(nodes) => {
                Kind::List(nodes.iter().map(|node| self.as_it_stands(node)).collect())
            }
            yaml::Kind::Scalar(scalar) if scalar.is_null() => Kind::Nothing,
            yaml::Kind::Scalar(scalar) => Kind::Text(scalar.text.clone()),
        };
        Item { kind, at: self.at(node.headline(self.shown)) }
    }

    fn entry(&self, name: &yaml::Scalar, mut item: Item) -> Entry {
        let name = Spanned::new(name.text.clone(), self.at(name.span));
        if matches!(item.kind, Kind::Nothing) {
            item.at = name.at.clone(); // nothing has no place of its own
        }
        Entry { name, item }
    }

    /// The entries in the file's order, then those that only the environment has.
    fn entries(&self, mut table: Map<String, Value>, node: Option<&yaml::Node>) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(table.len());
        for (name, node) in node.and_then(yaml::Node::entries).unwrap_or_default() {
            if let Some(value) = table.remove(&name.text) {
                entries.push(self.entry(name, self.item(value, Some(node))));
            }
        }
        entries.extend(self.added(table));
        entries
    }

    /// Entries that only the environment has, by their names.
    fn added(&self, table: Map<String, Value>) -> impl Iterator<Item = Entry> {
        let added: BTreeMap<String, Value> = table.into_iter().collect();
        added.into_iter().map(|(name, value)| {
            let item = self.item(value, None);
            let at = first_text(&item).unwrap_or(&item).at.clone();
            Entry { name: Spanned::new(name, at), item }
        })
    }

    fn items(&self, values: Vec<Value>, node: Option<&yaml::Node>) -> Vec<Item> {
        let nodes: &[yaml::Node] = match node.map(|node| &node.kind) {
            Some(yaml::Kind::List(nodes)) => nodes,
            Some(yaml::Kind::Map(_) | yaml::Kind::Scalar(_)) | None => &[],
        };
        values.into_iter().enumerate().map(|(at, value)| self.item(value, nodes.get(at))).collect()
    }

    fn at(&self, span: Span) -> Location {
        Location { file: Arc::clone(self.shown), span }
    }
}

/// The first text below a map that only the environment has: its variable is the map's place too.
fn first_text(item: &Item) -> Option<&Item> {
    match &item.kind {
        Kind::Text(_) => Some(item),
        Kind::Map(entries) => entries.first().and_then(|entry| first_text(&entry.item)),
        Kind::List(_) | Kind::Nothing => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment;

    fn merged(text: &str, variables: &[(&str, &str)]) -> String {
        let file = SourceFile::new("t.yaml", text);
        let root = yaml::load(&file, "C000", yaml::Most::CONFIGURATION).expect("is YAML");
        let environment =
            variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        let (overrides, findings) = environment::overrides(&environment, &root);
        assert_eq!(findings, []);
        show(&merge(&file, &root, &overrides).expect("merges"))
    }

    /// `text@place`, maps as `{…}`, lists as `[…]`.
    fn show(item: &Item) -> String {
        let joined = |parts: Vec<String>| parts.join(" ");
        match &item.kind {
            Kind::Text(text) => format!("{text}@{}", item.at.short()),
            Kind::Nothing => "~".into(),
            Kind::List(items) => format!("[{}]", joined(items.iter().map(show).collect())),
            Kind::Map(entries) => {
                let entry = |entry: &Entry| format!("{}: {}", entry.name.value, show(&entry.item));
                format!("{{{}}}", joined(entries.iter().map(entry).collect()))
            }
        }
    }

    #[test]
    fn texts_order_and_places_survive() {
        assert_eq!(
            merged(
                "drain: 007\nlisten: 1.10\nadmin: {listen: yes}\ntrusted_proxies: [1e3, ~]\n",
                &[]
            ),
            "{drain: 007@t.yaml:1:8 listen: 1.10@t.yaml:2:9 admin: {listen: yes@t.yaml:3:17} \
             trusted_proxies: [1e3@t.yaml:4:19 ~]}"
        );
    }

    #[test]
    fn the_environment_wins_and_adds() {
        let variables = [
            ("LATIMER__DRAIN", "007"),
            ("LATIMER__ADMIN__LISTEN", ""),
            ("LATIMER__LOG__FORMAT", "json"),
        ];
        assert_eq!(
            merged("admin:\ndrain: 20s\n", &variables),
            "{admin: {listen: @environment variable LATIMER__ADMIN__LISTEN:1:1} \
             drain: 007@environment variable LATIMER__DRAIN:1:1 \
             log: {format: json@environment variable LATIMER__LOG__FORMAT:1:1}}"
        );
    }

    #[test]
    fn a_section_that_is_merged_reads_like_one_that_is_not() {
        let text = "log: {format: json, x: ~}\nadmin:\n  token: [1e3, ~, {a: 007}]\ndrain:\n";
        let alone = merged(text, &[]);
        let with =
            merged(text, &[("LATIMER__LOG__ACCESS", "off"), ("LATIMER__ADMIN__LISTEN", "x")]);
        let log = " access: off@environment variable LATIMER__LOG__ACCESS:1:1";
        let admin = " listen: x@environment variable LATIMER__ADMIN__LISTEN:1:1";
        assert_eq!(with.replace(log, "").replace(admin, ""), alone);
        assert_eq!(with.len(), alone.len() + log.len() + admin.len());
    }

    #[test]
    fn keys_are_no_paths() {
        assert_eq!(
            merged("a.b: 1\n\"c[0]\": 2\nA: 3\na: 4\n", &[]),
            "{a.b: 1@t.yaml:1:6 c[0]: 2@t.yaml:2:9 A: 3@t.yaml:3:4 a: 4@t.yaml:4:4}"
        );
    }

    #[test]
    fn a_file_that_is_no_map_stays_what_it_is() {
        assert_eq!(merged("just text\n", &[]), "just text@t.yaml:1:1");
        assert_eq!(merged("[a]\n", &[]), "[a@t.yaml:1:2]");
    }
}
