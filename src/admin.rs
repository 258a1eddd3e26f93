//! The listener of the operator: is it alive, is it ready.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::bounds;

/// Connections of the operator's at one time.
const CONNECTIONS_MAX: usize = 64;

/// Serves until the task is dropped.
pub async fn run(listener: TcpListener, ready: Arc<AtomicBool>) {
    let connections = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let ready = Arc::clone(&ready);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let response = answer(&request, ready.load(Ordering::Acquire));
                async move { Ok::<_, Infallible>(response) }
            });
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(bounds::HEADER_TIMEOUT)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(target: "latimer::admin", %error, "a connection ended early");
            }
            drop(permit);
        });
    }
}

fn answer<B>(request: &Request<B>, ready: bool) -> Response<Full<Bytes>> {
    let text = |status: StatusCode, text: &'static str| {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        *response.status_mut() = status;
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    };
    // A page in a browser could otherwise reach this listener under a name of its own.
    if !local_host(request) {
        return text(StatusCode::FORBIDDEN, "this listener answers to a local name only\n");
    }
    let known = match request.uri().path() {
        "/live" => text(StatusCode::OK, "live\n"),
        "/ready" if ready => text(StatusCode::OK, "ready\n"),
        "/ready" => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        _ => return text(StatusCode::NOT_FOUND, "not found\n"),
    };
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return known;
    }
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    refused
}

fn local_host<B>(request: &Request<B>) -> bool {
    let Some(host) = request.headers().get(HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    let name = match host.rfind(':') {
        Some(colon) if !host[colon..].contains(']') => &host[..colon],
        _ => host,
    };
    name.eq_ignore_ascii_case("localhost")
        || name.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: &str, path: &str, host: &str, ready: bool) -> u16 {
        let request =
            Request::builder().method(method).uri(path).header(HOST, host).body(()).unwrap();
        answer(&request, ready).status().as_u16()
    }

    #[test]
    fn live_ready_and_foreign_hosts() {
        assert_eq!(ask("GET", "/live", "127.0.0.1:9901", false), 200);
        assert_eq!(ask("HEAD", "/ready", "localhost:9901", true), 200);
        assert_eq!(ask("GET", "/ready", "[::1]:9901", false), 503);
        assert_eq!(ask("GET", "/live", "evil.example", true), 403);
        assert_eq!(ask("POST", "/live", "127.0.0.1", true), 405);
        assert_eq!(ask("GET", "/nothing", "127.0.0.1", true), 404);
    }
}
