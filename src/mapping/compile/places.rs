//! Texts with holes and the places that hold them.

use crate::bounds;
use crate::diag::Span;
use crate::mapping::codecs::Codec;
use crate::mapping::compile::{Charset, Compiler, Message, Position};
use crate::mapping::model::{
    Content, DEFAULT_PATH_FORMAT, GatewayField, Hole, Named, Pattern, Piece, Place, Slot, Type,
};
use crate::mapping::syntax::{self, Arrow, LiteralKind, Part, PlaceValue, Template};

/// What a path's format must not admit.
const PATH_SEPARATORS: [char; 4] = ['/', '?', '#', '\\'];

impl Compiler<'_> {
    /// A text with holes. M004 for holes side by side, M018 for values that could hold what separates
    /// them, where the text is also read.
    pub(super) fn pattern(
        &mut self,
        template: &Template,
        position: Position,
        read: bool,
    ) -> Pattern {
        let mut pieces: Vec<Piece> = Vec::with_capacity(template.parts.len());
        for part in &template.parts {
            match part {
                Part::Literal(text) => pieces.push(Piece::Text(text.text.as_str().into())),
                Part::Hole(hole) => {
                    if matches!(pieces.last(), Some(Piece::Hole(_))) && read {
                        let message = "two holes side by side cannot be told apart";
                        let label = "put a text between them";
                        self.findings.error("M004", hole.span, message, label);
                    }
                    if let Some(hole) = self.hole(hole, position) {
                        pieces.push(Piece::Hole(hole));
                    }
                }
            }
        }
        let pattern = Pattern { pieces, at: self.at(template.span) };
        if read {
            self.check_separators(&pattern, position);
        }
        pattern
    }

    /// M018 for one pattern.
    fn check_separators(&mut self, pattern: &Pattern, position: Position) {
        for (index, piece) in pattern.pieces.iter().enumerate() {
            let Piece::Hole(hole) = piece else { continue };
            let follows = match pattern.pieces.get(index + 1) {
                Some(Piece::Text(text)) => Some(text.as_ref()),
                Some(Piece::Hole(_)) | None => None,
            };
            if position == Position::Path && hole.codec.is_none() && hole.table.is_none() {
                self.check_path_format(hole);
            }
            if let Some(separator) = follows {
                self.check_separator(hole, separator);
            }
        }
    }

    fn check_path_format(&mut self, hole: &Hole) {
        let Some(format) = hole.format.map(|index| &self.formats[usize::from(index)]) else {
            return;
        };
        let charset = Charset::of_expression(&format.text);
        if let Some(separator) = PATH_SEPARATORS.into_iter().find(|mark| charset.admits(*mark)) {
            let message = format!(
                "the format of `{}` admits `{separator}`, which ends a path segment",
                hole.name
            );
            let (at, format) = (hole.at.clone(), format.at.clone());
            let finding = crate::diag::Diagnostic::error("M018", at, message)
                .label("a value could reach another path")
                .also(format, "this format");
            self.findings.list.push(finding);
        }
    }

    fn check_separator(&mut self, hole: &Hole, separator: &str) {
        if let Some(table) = hole.table {
            let table = &self.tables[usize::from(table)];
            if let Some(row) = table.rows.iter().find(|row| row.wire.contains(separator)) {
                let message =
                    format!("`{}` holds `{separator}`, the text that follows the hole", row.wire);
                let finding = crate::diag::Diagnostic::error("M018", hole.at.clone(), message)
                    .also(row.at.clone(), "this row");
                self.findings.list.push(finding);
            }
            return;
        }
        let ours = match hole.slot {
            Slot::Gateway(field) => field.alphabet(),
            _ => None,
        };
        let charset = match (hole.codec.and_then(Codec::alphabet).or(ours), hole.format) {
            (Some(alphabet), _) => Charset::of_text(alphabet),
            (None, Some(format)) => Charset::of_expression(&self.formats[usize::from(format)].text),
            (None, None) if hole.in_path => Charset::of_expression(DEFAULT_PATH_FORMAT),
            (None, None) => Charset::Any,
        };
        if charset.admits_all(separator) {
            let message = format!(
                "a value of `{}` could hold `{separator}`, the text that follows it",
                hole.name
            );
            let finding = crate::diag::Diagnostic::error("M018", hole.at.clone(), message)
                .label(format!("give `{}` a format without it, under `formats:`", hole.name));
            self.findings.list.push(finding);
        }
    }

    /// What stands in a place.
    pub(super) fn content(
        &mut self,
        value: &PlaceValue,
        position: Position,
    ) -> Option<(Arrow, Content)> {
        match value {
            PlaceValue::Literal(arrow, literal, _) => {
                let textual = !matches!(position, Position::Json | Position::With);
                let mut literal = literal.clone();
                if textual && literal.kind != LiteralKind::Composite {
                    literal.kind = LiteralKind::Text;
                }
                Some((*arrow, Content::Literal(literal)))
            }
            PlaceValue::Text(arrow, template) => {
                // Also where it is only written: a value that holds the text behind its hole would be
                // taken apart elsewhere by whoever reads it.
                let read = self.scope_reads(position);
                Some((*arrow, self.text_content(template, position, read)?))
            }
            PlaceValue::Join { text, codec, optional } => {
                let pattern = self.pattern(text, position, self.scope_reads(position));
                let codec = self.codec(codec)?;
                Some((Arrow::Both, Content::Join { pattern, codec, optional: *optional }))
            }
        }
    }

    fn text_content(
        &mut self,
        template: &Template,
        position: Position,
        read: bool,
    ) -> Option<Content> {
        let mut pattern = self.pattern(template, position, read);
        let single = pattern.pieces.len() == 1 && template.parts.len() == 1;
        match (single, pattern.pieces.pop()) {
            (true, Some(Piece::Hole(hole))) => Some(Content::Hole(hole)),
            (_, Some(last)) => {
                pattern.pieces.push(last);
                match pattern.as_literal() {
                    Some(text) => Some(Content::Literal(syntax::Literal::text(text))),
                    None => Some(Content::Text(pattern)),
                }
            }
            (_, None) => None,
        }
    }

    /// True if what stands in this position is ever read.
    fn scope_reads(&self, position: Position) -> bool {
        !matches!(position, Position::Spoken | Position::With)
    }

    /// One place.
    pub(super) fn place(
        &mut self,
        value: &PlaceValue,
        position: Position,
        label: String,
        member: &str,
    ) -> Option<Place> {
        let (arrow, content) = self.content(value, position)?;
        let at = self.at(value.span());
        Some(Place::new(label, member.to_owned(), arrow, content, at))
    }

    /// Places with names: headers, cookies, query, form.
    pub(super) fn named_places(
        &mut self,
        entries: &[(Template, PlaceValue)],
        position: Position,
        what: &str,
    ) -> Vec<Named> {
        let mut seen: Vec<String> = Vec::new();
        let mut named = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = self.name_pattern(key, position, what);
            let text = name.to_string();
            if matches!(position, Position::Header)
                && seen.iter().any(|other| other.eq_ignore_ascii_case(&text))
            {
                let message =
                    format!("`{text}` stands twice: case does not count in a {what}'s name");
                self.findings.error("M015", key.span, message, "write it once");
            }
            seen.push(text.clone());
            if let Some(place) = self.place(value, position, format!("{what} {text}"), &text) {
                let header = name
                    .as_literal()
                    .filter(|_| position == Position::Header)
                    .and_then(|name| http::HeaderName::from_bytes(name.as_bytes()).ok());
                named.push(Named { name, header, place });
            }
        }
        named
    }

    /// M015: a name is legal, and only settings stand in it.
    pub(super) fn name_pattern(
        &mut self,
        key: &Template,
        position: Position,
        what: &str,
    ) -> Pattern {
        let pattern = self.pattern(key, Position::Name, false);
        if !matches!(position, Position::Header | Position::Cookie) {
            return pattern;
        }
        if let Some(hole) = pattern.holes().find(|hole| !matches!(hole.slot, Slot::Setting(_))) {
            let message = format!("only a setting can stand in a {what}'s name");
            let label = "names are looked up without case, so a value in one would be lost";
            let finding =
                crate::diag::Diagnostic::error("M015", hole.at.clone(), message).label(label);
            self.findings.list.push(finding);
        }
        for piece in &pattern.pieces {
            if let Piece::Text(text) = piece
                && let Some(illegal) = text.chars().find(|letter| !is_token(*letter))
            {
                let message = format!("`{illegal}` cannot stand in a {what}'s name");
                let label = "a name is letters, digits and !#$%&'*+-.^_`|~";
                self.findings.error("M015", key.span, message, label);
            }
        }
        pattern
    }

    /// M015: a header whose name is legal.
    pub(super) fn header_name(&mut self, name: &syntax::Named) -> Option<http::HeaderName> {
        let header = http::HeaderName::from_bytes(name.text.as_bytes()).ok();
        if header.is_none() {
            let message = format!("`{}` is no name of a header", name.text);
            self.findings.error("M015", name.span, message, "");
        }
        header
    }

    /// A header of `limits:`.
    pub(super) fn limit_header(
        &mut self,
        header: &syntax::Named,
        codec: Option<&syntax::Named>,
        field: GatewayField,
    ) -> Option<Named> {
        if let Some(illegal) = header.text.chars().find(|letter| !is_token(*letter)) {
            let message = format!("`{illegal}` cannot stand in a header's name");
            self.findings.error("M015", header.span, message, "");
        }
        let codec = match codec {
            Some(name) => Some(self.codec(name)?),
            None => None,
        };
        let kind = field.kind();
        let fits = match codec {
            Some(
                Codec::HttpDate | Codec::IsoDate | Codec::ArenaDate | Codec::UsDate | Codec::UnixMs,
            ) => kind == Type::Time,
            Some(_) => false,
            None => kind == Type::Int,
        };
        if !fits {
            let message = format!(
                "`{}` is {}",
                field.name(),
                if kind == Type::Time { "a time" } else { "a number" }
            );
            let label = "a time needs `as:` with a date codec, a number needs none";
            self.findings.error("M012", header.span, message, label);
        }
        let at = self.at(header.span);
        let hole = Hole {
            slot: Slot::Gateway(field),
            name: field.name().to_owned(),
            kind,
            table: None,
            codec,
            or: crate::mapping::model::OrElse::Absent,
            format: None,
            in_path: false,
            at: at.clone(),
        };
        let label = format!("header {}", header.text);
        let content = Content::Hole(hole);
        let place = Place::new(label, header.text.clone(), Arrow::Both, content, at.clone());
        let name = Pattern::literal(&header.text, at);
        let header = http::HeaderName::from_bytes(header.text.as_bytes()).ok();
        Some(Named { name, header, place })
    }

    /// The segments of a path; every hole stays within its segment.
    pub(super) fn segments(&mut self, path: &Template) -> Vec<Pattern> {
        let mut segments: Vec<Template> = Vec::new();
        for part in &path.parts {
            match part {
                Part::Hole(hole) => match segments.last_mut() {
                    Some(segment) => segment.parts.push(Part::Hole(hole.clone())),
                    None => segments
                        .push(Template { parts: vec![Part::Hole(hole.clone())], span: hole.span }),
                },
                Part::Literal(text) => split_literal(text, &mut segments, path.span),
            }
        }
        segments.iter().map(|segment| self.pattern(segment, Position::Path, true)).collect()
    }

    /// Where `request:` and the like look at names.
    pub(super) fn set_message(&mut self, message: Message) {
        self.scope.message = message;
    }
}

const _: () = assert!(bounds::PATH_VALUE_BYTES_MAX == 128);

fn split_literal(text: &syntax::Named, segments: &mut Vec<Template>, span: Span) {
    for (index, piece) in text.text.split('/').enumerate() {
        if index > 0 {
            segments.push(Template { parts: Vec::new(), span });
        }
        if piece.is_empty() {
            continue;
        }
        let part = Part::Literal(syntax::Named::new(piece, text.span));
        match segments.last_mut() {
            Some(segment) => segment.parts.push(part),
            None => segments.push(Template { parts: vec![part], span }),
        }
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}
