//! A call explained: the stages of a real one, with nothing sent.
//!
//! What is shown is what runs: the same functions read, translate, write and judge. Secrets are shown
//! as `[secret]`.

mod ids;
mod read_back;

use std::borrow::Cow;

use http::request::Parts;

use crate::call::decode::Decoded;
use crate::call::forward::Unmapped;
use crate::call::judge::{Verdict, judge};
use crate::call::respond::{Learned, Responder, outcome_of};
use crate::call::route::{Way, find_route};
use crate::call::sign::Signed;
use crate::call::{
    Services, Stop, body, decode, forward, identity, job, location, outgoing, path, trace,
};
use crate::ident::CallId;
use crate::mapping::model::{Named, Operation, Place};
use crate::mapping::run::{
    AnswerHead, Gateway, Outgoing, Reading, Sources, WrittenAnswer, fault_places, read_answer,
    render_content, write_fault,
};
use crate::plan::{Credential, Pair, Route};
use crate::upstream::{Departure, Reply, ReplyBody};
use crate::value::{Fault, Record, Value};

/// One stage, with what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name.
    pub name: &'static str,
    /// What it came to.
    pub lines: Vec<Line>,
}

/// One thing that a stage shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is: a field, a header, a member.
    pub what: String,
    /// Its value.
    pub value: String,
    /// The mapping's line that set it, as `file:line`; empty where no mapping did.
    pub at: String,
}

/// Explains a request on a route, and the upstream's answer if there is one.
///
/// # Errors
/// A sentence, if the request is none of the route's at all.
pub fn explain(
    services: &Services,
    route: &str,
    head: &Parts,
    body: &[u8],
    reply: Option<Reply>,
) -> Result<Vec<Stage>, String> {
    let plan = &services.plan;
    let Some(matched) = find_route(plan, head) else {
        return Err("no route takes this host and path".to_owned());
    };
    let found = &plan.routes[matched.route];
    if found.name != route {
        return Err(format!("the route `{}` takes this request", found.name));
    }
    let explainer = Explainer { services, route: found, head, consumer: None, stages: Vec::new() };
    Ok(explainer.run(matched, body, reply))
}

struct Explainer<'a> {
    services: &'a Services,
    route: &'a Route,
    head: &'a Parts,
    consumer: Option<usize>,
    stages: Vec<Stage>,
}

impl Line {
    fn new(what: impl Into<String>, value: impl Into<String>, at: impl Into<String>) -> Self {
        Self { what: what.into(), value: value.into(), at: at.into() }
    }
}

impl Explainer<'_> {
    fn run(
        mut self,
        matched: crate::call::route::Matched<'_>,
        body: &[u8],
        reply: Option<Reply>,
    ) -> Vec<Stage> {
        let mut learned = Learned::default();
        let upstream = &self.services.plan.upstreams[self.route.upstream];
        self.show(
            "route",
            vec![
                Line::new("route", &self.route.name, ""),
                Line::new("client", &self.route.client.vendor, ""),
                Line::new(
                    "upstream",
                    format!("{} ({})", upstream.name, upstream.mapping.vendor),
                    "",
                ),
            ],
        );
        if let Err(stop) = self.call(matched, body, reply, &mut learned) {
            self.stopped(&stop, &learned);
        }
        self.stages
    }

    fn show(&mut self, name: &'static str, lines: Vec<Line>) {
        self.stages.push(Stage { name, lines });
    }

    fn call(
        &mut self,
        matched: crate::call::route::Matched<'_>,
        body: &[u8],
        reply: Option<Reply>,
        learned: &mut Learned,
    ) -> Result<(), Stop> {
        let (services, route, head) = (self.services, self.route, self.head);
        let way = matched.way.map_err(|stop| *stop)?;
        if let Way::Mapped([target, ..]) = way
            && route.client.operations[target.operation].kind.is_ours()
        {
            let operation = &route.client.operations[target.operation];
            let at = operation.request.at.line();
            let why = "the gateway answers it itself; no upstream hears of it";
            self.show("answered here", vec![Line::new(&operation.name, why, at)]);
            return Ok(());
        }
        let caller = match &way {
            Way::Mapped(targets) => identity::find_key(services, route, &targets[0], head)?,
            Way::Unmapped(unmapped) => forward::find_key(services, route, unmapped, head)?,
        };
        learned.consumer = Some(caller.known.consumer);
        self.consumer = learned.consumer;
        let consumer = &services.plan.consumers[caller.known.consumer];
        self.show("key", vec![Line::new("consumer", consumer, "")]);
        let targets = match way {
            Way::Mapped(targets) => targets,
            Way::Unmapped(unmapped) => {
                return self.forwarded(&unmapped, caller, body, reply, learned);
            }
        };
        let codings = body::codings(&head.headers)?;
        let bytes_max = services.plan.bounds.body_bytes_max;
        let decoded = body::decode(&codings, bytes::Bytes::copy_from_slice(body), bytes_max)?;
        let body = &decoded[..];
        let settings = route.settings_for(learned.consumer);
        let decoded = decode::decode(services, route, targets, head, body, settings)?;
        learned.operation = Some(decoded.operation);
        let operation = &route.client.operations[decoded.operation];
        self.show_record(operation, &decoded.record);
        let pair = route.pairs[decoded.operation].as_ref().ok_or_else(|| {
            Stop::because(Fault::InvalidRequest, "the upstream has no such operation")
        })?;
        let record = self.translate((operation, pair), &decoded, body, learned)?;
        match reply {
            Some(reply) => self.reply((operation, pair), &decoded.record, &record, reply, learned),
            None => {
                self.read_back((operation, pair), &record, None);
                Ok(())
            }
        }
    }

    /// The request in the upstream's terms, and what would be sent of it.
    fn translate<'d, 'r>(
        &mut self,
        (operation, pair): (&Operation, &Pair),
        decoded: &'d Decoded<'r>,
        body: &[u8],
        learned: &mut Learned,
    ) -> Result<Cow<'d, Record<'r>>, Stop> {
        let asks = self.show_ids(operation, pair, &decoded.record);
        let translated = outgoing::translate(
            self.services,
            self.route,
            (operation, pair),
            Cow::Borrowed(&decoded.record),
            learned.consumer,
        )?;
        learned.dropped = translated.dropped;
        if !learned.dropped.is_empty() {
            let names = self.responder().dropped_names(learned).into_owned();
            self.show("dropped", vec![Line::new("fields", names, "")]);
        }
        let kept = if decoded.whole && pair.passes_bytes() { body } else { &[] };
        match self.request((operation, pair), &translated.record, kept) {
            Err(stop) if asks && stop.fault == Fault::NotFound => {
                let why = "it has the upstream's id, and the client's would be none there";
                self.show("upstream request", vec![Line::new("not shown", why, "")]);
            }
            written => written?,
        }
        Ok(translated.record)
    }

    /// A request that the mapping does not know, on its way past it.
    fn forwarded(
        &mut self,
        unmapped: &Unmapped,
        caller: identity::Caller,
        body: &[u8],
        reply: Option<Reply>,
        learned: &Learned,
    ) -> Result<(), Stop> {
        let (services, route) = (self.services, self.route);
        let why = "no line of the mapping; `unmapped: forward`";
        self.show("forwarded", vec![Line::new("path", why, "")]);
        let way = (unmapped, caller);
        let upstream = &services.plan.upstreams[route.upstream];
        let signed = Signed::explained(services, route.credential_for(upstream, self.consumer));
        let written = forward::write(services, route, way, &signed, self.head, body.to_vec())?;
        let line = format!("{} {}{}", written.method, upstream.url.base_path, written.target);
        let asking = &route.client.operations[caller.operation].request;
        let mut lines = vec![Line::new("line", hide_query(asking, line), "")];
        lines.extend(written.headers.iter().map(|(name, value)| {
            let value = match value.is_sensitive() {
                true => "[secret]".into(),
                false => String::from_utf8_lossy(value.as_bytes()),
            };
            Line::new(format!("header {name}"), value, "")
        }));
        if !body.is_empty() {
            lines.push(Line::new("body", String::from_utf8_lossy(body), ""));
        }
        self.show("upstream request", lines);
        let Some(reply) = reply else { return Ok(()) };
        let forwarded = forward::judge(&self.responder(), caller, Ok(reply.into()), learned)?;
        let lines = vec![
            Line::new("outcome", forwarded.outcome.name(), ""),
            Line::new("status", forwarded.answer.status.to_string(), ""),
            body_line(&forwarded.answer),
        ];
        self.show("client answer", lines);
        Ok(())
    }

    fn show_record(&mut self, operation: &Operation, record: &Record<'_>) {
        let def = &self.services.plan.vocabulary.operations[operation.id];
        let mut lines = vec![Line::new("operation", &operation.name, operation.request.at.line())];
        for (index, value) in record.present() {
            let Some(field) = def.request.get(usize::from(index)) else { continue };
            let hole = operation
                .request
                .holes()
                .find(|hole| hole.slot == crate::mapping::model::Slot::Field(index));
            let at = hole.map(|hole| hole.at.line()).unwrap_or_default();
            lines.push(Line::new(&field.name, self.text(field.kind, value), at));
        }
        self.show("record", lines);
    }

    fn text(&self, kind: crate::mapping::model::Type, value: &Value<'_>) -> String {
        match (value, kind) {
            (Value::Text(text), _) => text.to_string(),
            (Value::Word(word), crate::mapping::model::Type::Word(kind)) => {
                self.services.plan.vocabulary.word(kind, *word).to_owned()
            }
            (Value::Word(_), _) => String::new(),
        }
    }

    fn request(
        &mut self,
        (operation, pair): (&Operation, &Pair),
        record: &Record<'_>,
        body: &[u8],
    ) -> Result<(), Stop> {
        let (services, route) = (self.services, self.route);
        let upstream = &services.plan.upstreams[route.upstream];
        let target = &upstream.mapping.operations[pair.upstream];
        let gateway = Gateway { call: Gateway::NO_CALL, ..Gateway::default() };
        let steps = outgoing::named_steps(target);
        let sides = (operation, pair);
        let signed = Signed::explained(services, route.credential_for(upstream, self.consumer));
        let known = (upstream, &signed);
        let mut written = outgoing::write(services, route, known, sides, record, &gateway, &steps)?;
        outgoing::keep_bytes(route, upstream, self.head, body, &mut written);
        trace::pass(&self.head.headers, &mut written.headers);
        let sources = outgoing::sources(services, known, record, &gateway, &steps);
        let lines = request_lines(target, &upstream.url.base_path, &written, sources);
        self.show("upstream request", lines);
        Ok(())
    }

    fn reply(
        &mut self,
        (operation, pair): (&Operation, &Pair),
        own: &Record<'_>,
        record: &Record<'_>,
        mut reply: Reply,
        learned: &Learned,
    ) -> Result<(), Stop> {
        let (services, route) = (self.services, self.route);
        let upstream = &services.plan.upstreams[route.upstream];
        reply.decode(upstream.reply_bytes_max);
        let target = &upstream.mapping.operations[pair.upstream];
        let row = self.fault_line(target, record, &reply);
        let status = reply.head.status.as_u16().to_string();
        if row.is_none()
            && let Some(address) = job::accepted_at(target, &reply)
        {
            let endpoint = location::find(&address, &upstream.endpoints);
            let (endpoint, path) =
                endpoint.map_err(|why| Stop::new(Fault::OutcomeUnknown).caused(why))?;
            let poll = target.poll.as_ref().map(|poll| poll.at.line()).unwrap_or_default();
            let asked = format!("GET {path} of {}", upstream.endpoints[endpoint].host_and_port());
            self.show(
                "upstream answer",
                vec![Line::new("status", status, ""), Line::new("asked after", asked, poll)],
            );
            return Ok(());
        }
        let known = (upstream, self.credential());
        let verdict =
            judge(&services.plan.vocabulary, route, known, target, record, Ok(reply.into()));
        let answer = match verdict {
            Verdict::Stopped(stop) | Verdict::Expired(stop) => {
                let mut lines = vec![Line::new("status", status, "")];
                lines.extend(row);
                lines.push(Line::new("outcome", outcome_of(stop.fault).name(), ""));
                self.show("upstream answer", lines);
                return Err(*stop);
            }
            Verdict::Yes { record, .. } => record,
        };
        let def = &services.plan.vocabulary.operations[target.id];
        let mut lines = vec![Line::new("outcome", "yes", target.success.at.line())];
        for (index, value) in answer.present() {
            let Some(field) = def.answer.get(usize::from(index)) else { continue };
            let places = target.success.bodies.iter().flat_map(|body| &body.places);
            let hole = places
                .flat_map(|place| place.content.holes())
                .find(|hole| hole.slot == crate::mapping::model::Slot::Field(index));
            let at = hole.map(|hole| hole.at.line()).unwrap_or_default();
            lines.push(Line::new(&field.name, self.text(field.kind, value), at));
        }
        self.show("upstream answer", lines);
        self.read_back((operation, pair), record, Some(&answer));
        let responder = self.responder();
        let answered = path::write(&responder, (operation, pair), own, answer.clone(), learned)?;
        let request = own.clone();
        let gateway = Gateway::default();
        let sources =
            Sources { request: Some(&request), ..responder.sources(&answer, &gateway, learned) };
        let success = &operation.success;
        let named = success.headers.iter().map(|named| &named.place);
        let in_body = success.bodies.iter().take(1).flat_map(|body| &body.places);
        let mut lines = vec![Line::new("status", answered.status.to_string(), success.at.line())];
        lines.extend(named.chain(in_body).filter_map(|place| place_line(place, sources)));
        lines.push(body_line(&answered));
        self.show("client answer", lines);
        Ok(())
    }

    /// The fault that the upstream's answer reads as, with the row that says so.
    fn fault_line(&self, target: &Operation, record: &Record<'_>, reply: &Reply) -> Option<Line> {
        let ReplyBody::Whole(body) = &reply.body else { return None };
        let plan = &self.services.plan;
        let upstream = &plan.upstreams[self.route.upstream];
        let (status, headers) = (reply.head.status.as_u16(), &reply.head.headers);
        let reading = read_answer(
            &plan.vocabulary,
            &upstream.mapping,
            target,
            AnswerHead { status, headers },
            body,
            &self.credential().settings,
            record,
        );
        let Reading::No { fault, row, .. } = reading else { return None };
        Some(Line::new("fault", fault.name(), target.faults.rows[row].at.line()))
    }

    /// By what the call would be known to the upstream.
    fn credential(&self) -> &Credential {
        let upstream = &self.services.plan.upstreams[self.route.upstream];
        self.route.credential_for(upstream, self.consumer)
    }

    fn responder(&self) -> Responder<'_> {
        let call = CallId::random();
        Responder {
            services: self.services,
            route: self.route,
            head: self.head,
            call,
            digits: call.digits(),
            is_traced: trace::id(&self.head.headers).is_some(),
            departure: Departure::default(),
        }
    }

    /// What the client would be told.
    fn stopped(&mut self, stop: &Stop, learned: &Learned) {
        let operation = learned.operation.and_then(|index| self.route.client.operations.get(index));
        let faults = operation.map_or(&self.route.client.faults, |operation| &operation.faults);
        let at = faults.row_for(stop.fault).map(|row| row.at.line()).unwrap_or_default();
        let responder = self.responder();
        let mut lines = vec![Line::new("fault", stop.fault.name(), &at)];
        if !stop.field.is_empty() {
            lines.push(Line::new("member", &stop.field, ""));
        }
        let why = stop.cause.as_ref().filter(|_| stop.reason.is_empty()).unwrap_or(&stop.reason);
        lines.push(Line::new("why", why.as_ref(), ""));
        let written = responder.with_fault(stop, learned, |faults, text, sources, wanted| {
            let answer = write_fault(faults, stop.fault, text, sources, wanted);
            lines.push(Line::new("status", answer.status.to_string(), at));
            let places = fault_places(faults, stop.fault, text, sources, wanted);
            lines.extend(
                places
                    .into_iter()
                    .map(|(place, value)| Line::new(&place.label, value, place.at.line())),
            );
            answer
        });
        if !written.body.is_empty() {
            lines.push(body_line(&written));
        }
        self.show("client is told", lines);
    }
}

fn request_lines(
    operation: &Operation,
    base_path: &str,
    written: &Outgoing,
    sources: Sources<'_>,
) -> Vec<Line> {
    let request = &operation.request;
    let line = format!("{} {base_path}{}", written.method, written.target);
    let mut lines = vec![Line::new("line", redact(request, line, sources), request.at.line())];
    let named = [&request.query, &request.headers, &request.cookies];
    let named = named.into_iter().flatten().map(|named: &Named| &named.place);
    let in_body = request.bodies.iter().take(1).flat_map(|body| &body.places);
    lines.extend(named.chain(in_body).filter_map(|place| place_line(place, sources)));
    let secret_body =
        request.bodies.iter().take(1).flat_map(|body| &body.places).any(|place| place.secret);
    if !written.body.is_empty() && !secret_body {
        lines.push(Line::new("body", String::from_utf8_lossy(&written.body), ""));
    }
    lines
}

/// A line whose query holds a secret is shown without its query.
fn redact(request: &crate::mapping::model::Request, line: String, sources: Sources<'_>) -> String {
    debug_assert!(sources.secrets.is_some());
    hide_query(request, line)
}

fn hide_query(request: &crate::mapping::model::Request, line: String) -> String {
    let secret = request.query.iter().any(|named| named.place.arrow.writes() && named.place.secret);
    match line.split_once('?') {
        Some((path, _)) if secret => format!("{path}?[secret]"),
        _ => line,
    }
}

fn place_line(place: &Place, sources: Sources<'_>) -> Option<Line> {
    if !place.arrow.writes() {
        return None;
    }
    let value = match render_content(sources, &place.content) {
        Ok(Some(_)) if place.secret => "[secret]".to_owned(),
        Ok(Some(rendered)) => rendered.text.into_owned(),
        Ok(None) | Err(_) => return None,
    };
    Some(Line::new(&place.label, value, place.at.line()))
}

fn body_line(answer: &WrittenAnswer) -> Line {
    Line::new("body", String::from_utf8_lossy(&answer.body), "")
}
