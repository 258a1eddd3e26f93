//! The shape of a body: where in the tree each place sits, for reading and writing alike.

use std::fmt;

use http::HeaderValue;

use crate::diag::Location;
use crate::mapping::model::{Pattern, Place};

/// One form of a body.
#[derive(Clone, Debug)]
pub struct Body {
    /// Its kind.
    pub kind: BodyKind,
    /// Media types that it is read under; the first is written.
    pub media_types: Vec<MediaType>,
    /// The `Content-Type` that is written; `None` if the body has none, and is read under any.
    pub content_type: Option<HeaderValue>,
    /// The tree; for `text` a single place.
    pub shape: Shape,
    /// The places that the shape refers to.
    pub places: Vec<Place>,
    /// Where it stands.
    pub at: Location,
}

/// The kinds of body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// JSON.
    Json,
    /// XML with the root element's name and its namespace declarations.
    Xml {
        /// The name, prefix included.
        root: String,
        /// `xmlns` attributes as they are written.
        namespaces: String,
    },
    /// The whole body is one text.
    Text,
    /// `application/x-www-form-urlencoded`.
    Form,
}

/// A media type in lower case, without parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType(pub String);

/// A node of the tree.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Members in the order in which they are written.
    Object {
        /// The members.
        members: Vec<Member>,
        /// True if a hole sits in it: then it is left out when all of them are absent.
        has_holes: bool,
    },
    /// Items by position.
    List {
        /// The items.
        items: Vec<Shape>,
        /// True if a hole sits in it.
        has_holes: bool,
    },
    /// A place: index into [`Body::places`].
    Place(u16),
}

/// A member of an object.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its name.
    pub key: Key,
    /// Its value.
    pub shape: Shape,
    /// False if nothing in it is read.
    pub read: bool,
}

/// A member's name.
#[derive(Clone, Debug)]
pub enum Key {
    /// A fixed name.
    Fixed {
        /// The name as it is.
        name: Box<str>,
        /// The name as JSON with its colon: `"name":`.
        json: Box<[u8]>,
    },
    /// A name with a hole.
    Pattern(Pattern),
}

impl Shape {
    /// True if somewhere in it a place is read, or anything at all may stand there.
    pub fn is_read(&self, places: &[Place]) -> bool {
        match self {
            Self::Object { members, .. } => {
                members.is_empty() || members.iter().any(|member| member.read)
            }
            Self::List { items, .. } => {
                items.is_empty() || items.iter().any(|item| item.is_read(places))
            }
            Self::Place(place) => places[usize::from(*place)].arrow.reads(),
        }
    }

    /// True if a hole sits in it.
    pub fn has_holes(&self, places: &[Place]) -> bool {
        match self {
            Self::Object { has_holes, .. } | Self::List { has_holes, .. } => *has_holes,
            Self::Place(place) => places[usize::from(*place)].content.holes().next().is_some(),
        }
    }
}

impl BodyKind {
    /// The media type that is written where the mapping names none.
    pub fn media_type(&self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Xml { .. } => "application/xml",
            Self::Text => "text/plain",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    /// True if a media type is of this kind.
    pub fn holds(&self, media_type: &str) -> bool {
        match self {
            Self::Json => media_type.ends_with("/json") || media_type.ends_with("+json"),
            Self::Xml { .. } => media_type.ends_with("/xml") || media_type.ends_with("+xml"),
            Self::Text => media_type.starts_with("text/"),
            Self::Form => media_type == "application/x-www-form-urlencoded",
        }
    }

    /// The key that the mapping language has for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Xml { .. } => "xml",
            Self::Text => "text",
            Self::Form => "form",
        }
    }
}

impl Body {
    /// The media type that is written; `None` for no `Content-Type`.
    pub fn media_type(&self) -> Option<&str> {
        self.content_type.as_ref()?.to_str().ok()
    }

    /// True if the body is read under this media type.
    pub fn accepts(&self, media_type: &str) -> bool {
        if self.media_types.is_empty() {
            return self.kind.holds(media_type);
        }
        self.media_types.iter().any(|accepted| accepted.0 == media_type)
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
