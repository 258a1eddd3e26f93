//! A client that speaks HTTP/2.

use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{Ping, PingPong, Reason, SendStream};
use latimer::tls::{ClientStream, Offer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};

use crate::harness::Answer;
use crate::secured::Stage;
use crate::vendors::Request;

/// One connection. A clone uses the same.
#[derive(Clone)]
pub(crate) struct Client {
    scheme: &'static str,
    sender: SendRequest<Bytes>,
    pings: Arc<Mutex<PingPong>>,
    over: watch::Receiver<Option<Arc<Result<(), h2::Error>>>>,
}

/// A call without its answer yet.
pub(crate) struct Answering {
    response: ResponseFuture,
    sending: SendStream<Bytes>,
}

/// A TLS connection whose client would like HTTP/2 best.
pub(crate) async fn shake_hands(address: &str, stage: &Stage) -> ClientStream<TcpStream> {
    let stream = TcpStream::connect(address).await.unwrap();
    stage.client_offering(Offer::Http2AndHttp1).connect(stream).await.unwrap()
}

impl Client {
    /// By prior knowledge.
    pub(crate) async fn plain(address: &str) -> Self {
        Self::on("http", TcpStream::connect(address).await.unwrap()).await
    }

    /// By ALPN.
    pub(crate) async fn secured(address: &str, stage: &Stage) -> Self {
        let stream = shake_hands(address, stage).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        Self::on("https", stream).await
    }

    pub(crate) async fn on<S>(scheme: &'static str, stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = h2::client::Builder::new();
        builder.initial_max_send_streams(0);
        let (sender, mut connection) = builder.handshake(stream).await.unwrap();
        let pings = Arc::new(Mutex::new(connection.ping_pong().unwrap()));
        let (tell, over) = watch::channel(None);
        tokio::spawn(async move {
            let ended = connection.await;
            let _ = tell.send(Some(Arc::new(ended)));
        });
        Self { scheme, sender, pings, over }
    }

    pub(crate) async fn call(
        &mut self,
        host: &str,
        request: &Request,
    ) -> Result<Answer, h2::Error> {
        self.begin(host, request).await?.answer().await
    }

    /// Sends a whole request.
    pub(crate) async fn begin(
        &mut self,
        host: &str,
        request: &Request,
    ) -> Result<Answering, h2::Error> {
        let mut answering = self.begin_open(host, request).await?;
        // The other side may have answered without it, and reset the stream.
        let _ = answering.sending.send_data(Bytes::from(request.body.clone()), true);
        Ok(answering)
    }

    /// Sends the head of a request.
    pub(crate) async fn begin_open(
        &mut self,
        host: &str,
        request: &Request,
    ) -> Result<Answering, h2::Error> {
        let (method, path) = request.line.split_once(' ').unwrap();
        let uri = format!("{}://{host}{path}", self.scheme);
        let mut head = http::Request::builder().method(method).uri(uri);
        for (name, value) in &request.headers {
            head = head.header(*name, value);
        }
        let mut sender = self.sender.clone().ready().await?;
        let (response, sending) = sender.send_request(head.body(()).unwrap(), false)?;
        Ok(Answering { response, sending })
    }

    /// Waits until all that was sent has been read.
    pub(crate) async fn ping(&self) -> Result<(), h2::Error> {
        self.pings.lock().await.ping(Ping::opaque()).await.map(drop)
    }

    /// Waits until the other side has said what it takes.
    pub(crate) async fn until_settings(&mut self) {
        while self.sender.current_max_send_streams() == 0 {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) fn streams_max(&self) -> usize {
        self.sender.current_max_send_streams()
    }

    /// Waits for the end of the connection.
    pub(crate) async fn over(&mut self) -> Result<(), String> {
        let ended = self.over.wait_for(Option::is_some).await.unwrap().clone().unwrap();
        ended.as_ref().as_ref().copied().map_err(ToString::to_string)
    }
}

impl Answering {
    pub(crate) async fn answer(self) -> Result<Answer, h2::Error> {
        let (head, mut body) = self.response.await?.into_parts();
        let mut bytes = Vec::new();
        while let Some(data) = body.data().await {
            let data = data?;
            let _ = body.flow_control().release_capacity(data.len());
            bytes.extend_from_slice(&data);
        }
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = head.headers.iter();
        Ok(Answer {
            status: head.status.as_u16(),
            headers: headers.map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// Changes its mind.
    pub(crate) fn reset(mut self) {
        self.sending.send_reset(Reason::CANCEL);
    }
}
