//! What translating costs, without a socket: one request and one reply for each pair of vendors.
//!
//! `cargo bench` prints time and allocations per call. `by_hand` is the same work for Series → Thalamus
//! with structs that somebody wrote for just that pair, and is what the other figures of that pair
//! are to be held against: in the same run, because machines differ and are shared.

#![allow(missing_docs, reason = "a benchmark is no library")]

use std::sync::LazyLock;

use divan::{AllocProfiler, Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue};
use latimer::bounds;
use latimer::catalog::Catalog;
use latimer::mapping::model::{Mapping, Operation};
use latimer::mapping::run::{
    AnswerHead, Gateway, Outgoing, ReadOptions, Reading, RequestHead, RequestParts, Secrets,
    Settings, Sources, WrittenAnswer, read_answer, read_request, write_answer, write_request,
};
use latimer::secret::Secret;
use latimer::value::{Record, Value};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// A message of a vendor's page, and an answer of about 300 bytes where the vendor has answers so long.
struct Samples {
    vendor: &'static str,
    path: &'static str,
    ticket: &'static str,
    request: &'static str,
    reply: (u16, &'static str, &'static str),
}

/// A call's id, which some vendors are told.
const CALL: &str = "0af7651916cd43dd8448eb211c80319c";

const SAMPLES: [Samples; 5] = [
    Samples {
        vendor: "arena",
        path: "/tickets/statuschanges",
        ticket: "F1LSQ6UTWC3NIVGLZGYP",
        request: r#"{"ticket":{"guid":"F1LSQ6UTWC3NIVGLZGYP"},"status":"COMPLETE"}"#,
        reply: (
            201,
            "application/json;charset=UTF-8",
            r#"{"creationDateTime":"2014-04-30T07:00:00Z","creator":{"fullName":"Jane Smith","guid":"JJDYL8C5KBFRQ3BVG7JY"},"description":"","dueDateTime":"2014-05-30T07:00:00Z","guid":"F1LSQ6UTWC3NIVGLZGYP","number":"TKT-000126","status":{"guid":"8YRQDO9JXBQNYKHKX3UC","value":"Complete"},"title":"Paint chipping on new Model 3000"}"#,
        ),
    },
    Samples {
        vendor: "series",
        path: "/tickets/TICKET-1234567890-ABCD/status",
        ticket: "TICKET-1234567890-ABCD",
        request: r#"{"status":"resolved","staffUserId":987654321}"#,
        reply: (
            200,
            "application/json",
            r#"{"success":true,"data":{"message":"Status changed to resolved"}}"#,
        ),
    },
    Samples {
        vendor: "akana",
        path: "/api/tickets/ticket25687.acmepaymentscorp/actions",
        ticket: "ticket25687.acmepaymentscorp",
        request: r#"{"ActionName":"ticket.action.resolve","Comments":["My comments here."]}"#,
        reply: (200, "text/plain", "RESOLVED"),
    },
    Samples {
        vendor: "thalamus",
        path: "/api/v4/cases/10/transitions",
        ticket: "10",
        request: r#"{"statusName":"resolved"}"#,
        reply: (
            201,
            "application/json",
            r#"{"context":{"simpleProfile":{"firstname":"test","lastname":"operator","email":"test@test.com"}},"case":{"id":10,"categoryCode":"Reclamo","typeCode":"Telefonico","status":"resolved","resolution":"Tecnica","createdAt":"2026-01-15T10:20:30Z","updatedAt":"2026-01-15T11:21:31Z","subject":"Router no conecta"}}"#,
        ),
    },
    Samples {
        vendor: "zstack",
        path: "/v1/tickets/e9377476db3f375bbff78dc3b920b5bb/actions",
        ticket: "e9377476db3f375bbff78dc3b920b5bb",
        request: r#"{"changeTicketStatus":{"statusEvent":"reopen","comment":"comment"},"systemTags":[],"userTags":[]}"#,
        reply: (
            200,
            "",
            r#"{"inventory":{"uuid":"e9377476db3f375bbff78dc3b920b5bb","name":"ticket","description":"ticket description","status":"FinalApproved","accountSystemContext":{"accountUuid":"9b5ae81e9c7235ef9ea5c7a32c4d1e0f"},"createDate":"Nov 14, 2017 10:20:57 PM","lastOpDate":"Nov 14, 2017 10:20:57 PM"}}"#,
        ),
    },
];

/// One direction between two vendors, with everything that a running gateway has at hand.
struct Pair {
    name: String,
    client: Side,
    upstream: Side,
}

struct Side {
    samples: &'static Samples,
    mapping: &'static Mapping,
    operation: &'static Operation,
    settings: Settings,
    secrets: Secrets,
    /// Of its request, with the content type.
    request_headers: HeaderMap,
    reply_headers: HeaderMap,
}

static CATALOG: LazyLock<Catalog> = LazyLock::new(Catalog::shipped);
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let pairs = SAMPLES.iter().flat_map(|client| SAMPLES.iter().map(move |other| (client, other)));
    pairs
        .map(|(client, upstream)| Pair {
            name: format!("{} to {}", client.vendor, upstream.vendor),
            client: Side::of(client),
            upstream: Side::of(upstream),
        })
        .collect()
});

impl Side {
    fn of(samples: &'static Samples) -> Self {
        let vocabulary = &CATALOG.vocabulary;
        let mapping: &Mapping = CATALOG.mapping(samples.vendor).expect("shipped");
        let id = vocabulary
            .operations
            .iter()
            .position(|operation| operation.name == "change_status")
            .expect("in the vocabulary");
        let settings =
            [("staff_user", "987654321"), ("tenant", "acmepaymentscorp"), ("touchpoint", "web")];
        let secrets = [("auth.token".to_owned(), Secret::new("a-token-of-the-usual-length"))];
        Self {
            samples,
            mapping,
            operation: mapping.operation(id).expect("all five have it"),
            settings: Settings::of(mapping, settings),
            secrets: Secrets::of(vocabulary, secrets),
            request_headers: headers("application/json"),
            reply_headers: headers(samples.reply.1),
        }
    }

    fn sources<'a>(&'a self, record: &'a Record<'a>, gateway: &'a Gateway<'a>) -> Sources<'a> {
        Sources {
            vocabulary: &CATALOG.vocabulary,
            mapping: self.mapping,
            settings: &self.settings,
            record,
            request: None,
            secrets: Some(&self.secrets),
            gateway,
            steps: &[],
            parts: &[],
        }
    }

    fn read_request(&self) -> Record<'_> {
        let head = RequestHead {
            path: self.samples.path,
            query: None,
            headers: black_box(&self.request_headers),
        };
        let options = ReadOptions { depth_max: bounds::BODY_DEPTH_MAX, refuse_unknown: false };
        let body = black_box(self.samples.request.as_bytes());
        let read = read_request(
            &CATALOG.vocabulary,
            self.mapping,
            self.operation,
            &head,
            body,
            &self.settings,
            options,
        );
        read.expect("the sample is right").0
    }
}

impl Pair {
    /// Reads the client's request and writes the upstream's.
    fn request(&self) -> Outgoing {
        let mut record = self.client.read_request();
        if self.client.samples.vendor != self.upstream.samples.vendor {
            record.drop_raw();
            record.set(0, Some(Value::Text(self.upstream.samples.ticket.into())));
        }
        let gateway = Gateway { call: CALL, ..Gateway::default() };
        let sources = self.upstream.sources(&record, &gateway);
        write_request(self.upstream.operation, sources).expect("it can be said")
    }

    /// Reads the upstream's answer and writes the client's.
    fn reply(&self, request: &Record<'_>) -> WrittenAnswer {
        let (status, _, body) = self.upstream.samples.reply;
        let head = AnswerHead { status, headers: black_box(&self.upstream.reply_headers) };
        let reading = read_answer(
            &CATALOG.vocabulary,
            self.upstream.mapping,
            self.upstream.operation,
            head,
            black_box(body.as_bytes()),
            &self.upstream.settings,
            request,
        );
        let Reading::Yes { mut record, unreadable: 0 } = reading else {
            panic!("{}: {reading:?}", self.name);
        };
        if self.client.samples.vendor != self.upstream.samples.vendor {
            record.drop_raw();
            record.set(0, Some(Value::Text(self.client.samples.ticket.into())));
        }
        let gateway = Gateway::default();
        let sources = Sources { request: Some(request), ..self.client.sources(&record, &gateway) };
        let wanted = RequestParts { headers: &self.client.request_headers, kind: None };
        write_answer(self.client.operation, sources, wanted).expect("it can be said")
    }
}

impl std::fmt::Display for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

fn pairs() -> impl Iterator<Item = &'static Pair> {
    PAIRS.iter()
}

fn headers(media_type: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !media_type.is_empty() {
        headers
            .insert(HeaderName::from_static("content-type"), HeaderValue::from_static(media_type));
    }
    headers
}

#[divan::bench(args = pairs())]
fn request(bencher: Bencher<'_, '_>, pair: &Pair) {
    bencher.bench_local(|| pair.request());
}

#[divan::bench(args = pairs())]
fn reply(bencher: Bencher<'_, '_>, pair: &Pair) {
    let request = pair.client.read_request();
    bencher.bench_local(|| pair.reply(&request));
}

/// Series → Thalamus, written for nothing else.
mod by_hand {
    use divan::{Bencher, black_box};
    use http::{HeaderMap, HeaderValue, Method};
    use latimer::mapping::run::{Outgoing, WrittenAnswer};
    use serde::{Deserialize, Serialize};

    use super::{PAIRS, Pair};

    #[derive(Deserialize)]
    struct SeriesRequest<'a> {
        status: &'a str,
        #[serde(rename = "staffUserId")]
        staff_user_id: i64,
    }

    #[derive(Serialize)]
    struct ThalamusRequest<'a> {
        #[serde(rename = "statusName")]
        status_name: &'a str,
    }

    #[derive(Deserialize)]
    struct ThalamusReply<'a> {
        #[serde(borrow)]
        case: Case<'a>,
    }

    #[derive(Deserialize)]
    struct Case<'a> {
        status: &'a str,
    }

    #[derive(Serialize)]
    struct SeriesReply<'a> {
        success: bool,
        data: Data<'a>,
    }

    #[derive(Serialize)]
    struct Data<'a> {
        message: &'a str,
    }

    fn pair() -> &'static Pair {
        let pair = PAIRS.iter().find(|pair| pair.name == "series to thalamus");
        pair.expect("all pairs are there")
    }

    fn translate_request(path: &str, body: &[u8], ticket: &str) -> Option<Outgoing> {
        let _theirs = path.strip_prefix("/tickets/")?.strip_suffix("/status")?;
        let read: SeriesRequest<'_> = serde_json::from_slice(body).ok()?;
        black_box(read.staff_user_id);
        let status_name = match read.status {
            "open" => "open",
            "in-progress" => "in_progress",
            "resolved" => "resolved",
            "closed" => "closed",
            _ => return None,
        };
        let mut headers = HeaderMap::with_capacity(8);
        let token = HeaderValue::from_static("a-token-of-the-usual-length");
        headers.insert("thalamus-token", token);
        headers.insert("thalamus-touchpoint", HeaderValue::from_static("web"));
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Some(Outgoing {
            method: Method::PUT,
            target: format!("/api/v4/cases/{ticket}/transitions"),
            headers,
            body: serde_json::to_vec(&ThalamusRequest { status_name }).ok()?,
            lossy: Vec::new(),
        })
    }

    fn translate_reply(status: u16, body: &[u8]) -> Option<WrittenAnswer> {
        if status != 201 {
            return None;
        }
        let read: ThalamusReply<'_> = serde_json::from_slice(body).ok()?;
        let status = match read.case.status {
            "open" | "Open" => "open",
            "in_progress" | "In progress" => "in-progress",
            "resolved" | "Resolved" => "resolved",
            "closed" | "Closed" => "closed",
            _ => return None,
        };
        let message = format!("Status changed to {status}");
        let written = SeriesReply { success: true, data: Data { message: &message } };
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        Some(WrittenAnswer { status: 200, headers, body: serde_json::to_vec(&written).ok()? })
    }

    #[divan::bench]
    fn request(bencher: Bencher<'_, '_>) {
        let pair = pair();
        let samples = pair.client.samples;
        let ticket = pair.upstream.samples.ticket;
        let translate = || {
            let body = black_box(samples.request.as_bytes());
            translate_request(black_box(samples.path), body, ticket)
        };
        let (ours, theirs) = (pair.request(), translate().expect("the sample is right"));
        assert_eq!((ours.target, ours.headers), (theirs.target, theirs.headers));
        assert_eq!(ours.body, theirs.body, "both do the same work");
        bencher.bench_local(translate);
    }

    #[divan::bench]
    fn reply(bencher: Bencher<'_, '_>) {
        let pair = pair();
        let (status, _, body) = pair.upstream.samples.reply;
        let translate = || translate_reply(status, black_box(body.as_bytes()));
        let ours = pair.reply(&pair.client.read_request());
        let theirs = translate().expect("the sample is right");
        assert_eq!((ours.status, ours.body), (theirs.status, theirs.body), "both do the same work");
        bencher.bench_local(translate);
    }
}

fn main() {
    divan::main();
}
