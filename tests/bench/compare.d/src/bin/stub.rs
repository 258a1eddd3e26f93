//! The upstream: a Thalamus with one open and one closed case, that answers at once.
//!
//! `stub PORT`. `GET /counts` tells what it has seen; that request does not count.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use latimer_compare::calls::TOKEN;
use latimer_compare::message::{self, Malformed, Request};
use latimer_compare::readiness::Readiness;

/// The page's answer in full, with data of the length that a real case has.
const CASE: &str = concat!(
    r#"{"context":{"simpleProfile":{"firstname":"Maria Fernanda","email":"maria.fernanda@example.com"}},"#,
    r#""case":{"id":10,"categoryCode":"Reclamo por servicio","typeCode":"Telefonico","#,
    r#""status":"resolved","resolution":"Tecnica: se reinicia el equipo, la linea queda "#,
    r#"estable y el cliente confirma por telefono. OK"}}"#
);
const _: () = assert!(CASE.len() == 305, "the work is fixed: 305 bytes");

const OPEN_CASE: &str = "10";
const CLOSED_CASE: &str = "11";
const STATUSES: [&str; 4] = ["resolved", "in_progress", "open", "closed"];

/// The listener's number; connections have those below.
const LISTENER: usize = usize::MAX;

/// All that the stub can say, made before the first call.
struct Answers {
    /// For each status, the name as it stands in a request, and the answer.
    moved: Vec<(Vec<u8>, Vec<u8>)>,
    invalid_token: Vec<u8>,
    invalid_id: Vec<u8>,
    already_closed: Vec<u8>,
    invalid_status: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let bad = |body: &str| answer("400 Bad Request", body);
        let moved = |status: &&str| {
            let body = CASE.replace("resolved", status);
            (format!("\"{status}\"").into_bytes(), answer("201 Created", &body))
        };
        Self {
            moved: STATUSES.iter().map(moved).collect(),
            invalid_token: bad(r#"{"errors":{"token":"InvalidToken"}}"#),
            invalid_id: bad(r#"{"errors":{"caseInstanceId":"invalidId"}}"#),
            already_closed: bad(r#"{"errors":{"statusName":"statusIsAlreadyClose"}}"#),
            invalid_status: bad(r#"{"errors":{"statusName":"invalid"}}"#),
        }
    }

    /// What a request gets, and whether it moved a case.
    fn to(&self, request: &Request<'_>) -> (&[u8], bool) {
        if request.token != Some(TOKEN.as_bytes()) {
            return (&self.invalid_token, false);
        }
        match case(request) {
            Some(OPEN_CASE) => {}
            Some(CLOSED_CASE) => return (&self.already_closed, false),
            _ => return (&self.invalid_id, false),
        }
        let asked = status_name(&request.body);
        match self.moved.iter().find(|(name, _)| Some(name.as_slice()) == asked) {
            Some((_, answer)) => (answer, true),
            None => (&self.invalid_status, false),
        }
    }
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// The id in a transition's line.
fn case<'b>(request: &Request<'b>) -> Option<&'b str> {
    if request.method != "PUT" {
        return None;
    }
    request.path.strip_prefix("/api/v4/cases/")?.strip_suffix("/transitions")
}

/// The value in `{"statusName": "…"}`, with its quotes; blanks between are allowed.
fn status_name(body: &[u8]) -> Option<&[u8]> {
    let rest = body.trim_ascii().strip_prefix(b"{")?.trim_ascii_start();
    let rest = rest.strip_prefix(br#""statusName""#)?.trim_ascii_start();
    Some(rest.strip_prefix(b":")?.strip_suffix(b"}")?.trim_ascii())
}

/// What was seen so far.
#[derive(Default)]
struct Counts {
    /// Requests that were answered.
    answered: u64,
    /// Of these, transitions that the upstream did.
    moved: u64,
    /// Connections that were taken.
    connections: u64,
}

impl Counts {
    fn answer(&self) -> Vec<u8> {
        let Self { answered, moved, connections } = self;
        let body =
            format!(r#"{{"answered":{answered},"moved":{moved},"connections":{connections}}}"#);
        answer("200 OK", &body)
    }
}

struct Connection {
    stream: TcpStream,
    /// The beginning of a request that has not come whole.
    begun: Vec<u8>,
}

struct Stub {
    answers: Answers,
    counts: Counts,
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Stub {
    fn new() -> Self {
        Self {
            answers: Answers::new(),
            counts: Counts::default(),
            connections: Vec::new(),
            free: Vec::new(),
            input: vec![0; 64 * 1024],
            output: Vec::with_capacity(64 * 1024),
        }
    }

    fn accept(&mut self, listener: &TcpListener, readiness: &Readiness) -> io::Result<()> {
        loop {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let number = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            readiness.watch(&stream, number)?;
            self.connections[number] = Some(Connection { stream, begun: Vec::new() });
            self.counts.connections += 1;
        }
    }

    /// Answers what has come on the connection, or closes it.
    fn serve(&mut self, number: usize) {
        let Some(mut connection) = self.connections[number].take() else { return };
        match self.exchange(&mut connection) {
            Ok(true) => self.connections[number] = Some(connection),
            Ok(false) | Err(_) => self.free.push(number),
        }
    }

    /// Reads once and writes once; false at the end of the stream.
    fn exchange(&mut self, connection: &mut Connection) -> io::Result<bool> {
        let length = match connection.stream.read(&mut self.input) {
            Ok(0) => return Ok(false),
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
            Err(error) => return Err(error),
        };
        let Self { answers, counts, input, output, .. } = self;
        output.clear();
        let begun = &mut connection.begun;
        let answered = if begun.is_empty() {
            let taken = answer_all(answers, counts, &input[..length], output);
            taken.map(|taken| begun.extend_from_slice(&input[taken..length]))
        } else {
            begun.extend_from_slice(&input[..length]);
            answer_all(answers, counts, begun, output).map(|taken| drop(begun.drain(..taken)))
        };
        answered.map_err(|Malformed| ErrorKind::InvalidData)?;
        connection.stream.write_all(output)?;
        Ok(true)
    }
}

/// Writes the answers to all whole requests; returns the bytes that these took.
fn answer_all(
    answers: &Answers,
    counts: &mut Counts,
    bytes: &[u8],
    output: &mut Vec<u8>,
) -> Result<usize, Malformed> {
    let mut taken = 0;
    while taken < bytes.len() {
        let Some(request) = message::request(&bytes[taken..])? else { break };
        taken += request.length;
        if request.path == "/counts" {
            output.extend_from_slice(&counts.answer());
            continue;
        }
        let (answer, moved) = answers.to(&request);
        output.extend_from_slice(answer);
        counts.answered += 1;
        counts.moved += u64::from(moved);
    }
    Ok(taken)
}

fn main() -> io::Result<()> {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or_else(|| io::Error::other("usage: stub PORT"))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let mut readiness = Readiness::new()?;
    readiness.watch(&listener, LISTENER)?;
    let mut stub = Stub::new();
    let mut ready = Vec::new();
    loop {
        ready.clear();
        ready.extend(readiness.wait(None)?);
        for &number in &ready {
            match number {
                LISTENER => stub.accept(&listener, &readiness)?,
                number => stub.serve(number),
            }
        }
    }
}
