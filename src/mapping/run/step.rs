//! What is asked besides a call: look-ups before it, and what became of it.

use http::{HeaderMap, Method};

use crate::mapping::model::{Hole, Operation, Pattern, Poll, Slot, Step};
use crate::mapping::run::render::Renderer;
use crate::mapping::run::write::{split_parts, write_path, write_some};
use crate::mapping::run::{Outgoing, Refusal, Sources};
use crate::value::Fault;

/// Writes a step's request: its own line, with the headers of the call that carry credentials.
///
/// # Errors
/// As [`write_request`](super::write_request).
pub fn write_step(
    operation: &Operation,
    step: &Step,
    sources: Sources<'_>,
) -> Result<Outgoing, Refusal> {
    let parts = split_parts(&operation.request, &sources)?;
    let renderer = Renderer::new(Sources { parts: &parts, ..sources });
    let mut target = write_path(&renderer, &step.segments)?;
    let headers = write_credential(&renderer, operation, &mut target)?;
    let lossy = Vec::new();
    Ok(Outgoing { method: step.method.clone(), target, headers, body: Vec::new(), lossy })
}

/// Writes what else is asked beside a call is asked with: its own credential and settings, and nothing
/// else of it.
fn write_credential(
    renderer: &Renderer<'_>,
    operation: &Operation,
    target: &mut String,
) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::new();
    write_some(renderer, &operation.request, target, &mut headers, |named| {
        let holes = || named.place.content.holes();
        let ours = |hole: &Hole| matches!(hole.slot, Slot::Secret(_) | Slot::Setting(_));
        holes().next().is_some() && holes().all(ours)
    })?;
    Ok(headers)
}

/// Writes the question at an address that the upstream named: its path and query.
///
/// # Errors
/// As [`write_request`](super::write_request).
pub fn write_poll(
    operation: &Operation,
    address: &str,
    sources: Sources<'_>,
) -> Result<Outgoing, Refusal> {
    let renderer = Renderer::new(sources);
    let mut query = String::new();
    let headers = write_credential(&renderer, operation, &mut query)?;
    let query = match query.strip_prefix('?') {
        Some(more) if address.contains('?') => format!("&{more}"),
        _ => query,
    };
    Ok(Outgoing::get(format!("{address}{query}"), headers))
}

/// Writes the question by the call's own id; the path is put behind the upstream's base path.
///
/// # Errors
/// As [`write_request`](super::write_request).
pub fn write_ask(
    operation: &Operation,
    segments: &[Pattern],
    sources: Sources<'_>,
) -> Result<Outgoing, Refusal> {
    let parts = split_parts(&operation.request, &sources)?;
    let renderer = Renderer::new(Sources { parts: &parts, ..sources });
    let mut target = write_path(&renderer, segments)?;
    let headers = write_credential(&renderer, operation, &mut target)?;
    Ok(Outgoing::get(target, headers))
}

/// The address that an answer names to ask at; `None` if it names none.
pub fn read_location(poll: &Poll, body: &[u8]) -> Option<String> {
    if body.len() > crate::bounds::JSONPATH_BYTES_MAX {
        return None;
    }
    let tree: serde_json::Value = serde_json::from_slice(body).ok()?;
    match poll.location.select(&tree).as_slice() {
        [serde_json::Value::String(address)] => Some(address.clone()),
        _ => None,
    }
}

impl Outgoing {
    fn get(target: String, headers: HeaderMap) -> Self {
        Self { method: Method::GET, target, headers, body: Vec::new(), lossy: Vec::new() }
    }
}

/// Reads what a step found: its values in the order of `take`.
///
/// # Errors
/// The step's own fault if nothing fits, [`Fault::Conflict`] if more than one does, and
/// [`Fault::UpstreamFailed`] if the answer is no JSON or lacks what is to be taken.
pub fn read_step(step: &Step, body: &[u8], sources: Sources<'_>) -> Result<Vec<String>, Refusal> {
    let failed = |reason| Refusal::whole(Fault::UpstreamFailed, reason);
    if body.len() > crate::bounds::JSONPATH_BYTES_MAX {
        return Err(failed("the look-up's answer is too long"));
    }
    let tree: serde_json::Value =
        serde_json::from_slice(body).map_err(|_| failed("the look-up's answer is no JSON"))?;
    let renderer = Renderer::new(sources);
    let mut wanted = Vec::new();
    for (path, pattern) in &step.conditions {
        wanted.push((path, renderer.pattern(pattern)?.unwrap_or_default()));
    }
    let items: Vec<&serde_json::Value> = step
        .list
        .select(&tree)
        .into_iter()
        .flat_map(|found| match found {
            serde_json::Value::Array(items) => items.iter().collect(),
            other => vec![other],
        })
        .collect();
    let mut fitting = items.into_iter().filter(|item| {
        wanted.iter().all(|(path, text)| member(item, path).is_some_and(|found| found == *text))
    });
    let Some(item) = fitting.next() else {
        return Err(Refusal::whole(step.none, "the look-up found nothing"));
    };
    if fitting.next().is_some() {
        return Err(Refusal::whole(Fault::Conflict, "the look-up found more than one"));
    }
    step.take
        .iter()
        .map(|(_, path)| {
            member(item, path).ok_or_else(|| failed("the look-up's answer lacks a member"))
        })
        .collect()
}

fn member(item: &serde_json::Value, path: &[String]) -> Option<String> {
    let found = path.iter().try_fold(item, |value, name| value.get(name))?;
    match found {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Array(_)
        | serde_json::Value::Object(_) => None,
    }
}
