//! A peer: the least that hyper's server and hyper-util's pooled client make together.
//!
//! `hyper_plain PORT UPSTREAM_PORT`. One thread; bodies pass as they come; no timeouts, no limits, no
//! metrics: what a proxy over this stack costs before it does anything.

use std::io;

use hyper::body::Incoming;
use hyper::header::HOST;
use hyper::http::uri::{Authority, Scheme};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo};
use latimer_compare::listener::{listen, port};
use tokio::net::TcpStream;

type Upstream = Client<HttpConnector, Incoming>;

#[derive(Clone)]
struct Proxy {
    upstream: Upstream,
    authority: Authority,
}

impl Proxy {
    fn new(port: u16) -> io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let upstream = Client::builder(TokioExecutor::new()).build(connector);
        let authority = format!("127.0.0.1:{port}").parse().map_err(io::Error::other)?;
        Ok(Self { upstream, authority })
    }

    async fn forward(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>, Error> {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.authority.clone());
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
        request.headers_mut().remove(HOST);
        self.upstream.request(request).await
    }
}

async fn serve(stream: TcpStream, proxy: Proxy) {
    let service = service_fn(|request| proxy.forward(request));
    // A client that breaks off is no affair of a measurement: who needed the answer misses it there.
    let _ended = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let proxy = Proxy::new(port(2)?)?;
    let listener = listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(serve(stream, proxy.clone()));
    }
}
