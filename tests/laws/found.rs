//! What the places of a body hold, found by other parsers than the program's own.

use latimer::mapping::model::{Body, BodyKind, Key, Shape};
use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;

/// The text of each place, in the order of the body's places; JSON that is no text as JSON.
///
/// # Errors
/// If the parser refuses the body.
pub(crate) fn texts(body: &Body, bytes: &[u8]) -> Result<Vec<Option<String>>, String> {
    let mut found = vec![None; body.places.len()];
    match &body.kind {
        BodyKind::Json => {
            let tree: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
            json(&body.shape, Some(&tree), &mut found);
        }
        BodyKind::Xml { .. } => {
            let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
            let options = ParsingOptions { allow_dtd: false, ..ParsingOptions::default() };
            let document = Document::parse_with_options(text, options);
            let document = document.map_err(|error| error.to_string())?;
            xml(&body.shape, Some(document.root_element()), &mut found);
        }
        BodyKind::Text => {
            let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
            found[0] = Some(text.to_owned());
        }
        BodyKind::Form => {
            let Shape::Object { members, .. } = &body.shape else { panic!("a form has members") };
            for (name, value) in form_urlencoded::parse(bytes) {
                let member = members.iter().find(|member| fixed(&member.key) == Some(&*name));
                if let Some(Shape::Place(place)) = member.map(|member| &member.shape) {
                    found[usize::from(*place)] = Some(value.into_owned());
                }
            }
        }
    }
    Ok(found)
}

/// A text as it is, anything else as JSON.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn fixed(key: &Key) -> Option<&str> {
    match key {
        Key::Fixed { name, .. } => Some(name),
        Key::Pattern(_) => None,
    }
}

fn json(shape: &Shape, value: Option<&Value>, found: &mut [Option<String>]) {
    match shape {
        Shape::Object { members, .. } => {
            for member in members {
                let inner = match (fixed(&member.key), value) {
                    (Some(name), Some(value)) => value.get(name),
                    // A name with a hole: the object has no other member.
                    (None, Some(Value::Object(members))) => members.values().next(),
                    _ => None,
                };
                json(&member.shape, inner, found);
            }
        }
        Shape::List { items, .. } => {
            for (index, item) in items.iter().enumerate() {
                json(item, value.and_then(|value| value.get(index)), found);
            }
        }
        Shape::Place(place) => {
            found[usize::from(*place)] = value.map(plain);
        }
    }
}

fn xml(shape: &Shape, element: Option<Node<'_, '_>>, found: &mut [Option<String>]) {
    let local = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
    match shape {
        Shape::Object { members, .. } => {
            for member in members {
                let name = fixed(&member.key).unwrap_or_default();
                if let (Some(name), Shape::Place(place)) = (name.strip_prefix('@'), &member.shape) {
                    let value = element.and_then(|element| element.attribute(name));
                    found[usize::from(*place)] = value.map(str::to_owned);
                    continue;
                }
                let child = element.and_then(|element| {
                    let mut children = element.children();
                    children.find(|child| child.tag_name().name() == local(name))
                });
                xml(&member.shape, child, found);
            }
        }
        Shape::List { items, .. } => items.iter().for_each(|item| xml(item, element, found)),
        Shape::Place(place) => {
            found[usize::from(*place)] = element.map(|element| {
                element.children().filter_map(|node| node.text()).collect::<Vec<_>>().concat()
            });
        }
    }
}
