//! `unmapped: forward`: what must hold for a route that sends on what its mapping does not know.
//!
//! Nothing is read of such a call, so nothing in it can be translated: both sides must speak the same, in
//! words and in ids. And a path that two routes could claim goes to neither of them.

use super::codes;
use super::form::quote;
use super::route::{Actor, Route, Unmapped};
use super::section::Reader;
use super::upstream::Upstream;
use crate::diag::Diagnostic;

/// Reports routes that cannot forward.
pub(super) fn check(reader: &mut Reader<'_>, upstreams: &[Upstream], routes: &[Route]) {
    for route in routes.iter().filter(|route| route.unmapped.value == Unmapped::Forward) {
        // An upstream that is not there, or is broken, is reported as such.
        let upstream = upstreams.iter().find(|known| known.name.value == route.upstream.value);
        let found = [
            upstream.and_then(|upstream| other_vendor(route, upstream)),
            other_ids(route),
            other_owner(route, routes),
            other_actor(route),
        ];
        reader.findings.extend(found.into_iter().flatten());
    }
}

fn conflict(route: &Route, message: String, label: &str) -> Diagnostic {
    Diagnostic::error(codes::CONFLICT, route.unmapped.at.clone(), message).label(label)
}

fn other_vendor(route: &Route, upstream: &Upstream) -> Option<Diagnostic> {
    let (client, vendor) = (&route.client, &upstream.vendor);
    if client.value == vendor.value {
        return None;
    }
    let message = format!(
        "`unmapped: forward` wants one vendor on both sides: the callers speak {}, {} is {}",
        quote(&client.value),
        quote(&upstream.name.value),
        quote(&vendor.value)
    );
    let finding = conflict(route, message, "write `refuse`, or leave it out");
    Some(finding.also(client.at.clone(), "the callers' API").also(vendor.at.clone(), "another one"))
}

/// An id that nobody translates would reach another ticket.
fn other_ids(route: &Route) -> Option<Diagnostic> {
    let at = route.ids.differ_at()?;
    let message = "`unmapped: forward` wants `ids: {ticket: same}`: in a call that the mapping does not know, \
                   no id can be translated, and the client's own would name another ticket";
    let finding = conflict(route, message.to_owned(), "write `refuse`, or leave it out");
    Some(finding.also(at.clone(), "the ids differ"))
}

/// What nobody reads keeps the name that its sender put there.
fn other_actor(route: &Route) -> Option<Diagnostic> {
    let Actor::Setting(_) = &route.actor.value else { return None };
    let message = "`unmapped: forward` wants `actor: client`: in a call that the mapping does not know, nobody can \
                   tell who it says that it is from";
    let finding = conflict(route, message.to_owned(), "write `refuse`, or leave it out");
    Some(finding.also(route.actor.at.clone(), "one actor for all"))
}

/// Where another route stands at the same place, a path that no mapping knows is nobody's.
fn other_owner(route: &Route, routes: &[Route]) -> Option<Diagnostic> {
    let is_other = |other: &&Route| other.name.value != route.name.value;
    let other = routes.iter().filter(is_other).find(|other| shares_place(other, route))?;
    let message = format!(
        "`unmapped: forward` would forward nothing: the route {} takes the same paths, and what neither of the \
         mappings knows goes to neither of the routes",
        quote(&other.name.value)
    );
    let finding =
        conflict(route, message, "give the route a `match:` of its own, or write `refuse`");
    Some(finding.also(other.name.at.clone(), "the other route"))
}

/// True if both have one host and one prefix. Of two prefixes the longer one goes first, and a host before none.
fn shares_place(one: &Route, other: &Route) -> bool {
    let host = |route: &Route| route.host.as_ref().map(|host| host.value.to_ascii_lowercase());
    let prefix = |route: &Route| route.path_prefix.value.trim_end_matches('/').to_owned();
    host(one) == host(other) && prefix(one) == prefix(other)
}
