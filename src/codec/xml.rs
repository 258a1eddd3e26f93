//! XML 1.0 in UTF-8: a read-only view of elements, and escaping for what is written.
//!
//! There are no document type declarations, so there are no entities but the five of XML itself. The
//! parser bounds the number of nodes, but not how deep they nest, nor what one start tag may hold, and its
//! time grows with the square or the cube of those. So the shape of the body is measured first,
//! in one pass, and only what is within the limits is parsed.
//!
//! ```
//! use latimer::codec::xml::{Limits, XmlDocument};
//!
//! let body = br#"<n:Set xmlns:n="urn:x"><n:status code="7">open<![CDATA[ &]]></n:status></n:Set>"#;
//! let document = XmlDocument::parse(body, Limits::default())?;
//! assert_eq!(document.root().local_name(), "Set");
//! let status = document.root().children_named("status").next().expect("it is there");
//! assert_eq!(status.text(), "open &");
//! assert_eq!(status.attribute("code").as_deref(), Some("7"));
//! # Ok::<(), latimer::codec::xml::XmlError>(())
//! ```

mod error;
mod escape;
mod shape;
#[cfg(test)]
mod tests;

pub use error::{NotXml, XmlError};
pub use escape::{escape_attribute, escape_text};

use std::borrow::Cow;

use roxmltree::{Document, Node, ParsingOptions, StringStorage};

/// What a body may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many elements may stand inside each other, the root counted.
    pub depth_max: usize,
    /// How many nodes there may be: elements, runs of text, comments, processing instructions.
    pub nodes_max: u32,
}

/// A body that was read.
#[derive(Debug)]
pub struct XmlDocument<'a> {
    document: Document<'a>,
}

/// An element. What it hands out is borrowed from the body `'a` wherever nothing had to be unescaped.
#[derive(Clone, Copy, Debug)]
pub struct XmlElement<'d, 'a> {
    node: Node<'d, 'a>,
}

impl Default for Limits {
    /// [`DEPTH_MAX`](super::DEPTH_MAX) levels, 10,000 nodes.
    fn default() -> Self {
        Self { depth_max: super::DEPTH_MAX, nodes_max: 10_000 }
    }
}

impl<'a> XmlDocument<'a> {
    /// Reads a whole body. A byte order mark is allowed, as XML has it.
    pub fn parse(bytes: &'a [u8], limits: Limits) -> Result<Self, XmlError> {
        let text = str::from_utf8(bytes)
            .map_err(|error| XmlError::NotUtf8 { offset: error.valid_up_to() })?;
        check_encoding(text)?;
        shape::check(text, limits)?;
        let options = ParsingOptions {
            allow_dtd: false,
            nodes_limit: limits.nodes_max,
            ..ParsingOptions::default()
        };
        let document = Document::parse_with_options(text, options)?;
        Ok(Self { document })
    }

    /// The outermost element.
    pub fn root(&self) -> XmlElement<'_, 'a> {
        XmlElement { node: self.document.root_element() }
    }
}

impl<'d, 'a> XmlElement<'d, 'a> {
    /// The name without its prefix.
    pub fn local_name(&self) -> &'a str {
        self.node.tag_name().name()
    }

    /// The elements directly inside, in order.
    pub fn children(&self) -> impl Iterator<Item = XmlElement<'d, 'a>> + use<'d, 'a> {
        let elements = self.node.children().filter(Node::is_element);
        elements.map(|node| XmlElement { node })
    }

    /// The elements directly inside that have this local name, in order.
    pub fn children_named<'n>(
        &self,
        name: &'n str,
    ) -> impl Iterator<Item = XmlElement<'d, 'a>> + use<'d, 'a, 'n> {
        self.children().filter(move |element| element.local_name() == name)
    }

    /// The value of the attribute with this local name. One without a prefix comes before those with.
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, str>> {
        let named = || self.node.attributes().filter(|it| it.name() == name);
        let plain = named().find(|attribute| attribute.namespace().is_none());
        let attribute = plain.or_else(|| named().next())?;
        Some(text_of(attribute.value_storage()))
    }

    /// All text directly inside, CDATA included, as it stands between the tags: whitespace counts.
    pub fn text(&self) -> Cow<'a, str> {
        let mut runs = self.node.children().filter_map(|node| {
            let storage = node.is_text().then(|| node.text_storage());
            storage.flatten()
        });
        let Some(first) = runs.next() else {
            return Cow::Borrowed("");
        };
        let mut text = text_of(first);
        for run in runs {
            text.to_mut().push_str(run.as_str());
        }
        text
    }
}

/// Refuses a declaration that says that the body is in another encoding than it is read in.
fn check_encoding(text: &str) -> Result<(), XmlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let declaration = text
        .strip_prefix("<?xml")
        .filter(|rest| rest.starts_with([' ', '\t', '\r', '\n']))
        .and_then(|rest| rest.split_once("?>"));
    let Some((_, value)) = declaration.and_then(|(inside, _)| inside.split_once("encoding")) else {
        return Ok(());
    };
    let value = value.trim_start().strip_prefix('=').map(str::trim_start);
    let name = value.and_then(|quoted| {
        let quote = quoted.chars().next().filter(|it| matches!(it, '"' | '\''))?;
        quoted[1..].split_once(quote).map(|(name, _)| name)
    });
    match name {
        Some(name) if name.eq_ignore_ascii_case("utf-8") => Ok(()),
        Some(name) if name.eq_ignore_ascii_case("us-ascii") => Ok(()),
        _ => Err(XmlError::Encoding),
    }
}

fn text_of<'a>(storage: &StringStorage<'a>) -> Cow<'a, str> {
    match storage {
        StringStorage::Borrowed(text) => Cow::Borrowed(text),
        StringStorage::Owned(text) => Cow::Owned(text.as_ref().to_owned()),
    }
}
