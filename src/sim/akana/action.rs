//! The body of a workflow action: `ActionName`, `Comments` and `UserID`, in JSON or XML.

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::Value;

use crate::sim::exchange::Request;

/// The JSON media types of the page.
pub(super) const JSON_TYPES: [&str; 5] = [
    "application/json",
    "application/vnd.soa.v71+json",
    "application/vnd.soa.v72+json",
    "application/vnd.soa.v80+json",
    "application/vnd.soa.v81+json",
];

/// The XML media types of the page.
pub(super) const XML_TYPES: [&str; 5] = [
    "application/xml",
    "application/vnd.soa.v71+xml",
    "application/vnd.soa.v72+xml",
    "application/vnd.soa.v80+xml",
    "application/vnd.soa.v81+xml",
];

/// Levels of elements that a body may have.
const DEPTH_MAX: usize = 128;

/// Nodes of all kinds that a body may have.
const NODES_MAX: u32 = 10_000;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Json,
    Xml,
}

/// An action that is asked for. Its comments are checked and forgotten: Akana's ticket tells only how
/// many it has.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) name: String,
}

impl Form {
    /// The form of a request's body; `None` if its type is none of the ten.
    pub(super) fn of(request: &Request) -> Option<Form> {
        let media_type = request.media_type()?;
        if JSON_TYPES.contains(&media_type.as_str()) {
            return Some(Form::Json);
        }
        XML_TYPES.contains(&media_type.as_str()).then_some(Form::Xml)
    }
}

impl Action {
    /// Reads a body; the error is the text of a 400.
    pub(super) fn read(body: &[u8], form: Form) -> Result<Action, &'static str> {
        let name = match form {
            Form::Json => name_in_json(body)?,
            Form::Xml => name_in_xml(body)?,
        };
        match name {
            Some(name) if !name.is_empty() => Ok(Action { name }),
            _ => Err("ActionName is required"),
        }
    }
}

fn name_in_json(body: &[u8]) -> Result<Option<String>, &'static str> {
    let body: Value = serde_json::from_slice(body).map_err(|_| "The body is not JSON")?;
    let body = body.as_object().ok_or("The body is not an Action")?;
    let comments_fit = match body.get("Comments") {
        None | Some(Value::Null | Value::String(_)) => true,
        Some(Value::Array(list)) => list.iter().all(Value::is_string),
        Some(_) => false,
    };
    if !comments_fit {
        return Err("Comments is neither a text nor a list of texts");
    }
    match body.get("ActionName") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) => Ok(Some(name.clone())),
        Some(_) => Err("ActionName is not a text"),
    }
}

fn name_in_xml(body: &[u8]) -> Result<Option<String>, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "The body is not UTF-8")?;
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..Default::default() };
    let document =
        Document::parse_with_options(text, options).map_err(|_| "The body is not XML")?;
    if too_deep(&document) {
        return Err("The body is nested too deeply");
    }
    // By local names: the platform writes its namespaces, its clients often leave them out.
    let root = document.root_element();
    if root.tag_name().name() != "Action" {
        return Err("The body is not an Action");
    }
    let name = root.children().find(|child| child.tag_name().name() == "ActionName");
    Ok(name.and_then(|node: Node<'_, '_>| node.text()).map(|text| text.trim().to_owned()))
}

/// Nodes come in document order, a parent before its children.
fn too_deep(document: &Document<'_>) -> bool {
    let mut depths: Vec<usize> = Vec::new();
    for node in document.descendants() {
        let depth = node.parent().map_or(0, |parent| depths[parent.id().get_usize()] + 1);
        if node.is_element() && depth > DEPTH_MAX {
            return true;
        }
        depths.push(depth);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(levels: usize) -> String {
        let inner = levels - 1;
        format!(
            "<Action><ActionName>a</ActionName>{}{}</Action>",
            "<x>".repeat(inner),
            "</x>".repeat(inner)
        )
    }

    #[test]
    fn both_forms_are_read() {
        let wanted = Ok(Action { name: "ticket.action.resolve".to_owned() });
        for json in [
            r#"{"ActionName":"ticket.action.resolve","Comments":"one"}"#,
            r#"{"Comments":["one","two"],"ActionName":"ticket.action.resolve"}"#,
            r#"{"ActionName":"ticket.action.resolve","UserID":"7"}"#,
        ] {
            assert_eq!(Action::read(json.as_bytes(), Form::Json), wanted, "{json}");
        }
        for xml in [
            "<Action><ActionName>ticket.action.resolve</ActionName><Comments>a</Comments><Comments>b</Comments></Action>",
            "<?xml version=\"1.0\"?>\n<n:Action xmlns:n=\"urn:x\"><n:ActionName> ticket.action.resolve\n</n:ActionName></n:Action>",
        ] {
            assert_eq!(Action::read(xml.as_bytes(), Form::Xml), wanted, "{xml}");
        }
    }

    #[test]
    fn what_is_no_action_is_refused() {
        for (json, why) in [
            ("{", "The body is not JSON"),
            ("[]", "The body is not an Action"),
            ("{}", "ActionName is required"),
            (r#"{"ActionName":""}"#, "ActionName is required"),
            (r#"{"ActionName":7}"#, "ActionName is not a text"),
            (
                r#"{"ActionName":"a","Comments":7}"#,
                "Comments is neither a text nor a list of texts",
            ),
            (
                r#"{"ActionName":"a","Comments":[7]}"#,
                "Comments is neither a text nor a list of texts",
            ),
        ] {
            assert_eq!(Action::read(json.as_bytes(), Form::Json), Err(why), "{json}");
        }
        for (xml, why) in [
            ("<Action>", "The body is not XML"),
            ("<Other/>", "The body is not an Action"),
            ("<Action/>", "ActionName is required"),
            (
                "<!DOCTYPE Action [<!ENTITY e \"x\">]><Action><ActionName>&e;</ActionName></Action>",
                "The body is not XML",
            ),
            ("<Action><ActionName>&unknown;</ActionName></Action>", "The body is not XML"),
        ] {
            assert_eq!(Action::read(xml.as_bytes(), Form::Xml), Err(why), "{xml}");
        }
    }

    #[test]
    fn depth_and_nodes_are_bounded() {
        assert!(Action::read(nested(128).as_bytes(), Form::Xml).is_ok());
        let too_deep = Err("The body is nested too deeply");
        assert_eq!(Action::read(nested(129).as_bytes(), Form::Xml), too_deep);
        assert_eq!(Action::read(nested(100_000).as_bytes(), Form::Xml), Err("The body is not XML"));
        let wide = format!("<Action>{}</Action>", "<x/>".repeat(10_000));
        assert_eq!(Action::read(wide.as_bytes(), Form::Xml), Err("The body is not XML"));
        let json = format!("{{\"ActionName\":{}{}}}", "[".repeat(200), "]".repeat(200));
        assert_eq!(Action::read(json.as_bytes(), Form::Json), Err("The body is not JSON"));
    }
}
