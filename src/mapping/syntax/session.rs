//! `session:`, what a vendor has instead of a key that always holds.

use crate::diag::Span;
use crate::mapping::syntax::answer::{code_of, pairs_of};
use crate::mapping::syntax::keys::entries_of;
use crate::mapping::syntax::{Findings, Keys, Named, Request, Template};
use crate::yaml::{Kind, Node};

/// Secrets of a session, by the names that they have below `auth.`.
const SECRETS: [&str; 4] = ["token", "user", "csrf", "session"];

/// `session:`
#[derive(Debug)]
pub struct Session {
    /// How an upstream is logged in to.
    pub log_in: Option<LogIn>,
    /// The renewal request.
    pub renew: Option<Request>,
    /// What a client is given that logs in: secrets and their forms.
    pub gives: Vec<(Named, Template)>,
    /// How long a session lives.
    pub lives: Option<Named>,
    /// What an expired session looks like.
    pub expired: Vec<Expired>,
    /// The key's place.
    pub span: Span,
}

/// `log_in:` of a session.
#[derive(Debug)]
pub struct LogIn {
    /// The request.
    pub request: Request,
    /// Secrets with the places that they may be taken from.
    pub takes: Vec<(Named, Vec<Take>)>,
    /// `unless:`
    pub unless: Option<Named>,
}

/// Where an answer has a secret.
#[derive(Debug)]
pub enum Take {
    /// `{json: $.path}`
    Json(Named),
    /// `{cookie: NAME}`
    Cookie(Template),
    /// `{header: NAME}`
    Header(Named),
}

/// One of `expired:`, all of whose conditions must hold.
#[derive(Debug, Default)]
pub struct Expired {
    /// `http:`
    pub http: Option<u16>,
    /// `native:`
    pub native: Option<Named>,
    /// `text:`
    pub text: Option<Named>,
    /// `when:`
    pub when: Option<Named>,
    /// True for `on: poll`.
    pub on_poll: bool,
}

impl Session {
    pub(super) fn parse(node: &Node, span: Span, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`session`", findings);
        let log_in = keys.take("log_in").map(|node| LogIn::parse(node, findings));
        let renew = keys.take("renew").map(|node| Request::parse(node, "`renew`", findings));
        let gives = keys.take("gives").map(|node| gives_of(node, findings)).unwrap_or_default();
        let lives = keys.text("lives", findings);
        let expired = keys.take("expired").map(|node| match &node.kind {
            Kind::List(items) => items.iter().map(|item| Expired::parse(item, findings)).collect(),
            Kind::Map(_) | Kind::Scalar(_) => vec![Expired::parse(node, findings)],
        });
        keys.finish(findings);
        if log_in.is_none() && gives.is_empty() {
            let message = "a session says how to log in, or what a client is given that does";
            let label = "such as log_in: {line: …, token: {json: $.id}}, or gives: {token: <session.random>}";
            findings.error("M001", span, message, label);
        }
        if lives.is_none() {
            let label = "such as `lives: 2h fixed` or `lives: 90m sliding`";
            findings.error("M001", span, "a session says how long it lives", label);
        }
        Self { log_in, renew, gives, lives, expired: expired.unwrap_or_default(), span }
    }
}

impl LogIn {
    fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut keys = Keys::of(node, "`log_in`", findings);
        let request = Request::take(&mut keys, findings);
        let mut takes = Vec::new();
        for secret in SECRETS {
            let Some((key, place)) = keys.entry(secret) else { continue };
            let places = match &place.kind {
                Kind::List(items) => items.iter().collect(),
                Kind::Map(_) | Kind::Scalar(_) => vec![place],
            };
            if places.is_empty() {
                findings.error("M001", place.span, "a token has a place at least", TAKE);
            }
            let places = places.into_iter().filter_map(|place| Take::parse(place, findings));
            takes.push((Named::new(secret, key.span), places.collect()));
        }
        let unless = keys.text("unless", findings);
        let span = keys.span;
        keys.finish(findings);
        if takes.is_empty() {
            let label = "such as token: {json: $.inventory.uuid}";
            findings.error("M001", span, "a log-in takes something from its answer", label);
        }
        Self { request, takes, unless }
    }
}

/// What a place of a token may be.
const TAKE: &str = "one of {json: $.path}, {cookie: NAME}, {header: NAME}";

impl Take {
    fn parse(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut keys = Keys::of(node, "a token's place", findings);
        let json = keys.text("json", findings).map(Self::Json);
        let cookie = keys.take("cookie").and_then(Node::scalar);
        let cookie = cookie.map(|name| Self::Cookie(Template::parse(name, findings)));
        let header = keys.text("header", findings).map(Self::Header);
        let span = keys.span;
        keys.finish(findings);
        let mut places = [json, cookie, header].into_iter().flatten();
        match (places.next(), places.next()) {
            (Some(place), None) => Some(place),
            _ => {
                findings.error("M001", span, "a token has one place", TAKE);
                None
            }
        }
    }
}

impl Expired {
    fn parse(node: &Node, findings: &mut Findings) -> Self {
        let mut expired = Self::default();
        let pairs = pairs_of(node, "expired", findings);
        let tells = pairs.iter().any(|(key, _)| key.text != "on");
        for (key, value) in pairs {
            match key.text.as_str() {
                "http" => {
                    expired.http = code_of(&value.text, value.span, findings).map(|(code, _)| code);
                }
                "native" => expired.native = Some(value),
                "text" => expired.text = Some(value),
                "when" => expired.when = Some(value),
                "on" if value.text == "poll" => expired.on_poll = true,
                "on" => findings.error("M001", value.span, "`on:` takes `poll`", ""),
                other => {
                    let message = format!("unknown key `{other}` in `expired`");
                    let known = ["http", "native", "text", "when", "on"];
                    findings.unknown("M001", key.span, message, other, known);
                }
            }
        }
        if !tells {
            let message = "any answer would be that of a session that is over";
            findings.error("M001", node.span, message, "such as `http: 401`");
        }
        expired
    }
}

/// `gives: {token: …, csrf: …}`
fn gives_of(node: &Node, findings: &mut Findings) -> Vec<(Named, Template)> {
    let hint = "write `token: <session.random>`";
    let entries = entries_of(node, "gives", hint, findings);
    let mut gives = Vec::new();
    for (key, value) in entries {
        if !SECRETS.contains(&key.text.as_str()) {
            let message = format!("a session has no `{}` to give", key.text);
            findings.unknown("M001", key.span, message, &key.text, SECRETS);
            continue;
        }
        match value.scalar() {
            Some(text) => {
                let secret = Named::new(key.text.clone(), key.span);
                gives.push((secret, Template::parse(text, findings)));
            }
            None => findings.error("M001", key.span, "what is given is a text", hint),
        }
    }
    gives
}
