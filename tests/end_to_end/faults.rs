//! Every fault that an upstream can say, in the words of every client: all 25 pairs, and Akana's
//! clients that speak XML besides. Whole answers are compared, and whole heads.

mod reading;
mod said;
mod told;

use latimer::sim::Vendor;
use latimer::value::Fault;

use crate::harness::{Answer, Gateway, KEY, PATIENCE, upstream};
use crate::scripted::{Act, Scripted, answer};
use crate::vendors::{Request, request, sayable, ticket};

use said::{Said, everything};
use told::{Told, told};

/// A kind of client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    Arena,
    Series,
    Akana,
    AkanaXml,
    Thalamus,
    Zstack,
}

impl Client {
    const ALL: [Self; 6] =
        [Self::Arena, Self::Series, Self::Akana, Self::AkanaXml, Self::Thalamus, Self::Zstack];

    fn vendor(self) -> Vendor {
        match self {
            Self::Arena => Vendor::Arena,
            Self::Series => Vendor::Series,
            Self::Akana | Self::AkanaXml => Vendor::Akana,
            Self::Thalamus => Vendor::Thalamus,
            Self::Zstack => Vendor::Zstack,
        }
    }

    /// A change that every upstream can be told.
    fn request(self) -> Request {
        let vendor = self.vendor();
        let mut request = request(vendor, &ticket(vendor, 1), sayable(vendor)[0].0, KEY);
        if self == Self::AkanaXml {
            request.headers.retain(|(name, _)| *name != "Content-Type");
            request.headers.push(("Content-Type", "application/xml; charset=UTF-8".to_owned()));
            request.body =
                "<Action><ActionName>ticket.action.resolve</ActionName></Action>".to_owned();
        }
        request
    }
}

/// Header fields that an upstream may send and that are not the client's business (CONTRACT §5).
const PRIVATE: &str = "Server: theirs/9\r\nSet-Cookie: session=theirs\r\n\
                       WWW-Authenticate: Basic realm=theirs\r\nLocation: http://192.0.2.1/\r\n\
                       Access-Control-Allow-Origin: *\r\n";

fn act(said: &Said) -> Act {
    let mut headers = PRIVATE.to_owned();
    if !said.media_type.is_empty() {
        headers.push_str(&format!("Content-Type: {}\r\n", said.media_type));
    }
    if said.status.starts_with("405") {
        headers.push_str("Allow: OPTIONS\r\n");
    }
    answer(said.status, &headers, &said.body)
}

/// What ZStack says of a job that it does not know, or not any more.
fn no_job() -> Act {
    answer("404 Not Found", "", "the job has been expired")
}

/// The 25 pairs by host, each with a ticket of its own in both systems.
async fn gateway(more: &str, upstreams: &[(Vendor, Scripted)]) -> Gateway {
    let mut text = format!("{more}log: {{format: json, access: full}}\nupstreams:\n");
    for (vendor, scripted) in upstreams {
        text.push_str(&upstream(*vendor, &scripted.url));
    }
    text.push_str("routes:\n");
    let mut files = Vec::new();
    for client in Vendor::ALL {
        let settings = if client == Vendor::Akana { "{tenant: acmepaymentscorp}" } else { "{}" };
        for (upstream, _) in upstreams {
            let upstream = *upstream;
            let name = format!("{client}-{upstream}");
            text.push_str(&format!(
                "  {name}:\n    client: {client}\n    upstream: {upstream}\n    consumers: [tester]\n    \
                 match: {{host: {name}.test}}\n    limit: none\n    read_back: off\n    settings: {settings}\n    \
                 ids: {{ticket: {{file: {name}.csv}}}}\n"
            ));
            let pair =
                format!("client_id,upstream_id\n{},{}\n", ticket(client, 1), ticket(upstream, 1));
            files.push((format!("{name}.csv"), pair));
        }
    }
    Gateway::start(&text, &files).await
}

async fn call(gateway: &Gateway, client: Client, upstream: Vendor, request: &Request) -> Answer {
    let host = format!("{}-{upstream}.test", client.vendor());
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", &host));
    gateway.call(&request.line, &headers, &request.body).await
}

#[tokio::test]
async fn every_fault_of_every_upstream_in_the_words_of_every_client() {
    let mut upstreams = Vec::new();
    for vendor in Vendor::ALL {
        upstreams.push((vendor, Scripted::start(Act::Wait).await));
    }
    let gateway = gateway("", &upstreams).await;
    let everything = everything();
    let mut wrong = Vec::new();
    let mut refused_credentials = 0;
    for said in &everything {
        let (_, scripted) = upstreams.iter().find(|(vendor, _)| *vendor == said.vendor).unwrap();
        // What is said of our credential is not the client's business.
        let fault = if said.reads == "unauthenticated" { "upstream_failed" } else { said.reads };
        for client in Client::ALL {
            let request = client.request();
            scripted.act(Act::InTurn(vec![act(said), no_job()]));
            let got = call(&gateway, client, said.vendor, &request).await;
            let what =
                format!("{client:?} of {}, which says {} {}", said.vendor, said.status, said.body);
            let seen = scripted.take_seen();
            // What may have become of it is asked for; the write itself is never sent again.
            let asked = seen.iter().filter(|message| message.starts_with("GET /v1/api-jobs/"));
            assert_eq!(seen.len(), 1 + asked.count(), "{what}: nothing is sent twice");
            assert!(seen.len() == 1 || said.reads == "outcome_unknown", "{what}: {seen:#?}");
            let path = request.line.split_once(' ').unwrap().1;
            if let Some(difference) =
                difference(&got, &told(client, fault, path), client, fault, &[])
            {
                wrong.push(format!("{what}:\n{difference}"));
            }
            refused_credentials += usize::from(said.reads == "unauthenticated");
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    check_log(&gateway.terminate().await, refused_credentials);
}

/// Past the gateway's cap: nothing is sent, and each client reads that in its own words.
#[tokio::test]
async fn what_is_shed_is_told_in_the_words_of_every_client() {
    let vendor = Vendor::Series;
    let upstreams = [(vendor, Scripted::start(Act::Wait).await)];
    let gateway = gateway("bounds: {concurrency_max: 1}\n", &upstreams).await;
    let first = Client::Series.request();
    let shedding = async {
        while upstreams[0].1.seen_count() == 0 {
            tokio::task::yield_now().await;
        }
        for client in Client::ALL {
            let request = client.request();
            let got = call(&gateway, client, vendor, &request).await;
            let path = request.line.split_once(' ').unwrap().1;
            let told = told(client, "overloaded", path);
            let wrong = difference(&got, &told, client, "overloaded", &[("Retry-After", "1")]);
            assert_eq!(wrong, None, "{client:?}");
        }
    };
    let first = async {
        // It waits until the other half has seen what it came for.
        tokio::select! {
            got = call(&gateway, Client::Series, vendor, &first) => panic!("answered: {got:?}"),
            () = shedding => {}
        }
    };
    tokio::time::timeout(PATIENCE, first).await.expect("nobody waits");
    assert_eq!(upstreams[0].1.take_seen().len(), 1, "nothing else was sent");
    gateway.stop().await;
}

/// Faults that no upstream can be understood to say, because what is seen is another's too.
const NEVER_READ: [&str; 5] =
    ["not_acceptable", "unknown_job", "log_in_refused", "credentials_missing", "upstream_timeout"];

#[test]
fn no_fault_of_the_set_is_forgotten() {
    let everything = everything();
    for fault in Fault::ALL.iter().map(|fault| fault.name()) {
        let said = everything.iter().any(|said| said.reads == fault);
        assert_ne!(said, NEVER_READ.contains(&fault), "{fault}");
    }
}

/// One answer, all of it: what differs, if something does.
fn difference(
    got: &Answer,
    told: &Told,
    client: Client,
    fault: &str,
    more: &[(&'static str, &'static str)],
) -> Option<String> {
    let call_id = got.header("x-request-id").unwrap_or("none");
    let body = told.body.replace("CALL", call_id);
    let length = body.len().to_string();
    let outcome = if fault == "outcome_unknown" { "unknown" } else { "no" };
    let mut headers = vec![
        ("Connection", "close"),
        ("Content-Length", &length),
        ("Via", "1.1 latimer"),
        ("X-Latimer-Fault", fault),
        ("X-Latimer-Outcome", outcome),
        ("X-Request-Id", call_id),
    ];
    if !told.media_type.is_empty() {
        headers.push(("Content-Type", told.media_type));
    }
    if client == Client::Arena {
        headers.push(("Server", "ArenaSolutions"));
    }
    if fault == "method_not_allowed" {
        // RFC 9110 section 15.5.6 wants the field; which methods would do there, nobody told us.
        headers.push(("Allow", ""));
    }
    headers.extend(more);
    headers.sort_unstable();
    let mut seen: Vec<(&str, &str)> =
        got.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    seen.sort_unstable();
    let all = seen.len();
    seen.retain(|(name, _)| *name != "Date");
    let wanted = (told.status, body.as_str(), headers);
    let seen = (got.status, got.body.as_str(), seen);
    let dated = all == seen.2.len() + 1;
    (wanted != seen || !dated).then(|| format!("wanted {wanted:?}\n   got {seen:?}"))
}

/// That our credential was refused is an error of ours: an operator has to hear of it.
fn check_log(log: &[String], refused_credentials: usize) {
    let errors: Vec<serde_json::Value> = log
        .iter()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|line: &serde_json::Value| line["level"] == "ERROR")
        .collect();
    assert_eq!(errors.len(), refused_credentials, "{errors:#?}");
    for error in &errors {
        let cause = error["cause"].as_str().unwrap_or_else(|| panic!("{error}"));
        assert!(cause.ends_with(": unauthenticated"), "{error}");
    }
}
