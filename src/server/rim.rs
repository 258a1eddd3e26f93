//! Where a request enters a call, and what stands around every call.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tower::{Layer, Service, ServiceBuilder};

use crate::bounds;
use crate::call::{self, CallRecord};
use crate::ident::CallId;
use crate::server::head;
use crate::server::pace::Calling;
use crate::server::worker::Shared;
use crate::telemetry;

/// Calls that may be on their way to a worker: as many as there are in flight where nothing else is said.
const LEFT_MAX: usize = bounds::CONCURRENCY_MAX;

/// A call on its way to its answer.
pub(super) type Running =
    Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// What hyper calls for each request of a connection.
#[derive(Clone, Debug)]
pub(super) struct Rim {
    pub(super) shared: Arc<Shared>,
    pub(super) calling: Calling,
}

/// Where a call goes that hyper gives up, if a byte of its request to the upstream may have left: a write
/// has to be seen through though its client has gone. At the other end is its worker.
#[derive(Clone, Debug)]
pub(super) struct Left(mpsc::Sender<Running>);

/// A call's answer, some time.
///
/// hyper does not look at a connection of HTTP/1 during a call and so sees every call through, but for one
/// whose interim answer (100) cannot be written any more. That is its choice and may change, and the outcome
/// of a write must not hang on it.
///
/// One that is answered before it is over goes on without its connection.
pub(super) struct Answering {
    running: Option<Running>,
    calling: Calling,
    left: Left,
}

impl Left {
    /// Both ends.
    pub(super) fn channel() -> (Self, mpsc::Receiver<Running>) {
        let (left, taken) = mpsc::channel(LEFT_MAX);
        (Self(left), taken)
    }
}

impl Future for Answering {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(running) = &mut self.running else { return Poll::Pending };
        let polled = running.as_mut().poll(context);
        if polled.is_ready() {
            self.running = None;
        }
        let Some(early) = self.calling.take_early() else { return polled };
        match self.running.take().map(|running| self.left.0.try_send(running)) {
            None | Some(Ok(())) => Poll::Ready(Ok(early)),
            // A worker that is that far behind takes no more: then the client waits for the call's end.
            Some(Err(TrySendError::Full(running) | TrySendError::Closed(running))) => {
                self.running = Some(running);
                self.calling.put_early(early);
                Poll::Pending
            }
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if self.calling.departure().has_left() == Some(true)
            && let Some(running) = self.running.take()
        {
            // A worker that has ended, or is that far behind, sees nothing through: then the call is given
            // up.
            let _ = self.left.0.try_send(running);
        }
    }
}

impl hyper::service::Service<Request<Incoming>> for Rim {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        let Self { shared, calling } = self;
        let left = shared.left.clone();
        calling.departure().reset();
        // What a call has left behind that was given up is not the next one's.
        calling.take_early();
        // Outermost, so that a defect in any stage costs one call and not the connection's task.
        let id = CallId::random();
        let mut service =
            ServiceBuilder::new().layer(CatchPanic(id)).service_fn(|request: Request<Incoming>| {
                answer(Arc::clone(shared), calling.clone(), id, request)
            });
        // On the heap, once: it is moved several times before it is first polled. The place comes before what
        // goes there, which is then not moved there as well.
        let running = Box::write(Box::new_uninit(), service.call(request));
        Answering { running: Some(Box::into_pin(running)), calling: calling.clone(), left }
    }
}

async fn answer(
    shared: Arc<Shared>,
    calling: Calling,
    id: CallId,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut call = Some(calling.begin());
    if calling.conflicts() {
        return Ok(bare(StatusCode::BAD_REQUEST));
    }
    if let Some(status) = head::refused(&request, shared.services.plan.bounds.head_bytes_max) {
        return Ok(bare(status));
    }
    let mut told = Told { record: CallRecord::begun(id), shared };
    told.record.departure = calling.departure().clone();
    told.record.peer = calling.peer();
    let services = &told.shared.services;
    let stopping = || told.shared.stopping.load(Ordering::Relaxed);
    let close = |mut response: Response<Full<Bytes>>| {
        if stopping() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    };
    let mut early = |response| {
        calling.put_early(close(response));
        // To its connection the call is over.
        call = None;
    };
    let response = call::handle(services, request, &mut told.record, &mut early).await;
    Ok(close(response))
}

/// What is told to whom speaks no HTTP, and the end of the connection.
fn bare(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Tells of a call when it is over: also of one that was given up, or that panicked.
struct Told {
    record: CallRecord,
    shared: Arc<Shared>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.record.is_closed() {
            self.record.abandon();
        }
        telemetry::log_call(&self.shared.services.plan, &self.record);
        self.shared.services.tally.count(&self.record);
    }
}

/// Answers for a call that panics.
///
/// tower-http has such a layer; it boxes the body of every answer.
#[derive(Clone, Copy, Debug)]
struct CatchPanic(CallId);

#[derive(Clone, Debug)]
struct Caught<S> {
    inner: S,
    call: CallId,
}

impl<S> Layer<S> for CatchPanic {
    type Service = Caught<S>;

    fn layer(&self, inner: S) -> Caught<S> {
        Caught { inner, call: self.0 }
    }
}

impl<S, R> Service<R> for Caught<S>
where
    S: Service<R, Response = Response<Full<Bytes>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CaughtFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        CaughtFuture { inner: self.inner.call(request), call: self.call }
    }
}

pin_project_lite::pin_project! {
    struct CaughtFuture<F> {
        #[pin]
        inner: F,
        call: CallId,
    }
}

impl<F, E> Future for CaughtFuture<F>
where
    F: Future<Output = Result<Response<Full<Bytes>>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let inner = this.inner;
        // After a panic it is dropped and not polled again.
        let polled = catch_unwind(AssertUnwindSafe(|| inner.poll(context)));
        polled.unwrap_or_else(|_| Poll::Ready(Ok(panicked(*this.call))))
    }
}

/// A panic is a defect of ours; what the client's call came to is not known.
fn panicked(id: CallId) -> Response<Full<Bytes>> {
    let call = id.digits();
    let call: &str = &call;
    tracing::error!(target: "latimer::server", call, "a call panicked: this is a defect, please report it");
    let mut response = call::nobody_knows(id);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use http_body_util::BodyExt;
    use tower::service_fn;

    use super::*;

    /// A call that waits for a word, given up; gives what its worker was handed, and the word's sender.
    fn given_up(has_left: bool) -> (mpsc::Receiver<Running>, tokio::sync::oneshot::Sender<u16>) {
        let (left, taken) = Left::channel();
        let (word, waiting) = tokio::sync::oneshot::channel();
        let running: Running = Box::pin(async move {
            let mut response = Response::new(Full::new(Bytes::new()));
            *response.status_mut() = StatusCode::from_u16(waiting.await.unwrap()).unwrap();
            Ok(response)
        });
        let calling = Calling::new(None);
        let mut answering = Answering { running: Some(running), calling, left };
        let polled = Pin::new(&mut answering).poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
        if has_left {
            answering.calling.departure().leave();
        }
        drop(answering);
        (taken, word)
    }

    #[tokio::test]
    async fn a_call_that_has_left_goes_on_when_it_is_given_up_and_another_one_ends() {
        let (mut taken, word) = given_up(true);
        let running = taken.recv().await.unwrap();
        word.send(201).unwrap();
        assert_eq!(running.await.unwrap().status(), 201);

        let (mut taken, word) = given_up(false);
        assert!(word.is_closed(), "it can send nothing more");
        assert!(taken.recv().await.is_none());
    }

    #[tokio::test]
    async fn an_answered_call_is_not_handed_on() {
        let (left, mut taken) = Left::channel();
        let calling = Calling::new(None);
        calling.departure().leave();
        let running: Running = Box::pin(async { Ok(bare(StatusCode::OK)) });
        let answering = Answering { running: Some(running), calling, left };
        assert_eq!(answering.await.unwrap().status(), 200);
        assert!(taken.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_panic_is_answered_as_unknown() {
        let call = CallId::random();
        let mut service = CatchPanic(call).layer(service_fn(|panics: bool| async move {
            assert!(!panics, "a defect");
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"fine"))))
        }));
        assert_eq!(service.call(false).await.unwrap().status(), 200);
        let answered = service.call(true).await.unwrap();
        assert_eq!(answered.status(), 500);
        let id = call.to_string();
        for (name, value) in [
            ("x-latimer-outcome", "unknown"),
            ("x-latimer-fault", "outcome_unknown"),
            ("x-request-id", &id),
            ("content-type", "application/problem+json"),
            ("connection", "close"),
        ] {
            assert_eq!(answered.headers()[name], value, "{name}");
        }
        let body = answered.into_body().collect().await.unwrap().to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], 500);
        let told = format!("do not repeat it before reading the ticket. Call {id}.");
        assert!(body["detail"].as_str().unwrap().ends_with(&told), "{body}");
    }
}
