//! Writing bodies: a tree of places as JSON, XML, a form or a text.
//!
//! What is written is built and escaped place by place, so no value can leave its place.

use crate::codec::{form, xml};
use crate::mapping::model::{Body, BodyKind, Key, Member, Place, Shape};
use crate::mapping::run::Refusal;
use crate::mapping::run::render::Renderer;
use crate::value::Fault;

/// Writes a body.
pub(super) fn write_body(
    renderer: &Renderer<'_>,
    body: &Body,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    match &body.kind {
        BodyKind::Json => {
            write_json(renderer, &body.shape, &body.places, true, out)?;
        }
        BodyKind::Xml { root, namespaces } => {
            let open = format!("{root}{namespaces}");
            write_xml(renderer, &body.shape, &body.places, (&open, root), true, out)?;
        }
        BodyKind::Text => {
            if let Some(place) = body.places.first()
                && let Some(value) = renderer.content(&place.content)?
            {
                out.extend_from_slice(value.text.as_bytes());
            }
        }
        BodyKind::Form => {
            let Shape::Object { members, .. } = &body.shape else { return Ok(()) };
            for member in members {
                let (Key::Fixed { name, .. }, Shape::Place(place)) = (&member.key, &member.shape)
                else {
                    continue;
                };
                let place = &body.places[usize::from(*place)];
                if place.arrow.writes()
                    && let Some(value) = renderer.content(&place.content)?
                {
                    form::write_pair(out, name, &value.text);
                }
            }
        }
    }
    Ok(())
}

/// Whether a part of a tree was written, and whether a hole in it had a value.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wrote {
    /// Nothing: absent, or read only.
    Nothing,
    /// Literals only.
    Literals,
    /// At least one value.
    Values,
}

/// Writes a tree as JSON; leaves `out` as it was where nothing is written.
fn write_json(
    renderer: &Renderer<'_>,
    shape: &Shape,
    places: &[Place],
    root: bool,
    out: &mut Vec<u8>,
) -> Result<Wrote, Refusal> {
    let start = out.len();
    let (wrote, has_holes) = match shape {
        Shape::Place(place) => {
            return write_json_place(renderer, &places[usize::from(*place)], out);
        }
        Shape::Object { members, has_holes } => {
            out.push(b'{');
            let parts = members.iter().map(|member| (Some(&member.key), &member.shape));
            let wrote = write_json_parts(renderer, parts, places, out)?;
            out.push(b'}');
            (wrote, *has_holes)
        }
        Shape::List { items, has_holes } => {
            out.push(b'[');
            let parts = items.iter().map(|item| (None, item));
            let wrote = write_json_parts(renderer, parts, places, out)?;
            out.push(b']');
            (wrote, *has_holes)
        }
    };
    if has_holes && wrote != Wrote::Values && !root {
        out.truncate(start);
        return Ok(Wrote::Nothing);
    }
    Ok(if has_holes { wrote } else { Wrote::Literals })
}

fn write_json_place(
    renderer: &Renderer<'_>,
    place: &Place,
    out: &mut Vec<u8>,
) -> Result<Wrote, Refusal> {
    if !place.arrow.writes() {
        return Ok(Wrote::Nothing);
    }
    let Some(value) = renderer.content(&place.content)? else { return Ok(Wrote::Nothing) };
    value.write_json(out);
    let literal = place.content.holes().next().is_none();
    Ok(if literal { Wrote::Literals } else { Wrote::Values })
}

/// Writes members, which have a key, or items, with commas between those that are written.
fn write_json_parts<'s>(
    renderer: &Renderer<'_>,
    parts: impl Iterator<Item = (Option<&'s Key>, &'s Shape)>,
    places: &[Place],
    out: &mut Vec<u8>,
) -> Result<Wrote, Refusal> {
    let mut wrote = Wrote::Nothing;
    for (key, shape) in parts {
        let before = out.len();
        if wrote != Wrote::Nothing {
            out.push(b',');
        }
        if let Some(key) = key {
            write_key(renderer, key, out);
        }
        match write_json(renderer, shape, places, false, out)? {
            Wrote::Nothing => out.truncate(before),
            inner => wrote = stronger(wrote, inner),
        }
    }
    Ok(wrote)
}

fn stronger(one: Wrote, other: Wrote) -> Wrote {
    if one == Wrote::Values || other == Wrote::Values { Wrote::Values } else { Wrote::Literals }
}

fn write_key(renderer: &Renderer<'_>, key: &Key, out: &mut Vec<u8>) {
    match key {
        Key::Fixed { json, .. } => out.extend_from_slice(json),
        Key::Pattern(pattern) => {
            crate::codec::json::write_text(out, &renderer.spoken(pattern));
            out.push(b':');
        }
    }
}

/// Writes a tree as an XML element; leaves `out` as it was where nothing is written.
fn write_xml(
    renderer: &Renderer<'_>,
    shape: &Shape,
    places: &[Place],
    (open, name): (&str, &str),
    root: bool,
    out: &mut Vec<u8>,
) -> Result<Wrote, Refusal> {
    let start = out.len();
    match shape {
        Shape::Place(place) => {
            let place = &places[usize::from(*place)];
            if !place.arrow.writes() {
                return Ok(Wrote::Nothing);
            }
            let Some(value) = renderer.content(&place.content)? else { return Ok(Wrote::Nothing) };
            out.extend_from_slice(format!("<{open}>").as_bytes());
            escape(xml::escape_text(out, &value.text), place)?;
            out.extend_from_slice(format!("</{name}>").as_bytes());
            let literal = place.content.holes().next().is_none();
            Ok(if literal { Wrote::Literals } else { Wrote::Values })
        }
        Shape::List { items, .. } => {
            let mut wrote = Wrote::Nothing;
            for item in items {
                let inner = write_xml(renderer, item, places, (open, name), false, out)?;
                if inner != Wrote::Nothing {
                    wrote = stronger(wrote, inner);
                }
            }
            Ok(wrote)
        }
        Shape::Object { members, has_holes } => {
            out.extend_from_slice(format!("<{open}").as_bytes());
            let mut wrote = write_attributes(renderer, members, places, out)?;
            out.push(b'>');
            for member in members {
                let Key::Fixed { name, .. } = &member.key else { continue };
                if name.starts_with('@') {
                    continue;
                }
                let inner = if name.as_ref() == "#text" {
                    write_element_text(renderer, &member.shape, places, out)?
                } else {
                    write_xml(renderer, &member.shape, places, (name, name), false, out)?
                };
                if inner != Wrote::Nothing {
                    wrote = stronger(wrote, inner);
                }
            }
            out.extend_from_slice(format!("</{name}>").as_bytes());
            if *has_holes && wrote != Wrote::Values && !root {
                out.truncate(start);
                return Ok(Wrote::Nothing);
            }
            Ok(if *has_holes { wrote } else { Wrote::Literals })
        }
    }
}

fn write_attributes(
    renderer: &Renderer<'_>,
    members: &[Member],
    places: &[Place],
    out: &mut Vec<u8>,
) -> Result<Wrote, Refusal> {
    let mut wrote = Wrote::Nothing;
    for member in members {
        let (Key::Fixed { name, .. }, Shape::Place(index)) = (&member.key, &member.shape) else {
            continue;
        };
        let Some(attribute) = name.strip_prefix('@') else { continue };
        let place = &places[usize::from(*index)];
        if !place.arrow.writes() {
            continue;
        }
        if let Some(value) = renderer.content(&place.content)? {
            out.extend_from_slice(format!(" {attribute}=\"").as_bytes());
            escape(xml::escape_attribute(out, &value.text), place)?;
            out.push(b'"');
            let literal = place.content.holes().next().is_none();
            wrote = stronger(wrote, if literal { Wrote::Literals } else { Wrote::Values });
        }
    }
    Ok(wrote)
}

fn write_element_text(
    renderer: &Renderer<'_>,
    shape: &Shape,
    places: &[Place],
    out: &mut Vec<u8>,
) -> Result<Wrote, Refusal> {
    let Shape::Place(index) = shape else { return Ok(Wrote::Nothing) };
    let place = &places[usize::from(*index)];
    if !place.arrow.writes() {
        return Ok(Wrote::Nothing);
    }
    let Some(value) = renderer.content(&place.content)? else { return Ok(Wrote::Nothing) };
    escape(xml::escape_text(out, &value.text), place)?;
    Ok(Wrote::Values)
}

fn escape(escaped: Result<(), xml::NotXml>, place: &Place) -> Result<(), Refusal> {
    escaped.map_err(|_| {
        let reason = format!("{} holds a character that XML cannot carry", place.member);
        Refusal::member(Fault::InvalidRequest, &place.member, reason)
    })
}
