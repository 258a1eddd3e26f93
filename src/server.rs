//! The listener that clients reach.
//!
//! hyper serves HTTP/1; around the call stands the outer rim of tower layers. What a connection may
//! cost is bounded here: the time and size of a head, the number of connections.

mod head;
mod pace;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use self::pace::{Calling, Paced};
use crate::bounds;
use crate::call::{self, CallRecord, Services};
use crate::ident::CallId;
use crate::telemetry;

/// Serves until told to stop, then lets calls in flight finish within `drain`.
pub async fn run(
    listener: TcpListener,
    services: Arc<Services>,
    mut stop: watch::Receiver<bool>,
    drain: Duration,
) {
    let permits = services.plan.bounds.concurrency_max;
    let connections = Arc::new(Semaphore::new(permits));
    loop {
        let permit = tokio::select! {
            permit = Arc::clone(&connections).acquire_owned() => permit,
            _ = stop.changed() => break,
        };
        let Ok(permit) = permit else { break };
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, mostly: wait for some to be given back.
                    tracing::warn!(target: "latimer::server", %error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = stop.changed() => break,
        };
        let services = Arc::clone(&services);
        let stop = stop.clone();
        let open = services.metrics.connection();
        tokio::spawn(async move {
            connection(stream, services, stop).await;
            drop((open, permit));
        });
    }
    drop(listener);
    let all = u32::try_from(permits).unwrap_or(u32::MAX);
    if tokio::time::timeout(drain, connections.acquire_many(all)).await.is_err() {
        tracing::warn!(target: "latimer::server", "calls were still in flight when the time to drain ended");
    }
}

async fn connection(stream: TcpStream, services: Arc<Services>, mut stop: watch::Receiver<bool>) {
    // An answer is written whole; waiting for more of it would only cost time.
    let _ = stream.set_nodelay(true);
    let limits = services.plan.bounds;
    let calling = Calling::default();
    let stream = Paced::new(stream, calling.clone(), limits.header_timeout, limits.idle_timeout);
    let answer = tower::service_fn(move |request: Request<Incoming>| {
        let (services, calling) = (Arc::clone(&services), calling.clone());
        async move {
            let _calling = calling.begin();
            if let Some(status) = head::refused(&request, services.plan.bounds.head_bytes_max) {
                return Ok::<_, Infallible>(bare(status));
            }
            let mut told = Told { record: CallRecord::begun(CallId::random()), services };
            let response = call::handle(&told.services, request, &mut told.record).await;
            Ok(response)
        }
    });
    // Outermost, so that a defect in any stage costs one call and not the connection's task.
    let service = ServiceBuilder::new().layer(CatchPanicLayer::custom(panicked)).service(answer);
    let serving = http1::Builder::new()
        .header_read_timeout(None)
        .max_buf_size(limits.head_bytes_max)
        .max_headers(bounds::HEADERS_MAX)
        // A client that shuts its write side early still gets its answer.
        .half_close(true)
        .title_case_headers(true)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(serving);
    let served = tokio::select! {
        served = serving.as_mut() => served,
        _ = stop.changed() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(target: "latimer::server", %error, "a connection ended early");
    }
}

/// What is told to whom speaks no HTTP, and the end of the connection.
fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    response
}

/// Tells of a call when it is over: also of one whose client went away, or that panicked.
struct Told {
    services: Arc<Services>,
    record: CallRecord,
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.record.is_closed() {
            self.record.abandon();
        }
        telemetry::log_call(&self.record);
        self.services.metrics.count(&self.record);
    }
}

/// A panic is a defect of ours; what the client's call came to is not known.
fn panicked(_: Box<dyn std::any::Any + Send + 'static>) -> Response<Full<Bytes>> {
    tracing::error!(target: "latimer::server", "a call panicked: this is a defect, please report it");
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    let outcome = http::HeaderValue::from_static("unknown");
    response.headers_mut().insert("x-latimer-outcome", outcome);
    response
}
