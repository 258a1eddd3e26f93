//! How a request finds its route: host, then path pattern, then verb.

use std::fmt;

use http::Method;
use rustc_hash::FxHashMap;

use crate::codec::percent;
use crate::mapping::model::{Hole, Piece, Request, Slot};
use crate::mapping::run::Settings;

/// All path patterns of all routes.
#[derive(Debug, Default)]
pub struct Routing {
    hosts: FxHashMap<String, Table>,
    any: Table,
}

/// The path patterns of one host.
#[derive(Default)]
struct Table {
    router: matchit::Router<usize>,
    entries: Vec<Vec<Line>>,
    patterns: FxHashMap<String, usize>,
    /// Route prefixes, each with its routes: at least one.
    prefixes: Vec<(String, Vec<usize>)>,
}

/// A verb of a path, and the operations behind it: at least one, all of one route.
#[derive(Debug)]
struct Line {
    method: Method,
    targets: Vec<Target>,
}

/// What a path and a verb lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Index of the route.
    pub route: usize,
    /// Index of the operation in the client's mapping.
    pub operation: usize,
    /// Bytes of the path that are prefix: the route's and the vendor's.
    pub prefix: usize,
    /// True for the question after a call of the operation, which it is not itself.
    pub asks: bool,
}

/// Where a request belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'p> {
    /// Operations that share the line; at least one, all of one route.
    Targets(&'p [Target]),
    /// The path is known, the verb is not.
    Method {
        /// The route.
        route: usize,
        /// The verbs that it has.
        allow: String,
    },
    /// One route has the longest prefix that the path has, and its vendor has no such path.
    UnknownPath {
        /// The route.
        route: usize,
    },
    /// Nobody's.
    Nothing,
}

impl Routing {
    /// Adds a route's line; gives the route that has it already.
    pub(super) fn insert(
        &mut self,
        host: Option<&str>,
        route_prefix: &str,
        vendor_prefix: &str,
        (request, settings): (&Request, &Settings),
        (route, operation, asks): (usize, usize, bool),
    ) -> Result<(), usize> {
        let table = match host {
            Some(host) => self.hosts.entry(host.to_ascii_lowercase()).or_default(),
            None => &mut self.any,
        };
        let prefix = format!("{}{vendor_prefix}", route_prefix.trim_end_matches('/'));
        let depth = prefix.matches('/').count();
        // Where a setting that is not there stands in the line, nobody can say it.
        let Some(pattern) = pattern_of(request, settings, depth) else { return Ok(()) };
        let pattern = format!("{}{pattern}", escape(&prefix));
        let lines = table.entry(&pattern);
        let target = Target { route, operation, prefix: prefix.len(), asks };
        let method = &request.method;
        match lines.iter_mut().find(|line| line.method == *method) {
            Some(line) => {
                if let Some(other) = line.targets.iter().find(|other| other.route != route) {
                    return Err(other.route);
                }
                line.targets.push(target);
            }
            None => lines.push(Line { method: method.clone(), targets: vec![target] }),
        }
        Ok(())
    }

    /// Tells that a route owns a prefix.
    pub(super) fn own(&mut self, host: Option<&str>, prefix: &str, route: usize) {
        let table = match host {
            Some(host) => self.hosts.entry(host.to_ascii_lowercase()).or_default(),
            None => &mut self.any,
        };
        let prefix = prefix.trim_end_matches('/');
        match table.prefixes.iter_mut().find(|(known, _)| known == prefix) {
            Some((_, routes)) => routes.push(route),
            None => table.prefixes.push((prefix.to_owned(), vec![route])),
        }
    }

    /// Where a request belongs. The host may carry a port and any case.
    pub fn find(&self, host: Option<&str>, method: &Method, path: &str) -> Found<'_> {
        let own = host.filter(|_| !self.hosts.is_empty()).and_then(|host| {
            let host = without_port(host).to_ascii_lowercase();
            self.hosts.get(&host)
        });
        let tables = || own.into_iter().chain([&self.any]);
        let mut other_methods: Option<&[Line]> = None;
        for table in tables() {
            let Ok(matched) = table.router.at(path) else { continue };
            let lines = &table.entries[*matched.value];
            if let Some(line) = lines.iter().find(|line| line.method == *method) {
                return Found::Targets(&line.targets);
            }
            other_methods.get_or_insert(lines);
        }
        if let Some(lines) = other_methods
            && let Some(first) = lines.first()
        {
            let allow: Vec<&str> = lines.iter().map(|line| line.method.as_str()).collect();
            return Found::Method { route: first.targets[0].route, allow: allow.join(", ") };
        }
        // The longest prefix, and the request's own host before any: where a path that is known would go.
        let mut best: Option<(usize, &[usize])> = None;
        for (length, routes) in tables().filter_map(|table| table.owners(path)) {
            if best.is_none_or(|(longest, _)| length > longest) {
                best = Some((length, routes));
            }
        }
        match best {
            Some((_, &[route])) => Found::UnknownPath { route },
            // Several vendors share the place, and nobody can tell whose client it is.
            Some(_) | None => Found::Nothing,
        }
    }
}

impl Table {
    fn entry(&mut self, pattern: &str) -> &mut Vec<Line> {
        let index = match self.patterns.get(pattern) {
            Some(index) => *index,
            None => {
                let index = self.entries.len();
                // It never refuses: holes are named by their depth, so one path has one pattern.
                let inserted = self.router.insert(pattern, index);
                debug_assert!(inserted.is_ok(), "{pattern}: {inserted:?}");
                self.patterns.insert(pattern.to_owned(), index);
                self.entries.push(Vec::new());
                index
            }
        };
        &mut self.entries[index]
    }

    /// The longest prefix that the path has, by its length, with the routes that stand there.
    fn owners(&self, path: &str) -> Option<(usize, &[usize])> {
        self.prefixes
            .iter()
            .filter(|(prefix, _)| {
                path.strip_prefix(prefix.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(prefix, routes)| (prefix.len(), routes.as_slice()))
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("patterns", &self.patterns).finish_non_exhaustive()
    }
}

/// The host without its port; an IPv6 address keeps its brackets.
fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    }
}

fn escape(literal: &str) -> String {
    literal.replace('{', "{{").replace('}', "}}")
}

/// The line as the router's pattern; a segment with a hole in it stands for any segment, and one that is a setting
/// for its value. Holes are named by their depth below the host: a line behind `/v1` and one that begins with `/v1`
/// are the same. None if a setting is not set.
fn pattern_of(request: &Request, settings: &Settings, prefix_depth: usize) -> Option<String> {
    let mut pattern = String::new();
    for (index, segment) in request.segments.iter().enumerate() {
        pattern.push('/');
        match (segment.as_literal(), &segment.pieces[..]) {
            (Some(literal), _) => pattern.push_str(&escape(literal)),
            (None, [Piece::Hole(Hole { slot: Slot::Setting(setting), .. })]) => {
                pattern.push_str(&escape(&percent::encode_text(settings.get(*setting)?)));
            }
            (None, _) => pattern.push_str(&format!("{{p{}}}", prefix_depth + index)),
        }
    }
    Some(pattern)
}
