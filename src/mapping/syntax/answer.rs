//! Answers: success, and the rows of faults.

use crate::diag::Span;
use crate::mapping::syntax::keys::{entries_of, text_of, texts_of};
use crate::mapping::syntax::message::{is_condition, take_places};
use crate::mapping::syntax::{
    Arrow, Arrowed, Bodies, Findings, Keys, Literal, Named, PlaceValue, Template, parse_arrow_list,
};
use crate::yaml::{Kind, Node};

/// `success:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Success {
    /// Status codes, the written one first.
    pub codes: Vec<(u16, Span)>,
    /// Header fields.
    pub headers: Vec<(Template, PlaceValue)>,
    /// Cookies that the client is given.
    pub cookies: Vec<(Template, PlaceValue)>,
    /// The body's forms.
    pub bodies: Bodies,
    /// What the answer says where no body says it.
    pub gives: Vec<(Named, Named)>,
    /// True if no page attests it.
    pub unverified: bool,
    /// The block's place.
    pub span: Span,
}

/// A condition of a fault row that may count in one direction only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// Whether it is demanded when reading and used when writing.
    pub arrow: Arrow,
    /// The vendor's code as it stands in the body.
    pub code: Literal,
    /// Its place.
    pub span: Span,
}

/// One row of `faults:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRow {
    /// Whether the status is demanded when reading and used when writing.
    pub http_arrow: Arrow,
    /// Status codes, the written one first.
    pub http: Vec<(u16, Span)>,
    /// The vendor's own code.
    pub native: Option<Native>,
    /// What `<message>` begins with.
    pub text: Option<Named>,
    /// A JSONPath that must select something that is not null.
    pub when: Option<Named>,
    /// What it means.
    pub means: Arrowed,
    /// What is written for `<message>`.
    pub say: Option<Template>,
    /// A body of its own.
    pub bodies: Bodies,
    /// Header fields of its own.
    pub headers: Vec<(Template, PlaceValue)>,
    /// True if no page attests it.
    pub unverified: bool,
    /// The row's place.
    pub span: Span,
}

/// `faults:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Faults {
    /// The body of rows that have none of their own.
    pub bodies: Bodies,
    /// Header fields of every fault.
    pub headers: Vec<(Template, PlaceValue)>,
    /// Where the vendor's code sits, if the body does not say it.
    pub find: Option<Named>,
    /// True if native codes are compared without case.
    pub ignore_case: bool,
    /// The rows.
    pub rows: Vec<FaultRow>,
    /// The place of the key `rows:`, or of the block where it is missing.
    pub rows_span: Span,
}

/// One status code or a list of them, where an arrow has no meaning.
pub(super) fn codes_of(node: &Node, findings: &mut Findings) -> Vec<(u16, Span)> {
    let texts = texts_of(node, "code", findings);
    texts.into_iter().filter_map(|text| code_of(&text.text, text.span, findings)).collect()
}

/// The status codes of a fault row; one arrow counts for all of them.
fn arrowed_codes_of(node: &Node, findings: &mut Findings) -> (Arrow, Vec<(u16, Span)>) {
    let mut arrow = None;
    let mut codes = Vec::new();
    for text in texts_of(node, "http", findings) {
        let (own, digits) = if let Some(digits) = text.text.strip_prefix("<- ") {
            (Arrow::Write, digits)
        } else if let Some(digits) = text.text.strip_prefix("-> ") {
            (Arrow::Read, digits)
        } else {
            (Arrow::Both, text.text.as_str())
        };
        if *arrow.get_or_insert(own) != own {
            let message = "status codes with different arrows in one list";
            findings.error("M001", text.span, message, "write a row for each");
        }
        codes.extend(code_of(digits, text.span, findings));
    }
    (arrow.unwrap_or(Arrow::Both), codes)
}

pub(super) fn code_of(digits: &str, span: Span, findings: &mut Findings) -> Option<(u16, Span)> {
    match digits.parse() {
        Ok(code @ 200..=599) => Some((code, span)),
        _ => {
            let message = format!("`{digits}` is no status code of an answer");
            findings.error("M001", span, message, "a number from 200 to 599");
            None
        }
    }
}

impl Success {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`success`", findings);
        let codes = keys.take("code").map(|node| codes_of(node, findings)).unwrap_or_default();
        let headers = take_places(&mut keys, "headers", findings);
        let cookies = take_places(&mut keys, "cookies", findings);
        let bodies = Bodies::take(&mut keys, false, findings);
        let gives = keys.take("gives").map(|node| pairs_of(node, "gives", findings));
        let unverified = keys.flag("unverified", findings);
        let span = keys.span;
        keys.finish(findings);
        if codes.is_empty() {
            findings.error("M001", span, "`success` needs a `code:`", "such as `code: 200`");
        }
        let gives = gives.unwrap_or_default();
        Self { codes, headers, cookies, bodies, gives, unverified, span }
    }
}

/// A map of names to texts.
pub(super) fn pairs_of(
    node: &Node,
    what: &'static str,
    findings: &mut Findings,
) -> Vec<(Named, Named)> {
    entries_of(node, what, "write `name: value`", findings)
        .iter()
        .filter_map(|(key, value)| {
            let name = Named::new(key.text.clone(), key.span);
            Some((name, text_of(value, what, findings)?))
        })
        .collect()
}

impl FaultRow {
    fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut keys = Keys::of(node, "a fault row", findings);
        let (http_arrow, http) = match keys.take("http") {
            Some(node) => arrowed_codes_of(node, findings),
            None => (Arrow::Both, Vec::new()),
        };
        let native = keys.take("native").and_then(|node| native_of(node, findings));
        let bodies = Bodies::take(&mut keys, true, findings);
        let text = keys
            .take("text")
            .filter(|node| is_condition(node))
            .and_then(|node| text_of(node, "text", findings));
        let when = keys.text("when", findings);
        let means = keys.take("means");
        let say = keys
            .take("say")
            .and_then(|node| node.scalar().map(|scalar| Template::parse(scalar, findings)));
        let headers = take_places(&mut keys, "headers", findings);
        let unverified = keys.flag("unverified", findings);
        let span = keys.span;
        keys.finish(findings);
        let Some(means) = means.and_then(Node::scalar) else {
            findings.error("M001", span, "a fault row without `means:`", "say which fault it is");
            return None;
        };
        let means = parse_arrow_list(means, findings);
        Some(Self {
            http_arrow,
            http,
            native,
            text,
            when,
            means,
            say,
            bodies,
            headers,
            unverified,
            span,
        })
    }

    /// True if the row is tried when an answer is read.
    pub fn reads(&self) -> bool {
        self.means.reads.is_some()
    }
}

fn native_of(node: &Node, findings: &mut Findings) -> Option<Native> {
    match PlaceValue::parse(node, findings)? {
        PlaceValue::Literal(arrow, code, span) => Some(Native { arrow, code, span }),
        PlaceValue::Text(..) | PlaceValue::Join { .. } => {
            let span = node.headline(&findings.file);
            findings.error("M001", span, "`native` is a code of the vendor's", "without holes");
            None
        }
    }
}

impl Faults {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`faults`", findings);
        let bodies = Bodies::take(&mut keys, false, findings);
        let headers = take_places(&mut keys, "headers", findings);
        let find = keys.text("find", findings);
        let ignore_case = keys.flag("ignore_case", findings);
        let span = keys.span;
        let rows = keys.entry("rows");
        keys.finish(findings);
        let rows_span = rows.map_or(span, |(key, _)| key.span);
        let rows = match rows.map(|(_, node)| (node, &node.kind)) {
            Some((_, Kind::List(items))) => {
                items.iter().filter_map(|item| FaultRow::parse(item, findings)).collect()
            }
            Some((node, Kind::Map(_) | Kind::Scalar(_))) => {
                let found = format!("`rows` is a list, found {}", node.kind_name());
                findings.error("M001", rows_span, found, "each row begins with `- `");
                Vec::new()
            }
            None => Vec::new(),
        };
        Self { bodies, headers, find, ignore_case, rows, rows_span }
    }
}
