//! The listener of the operator: is it alive, is it ready, what has it counted, how do limits stand.

mod limits;

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::bounds;
use crate::call::Metrics;
use crate::limit::Limits;
use crate::plan::Plan;
use crate::secret::Secret;

/// Connections of the operator's at one time.
const CONNECTIONS_MAX: usize = 64;

/// After an error there.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// What Prometheus asks for first.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const PLAIN: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// What the operator looks at.
#[derive(Debug)]
pub struct Operator {
    /// False while the gateway drains.
    pub ready: Arc<AtomicBool>,
    /// What was counted.
    pub metrics: Arc<Metrics>,
    /// How much may be called.
    pub limits: Arc<Limits>,
    /// The names of what is counted.
    pub plan: Arc<Plan>,
    /// What a request that changes something must show; without it none may.
    pub token: Option<Secret>,
}

/// Serves until the task is dropped.
pub async fn run(listener: TcpListener, operator: Operator) {
    let operator = Arc::new(operator);
    let connections = Arc::new(tokio::sync::Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, mostly: wait for some to be given back.
            tokio::time::sleep(ACCEPT_AGAIN).await;
            continue;
        };
        let operator = Arc::clone(&operator);
        tokio::spawn(async move {
            let answering = tower::service_fn(move |request: Request<Incoming>| {
                let operator = Arc::clone(&operator);
                async move { Ok::<_, Infallible>(serve(&operator, request).await) }
            });
            let service = ServiceBuilder::new().layer(CatchPanicLayer::new()).service(answering);
            let service = TowerToHyperService::new(service);
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

/// What may take a while, or changes something, and then the rest.
async fn serve(operator: &Arc<Operator>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if local_host(&request) && matches!(path, "/limits" | "/limits/reset") {
        return match (path, request.method()) {
            ("/limits", &Method::GET | &Method::HEAD) => {
                let (operator, uri) = (Arc::clone(operator), request.uri().clone());
                // There may be a million callers to look through.
                let handle = tokio::runtime::Handle::current();
                aside(move || {
                    handle.block_on(limits::show(&operator, uri.query().unwrap_or_default()))
                })
                .await
            }
            ("/limits", _) => not_allowed("GET, HEAD", "GET or HEAD\n"),
            (_, &Method::POST) => limits::reset(operator, request).await,
            (..) => not_allowed("POST", "POST\n"),
        };
    }
    let is_metrics = path == "/metrics";
    let ready = operator.ready.load(Ordering::Acquire);
    let operator = Arc::clone(operator);
    let answering = move || answer(&request, ready, || operator.metrics.text());
    if is_metrics { aside(answering).await } else { answering() }
}

/// Answers on a thread that may take its time: on this one the connections of clients are accepted.
async fn aside(
    answering: impl FnOnce() -> Response<Full<Bytes>> + Send + 'static,
) -> Response<Full<Bytes>> {
    let answered = tokio::task::spawn_blocking(answering).await;
    answered.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

fn not_allowed(allow: &'static str, told: &'static str) -> Response<Full<Bytes>> {
    let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, told);
    refused.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    refused
}

/// The metrics are written only for a request that gets them.
fn answer<B>(
    request: &Request<B>,
    ready: bool,
    metrics: impl FnOnce() -> Result<String, fmt::Error>,
) -> Response<Full<Bytes>> {
    // A page in a browser could otherwise reach this listener under a name of its own.
    if !local_host(request) {
        return text(StatusCode::FORBIDDEN, "this listener answers to a local name only\n");
    }
    let path = request.uri().path();
    if !matches!(path, "/live" | "/ready" | "/metrics") {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return not_allowed("GET, HEAD", "GET or HEAD\n");
    }
    match path {
        "/metrics" => match metrics() {
            Ok(metrics) => typed(StatusCode::OK, OPEN_METRICS, Bytes::from(metrics)),
            Err(fmt::Error) => {
                text(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n")
            }
        },
        "/ready" if !ready => text(StatusCode::SERVICE_UNAVAILABLE, "draining\n"),
        "/ready" => text(StatusCode::OK, "ready\n"),
        _ => text(StatusCode::OK, "live\n"),
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    typed(status, PLAIN, Bytes::from_static(text.as_bytes()))
}

fn typed(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
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
        answer(&request, ready, || Ok("a_total 1\n".to_owned())).status().as_u16()
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

    #[test]
    fn metrics_are_written_only_for_who_gets_them() {
        assert_eq!(ask("GET", "/metrics", "127.0.0.1", true), 200);
        // An operator wants to see the last calls while they end.
        assert_eq!(ask("GET", "/metrics", "127.0.0.1", false), 200);
        for (method, path, host, status) in [
            ("GET", "/metrics", "evil.example", 403),
            ("POST", "/metrics", "localhost", 405),
            ("GET", "/live", "localhost", 200),
        ] {
            let request =
                Request::builder().method(method).uri(path).header(HOST, host).body(()).unwrap();
            let response = answer(&request, true, || panic!("{method} {path} of {host}"));
            assert_eq!(response.status().as_u16(), status, "{method} {path} of {host}");
        }
    }
}
