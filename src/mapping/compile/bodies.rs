//! Bodies: trees of places.

use http::HeaderValue;

use crate::mapping::compile::{Compiler, Position};
use crate::mapping::model::{Body, BodyKind, Key, MediaType, Member, Place, Shape};
use crate::mapping::syntax::{self, Arrow, BodyTree, Literal, LiteralKind, PlaceValue, Tree};

/// Places that one body may have.
const PLACES_MAX: usize = 1_000;

impl Compiler<'_> {
    /// The forms that one body may take, each with its media types.
    pub(super) fn bodies(&mut self, bodies: &syntax::Bodies) -> Vec<Body> {
        let json = bodies.list.iter().find_map(|body| match &body.tree {
            BodyTree::Json(tree) => Some(tree),
            BodyTree::Xml { .. } | BodyTree::Text(_) | BodyTree::Form(_) => None,
        });
        let mut compiled: Vec<Body> =
            bodies.list.iter().filter_map(|body| self.body(body, json)).collect();
        self.media_types(bodies, &mut compiled);
        compiled
    }

    fn media_types(&mut self, bodies: &syntax::Bodies, compiled: &mut [Body]) {
        for accepted in &bodies.accepts {
            let name = accepted.text.to_ascii_lowercase();
            let single = compiled.len() == 1;
            match compiled.iter_mut().find(|body| single || body.kind.holds(&name)) {
                Some(body) => body.media_types.push(MediaType(name)),
                None => {
                    let message = format!("no body here is read under `{name}`");
                    self.findings.error("M001", accepted.span, message, "add a body of that kind");
                }
            }
        }
        for body in compiled {
            if let Some(written) = bodies.media_type.as_ref().filter(|text| text.text != "none") {
                body.media_types = vec![MediaType(written.text.to_ascii_lowercase())];
            }
            let untyped = bodies.media_type.as_ref().is_some_and(|text| text.text == "none");
            let first = body.media_types.first().map(|media_type| media_type.0.as_str());
            let written = first.unwrap_or(body.kind.media_type());
            body.content_type = HeaderValue::from_str(written).ok().filter(|_| !untyped);
        }
    }

    fn body(&mut self, body: &syntax::Body, json: Option<&Tree>) -> Option<Body> {
        let mut places = Vec::new();
        let (kind, shape) = match &body.tree {
            BodyTree::Json(tree) => {
                (BodyKind::Json, self.shape(tree, Position::Json, "json", "", &mut places)?)
            }
            BodyTree::Xml { root, tree } => {
                let Some(tree) = tree.as_ref().or(json) else {
                    let message = "`like: json` without a `json:` body beside it";
                    self.findings.error("M001", body.span, message, "");
                    return None;
                };
                let kind =
                    BodyKind::Xml { root: root.text.clone(), namespaces: self.namespaces.clone() };
                (kind, self.shape(tree, Position::Xml, "xml", "", &mut places)?)
            }
            BodyTree::Text(value) => {
                places.push(self.place(value, Position::Text, "text".to_owned(), "body")?);
                (BodyKind::Text, Shape::Place(0))
            }
            BodyTree::Form(entries) => {
                let named = self.named_places(entries, Position::Form, "form");
                let members = named.into_iter().map(|named| {
                    let key = Key::fixed(&named.name.to_string());
                    let shape = Shape::Place(u16::try_from(places.len()).unwrap_or(u16::MAX));
                    let read = named.place.arrow.reads();
                    places.push(named.place);
                    Member { key, shape, read }
                });
                (BodyKind::Form, Shape::Object { members: members.collect(), has_holes: true })
            }
        };
        if places.len() > PLACES_MAX {
            let message = format!("a body of more than {PLACES_MAX} places");
            self.findings.error("M001", body.span, message, "");
            return None;
        }
        let at = self.at(body.span);
        Some(Body { kind, media_types: Vec::new(), content_type: None, shape, places, at })
    }

    fn shape(
        &mut self,
        tree: &Tree,
        position: Position,
        path: &str,
        member: &str,
        places: &mut Vec<Place>,
    ) -> Option<Shape> {
        match tree {
            Tree::Object(members, _) => {
                let members: Vec<Member> = members
                    .iter()
                    .filter_map(|member| self.member(member, position, path, places))
                    .collect();
                let has_holes = members.iter().any(|member| member.shape.has_holes(places));
                Some(Shape::Object { members, has_holes })
            }
            // Of a list with items anything may stand behind them; one without any says that it is empty.
            Tree::List(items, span) if items.is_empty() && position == Position::Json => {
                let empty = Literal { text: "[]".to_owned(), kind: LiteralKind::Composite };
                let empty = PlaceValue::Literal(Arrow::Both, empty, *span);
                self.place_of(&empty, position, path, member, places)
            }
            Tree::List(items, _) => {
                let items: Vec<Shape> = items
                    .iter()
                    .enumerate()
                    .filter_map(|(index, item)| {
                        let path = format!("{path}[{index}]");
                        self.shape(item, position, &path, member, places)
                    })
                    .collect();
                let has_holes = items.iter().any(|item| item.has_holes(places));
                Some(Shape::List { items, has_holes })
            }
            Tree::Value(value) => self.place_of(value, position, path, member, places),
        }
    }

    fn place_of(
        &mut self,
        value: &PlaceValue,
        position: Position,
        path: &str,
        member: &str,
        places: &mut Vec<Place>,
    ) -> Option<Shape> {
        let place = self.place(value, position, path.to_owned(), member)?;
        places.push(place);
        Some(Shape::Place(u16::try_from(places.len() - 1).ok()?))
    }

    fn member(
        &mut self,
        member: &syntax::Member,
        position: Position,
        path: &str,
        places: &mut Vec<Place>,
    ) -> Option<Member> {
        let key = match member.key.literal() {
            Some(name) => Key::fixed(name),
            None => Key::Pattern(self.pattern(&member.key, Position::Inner, false)),
        };
        let name = match &key {
            Key::Fixed { name, .. } => name.to_string(),
            Key::Pattern(pattern) => pattern.to_string(),
        };
        let separator = if path.contains(' ') { "." } else { " " };
        let path = format!("{path}{separator}{name}");
        let shape = self.shape(&member.tree, position, &path, &name, places)?;
        let read = shape.is_read(places);
        Some(Member { key, shape, read })
    }
}

impl Key {
    /// A name as it is.
    fn fixed(name: &str) -> Self {
        let mut json = Vec::with_capacity(name.len() + 3);
        crate::codec::json::write_text(&mut json, name);
        json.push(b':');
        Self::Fixed { name: name.into(), json: json.into() }
    }
}
