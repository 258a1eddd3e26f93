//! How a client comes to the gateway: in HTTP/1.1 or HTTP/2, plain or in TLS.

use std::sync::Arc;

use latimer::tls::{ClientStream, Offer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::connections::right;
use crate::harness::Answer;
use crate::http2::client::{self, Client};
use crate::secured::Stage;
use crate::vendors::Request;

/// What is spoken to the gateway. Without a stage that is not in TLS.
#[derive(Clone)]
pub(super) struct Wire {
    stage: Option<Arc<Stage>>,
    /// Clients that share a connection in HTTP/2; none where it is HTTP/1.1.
    streams: usize,
}

/// A connection.
#[derive(Clone)]
pub(super) enum Line {
    Plain(Arc<tokio::sync::Mutex<TcpStream>>),
    Secured(Arc<tokio::sync::Mutex<ClientStream<TcpStream>>>),
    Streams(Client),
}

/// A right request, in both versions.
pub(super) struct Message {
    /// In HTTP/1.1.
    bytes: Vec<u8>,
    /// The connection ends with it, if that is HTTP/1.1.
    closes: bool,
    request: Request,
}

impl Wire {
    pub(super) fn plain() -> Self {
        Self { stage: None, streams: 0 }
    }

    pub(super) fn secured() -> Self {
        Self { stage: Some(Arc::new(Stage::new())), streams: 0 }
    }

    /// In HTTP/2 with so many clients on a connection.
    pub(super) fn with_streams(self, streams: usize) -> Self {
        Self { streams, ..self }
    }

    pub(super) fn listen(&self) -> String {
        let plain = || "127.0.0.1:0".to_owned();
        self.stage.as_ref().map_or_else(plain, |stage| stage.listen(None))
    }

    /// Clients that share a connection; they keep it.
    pub(super) fn streams(&self) -> usize {
        self.streams
    }

    pub(super) async fn connect(&self, address: &str) -> Line {
        match (&self.stage, self.streams) {
            (None, 0) => {
                let stream = TcpStream::connect(address).await.unwrap();
                Line::Plain(Arc::new(stream.into()))
            }
            (Some(stage), 0) => {
                let stream = TcpStream::connect(address).await.unwrap();
                let client = stage.client_offering(Offer::Http1);
                Line::Secured(Arc::new(client.connect(stream).await.unwrap().into()))
            }
            (None, _) => Line::Streams(Client::plain(address).await),
            (Some(stage), _) => {
                Line::Streams(Client::on("https", client::shake_hands(address, stage).await).await)
            }
        }
    }
}

impl Line {
    /// One call; the gateway may answer before it has taken all of it.
    pub(super) async fn call(&self, message: &Message) -> Answer {
        match self {
            Self::Plain(stream) => message.exchange(&mut *stream.lock().await).await,
            Self::Secured(stream) => message.exchange(&mut *stream.lock().await).await,
            Self::Streams(client) => {
                client.clone().call("gateway.test", &message.request).await.unwrap()
            }
        }
    }
}

impl Message {
    /// On a connection that goes on.
    pub(super) fn small() -> Self {
        Self { bytes: right(), closes: false, request: crate::http2::right() }
    }

    /// With white space before its body.
    pub(super) fn large(filling_bytes: usize) -> Self {
        let text = String::from_utf8(right()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let (head, _) = head.split_once("\r\nContent-Length").unwrap();
        let body = format!("{}{body}", " ".repeat(filling_bytes));
        let length = body.len();
        let head = format!("{head}\r\nConnection: close\r\nContent-Length: {length}");
        let bytes = format!("{head}\r\n\r\n{body}").into_bytes();
        let request = Request { body, ..crate::http2::right() };
        Self { bytes, closes: true, request }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    async fn exchange<S: AsyncRead + AsyncWrite>(&self, stream: S) -> Answer {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let mut told = Vec::new();
        let sending = async {
            let _ = writing.write_all(&self.bytes).await;
            let _ = writing.flush().await;
        };
        let hearing = async {
            while self.closes || !told.ends_with(b"}") {
                if reading.read_buf(&mut told).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        tokio::join!(sending, hearing);
        Answer::parse(&told)
    }
}
