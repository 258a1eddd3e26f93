//! A hundred restarts under load, while somebody else holds the listening socket, as systemd does: every
//! call on a connection that came about is answered.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::connections::right;
use crate::handed::command;
use crate::harness::{Answer, Gateway, Home, PATIENCE};
use crate::signals::series;

const RESTARTS: usize = 100;
/// Calls that each process has to answer before the next restart.
const CALLS_EACH: usize = 20;
/// One in so many waits until the process before it has ended, as a service manager does; meanwhile
/// connections wait in the socket's queue.
const APART: usize = 20;

/// What the callers saw.
struct Tally {
    /// Calls that were answered.
    answered: watch::Sender<usize>,
    /// Calls that were not, and what was seen in place of an answer.
    lost: Mutex<Vec<String>>,
    /// Connections that were told with an answer that it was the last one, or that ended between two calls.
    let_go: watch::Sender<usize>,
    over: watch::Sender<bool>,
}

impl Tally {
    fn answered(&self) {
        self.answered.send_modify(|count| *count += 1);
    }

    fn lost(&self, who: &str, what: &str) {
        self.lost.lock().unwrap().push(format!("{who}: {what}"));
    }

    fn is_over(&self) -> bool {
        *self.over.borrow()
    }

    async fn until_answered(&self, calls: usize) {
        let mut answered = self.answered.subscribe();
        let waiting = answered.wait_for(|count| *count >= calls);
        timeout(PATIENCE, waiting).await.expect("calls are answered in time").unwrap();
    }
}

/// Reads an answer by its length.
async fn read_answer(stream: &mut TcpStream) -> Result<Answer, String> {
    let mut told = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&told);
        if let Some(end) = text.find("\r\n\r\n") {
            let answer = Answer::parse(&told);
            let length: usize = answer.header("content-length").unwrap_or("0").parse().unwrap();
            if told.len() >= end + 4 + length {
                return Ok(answer);
            }
        }
        match timeout(PATIENCE, stream.read_buf(&mut told)).await {
            Ok(Ok(0)) => return Err(format!("the end behind {} bytes", told.len())),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => return Err(format!("{error} behind {} bytes", told.len())),
            Err(_) => return Err(format!("nothing more behind {} bytes", told.len())),
        }
    }
}

/// One call; true if its answer says that it is the connection's last.
async fn call(stream: &mut TcpStream, who: &str, tally: &Tally) -> Option<bool> {
    if let Err(error) = stream.write_all(&right()).await {
        tally.lost(who, &format!("not taken: {error}"));
        return None;
    }
    match read_answer(stream).await {
        Ok(answer) if answer.status == 200 => {
            tally.answered();
            Some(answer.header("connection") == Some("close"))
        }
        Ok(answer) => {
            tally.lost(who, &format!("{answer:?}"));
            None
        }
        Err(what) => {
            tally.lost(who, &what);
            None
        }
    }
}

/// Calls on a new connection each time; waits that long between its handshake and its call.
async fn call_anew(address: SocketAddr, before: Duration, tally: Arc<Tally>) {
    let who = format!("anew, {before:?} after the handshake");
    while !tally.is_over() {
        match TcpStream::connect(address).await {
            Ok(mut stream) => {
                sleep(before).await;
                call(&mut stream, &who, &tally).await;
            }
            Err(error) => tally.lost(&who, &format!("not connected: {error}")),
        }
    }
}

/// Calls on one connection for as long as that is kept, with a pause between two calls.
async fn call_on(address: SocketAddr, pause: Duration, tally: Arc<Tally>) {
    let who = format!("kept, every {pause:?}");
    while !tally.is_over() {
        let mut stream = TcpStream::connect(address).await.unwrap();
        while !tally.is_over() && call(&mut stream, &who, &tally).await == Some(false) {
            sleep(pause).await;
            // Whoever keeps a connection has to look whether it is still there before the next call.
            let ended = stream.try_read(&mut [0; 1]);
            if !ended.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
                break;
            }
        }
        tally.let_go.send_modify(|count| *count += 1);
    }
}

fn callers(address: SocketAddr, tally: &Arc<Tally>) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for milliseconds in [0, 0, 1, 20, 100, 1_500] {
        let before = Duration::from_millis(milliseconds);
        callers.spawn(call_anew(address, before, Arc::clone(tally)));
    }
    for milliseconds in [0, 1, 5, 50, 150, 400] {
        let pause = Duration::from_millis(milliseconds);
        callers.spawn(call_on(address, pause, Arc::clone(tally)));
    }
    callers
}

/// How one process follows another.
async fn replace(index: usize, old: Gateway, home: &Arc<Home>, socket: &TcpListener) -> Replaced {
    if index.is_multiple_of(APART) {
        old.signal("TERM").await;
        let ended = old.ended().await;
        let new = Gateway::launch(home, command(home, socket)).await;
        return Replaced { new, ended: tokio::spawn(async { ended }) };
    }
    if index.is_multiple_of(2) {
        let new = Gateway::launch(home, command(home, socket)).await;
        old.signal("TERM").await;
        return Replaced { new, ended: tokio::spawn(old.ended()) };
    }
    old.signal("TERM").await;
    let new = Gateway::launch(home, command(home, socket)).await;
    Replaced { new, ended: tokio::spawn(old.ended()) }
}

struct Replaced {
    new: Gateway,
    ended: tokio::task::JoinHandle<(Option<i32>, Vec<String>)>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_over_a_hundred_restarts() {
    let (text, simulator) = series("drain: 10s\nworkers: 2\nlog: {access: off}").await;
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let home = Home::new(&address.to_string(), "mappings", &text, &[]);
    let tally = Arc::new(Tally {
        answered: watch::Sender::new(0),
        lost: Mutex::new(Vec::new()),
        let_go: watch::Sender::new(0),
        over: watch::Sender::new(false),
    });
    let began = Instant::now();
    let mut gateway = Gateway::launch(&home, command(&home, &socket)).await;
    let callers = callers(address, &tally);
    let mut ended = Vec::new();
    for index in 1..=RESTARTS {
        let before = *tally.answered.borrow();
        tally.until_answered(before + CALLS_EACH).await;
        let replaced = replace(index, gateway, &home, &socket).await;
        gateway = replaced.new;
        ended.push(replaced.ended);
    }
    tally.over.send_replace(true);
    timeout(PATIENCE, callers.join_all()).await.expect("the callers end in time");
    ended.push(tokio::spawn(async { (Some(0), gateway.terminate().await) }));
    for ended in ended {
        let (code, log) = ended.await.unwrap();
        assert_eq!(code, Some(0), "{log:#?}");
        assert!(!log.iter().any(|line| line.contains("cut off")), "{log:#?}");
    }
    let (answered, let_go) = (*tally.answered.borrow(), *tally.let_go.borrow());
    let lost = std::mem::take(&mut *tally.lost.lock().unwrap());
    println!(
        "{RESTARTS} restarts in {:?}: {answered} calls answered, {let_go} kept connections let go of",
        began.elapsed()
    );
    assert!(lost.is_empty(), "{} of {answered} calls were lost: {lost:#?}", lost.len());
    assert!(let_go >= RESTARTS, "connections were kept over the stops: {let_go}");
    simulator.stop().await;
}
