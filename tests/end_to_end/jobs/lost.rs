//! A write whose answer did not come is asked after by the id that it gave its job, and never sent again.

use super::*;

/// Ways not to answer a write.
fn losses() -> Vec<(&'static str, Act)> {
    let truncated = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n{\"inv".to_vec();
    vec![
        ("a reset", Act::Reset),
        ("nothing", Act::Say(Vec::new())),
        ("a truncated body", Act::Say(truncated)),
        ("garbage", Act::Say(b"\x00\x01 this is not HTTP\r\n\r\n".to_vec())),
        ("a balancer's 502", message("502 Bad Gateway", "text/html", "<html>away</html>")),
        ("HTML as a success", message("200 OK", "text/html", "<html>hello</html>")),
        ("202 without a location", message("202 Accepted", "", "{}")),
        ("202 with a location that is no text", message("202 Accepted", "", r#"{"location":7}"#)),
    ]
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_by_the_jobs_id() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let url = format!("{}/zstack", scripted.url);
    let gateway = impatient.gateway(Vendor::Series, &url, "2s").await;
    // One that does not come at all is given up while there is time to ask.
    let late = [
        ("no answer", Act::Wait, vec![running(), done()], YES),
        ("no answer", Act::Wait, vec![expired()], UNKNOWN),
    ];
    let lost = losses().into_iter().flat_map(|(what, loss)| {
        let jobs = [
            (vec![done()], YES),
            (vec![running(), running(), done()], YES),
            (vec![Act::Reset, done()], YES),
            (vec![failed("SYS.1003")], no("not_found")),
            (vec![running(), failed("SYS.1005")], no("conflict")),
            (vec![expired()], UNKNOWN),
        ];
        jobs.map(|(job, wanted)| (what, loss.clone(), job, wanted))
    });
    for (what, loss, job, wanted) in lost.chain(late) {
        let questions = job.len();
        scripted.act(Act::InTurn([vec![loss.clone()], job].concat()));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), wanted, "{what}: {got:?}");
        let seen = scripted.take_seen();
        let writes = seen.iter().filter(|message| message.starts_with("PUT ")).count();
        assert_eq!((writes, seen.len()), (1, 1 + questions), "{what}: {seen:#?}");
        let id = field(&seen[0], "x-job-uuid").unwrap();
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        for question in &seen[1..] {
            let line = format!("GET /zstack/v1/api-jobs/{id} HTTP/1.1");
            assert_eq!(question.lines().next(), Some(line.as_str()), "{what}");
            assert_eq!(field(question, "authorization"), Some("OAuth sim-zstack-token"));
            assert_eq!(field(question, "x-job-uuid"), None);
        }
    }
    gateway.stop().await;
}

/// An answer that the mapping knows is an answer; and where nothing was sent there is nothing to ask.
#[tokio::test]
async fn a_known_answer_leaves_nothing_to_ask() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "1s").await;
    for (act, wanted) in [
        (done(), YES),
        (failed("SYS.1007"), no("invalid_status")),
        // ZStack itself says that it does not know.
        (failed("SYS.1001"), UNKNOWN),
        (message("400 Bad Request", "", "Duplicate job uuid[1]"), no("invalid_request")),
        (message("503 Unavailable", "text/html", "<html>away</html>"), no("upstream_failed")),
        (message("202 Accepted", "", r#"{"error":{"code":"ID.1002"}}"#), no("forbidden")),
    ] {
        scripted.act(act);
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), wanted, "{got:?}");
        asked(&scripted.take_seen(), &[]);
    }
    gateway.stop().await;
}

/// The write gets three quarters of the deadline, so that there is time to ask.
#[tokio::test]
async fn there_is_an_answer_within_the_deadline_though_nothing_answers() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::Wait).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "1s").await;
    let began = Instant::now();
    let got = resolve(&gateway).await;
    assert!(began.elapsed() < Duration::from_millis(1_900), "{:?}", began.elapsed());
    assert_eq!((got.status, outcome(&got)), (504, UNKNOWN), "{got:?}");
    let seen = scripted.take_seen();
    let writes = seen.iter().filter(|message| message.starts_with("PUT ")).count();
    assert_eq!(writes, 1, "{seen:#?}");
    assert!(seen.len() > 1, "it was asked for");
    gateway.stop().await;
}

/// A simulated ZStack whose second answer gets lost, and each second one from then on.
#[tokio::test]
async fn a_lost_answer_of_a_real_job_is_found() {
    let impatient = Impatient::new();
    let sim = asynchronous(&[(ticket(Vendor::Zstack, 1), "Pending")]).await;
    let gateway = impatient.gateway(Vendor::Series, &sim.url(), "5s").await;
    sim.set_faults(vec!["truncate,every=2".parse().unwrap()]);
    // A read is the first one, so that the write is the second.
    let probe = format!(
        "GET /v1/api-jobs/{} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n",
        "0".repeat(32)
    );
    crate::harness::exchange(&sim.addr().to_string(), probe.as_bytes()).await;
    let got = resolve(&gateway).await;
    assert_eq!(outcome(&got), YES, "{got:?}");
    let changes: u64 = sim.tickets().iter().map(|ticket| ticket.changes).sum();
    assert_eq!(changes, 1);
    assert_eq!(sim.log().iter().filter(|seen| seen.method == "PUT").count(), 1);
    gateway.stop().await;
}

/// Without a line to ask by the call's id, nothing is asked but what the answer names.
#[tokio::test]
async fn without_a_line_to_ask_by_a_lost_answer_stays_lost() {
    let impatient = Impatient::without_asking();
    let scripted = Scripted::start(Act::Reset).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "2s").await;
    for (what, loss) in losses() {
        scripted.act(Act::InTurn(vec![loss, done()]));
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), UNKNOWN, "{what}: {got:?}");
        asked(&scripted.take_seen(), &[]);
    }
    gateway.until_logged("the answer names no address to ask at").await;
    let location = accepted(&format!("{}/v1/api-jobs/1f", scripted.url));
    scripted.act(Act::InTurn(vec![location, running(), done()]));
    let got = resolve(&gateway).await;
    assert_eq!(outcome(&got), YES, "{got:?}");
    asked(&scripted.take_seen(), &["/v1/api-jobs/1f"; 2]);
    gateway.stop().await;
}

/// Whoever reads the log of an unknown outcome learns both why it was lost and what came of asking.
#[tokio::test]
async fn the_log_tells_both_why_it_was_lost_and_why_it_stays_so() {
    let impatient = Impatient::new();
    let scripted = Scripted::start(Act::InTurn(vec![Act::Reset, expired()])).await;
    let gateway = impatient.gateway(Vendor::Series, &scripted.url, "2s").await;
    assert_eq!(outcome(&resolve(&gateway).await), UNKNOWN);
    let log = gateway.terminate().await;
    let line = log.iter().find(|line| line.contains("knows no such job")).unwrap();
    assert!(line.contains("sent, and no answer came"), "{line}");
}
