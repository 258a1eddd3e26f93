//! An upstream that does what a test tells it, and keeps what it was sent.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What the upstream does once it has read a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Sends these bytes and closes.
    Say(Vec<u8>),
    /// Sends these bytes once it is told, and closes.
    Hold(Arc<Notify>, Vec<u8>),
    /// Ends the connection with a reset.
    Reset,
    /// Says nothing until the client goes away.
    Wait,
    /// These, one for each request; the last of them from then on.
    InTurn(Vec<Act>),
}

/// The upstream; it ends with the value.
pub(crate) struct Scripted {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    server: JoinHandle<()>,
}

struct State {
    act: Act,
    /// Requests, byte by byte, in the order in which they came.
    seen: Vec<String>,
    /// When they had come, from the first one on.
    times: Vec<Instant>,
}

impl Scripted {
    pub(crate) async fn start(act: Act) -> Self {
        Self::start_on(TcpListener::bind("127.0.0.1:0").await.unwrap(), act)
    }

    /// The same on a listener of the test's own.
    pub(crate) fn start_on(listener: TcpListener, act: Act) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { act, seen: Vec::new(), times: Vec::new() }));
        let server = tokio::spawn(serve(listener, Arc::clone(&state)));
        Self { url, state, server }
    }

    /// What it does from now on.
    pub(crate) fn act(&self, act: Act) {
        self.state.lock().unwrap().act = act;
    }

    /// How many requests there were since they were last taken.
    pub(crate) fn seen_count(&self) -> usize {
        self.state.lock().unwrap().seen.len()
    }

    /// When each request had come since it was started.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.state.lock().unwrap().times.clone()
    }

    /// The requests since the last time that this was asked.
    pub(crate) fn take_seen(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

impl State {
    fn next(&mut self) -> Act {
        match &mut self.act {
            Act::InTurn(acts) if acts.len() > 1 => acts.remove(0),
            Act::InTurn(acts) => acts[0].clone(),
            act => act.clone(),
        }
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let request = read_request(&mut stream).await;
        let act = {
            let mut state = state.lock().unwrap();
            state.seen.push(request);
            state.times.push(Instant::now());
            state.next()
        };
        match act {
            Act::Say(bytes) => {
                let _ = stream.write_all(&bytes).await;
            }
            Act::Hold(told, bytes) => {
                told.notified().await;
                let _ = stream.write_all(&bytes).await;
            }
            Act::Reset => stream.set_zero_linger().unwrap(),
            Act::Wait => {
                let mut rest = [0; 16];
                let _ = stream.read(&mut rest).await;
            }
            Act::InTurn(_) => panic!("it is taken apart before"),
        }
    }
}

pub(crate) async fn read_request(stream: &mut TcpStream) -> String {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        seen.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&seen).into_owned();
        if read == 0 {
            return text;
        }
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if body.len() >= length {
            return text;
        }
    }
}

/// The value of a header field of a request.
pub(crate) fn field<'m>(message: &'m str, name: &str) -> Option<&'m str> {
    let lines = message.split("\r\n\r\n").next()?.lines();
    lines
        .filter_map(|line| line.split_once(": "))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// An answer with one header field or none, after which the connection ends.
pub(crate) fn message(status: &str, media_type: &str, body: &str) -> Act {
    let typed = match media_type {
        "" => String::new(),
        media_type => format!("Content-Type: {media_type}\r\n"),
    };
    answer(status, &typed, body)
}

/// An answer with header lines, each with its line end.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Act {
    let length = body.len();
    // Said and not only done: a connection that ends by itself could be taken for one that is kept.
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {length}");
    Act::Say(format!("{head}\r\n\r\n{body}").into_bytes())
}
