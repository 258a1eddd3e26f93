//! The program is killed in the middle of its work, two hundred times over. What reached the upstream is written down,
//! and what is written down is settled or known to be in doubt.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::{export, until_settled};
use crate::harness::{Gateway, Home, KEY, upstream};
use crate::scripted::{field, read_request};
use crate::vendors::request;
use latimer::sim::Vendor;

const KILLS: usize = 200;
/// Callers at a time.
const CALLERS: usize = 4;
/// A process is killed so many milliseconds at most after its callers have begun.
const LIFE_MS: u64 = 60;

/// A Series that takes its time, and at times does not say what it did.
#[derive(Default)]
struct System {
    /// The calls that reached it, by the gateway's ids.
    calls: Mutex<HashSet<String>>,
    /// What was changed.
    tickets: Mutex<HashMap<String, String>>,
    seed: Mutex<u64>,
}

impl System {
    /// The next number below a bound: xorshift (Marsaglia 2003), so that a run can be repeated.
    fn draw(&self, below: u64) -> u64 {
        let mut seed = self.seed.lock().unwrap();
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        *seed % below
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let request = read_request(&mut stream).await;
        let mut line = request.split(' ');
        let (method, target) = (line.next().unwrap(), line.next().unwrap_or_default());
        if method == "GET" {
            let id = target.rsplit('/').next().unwrap();
            let status = self.tickets.lock().unwrap().get(id).cloned();
            let status = status.unwrap_or_else(|| "open".to_owned());
            let body = format!(
                r#"{{"success":true,"data":{{"Ticket":{{"TicketId":"{id}","Status":"{status}"}}}}}}"#
            );
            return say(&mut stream, &body).await;
        }
        // Whatever of it has come.
        if let Some(call) = field(&request, "x-request-id") {
            self.calls.lock().unwrap().insert(call.to_owned());
        }
        let Some((_, body)) = request.split_once("\r\n\r\n") else { return };
        let Ok(body) = serde_json::from_str::<Value>(body) else { return };
        let (before, after) = (self.draw(6), self.draw(6));
        sleep(Duration::from_millis(before)).await;
        // One in sixteen is lost before it is done, and one after.
        let luck = self.draw(16);
        if luck == 0 {
            return;
        }
        let id = target.split('/').nth(2).unwrap().to_owned();
        let status = body["status"].as_str().unwrap().to_owned();
        let said =
            format!(r#"{{"success":true,"data":{{"message":"Status changed to {status}"}}}}"#);
        self.tickets.lock().unwrap().insert(id, status);
        sleep(Duration::from_millis(after)).await;
        if luck != 1 {
            say(&mut stream, &said).await;
        }
    }
}

async fn say(stream: &mut TcpStream, body: &str) {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {length}"
    );
    let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await;
}

/// Calls until nobody answers; each changes a ticket of its own. Gives the calls that were told yes.
async fn call(address: String, next: Arc<AtomicUsize>) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        let ticket = format!("TICKET-{:010}-0001", next.fetch_add(1, Ordering::Relaxed));
        let change = request(Vendor::Series, &ticket, "resolved", KEY);
        let mut message = format!("{} HTTP/1.1\r\nHost: gateway.test\r\n", change.line);
        for (name, value) in &change.headers {
            message.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = change.body.len();
        message.push_str(&format!(
            "Connection: close\r\nContent-Length: {length}\r\n\r\n{}",
            change.body
        ));
        let Ok(mut stream) = TcpStream::connect(&address).await else { return told };
        let mut answer = Vec::new();
        if stream.write_all(message.as_bytes()).await.is_err()
            || stream.read_to_end(&mut answer).await.is_err()
            || answer.is_empty()
        {
            return told;
        }
        let answer = String::from_utf8(answer).unwrap();
        let header = |name| field(&answer, name).map(str::to_owned);
        if header("x-latimer-outcome").as_deref() == Some("yes") {
            told.extend(header("x-request-id"));
        }
    }
}

/// How often each of these was seen.
#[derive(Debug, Default)]
struct Seen {
    answered: usize,
    read_back: usize,
    recovered: usize,
    in_doubt: usize,
    no: usize,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_killed_two_hundred_times_knows_of_every_call() {
    let system = Arc::new(System::default());
    *system.seed.lock().unwrap() = 0x9e37_79b9_7f4a_7c15;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = Arc::clone(&system);
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(Arc::clone(&answering).answer(stream));
        }
    });
    let text = format!(
        "workers: 2\nlog: {{access: off}}\njournal: full\nupstreams:\n{}routes:\n  main: {{client: series, \
         upstream: series, consumers: [tester], limit: none, deadline: 300ms}}\n",
        upstream(Vendor::Series, &url)
    );
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let (began, next) = (Instant::now(), Arc::new(AtomicUsize::new(0)));
    let mut told = HashSet::new();
    for _ in 0..KILLS {
        let gateway = Gateway::launch(&home, home.command()).await;
        let mut callers = JoinSet::new();
        for _ in 0..CALLERS {
            callers.spawn(call(gateway.address.clone(), Arc::clone(&next)));
        }
        sleep(Duration::from_millis(system.draw(LIFE_MS))).await;
        // SIGKILL.
        gateway.stop().await;
        told.extend(callers.join_all().await.into_iter().flatten());
    }
    println!("{KILLS} kills in {:?}", began.elapsed());
    let gateway = Gateway::launch(&home, home.command()).await;
    let records = until_settled(&home).await;
    gateway.terminate().await;
    assert_eq!(export(&home, &[]).await.len(), records.len(), "and nothing came after");
    let seen = check(&system, &told, &records);
    println!("{} records: {seen:?}", records.len());
    serving.abort();
}

fn check(system: &System, told: &HashSet<String>, records: &[Value]) -> Seen {
    let text = |record: &Value, key: &str| record[key].as_str().map(str::to_owned);
    let by_call: HashMap<String, &Value> =
        records.iter().map(|record| (text(record, "call").unwrap(), record)).collect();
    assert_eq!(by_call.len(), records.len(), "one record a call");
    let calls = system.calls.lock().unwrap();
    let missing: Vec<&String> = calls.iter().filter(|call| !by_call.contains_key(*call)).collect();
    assert!(missing.is_empty(), "{} of {} calls are not written down", missing.len(), calls.len());
    let mut seen = Seen::default();
    let tickets = system.tickets.lock().unwrap();
    for record in records {
        let changed = tickets.get(record["upstream_ticket"].as_str().unwrap());
        let changed = changed.is_some_and(|status| status == "resolved");
        assert_eq!(text(record, "to").as_deref(), Some("resolved"));
        match text(record, "outcome").as_deref() {
            Some("yes") => assert!(changed, "it is told as a yes, and nothing was done: {record}"),
            Some("no") => assert!(!changed, "it is told as a no, and was done: {record}"),
            Some("unknown") => {}
            _ => panic!("it is open: {record}"),
        }
        match (text(record, "outcome").as_deref(), text(record, "by").as_deref()) {
            (Some("unknown"), _) => seen.in_doubt += 1,
            (Some("no"), _) => seen.no += 1,
            (_, Some("answered")) => seen.answered += 1,
            (_, Some("read_back")) => seen.read_back += 1,
            (_, Some("recovered")) => seen.recovered += 1,
            _ => {}
        }
    }
    for call in told {
        let record = by_call.get(call).unwrap_or_else(|| panic!("{call} was told yes"));
        assert_eq!(text(record, "outcome").as_deref(), Some("yes"), "as its client was: {record}");
    }
    // Else this was no test of what it is for.
    assert!(calls.len() > KILLS && told.len() > KILLS / 2, "{} {}", calls.len(), told.len());
    assert!(seen.answered > 0 && seen.recovered > 10 && seen.in_doubt > 10, "{seen:?}");
    seen
}
