//! One-way blocks around a call: look-ups before it, asking again after it.

use crate::diag::Span;
use crate::mapping::syntax::answer::{codes_of, pairs_of};
use crate::mapping::syntax::message::parts_of;
use crate::mapping::syntax::{Bodies, Findings, Keys, Line, Named, Template};
use crate::yaml::Node;

/// One look-up before the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The name under which its values are known.
    pub name: Named,
    /// Verb and path.
    pub line: Option<Line>,
    /// Path of the list to search.
    pub list: Option<Named>,
    /// Member paths with the text that they must equal.
    pub conditions: Vec<(Named, Template)>,
    /// Names with the member paths that they take.
    pub take: Vec<(Named, Named)>,
    /// The fault if nothing is found.
    pub none: Option<Named>,
}

/// `poll:`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// The status that says "ask again".
    pub code: Option<(u16, Span)>,
    /// Where the address sits.
    pub at: Option<Named>,
    /// How long to wait between two questions.
    pub every: Option<Named>,
    /// The status of an unfinished job.
    pub running: Option<(u16, Span)>,
    /// The status codes of a finished job.
    pub done: Vec<(u16, Span)>,
    /// Where to ask by the call's own id, if no answer came.
    pub ask: Option<Line>,
    /// What a client is answered whose call goes on; none if clients are answered at once.
    pub accepted: Option<Bodies>,
    /// What a client is answered that asks while it goes on.
    pub pending: Bodies,
    /// A header field by which clients ask for something that is refused: to be called back.
    pub refuse: Option<Named>,
    /// The block's place.
    pub span: Span,
}

impl Step {
    pub(super) fn parse(name: Named, node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "a step", findings);
        let line = Line::take(&mut keys, findings);
        let list = keys.text("list", findings);
        let conditions = keys.take("where").map(|node| parts_of(node, findings));
        let take = keys.take("take").map(|node| pairs_of(node, "take", findings));
        let none = keys.text("none", findings);
        let span = keys.span;
        keys.finish(findings);
        if line.is_none() || list.is_none() || take.is_none() {
            let label = "the other keys are `where` and `none`";
            findings.error("M001", span, "a step needs `line`, `list` and `take`", label);
        }
        Self {
            name,
            line,
            list,
            conditions: conditions.unwrap_or_default(),
            take: take.unwrap_or_default(),
            none,
        }
    }
}

impl Poll {
    pub(super) fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`poll`", findings);
        let code = keys.take("code").map(|node| codes_of(node, findings));
        let at = keys.text("at", findings);
        let every = keys.text("every", findings);
        let running = keys.take("running").map(|node| codes_of(node, findings));
        let done = keys.take("done").map(|node| codes_of(node, findings)).unwrap_or_default();
        let ask = keys.take("ask").and_then(|node| Line::parse(node, findings));
        let bodies = |node: &Node, what, findings: &mut Findings| {
            let mut keys = Keys::of(node, what, findings);
            let bodies = Bodies::take(&mut keys, false, findings);
            keys.finish(findings);
            bodies
        };
        let accepted = keys.take("accepted").map(|node| bodies(node, "`accepted`", findings));
        let pending = keys.take("pending").map(|node| bodies(node, "`pending`", findings));
        let refuse = keys.text("refuse", findings);
        let span = keys.span;
        keys.finish(findings);
        let code = code.and_then(|codes| codes.first().copied());
        let running = running.and_then(|codes| codes.first().copied());
        if code.is_none() || at.is_none() || done.is_empty() {
            let label = "{code: 202, at: $.location, every: 1s, running: 202, done: [200, 503]}";
            findings.error("M001", span, "`poll` needs `code`, `at` and `done`", label);
        }
        let pending = pending.unwrap_or_default();
        Self { code, at, every, running, done, ask, accepted, pending, refuse, span }
    }
}
