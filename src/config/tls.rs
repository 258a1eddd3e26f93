//! Certificates, keys and bundles that the configuration names: read here, so that what is wrong with
//! them is said with its line and not by the first handshake.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::form::{Scheme, Url};
use super::schema;
use super::section::{Reader, Section};
use super::tree::{Item, Kind, Spanned};
use super::{codes, secrets};
use crate::diag::{Diagnostic, Location};
use crate::tls::{self, ClientSettings, Files, Identity, Roots, ServerSettings, Standing};

/// How a text begins that is a certificate or a key and not the path of one.
const PEM: &str = "-----BEGIN";

/// `listen.tls`.
pub(super) fn server(reader: &mut Reader<'_>, listen: &Section<'_>) -> Option<ServerSettings> {
    let section = reader.subsection(listen, "tls", schema::TLS)?;
    let identity = identity(reader, &section);
    let client_ca = match section.get("client_ca") {
        Some(item) => Some(bundle(reader, item, &section.path("client_ca"))?),
        None => None,
    };
    Some(ServerSettings { identity: identity?, client_ca })
}

/// `ca` and `client_cert` of an upstream; none if all of it is plain http, where they are errors.
pub(super) fn client(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    urls: &[Spanned<Url>],
) -> Option<ClientSettings> {
    let roots = section.get("ca").map(|item| bundle(reader, item, "ca"));
    let identity = reader
        .subsection(section, "client_cert", schema::CLIENT_CERT)
        .map(|section| identity(reader, &section));
    let secured = urls.iter().filter(|url| url.value.scheme == Scheme::Https);
    let Some(url) = secured.clone().next() else {
        for key in ["ca", "client_cert"] {
            useless(reader, section, key, urls.first()?);
        }
        return None;
    };
    secured.for_each(|url| check_host(reader, url));
    let roots = match roots {
        Some(bundle) => bundle?,
        None => system(reader, &url.at)?,
    };
    match identity {
        Some(identity) => Some(ClientSettings { roots, identity: Some(identity?) }),
        None => Some(ClientSettings { roots, identity: None }),
    }
}

/// What the database of the state has to show, with `ca` in the long form if it is not the system that knows.
pub(super) fn database(
    reader: &mut Reader<'_>,
    section: Option<&Section<'_>>,
    host: &str,
    at: &Location,
) -> Option<ClientSettings> {
    let ca = section.and_then(|section| Some((section.get("ca")?, section.path("ca"))));
    let roots = match ca {
        Some((item, key)) => bundle(reader, item, &key)?,
        None => system(reader, at)?,
    };
    if let Err(error) = tls::Client::check_host(host) {
        reader.error(codes::FORM, at, error.to_string(), "write its name in the DNS");
        return None;
    }
    Some(ClientSettings { roots, identity: None })
}

fn check_host(reader: &mut Reader<'_>, url: &Spanned<Url>) {
    if let Err(error) = tls::Client::check_host(&url.value.host) {
        reader.error(codes::FORM, &url.at, format!("`url`: {error}"), "write its name in the DNS");
    }
}

fn useless(reader: &mut Reader<'_>, section: &Section<'_>, key: &str, url: &Spanned<Url>) {
    let Some(item) = section.get(key) else { return };
    let message = format!("`{key}` is of no use where the upstream is spoken to in plain http");
    let finding = Diagnostic::error(codes::CONFLICT, item.at.clone(), message)
        .label("write an `https` URL, or leave this out")
        .also(url.at.clone(), "this is plain http");
    reader.findings.push(finding);
}

/// The system's roots, which are read once for all that want them.
fn system(reader: &mut Reader<'_>, at: &Location) -> Option<Roots> {
    if reader.system_roots.is_none() {
        let read = Roots::system();
        if let Err(error) = &read {
            let label = "name whom to believe: `ca: FILE`";
            reader.error(codes::CERTIFICATE, at, error.to_string(), label);
        }
        reader.system_roots = Some(read.ok());
    }
    reader.system_roots.clone().flatten()
}

/// A file of root certificates.
fn bundle(reader: &mut Reader<'_>, item: &Item, key: &str) -> Option<Roots> {
    let path = path(reader, item, key)?;
    Roots::read(&path.value).map_err(|error| refuse(reader, &error, &path, key)).ok()
}

/// `cert` and `key` of a section.
fn identity(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Identity> {
    let cert_hint = "add `cert: FILE` with the certificate and those that it was issued by, PEM";
    let cert = reader.required(section, "cert", cert_hint);
    let cert = cert.and_then(|item| path(reader, item, &section.path("cert")));
    let key = reader.required(section, "key", "add `key: FILE` with its private key, PEM");
    let key = key.and_then(|item| path(reader, item, &section.path("key")));
    let (cert, key) = (cert?, key?);
    let files = Files { cert: cert.value.clone(), key: key.value.clone() };
    match Identity::read(files) {
        Ok(identity) => {
            warn_readable(reader, &key);
            warn_standing(reader, &identity, &cert);
            Some(identity)
        }
        Err(errors) => {
            for error in errors {
                let at_key = matches!(
                    &error,
                    tls::Error::File { path, wrong } if wrong.is_of_key() || *path != cert.value
                );
                let (path, name) = if at_key { (&key, "key") } else { (&cert, "cert") };
                refuse(reader, &error, path, &section.path(name));
            }
            None
        }
    }
}

/// A path; what stands in the file itself is not taken, and a key that does is not shown.
fn path(reader: &mut Reader<'_>, item: &Item, key: &str) -> Option<Spanned<PathBuf>> {
    if let Kind::Text(text) = &item.kind
        && text.contains(PEM)
    {
        let message = format!("`{key}` is a file, and its text does not stand in this one");
        reader.error(codes::SECRET, &item.at, message, "write the path of the file");
        return None;
    }
    reader.path(item, key)
}

fn refuse(
    reader: &mut Reader<'_>,
    error: &tls::Error,
    path: &Spanned<impl AsRef<Path>>,
    key: &str,
) {
    let (message, hint) = match error {
        tls::Error::File { wrong, .. } => (format!("`{key}`: {wrong}"), wrong.hint()),
        other => (format!("`{key}`: {other}"), ""),
    };
    reader.error(codes::CERTIFICATE, &path.at, message, hint);
}

fn warn_readable(reader: &mut Reader<'_>, key: &Spanned<PathBuf>) {
    let readable =
        std::fs::metadata(&key.value).is_ok_and(|file| secrets::is_readable_by_all(&file));
    if readable {
        let message = "everybody on this machine can read the file of the private key";
        let finding = Diagnostic::warning(codes::READABLE, key.at.clone(), message);
        reader.findings.push(finding.label("take the rights of others away: `chmod o= FILE`"));
    }
}

/// A warning only: a certificate may be renewed while the gateway runs, and a clock may be wrong.
fn warn_standing(reader: &mut Reader<'_>, identity: &Identity, cert: &Spanned<PathBuf>) {
    let Some(validity) = identity.validity() else { return };
    let message = match validity.standing(SystemTime::now()) {
        Standing::Valid => return,
        Standing::Expired => format!("the certificate expired at {}", validity.not_after),
        Standing::NotYet => format!("the certificate holds only from {}", validity.not_before),
    };
    let finding = Diagnostic::warning(codes::VALIDITY, cert.at.clone(), message);
    reader.findings.push(finding.label("whoever looks at it refuses it: have it issued anew"));
}
