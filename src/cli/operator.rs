//! Asks and tells a running gateway by its admin listener.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::config::{self, AdminPlace};
use crate::secret::Secret;

/// Time for a connection, and for an answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer.
const ANSWER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A gateway that runs.
pub(super) struct Operator {
    address: SocketAddr,
    token: Option<PathBuf>,
}

impl Operator {
    /// The one with a configuration.
    pub(super) fn at(
        path: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, String> {
        let AdminPlace { listen, token } = config::admin_place(path, environment)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        let mut address: SocketAddr =
            listen.parse().map_err(|_| format!("`admin.listen`: {listen} is no address"))?;
        if address.port() == 0 {
            return Err("`admin.listen` has port 0, which is another one at each start: say \
                        LATIMER__ADMIN__LISTEN=ADDRESS:PORT"
                .to_owned());
        }
        if address.ip().is_unspecified() {
            address.set_ip(match address.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            });
        }
        Ok(Self { address, token })
    }

    /// Asks for something that changes nothing.
    pub(super) fn get(&self, target: &str) -> Result<Value, String> {
        self.exchange(&format!("GET {target}"), "", "")
    }

    /// Has something changed, which wants the token.
    pub(super) fn post(&self, target: &str, body: &Value) -> Result<Value, String> {
        let file = self.token.as_ref().ok_or(
            "the configuration has no `admin.token`, without which nothing is changed: \
             admin: {token: {file: admin.token}}",
        )?;
        let token = std::fs::read_to_string(file)
            .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
        let token = Secret::new(token.strip_suffix('\n').unwrap_or(&token));
        let shown = format!("Authorization: Bearer {}\r\n", token.expose());
        let head = format!("{shown}Content-Type: application/json\r\n");
        self.exchange(&format!("POST {target}"), &head, &body.to_string())
    }

    fn exchange(&self, line: &str, head: &str, body: &str) -> Result<Value, String> {
        let address = self.address;
        let no_gateway =
            |error| format!("no gateway answers at {address} (`admin.listen`): {error}");
        let message = format!(
            "{line} HTTP/1.1\r\nHost: {address}\r\n{head}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut answer = Vec::new();
        let mut read = || {
            let mut stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.write_all(message.as_bytes())?;
            stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)
        };
        read().map_err(no_gateway)?;
        let (status, body) = taken_apart(&answer)
            .ok_or_else(|| format!("what answers at {address} is no gateway"))?;
        if status == 200 {
            return Ok(body);
        }
        let why = body.get("error").and_then(Value::as_str);
        Err(why.map_or_else(|| format!("{address} answers {status}"), str::to_owned))
    }
}

/// The status and the JSON of a whole answer.
fn taken_apart(answer: &[u8]) -> Option<(u16, Value)> {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(answer).ok()? else { return None };
    let status = head.code?;
    let body = serde_json::from_slice(&answer[length..]);
    // Whoever has an older gateway gets a word of plain text.
    if status == 200 {
        Some((status, body.ok()?))
    } else {
        Some((status, body.unwrap_or_default()))
    }
}
