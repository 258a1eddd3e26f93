//! The clients: calls at a fixed rate, or connections that stay open and idle.
//!
//! `load rate --port P --call series|thalamus --rate N --connections N --seconds S --warm S`
//! sends by the clock, whatever the answers do, and counts each latency from the moment at which the
//! call was due: a proxy that stalls is charged for the calls that had to wait. `load idle --port P
//! --call … --connections N` makes a call on each connection, some at once; at the next line of its
//! input one on all of them at once; at the one after that it looks who is still there. After each it
//! holds the connections open and idle. Both modes check every answer and print JSON.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use latimer_compare::calls::Call;
use latimer_compare::message;
use latimer_compare::options::Options;
use latimer_compare::readiness::Readiness;

/// How long answers may still come after the last call was due.
const GRACE: Duration = Duration::from_secs(2);
/// How long to wait when nothing is due because every connection is taken.
const PAUSE: Duration = Duration::from_millis(5);
/// Calls under way while idle connections make their first one.
const IDLE_CALLS_AT_ONCE: usize = 64;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// When calls are due, by their number.
struct Schedule {
    start: Instant,
    rate: f64,
    /// Calls in all, and those at the beginning that do not count.
    total: usize,
    warm: usize,
}

impl Schedule {
    fn new(rate: f64, seconds: f64, warm_seconds: f64) -> Self {
        let calls = |seconds: f64| (rate * seconds) as usize;
        let (total, warm) = (calls(seconds + warm_seconds), calls(warm_seconds));
        Self { start: Instant::now() + PAUSE, rate, total, warm }
    }

    fn due(&self, number: usize) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.rate)
    }

    fn end(&self) -> Instant {
        self.due(self.total) + GRACE
    }
}

/// What became of the calls.
#[derive(Default)]
struct Results {
    /// Of the calls that count, in nanoseconds.
    latencies: Vec<u64>,
    wrong: usize,
    first_wrong: String,
    closed: usize,
    unanswered: usize,
}

impl Results {
    fn wrong(&mut self, answer: &[u8]) {
        if self.wrong == 0 {
            self.first_wrong = String::from_utf8_lossy(&answer[..answer.len().min(300)]).into();
        }
        self.wrong += 1;
    }

    /// The latency that `share` of the calls keep, in microseconds; latencies must be sorted.
    fn percentile(&self, share: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * share).ceil() as usize;
        let index = rank.clamp(1, self.latencies.len().max(1)) - 1;
        self.latencies.get(index).map_or(0.0, |&nanoseconds| nanoseconds as f64 / 1000.0)
    }

    fn print(mut self) {
        self.latencies.sort_unstable();
        let (p50, p99) = (self.percentile(0.5), self.percentile(0.99));
        let Self { latencies, wrong, closed, unanswered, first_wrong } = self;
        println!(
            r#"{{"counted":{},"wrong":{wrong},"closed":{closed},"unanswered":{unanswered},"p50_us":{p50:.1},"p99_us":{p99:.1},"first_wrong":"{}"}}"#,
            latencies.len(),
            json_text(&first_wrong),
        );
    }
}

fn json_text(text: &str) -> String {
    let escape = |sign: char| match sign {
        '"' | '\\' => format!("\\{sign}"),
        sign if sign.is_control() => format!("\\u{:04x}", sign as u32),
        sign => sign.to_string(),
    };
    text.chars().map(escape).collect()
}

struct Client {
    stream: TcpStream,
    /// The beginning of an answer that has not come whole.
    begun: Vec<u8>,
    /// The number of the call that is under way.
    call: Option<usize>,
}

impl Client {
    fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, begun: Vec::new(), call: None })
    }
}

/// Calls by the clock.
struct Pacer {
    call: Call,
    schedule: Schedule,
    clients: Vec<Option<Client>>,
    /// Clients without a call, the longest idle first.
    free: VecDeque<usize>,
    next: usize,
    under_way: usize,
    results: Results,
    input: Vec<u8>,
}

impl Pacer {
    fn new(call: Call, schedule: Schedule, clients: Vec<Client>) -> Self {
        let results =
            Results { latencies: Vec::with_capacity(schedule.total), ..Results::default() };
        Self {
            call,
            schedule,
            free: (0..clients.len()).collect(),
            clients: clients.into_iter().map(Some).collect(),
            next: 0,
            under_way: 0,
            results,
            input: vec![0; ANSWER_BYTES_MAX],
        }
    }

    fn run(mut self, mut readiness: Readiness) -> io::Result<Results> {
        let mut ready = Vec::new();
        while !self.is_done() {
            self.send_due();
            ready.clear();
            ready.extend(readiness.wait(Some(self.pause()))?);
            for &number in &ready {
                self.receive(number);
            }
        }
        self.results.unanswered = self.under_way + (self.schedule.total - self.next);
        Ok(self.results)
    }

    fn is_done(&self) -> bool {
        (self.next == self.schedule.total && self.under_way == 0)
            || Instant::now() > self.schedule.end()
    }

    /// How long until something is to be sent.
    fn pause(&self) -> Duration {
        if self.next == self.schedule.total || self.free.is_empty() {
            return PAUSE;
        }
        self.schedule.due(self.next).saturating_duration_since(Instant::now()).min(PAUSE)
    }

    fn send_due(&mut self) {
        while self.next < self.schedule.total && self.schedule.due(self.next) <= Instant::now() {
            let Some(number) = self.free.pop_front() else { return };
            let Some(client) = &mut self.clients[number] else { continue };
            client.call = Some(self.next);
            match client.stream.write_all(self.call.request(self.next)) {
                Ok(()) => self.under_way += 1,
                Err(_) => {
                    self.results.closed += 1;
                    self.clients[number] = None;
                }
            }
            self.next += 1;
        }
    }

    fn receive(&mut self, number: usize) {
        let Some(client) = &mut self.clients[number] else { return };
        match client.stream.read(&mut self.input) {
            Ok(length) if length > 0 => {
                let bytes = [client.begun.as_slice(), &self.input[..length]].concat();
                self.take(number, bytes);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Ok(_) | Err(_) => self.lose(number),
        }
    }

    fn take(&mut self, number: usize, bytes: Vec<u8>) {
        let Some(client) = &mut self.clients[number] else { return };
        let response = match message::response(&bytes) {
            Ok(Some(response)) => response,
            Ok(None) if bytes.len() < ANSWER_BYTES_MAX => {
                client.begun = bytes;
                return;
            }
            Ok(None) | Err(_) => {
                self.results.wrong(&bytes);
                return self.lose(number);
            }
        };
        client.begun.clear();
        let Some(call) = client.call.take() else { return self.results.wrong(&bytes) };
        self.under_way -= 1;
        self.free.push_back(number);
        if !self.call.is_answered_by(&response) {
            self.results.wrong(&bytes);
        } else if call >= self.schedule.warm {
            let latency = self.schedule.due(call).elapsed().as_nanos();
            self.results.latencies.push(u64::try_from(latency).unwrap_or(u64::MAX));
        }
    }

    /// The proxy closed the connection, or it cannot be read on.
    fn lose(&mut self, number: usize) {
        let lost = self.clients[number].take();
        self.free.retain(|&free| free != number);
        self.under_way -= usize::from(lost.is_some_and(|client| client.call.is_some()));
        self.results.closed += 1;
    }
}

fn rate(options: &Options, port: u16, call: Call) -> Result<(), Box<dyn std::error::Error>> {
    // Wake-ups may be late by 50 microseconds otherwise.
    rustix::thread::set_current_timer_slack(NonZeroU64::new(1))?;
    let readiness = Readiness::new()?;
    let mut clients = Vec::new();
    for number in 0..options.get("connections")? {
        let client = Client::connect(port)?;
        client.stream.set_nonblocking(true)?;
        readiness.watch(&client.stream, number)?;
        clients.push(client);
    }
    let schedule =
        Schedule::new(options.get("rate")?, options.get("seconds")?, options.get("warm")?);
    Pacer::new(call, schedule, clients).run(readiness)?.print();
    Ok(())
}

/// Waits for the answer on a connection; whether it is the right one.
fn answer(client: &mut Client, call: &Call) -> io::Result<bool> {
    client.stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut bytes = Vec::new();
    let mut input = [0; 4096];
    loop {
        let length = client.stream.read(&mut input)?;
        bytes.extend_from_slice(&input[..length]);
        match message::response(&bytes) {
            Ok(Some(response)) => return Ok(call.is_answered_by(&response)),
            Ok(None) if length > 0 && bytes.len() < ANSWER_BYTES_MAX => {}
            Ok(None) | Err(_) => return Ok(false),
        }
    }
}

/// A call on each connection, so many at once; how many did not get their right answer.
fn call_on_all(clients: &mut [Client], at_once: usize, call: &Call) -> io::Result<usize> {
    let mut wrong = 0;
    for group in clients.chunks_mut(at_once) {
        for (number, client) in group.iter_mut().enumerate() {
            client.stream.write_all(call.request(number))?;
        }
        let answers = group.iter_mut().map(|client| answer(client, call));
        wrong += answers.filter(|right| !matches!(right, Ok(true))).count();
    }
    Ok(wrong)
}

fn is_open(client: &mut Client) -> bool {
    let read = client.stream.set_nonblocking(true).and_then(|()| client.stream.read(&mut [0; 1]));
    read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

fn idle(options: &Options, port: u16, call: &Call) -> Result<(), Box<dyn std::error::Error>> {
    let connections: usize = options.get("connections")?;
    let clients: io::Result<Vec<_>> = (0..connections).map(|_| Client::connect(port)).collect();
    let mut clients = clients?;
    let wrong = call_on_all(&mut clients, IDLE_CALLS_AT_ONCE, call)?;
    println!(r#"{{"wrong":{wrong}}}"#);
    io::stdin().read_line(&mut String::new())?;
    let wrong = call_on_all(&mut clients, connections, call)?;
    println!(r#"{{"wrong":{wrong}}}"#);
    io::stdin().read_line(&mut String::new())?;
    let closed = clients.iter_mut().map(is_open).filter(|open| !open).count();
    println!(r#"{{"closed":{closed}}}"#);
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let options = Options::parse(arguments)?;
    let port = options.get("port")?;
    let vendor: String = options.get("call")?;
    let call = Call::of(&vendor).ok_or("--call is series or thalamus")?;
    match mode.as_str() {
        "rate" => rate(&options, port, call),
        "idle" => idle(&options, port, &call),
        _ => Err("usage: load rate|idle --port P --call VENDOR …".into()),
    }
}
