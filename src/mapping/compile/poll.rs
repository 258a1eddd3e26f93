//! `poll:`: asking for an outcome that the answer did not say.

use std::time::Duration;

use crate::bounds;
use crate::mapping::compile::Compiler;
use crate::mapping::model::{
    Accepted, Content, GatewayField, Hole, JobId, Named, OperationKind, Pattern, Place, Poll,
    Request, Slot,
};
use crate::mapping::syntax;

/// The time between two questions, where the mapping names none.
const EVERY: Duration = Duration::from_secs(1);

impl Compiler<'_> {
    /// Compiles `poll:` while names are those of the request.
    pub(super) fn poll(
        &mut self,
        operation: &syntax::Operation,
        poll: &syntax::Poll,
        request: Option<&Request>,
    ) -> Option<Poll> {
        let location = poll.at.as_ref().and_then(|path| self.json_path(path));
        let every = self.every(poll);
        let ask = poll.ask.as_ref().map(|line| self.ask(line, request));
        let (code, span) = poll.code?;
        let (running, running_span) = poll.running.unwrap_or((code, span));
        let mut yes = operation.success.iter().flat_map(|success| &success.codes);
        if yes.any(|(yes, _)| *yes == code) {
            let message = format!("{code} is the status of a success as well");
            let label = "an answer says yes, or where to ask for it";
            self.findings.error("M001", span, message, label);
        }
        if poll.done.iter().any(|(done, _)| *done == running) {
            let message = format!("{running} says that a job goes on and that it is over");
            let label = "a status is `running`, or one of `done`";
            self.findings.error("M001", running_span, message, label);
        }
        Some(Poll {
            code,
            location: location?,
            every: every?,
            running,
            done: poll.done.iter().map(|(done, _)| *done).collect(),
            accepted: None,
            ask,
            at: self.at(poll.span),
        })
    }

    /// How clients are answered, while names are those of the answer.
    pub(super) fn accepted(&mut self, poll: &syntax::Poll, request: &Request, compiled: &mut Poll) {
        let Some(accepted) = &poll.accepted else { return };
        let answer = self.bodies(accepted);
        let pending = self.bodies(&poll.pending);
        let Some(segments) = &compiled.ask else {
            let label = "with `ask: GET …<call>`";
            self.findings.error("M001", poll.span, "`accepted` needs a path to ask at", label);
            return;
        };
        let refuse = poll.refuse.as_ref().and_then(|name| self.header_name(name));
        let question = Request {
            method: http::Method::GET,
            pattern: Request::path_pattern(segments),
            segments: segments.clone(),
            query: request.query.clone(),
            headers: request.headers.clone(),
            cookies: request.cookies.clone(),
            bodies: Vec::new(),
            type_required: false,
            select: None,
            parts: Vec::new(),
            demands: Vec::new(),
            at: compiled.at.clone(),
        };
        let id = job_id(request);
        compiled.accepted = Some(Accepted { answer, pending, question, id, refuse });
    }

    fn every(&mut self, poll: &syntax::Poll) -> Option<Duration> {
        let Some(every) = &poll.every else { return Some(EVERY) };
        let (message, label) = match duration(&every.text) {
            Some(every) if every >= bounds::POLL_INTERVAL_MIN => return Some(every),
            Some(_) => {
                let least = bounds::POLL_INTERVAL_MIN.as_millis();
                (format!("`{}` is too short a time", every.text), format!("{least}ms is the least"))
            }
            None => (format!("`{}` is no duration", every.text), "such as 1s or 500ms".to_owned()),
        };
        self.findings.error("M001", every.span, message, &label);
        None
    }

    /// The line that asks by the call's id: a read, of an id that the request has told.
    fn ask(&mut self, line: &syntax::Line, request: Option<&Request>) -> Vec<Pattern> {
        if line.method.text != "GET" {
            let message = format!("a question with `{}`", line.method.text);
            let label = "the outcome is asked for with a GET, which may be repeated";
            self.findings.error("M000", line.method.span, message, label);
        }
        let operation = self.operation_def();
        if operation.is_some_and(|operation| operation.kind != OperationKind::Write) {
            let label = "a read whose answer got lost has changed nothing";
            self.findings.error("M001", line.span, "`ask` of an operation that is no write", label);
        }
        let segments = self.segments(&line.path);
        let missing = if !segments.iter().flat_map(Pattern::holes).any(names_call) {
            Some(("the question does not say which call it is about", "write <call> into its path"))
        } else if request.is_some_and(|request| !tells_call(request)) {
            let label =
                "write <call> where the vendor takes a client's own id: X-Id: \"<- <call>\"";
            Some(("the request does not tell the id that is asked for", label))
        } else {
            None
        };
        if let Some((message, label)) = missing {
            self.findings.error("M009", line.span, message, label);
        }
        segments
    }
}

fn names_call(hole: &Hole) -> bool {
    hole.slot == Slot::Gateway(GatewayField::Call)
}

/// The header field that says the call's id.
fn job_id(request: &Request) -> Option<JobId> {
    let says_call =
        |place: &Place| matches!(&place.content, Content::Hole(hole) if names_call(hole));
    let mut read = request.headers.iter().filter(|named| named.place.arrow.reads());
    let Named { header, place, .. } = read.find(|named| says_call(&named.place))?;
    Some(JobId { header: header.clone()?, member: place.member.clone() })
}

/// True if an upstream is sent the call's id; of several body forms the first is written.
fn tells_call(request: &Request) -> bool {
    let named = [&request.query, &request.headers, &request.cookies].into_iter().flatten();
    let body = request.bodies.first().into_iter().flat_map(|body| &body.places);
    let written =
        named.map(|named| &named.place).chain(body).filter(|place: &&Place| place.arrow.writes());
    let mut holes = written.flat_map(|place| place.content.holes());
    let mut in_path = request.segments.iter().flat_map(Pattern::holes);
    holes.any(names_call) || in_path.any(names_call)
}

/// `500ms`, `1s`, `2h`.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit: u64 = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(Duration::from_millis(number.checked_mul(unit)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_with_its_unit() {
        for (text, wanted) in [
            ("50ms", Some(50)),
            ("1s", Some(1_000)),
            ("90m", Some(5_400_000)),
            ("2h", Some(7_200_000)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("1", None),
            ("1d", None),
            ("-1s", None),
            ("+1s", None),
            ("1.5s", None),
            ("1 s", None),
            ("18446744073709551616ms", None),
            ("18446744073709551615h", None),
        ] {
            assert_eq!(duration(text), wanted.map(Duration::from_millis), "{text}");
        }
    }
}
