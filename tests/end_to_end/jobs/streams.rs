//! Jobs of an upstream that speaks HTTP/2.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::Reason;

use super::*;

/// What becomes of a stream: it is reset, or answered so.
type Stream = Result<(u16, String), Reason>;

/// An upstream that ends its streams so, one after the other, and tells their lines.
async fn peer(
    listener: TcpListener,
    script: impl IntoIterator<Item = Stream>,
) -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let (log, mut script) = (Arc::clone(&seen), script.into_iter().collect::<Vec<_>>().into_iter());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let line = format!("{} {}", request.method(), request.uri().path());
                log.lock().unwrap().push(line);
                match script.next().expect("no stream more than were to come") {
                    Err(reason) => respond.send_reset(reason),
                    Ok((status, body)) => {
                        let head = http::Response::builder().status(status).body(()).unwrap();
                        let mut sending = respond.send_response(head, false).unwrap();
                        sending.send_data(Bytes::from(body), true).unwrap();
                    }
                }
            }
        }
    });
    seen
}

#[tokio::test]
async fn streams_are_asked_after_like_any_other_call() {
    let impatient = Impatient::new();
    let error = r#"{"error":{"code":"SYS.1005","description":"no","details":"no"}}"#;
    let lost = || Err(Reason::INTERNAL_ERROR);
    let (running, done) = ((202, "{}".to_owned()), (200, DONE.to_owned()));
    for (what, first, then, wanted) in [
        ("a job", None, vec![Ok(running.clone()), Ok(done.clone())], YES),
        ("a job that is reset once", None, vec![lost(), Ok(done.clone())], YES),
        ("a job that fails", None, vec![Ok((503, error.to_owned()))], no("conflict")),
        ("a lost answer", Some(lost()), vec![Ok(running), Ok(done)], YES),
        ("a lost answer of no job", Some(lost()), vec![Ok((404, EXPIRED.to_owned()))], UNKNOWN),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asks_by_id = first.is_some();
        let location = format!(r#"{{"location":"{url}/v1/api-jobs/1f","apiTimeout":1800000}}"#);
        let questions = then.len();
        let script = [vec![first.unwrap_or(Ok((202, location)))], then].concat();
        let seen = peer(listener, script).await;
        let streams = format!("{}    http: 2\n", upstream(Vendor::Zstack, &url));
        let (text, files) = configuration(Vendor::Series, &streams, "5s");
        let folder = impatient.0.path();
        let gateway = Gateway::start_with(folder, &text, &files).await;
        let got = resolve(&gateway).await;
        assert_eq!(outcome(&got), wanted, "{what}: {got:?}");
        let job = if asks_by_id { got.header("x-request-id").unwrap() } else { "1f" };
        let write = format!("PUT /v1/tickets/{}/actions", ticket(Vendor::Zstack, 1));
        let question = format!("GET /v1/api-jobs/{job}");
        let wanted = [vec![write], vec![question; questions]].concat();
        assert_eq!(*seen.lock().unwrap(), wanted, "{what}");
        gateway.stop().await;
    }
}
