//! Texts with holes, and arrows.
//!
//! `<name [as codec] [via table] [or X]>`; `<<` is a literal `<`. An arrow says in which direction a
//! thing counts: `x` both ways, `x <- y, z` also written for y and z, `-> x` read only, `<- x`
//! written only.

use crate::diag::Span;
use crate::mapping::syntax::{Findings, Literal, Named};
use crate::yaml::Scalar;

/// In which directions something counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrow {
    /// Read and written.
    Both,
    /// `-> x`: read only.
    Read,
    /// `<- x`: written only.
    Write,
}

impl Arrow {
    /// True if it is read.
    pub fn reads(self) -> bool {
        matches!(self, Self::Both | Self::Read)
    }

    /// True if it is written.
    pub fn writes(self) -> bool {
        matches!(self, Self::Both | Self::Write)
    }
}

/// A text out of literal parts and holes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The parts in order; no two literals stand side by side.
    pub parts: Vec<Part>,
    /// The whole text.
    pub span: Span,
}

/// A part of a [`Template`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Literal(Named),
    /// A value's place.
    Hole(Hole),
}

/// `<name [as codec] [via table] [or X]>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// The name, dots and `$` included; of `<words of TABLE>` it is `words of`.
    pub name: Named,
    /// The codec's name.
    pub codec: Option<Named>,
    /// The table's name.
    pub table: Option<Named>,
    /// What stands for an absent value.
    pub or: Option<Or>,
    /// From `<` to `>`.
    pub span: Span,
}

/// What stands for an absent value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Or {
    /// The value.
    pub value: OrValue,
    /// Its place.
    pub span: Span,
}

/// The forms of `or X`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrValue {
    /// `none`: absent here, absent there.
    None,
    /// A quoted text or a JSON literal.
    Literal(Literal),
    /// `$setting`.
    Setting(String),
    /// `request.field`, in an answer.
    Request(String),
}

impl Template {
    /// The holes in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.parts.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(hole),
            Part::Literal(_) => None,
        })
    }

    /// The text of a template without holes.
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Literal(text)] => Some(&text.text),
            _ => None,
        }
    }

    /// Reads the whole text of a scalar.
    pub fn parse(scalar: &Scalar, findings: &mut Findings) -> Self {
        Self::parse_from(scalar, 0, findings)
    }

    /// Reads a scalar's text from an offset on.
    pub fn parse_from(scalar: &Scalar, from: usize, findings: &mut Findings) -> Self {
        let text = &scalar.text;
        // There are thousands, and most have one.
        let mut parts = Vec::with_capacity(1);
        let mut literal = String::new();
        let mut literal_start = from;
        let mut at = from;
        while let Some(found) = text[at..].find('<') {
            let open = at + found;
            literal.push_str(&text[at..open]);
            if text[open + 1..].starts_with('<') {
                literal.push('<');
                at = open + 2;
                continue;
            }
            if !literal.is_empty() {
                let span = scalar.part(literal_start, open);
                parts.push(Part::Literal(Named::new(std::mem::take(&mut literal), span)));
            }
            let Some(length) = closing(&text[open..]) else {
                let span = scalar.part(open, text.len());
                let label = "close it with `>`, or write `<<` for a literal `<`";
                findings.error("M000", span, "a hole that does not end", label);
                return Self { parts, span: scalar.span };
            };
            at = open + length;
            literal_start = at;
            if let Some(hole) = HoleParser::new(scalar, open, at, findings).hole() {
                parts.push(Part::Hole(hole));
            }
        }
        literal.push_str(&text[at..]);
        if !literal.is_empty() {
            let span = scalar.part(literal_start, text.len());
            parts.push(Part::Literal(Named::new(literal, span)));
        }
        Self { parts, span: scalar.span }
    }
}

/// The length of a hole from `<` to its `>`, quotes respected.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, letter) in text.char_indices() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// Reads what stands between `<` and `>`.
struct HoleParser<'a, 'f> {
    scalar: &'a Scalar,
    /// Offset of the `<`.
    open: usize,
    /// Offset after the `>`.
    end: usize,
    /// Offset of what is not yet read.
    at: usize,
    findings: &'f mut Findings,
}

impl<'a, 'f> HoleParser<'a, 'f> {
    fn new(scalar: &'a Scalar, open: usize, end: usize, findings: &'f mut Findings) -> Self {
        Self { scalar, open, end, at: open + 1, findings }
    }

    fn hole(&mut self) -> Option<Hole> {
        let Some(mut name) = self.token() else {
            self.wrong("an empty hole", "write a field's name here");
            return None;
        };
        let mut hole =
            Hole { name: name.clone(), codec: None, table: None, or: None, span: self.span() };
        if name.text == "words" && self.rest().starts_with("of ") {
            self.token();
            name.text = "words of".to_owned();
            hole.name = name;
            hole.table = self.token();
        }
        while let Some(word) = self.token() {
            let taken = match word.text.as_str() {
                "as" if hole.codec.is_none() => {
                    hole.codec = self.token();
                    hole.codec.is_some()
                }
                "via" if hole.table.is_none() => {
                    hole.table = self.token();
                    hole.table.is_some()
                }
                "or" => {
                    hole.or = self.or();
                    hole.or.as_ref()?;
                    break;
                }
                _ => false,
            };
            if !taken {
                let message = format!("`{}` is not expected in a hole here", word.text);
                let label = "a hole is <name [as codec] [via table] [or X]>";
                self.findings.error("M000", word.span, message, label);
                return None;
            }
        }
        Some(hole)
    }

    fn or(&mut self) -> Option<Or> {
        let rest = self.rest();
        let start = self.end - 1 - rest.len();
        let text = rest.trim_end();
        let span = self.scalar.part(start, start + text.len());
        let value = match text {
            "none" => OrValue::None,
            "" => {
                self.wrong(
                    "`or` without a value",
                    "write none, \"text\", $setting or request.field",
                );
                return None;
            }
            text if text.starts_with('$') => OrValue::Setting(text[1..].to_owned()),
            text if text.starts_with("request.") => OrValue::Request(text[8..].to_owned()),
            text => match Literal::json(text) {
                Some(literal) => OrValue::Literal(literal),
                None => {
                    let message = format!("`{text}` cannot stand behind `or`");
                    let label = "write none, \"text\", a JSON literal, $setting or request.field";
                    self.findings.error("M000", span, message, label);
                    return None;
                }
            },
        };
        Some(Or { value, span })
    }

    fn rest(&self) -> &'a str {
        let scalar = self.scalar;
        scalar.text[self.at..self.end - 1].trim_start()
    }

    /// The next run of characters up to a blank.
    fn token(&mut self) -> Option<Named> {
        let rest = self.rest();
        let start = self.end - 1 - rest.len();
        let length = rest.find(char::is_whitespace).unwrap_or(rest.len());
        self.at = start + length;
        (length > 0).then(|| Named::new(&rest[..length], self.scalar.part(start, start + length)))
    }

    fn span(&self) -> Span {
        self.scalar.part(self.open, self.end)
    }

    fn wrong(&mut self, message: &str, label: &str) {
        let span = self.span();
        self.findings.error("M000", span, message, label);
    }
}

/// A list of names under arrows, as table rows and `means` have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrowed {
    /// The name that is read.
    pub reads: Option<Named>,
    /// The names that are written so, the exact one first.
    pub writes: Vec<Named>,
    /// How many of `writes`, from the front, come back when read.
    pub exact: usize,
}

/// Reads `x`, `x <- y, z`, `-> x` or `<- x, y`.
pub fn parse_arrow_list(scalar: &Scalar, findings: &mut Findings) -> Arrowed {
    let text = scalar.text.as_str();
    let blanks = text.len() - text.trim_start().len();
    if let Some(rest) = text.trim_start().strip_prefix("->") {
        let from = blanks + 2;
        return Arrowed {
            reads: name_at(scalar, from, from + rest.len(), findings),
            ..Arrowed::default()
        };
    }
    let (head, tail) = match text.find("<-") {
        Some(at) => (at, Some(at + 2)),
        None => (text.len(), None),
    };
    let mut arrowed = Arrowed::default();
    if tail.is_none() || !text[..head].trim().is_empty() {
        arrowed.reads = name_at(scalar, 0, head, findings);
        arrowed.writes.extend(arrowed.reads.clone());
        arrowed.exact = arrowed.writes.len();
    }
    let Some(mut at) = tail else { return arrowed };
    for name in text[at..].split(',') {
        arrowed.writes.extend(name_at(scalar, at, at + name.len(), findings));
        at += name.len() + 1;
    }
    arrowed
}

/// The single name between two offsets; anything else is reported.
fn name_at(scalar: &Scalar, start: usize, end: usize, findings: &mut Findings) -> Option<Named> {
    let raw = &scalar.text[start..end];
    let text = raw.trim();
    let from = start + raw.len() - raw.trim_start().len();
    if text.is_empty() || text.contains([' ', ',', '<', '>']) {
        let span = if text.is_empty() { scalar.span } else { scalar.part(from, from + text.len()) };
        let label = "write `x`, `x <- y, z`, `-> x` or `<- x, y`";
        findings.error("M000", span, "a name was expected here", label);
        return None;
    }
    Some(Named::new(text, scalar.part(from, from + text.len())))
}
