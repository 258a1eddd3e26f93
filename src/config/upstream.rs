//! `upstreams:`, the systems that really answer.

use std::sync::Arc;
use std::time::Duration;

use super::form::{self, Scheme, Url};
use super::gateway::TIMEOUT;
use super::resilience::{self, Resilience};
use super::section::{Reader, Section};
use super::settings::{self, Setting};
use super::tree::{Entry, Item, Kind, Spanned};
use super::{codes, schema, secrets, tls};
use crate::bounds;
use crate::diag::{Diagnostic, Location, SourceFile};
use crate::secret::Secret;
use crate::tls::ClientSettings;
use crate::yaml;

/// The least and the most that an answer may be bound to.
const REPLY_BYTES: (usize, usize) = (1024, 1024 * 1024 * 1024);

/// The version of HTTP that an upstream is spoken to in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Http {
    /// Over TLS what is agreed on by ALPN, HTTP/2 if the upstream has it; else HTTP/1.1.
    #[default]
    Auto,
    /// HTTP/1.1.
    One,
    /// HTTP/2; over plain http by prior knowledge (RFC 9113 section 3.3).
    Two,
}

/// One instance of a vendor.
#[derive(Clone, Debug)]
pub struct Upstream {
    /// Its name, with the place of the name.
    pub name: Spanned<String>,
    /// The mapping that it speaks; whether there is one is checked later.
    pub vendor: Spanned<String>,
    /// Where it answers: the first of its endpoints.
    pub url: Spanned<Url>,
    /// Everywhere that it answers, at least one place: all of one base path, no two alike.
    pub endpoints: Vec<Spanned<Url>>,
    /// What those of `https` have to show and what they are shown; none if there are none.
    pub tls: Option<ClientSettings>,
    /// The version of HTTP.
    pub http: Http,
    /// Values of its mapping's settings.
    pub settings: Vec<Setting>,
    /// What we show it.
    pub credential: Credential,
    /// Bytes of an answer at most.
    pub reply_bytes_max: usize,
    /// Time for a connection.
    pub connect_timeout: Duration,
    /// How its endpoints are chosen and left alone.
    pub resilience: Resilience,
    /// Rows that replace those of its mapping's tables, as they were written.
    pub tables: Option<RawYaml>,
    /// True if `plaintext: allow` lets a credential go over plain http beyond this machine.
    pub plaintext: bool,
}

/// What fills `<auth.…>` in the calls to an upstream.
#[derive(Clone, Debug, Default)]
pub struct Credential {
    /// `<auth.token>`.
    pub token: Option<Spanned<Secret>>,
    /// `<auth.user>`.
    pub user: Option<Spanned<Secret>>,
    /// `<auth.csrf>`.
    pub csrf: Option<Spanned<Secret>>,
    /// `<auth.session>`.
    pub session: Option<Spanned<Secret>>,
    /// What a log-in needs beside the user.
    pub password: Option<Spanned<Secret>>,
}

/// A part of the file that the mapping compiler reads.
#[derive(Clone, Debug)]
pub struct RawYaml {
    /// The part.
    pub node: yaml::Node,
    /// The file that its spans point into.
    pub file: Arc<SourceFile>,
}

impl Credential {
    /// The first of the secrets in it, if there is any.
    pub fn first(&self) -> Option<&Spanned<Secret>> {
        let Self { token, user, csrf, session, password } = self;
        [token, user, csrf, session, password].into_iter().find_map(Option::as_ref)
    }
}

/// All upstreams whose keys are right, in the file's order.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> Vec<Upstream> {
    if reader.required(root, "upstreams", "add `upstreams:` with the systems behind it").is_none() {
        return Vec::new();
    }
    let entries = reader.named(root, "upstreams");
    entries.into_iter().filter_map(|entry| one(reader, entry)).collect()
}

fn one(reader: &mut Reader<'_>, entry: &Entry) -> Option<Upstream> {
    let title = format!("upstream {}", form::quote(&entry.name.value));
    let section = reader.section(&entry.item, title, &entry.name.at, schema::UPSTREAM)?;
    let vendor = vendor(reader, &section, "vendor", "the system that answers there");
    let endpoints = endpoints(reader, &section);
    let credential = credential(reader, &section);
    let plaintext =
        reader.word(&section, "plaintext", &[("allow", true), ("refuse", false)], false);
    if let (Some(secret), false) = (credential.first(), plaintext) {
        endpoints.iter().for_each(|url| refuse_plaintext(reader, url, &secret.at));
    }
    let tls = tls::client(reader, &section, &endpoints);
    let versions = [("auto", Http::Auto), ("1", Http::One), ("2", Http::Two)];
    let http = reader.word(&section, "http", &versions, Http::Auto);
    let settings = settings::read(reader, &section);
    let reply_bytes_max =
        reader.size(&section, "reply_bytes_max", REPLY_BYTES, bounds::REPLY_BYTES_MAX);
    let connect_timeout =
        reader.duration(&section, "connect_timeout", TIMEOUT, bounds::CONNECT_TIMEOUT);
    let resilience = resilience::read(reader, &section);
    let tables = tables(reader, &section, &entry.name.value);
    Some(Upstream {
        name: entry.name.clone(),
        vendor: vendor?,
        url: endpoints.first()?.clone(),
        endpoints,
        tls,
        http,
        settings,
        credential,
        reply_bytes_max,
        connect_timeout,
        resilience,
        tables,
        plaintext,
    })
}

/// The name of a mapping under a key that must be there.
pub(super) fn vendor(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    what: &str,
) -> Option<Spanned<String>> {
    let item =
        reader.required(section, key, &format!("add `{key}:` with the mapping of {what}"))?;
    reader.parsed(item, key, form::name)
}

/// `url: …` or `urls: […]`; empty if there is none that could be called.
fn endpoints(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Spanned<Url>> {
    let Some(list) = section.get("urls") else {
        let item = reader.required(section, "url", "add `url: https://HOST:PORT/PATH`");
        return item.and_then(|item| url(reader, item, "url")).into_iter().collect();
    };
    if let Some(single) = section.get("url") {
        let message = format!("{} has both `url` and `urls`", section.title);
        let finding = Diagnostic::error(codes::CONFLICT, single.at.clone(), message)
            .label("put it into the list, or leave it out")
            .also(list.at.clone(), "the list");
        reader.findings.push(finding);
        url(reader, single, "url");
    }
    let items = reader.list(section, "urls");
    if items.is_empty() && matches!(list.kind, Kind::List(_)) {
        let message = "`urls` is empty, so nothing could be called";
        reader.error(codes::FORM, &list.at, message, "write at least one URL");
    }
    if items.len() > bounds::ENDPOINTS_MAX {
        let message = format!("`urls` has {} entries", items.len());
        let label = format!("write at most {}", bounds::ENDPOINTS_MAX);
        reader.error(codes::FORM, &list.at, message, label);
        return Vec::new();
    }
    let mut endpoints: Vec<Spanned<Url>> = Vec::new();
    for item in items {
        let Some(url) = url(reader, item, "urls") else { continue };
        fits(reader, &url, &endpoints);
        endpoints.push(url);
    }
    endpoints
}

/// A request is written once, whichever endpoint gets it, so all have one base path; and an endpoint that is
/// listed twice would be given a second try after it has failed.
fn fits(reader: &mut Reader<'_>, url: &Spanned<Url>, others: &[Spanned<Url>]) {
    let place = |url: &Url| (url.scheme, url.host.clone(), url.port);
    let twin = others.iter().find(|other| place(&other.value) == place(&url.value));
    let first = others.first().filter(|first| first.value.base_path != url.value.base_path);
    let (message, label, other, told) = match (twin, first) {
        (_, Some(first)) => (
            "the URLs of an upstream differ in their base paths".to_owned(),
            "write the same path in each, or make it an upstream of its own",
            first,
            "this one is another",
        ),
        (Some(twin), None) => (
            format!("`urls` names {} twice", form::quote(&url.value.to_string())),
            "once is enough",
            twin,
            "named here already",
        ),
        (None, None) => return,
    };
    let finding = Diagnostic::error(codes::CONFLICT, url.at.clone(), message);
    reader.findings.push(finding.label(label).also(other.at.clone(), told));
}

fn url(reader: &mut Reader<'_>, item: &Item, key: &str) -> Option<Spanned<Url>> {
    reader.parsed(item, key, Url::parse)
}

fn credential(reader: &mut Reader<'_>, section: &Section<'_>) -> Credential {
    own_credential(reader, section).map(|own| own.value).unwrap_or_default()
}

/// `credential`, if it is there.
pub(super) fn own_credential(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
) -> Option<Spanned<Credential>> {
    let at = section.get("credential")?.at.clone();
    let section = reader.subsection(section, "credential", schema::CREDENTIAL)?;
    let credential = Credential {
        token: secrets::under(reader, &section, "token"),
        user: secrets::under(reader, &section, "user"),
        csrf: secrets::under(reader, &section, "csrf"),
        session: secrets::under(reader, &section, "session"),
        password: secrets::under(reader, &section, "password"),
    };
    Some(Spanned::new(credential, at))
}

fn refuse_plaintext(reader: &mut Reader<'_>, url: &Spanned<Url>, credential: &Location) {
    if url.value.is_loopback() || url.value.scheme == Scheme::Https {
        return;
    }
    let message =
        format!("the credential would go to {} in plain text", form::quote(&url.value.host));
    let finding = Diagnostic::error(codes::UNSAFE, url.at.clone(), message)
        .label("plain http, and not an address of this machine")
        .also(credential.clone(), "this would be sent")
        .note("write an `https` URL; or if the network between is trusted, say so with `plaintext: allow`");
    reader.findings.push(finding);
}

fn tables(reader: &mut Reader<'_>, section: &Section<'_>, name: &str) -> Option<RawYaml> {
    let item = section.get("tables")?;
    match &item.kind {
        Kind::Map(_) => {
            let node = reader.root.get("upstreams")?.get(name)?.get("tables")?;
            Some(RawYaml { node: node.clone(), file: Arc::clone(&reader.shown) })
        }
        Kind::List(_) | Kind::Text(_) | Kind::Nothing => {
            reader.wrong_kind(item, "`tables`", "a map");
            None
        }
    }
}
