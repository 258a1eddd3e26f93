//! TLS on both sides: what clients are shown and have to show, what upstreams have to show and are shown.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use latimer::sim::{Simulator, Vendor};
use latimer::tls::{Client, ClientSettings, ClientStream, Files, Identity, Offer, Roots};
use latimer::tls::{Server, ServerSettings};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::authority::{Authority, Issued};
use crate::harness::{Answer, Gateway, Home, KEY, PATIENCE, exchange, simulator, upstream};
use crate::vendors::{request, ticket};

const HOST: &str = "gateway.test";

/// Authorities and certificates in a folder.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    pub(crate) ours: Authority,
    partners: Authority,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let (ours, partners) = (Authority::new("ours"), Authority::new("partners"));
        let stage = Self { folder: tempfile::tempdir().unwrap(), ours, partners };
        stage.write("ours.pem", &stage.ours.pem());
        stage.write("partners.pem", &stage.partners.pem());
        stage.issued("gateway", &stage.ours.issue(HOST));
        stage
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        // Whole or not at all, as what issues certificates writes them.
        let (new, path) = (self.path("new"), self.path(name));
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, path).unwrap();
    }

    pub(crate) fn issued(&self, name: &str, issued: &Issued) -> Files {
        self.write(&format!("{name}.cert"), &issued.cert);
        self.write(&format!("{name}.key"), &issued.key);
        let path = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        Files { cert: path("cert"), key: path("key") }
    }

    fn roots(&self, name: &str) -> Roots {
        Roots::read(Path::new(&self.path(name))).unwrap()
    }

    /// `listen` of a gateway that speaks TLS.
    pub(crate) fn listen(&self, client_ca: Option<&str>) -> String {
        let (cert, key) = (self.path("gateway.cert"), self.path("gateway.key"));
        let client_ca = client_ca.map(|name| format!(", client_ca: {}", self.path(name)));
        let client_ca = client_ca.unwrap_or_default();
        format!("{{addr: 127.0.0.1:0, tls: {{cert: {cert}, key: {key}{client_ca}}}}}")
    }

    /// A client that believes our authority.
    fn client(&self, shown: Option<&Issued>) -> Client {
        let identity = shown.map(|issued| Identity::read(self.issued("client", issued)).unwrap());
        let settings = ClientSettings { roots: self.roots("ours.pem"), identity };
        Client::new(&settings, HOST, Offer::Http1).unwrap()
    }

    /// The same without a certificate, by what it offers.
    pub(crate) fn client_offering(&self, offer: Offer) -> Client {
        let settings = ClientSettings { roots: self.roots("ours.pem"), identity: None };
        Client::new(&settings, HOST, offer).unwrap()
    }
}

/// Takes TLS off in front of a simulator.
struct Terminator {
    port: u16,
    handshakes: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Terminator {
    async fn start(tls: Server, simulator: &Simulator) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (behind, handshakes) = (simulator.addr(), Arc::new(AtomicUsize::new(0)));
        let counter = Arc::clone(&handshakes);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tls, counter) = (tls.clone(), Arc::clone(&counter));
                tokio::spawn(async move {
                    // Held open until the other side has gone: a reset could overtake what is said.
                    let stream = stream.into_std().unwrap();
                    let mut held = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
                    let stream = TcpStream::from_std(stream).unwrap();
                    let Ok(mut near) = tls.accept(stream).await else {
                        let _ = held.read_to_end(&mut Vec::new()).await;
                        return;
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    let mut far = TcpStream::connect(behind).await.unwrap();
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
            }
        });
        Self { port, handshakes, task }
    }

    fn handshakes(&self) -> usize {
        self.handshakes.load(Ordering::Relaxed)
    }
}

impl Drop for Terminator {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A Series with a ticket, and the configuration of a route to it with these lines in its upstream.
async fn series(url: impl Fn(&Simulator) -> String, more: &str) -> (Simulator, String) {
    let simulator = simulator(Vendor::Series, &[(ticket(Vendor::Series, 1), "open")]).await;
    let text = format!(
        "bounds: {{header_timeout: 400ms}}\nupstreams:\n{}{more}routes:\n  \
         series: {{client: series, upstream: series, consumers: [tester]}}\n",
        upstream(Vendor::Series, &url(&simulator))
    );
    (simulator, text)
}

/// The same behind TLS: on `localhost`, with a certificate of our authority.
async fn behind_tls(
    stage: &Stage,
    client_ca: Option<&str>,
    more: &str,
) -> (Simulator, Terminator, String) {
    let (simulator, text) = series(Simulator::url, more).await;
    let identity =
        Identity::read(stage.issued("upstream", &stage.ours.issue("localhost"))).unwrap();
    let client_ca = client_ca.map(|name| stage.roots(name));
    let tls = Server::new(&ServerSettings { identity, client_ca }, Offer::Http1).unwrap();
    let terminator = Terminator::start(tls, &simulator).await;
    let (plain, port) = (simulator.addr().to_string(), terminator.port);
    let text = text.replace(&format!("http://{plain}"), &format!("https://localhost:{port}"));
    assert!(text.contains("https://"), "{text}");
    (simulator, terminator, text)
}

async fn start(listen: &str, text: &str) -> Gateway {
    Gateway::start_on(listen, "mappings", text, &[]).await
}

/// A right request, on a connection that is kept.
fn message() -> Vec<u8> {
    let request = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY);
    let mut message = format!("{} HTTP/1.1\r\nHost: {HOST}\r\n", request.line);
    for (name, value) in &request.headers {
        message.push_str(&format!("{name}: {value}\r\n"));
    }
    message.push_str(&format!("Content-Length: {}\r\n\r\n{}", request.body.len(), request.body));
    message.into_bytes()
}

/// The same, on a connection that ends with it.
fn closing(message: Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8(message).unwrap();
    text.replacen("\r\nHost: ", "\r\nConnection: close\r\nHost: ", 1).into_bytes()
}

async fn connect(gateway: &Gateway, client: &Client) -> std::io::Result<ClientStream<TcpStream>> {
    client.connect(TcpStream::connect(&gateway.address).await?).await
}

/// Sends a right request and reads its answer; the connection goes on.
async fn call(stream: &mut ClientStream<TcpStream>) -> std::io::Result<Answer> {
    stream.write_all(&message()).await?;
    stream.flush().await?;
    let mut told = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        told.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&told);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if body.len() >= length.unwrap().parse::<usize>().unwrap() {
            return Ok(Answer::parse(&told));
        }
    }
}

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, work).await.expect("it ends in time")
}

#[tokio::test]
async fn tls_to_the_gateway_and_tls_to_the_upstream() {
    let stage = Stage::new();
    let more = format!("    ca: {}\n", stage.path("ours.pem"));
    let (simulator, terminator, text) = behind_tls(&stage, None, &more).await;
    let gateway = start(&stage.listen(None), &text).await;
    in_time(async {
        let mut stream = connect(&gateway, &stage.client(None)).await.unwrap();
        // At once, and after a while in which the gateway's side has gone to sleep.
        for pause in [0, 0, 300] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let answer = call(&mut stream).await.unwrap();
            assert_eq!(answer.status, 200, "{answer:?}");
            assert_eq!(answer.header("x-latimer-outcome"), Some("yes"), "{answer:?}");
        }
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        assert!(rest.is_empty(), "it ends as TLS ends");
    })
    .await;
    assert_eq!((terminator.handshakes(), simulator.log().len()), (1, 3));
    gateway.stop().await;
    simulator.stop().await;
}

/// The end of a handshake and a whole request in one piece: what TLS keeps is seen before the socket,
/// which has nothing more.
#[tokio::test]
async fn a_request_may_come_with_the_end_of_the_handshake() {
    let stage = Stage::new();
    let (simulator, text) = series(Simulator::url, "").await;
    let gateway = start(&stage.listen(None), &text).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(stage.ours.pem().as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut session =
        rustls::ClientConnection::new(Arc::new(config), HOST.try_into().unwrap()).unwrap();
    // It waits for the handshake, and leaves with its end.
    session.writer().write_all(&message()).unwrap();
    let address = gateway.address.clone();
    let calling = tokio::task::spawn_blocking(move || {
        let mut socket = std::net::TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut told = [0; 15];
        rustls::Stream::new(&mut session, &mut socket).read_exact(&mut told).unwrap();
        String::from_utf8_lossy(&told).into_owned()
    });
    assert_eq!(in_time(calling).await.unwrap(), "HTTP/1.1 200 OK");
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn an_upstream_that_cannot_be_believed_gets_nothing() {
    let stage = Stage::new();
    let cases = [
        (format!("    ca: {}\n", stage.path("partners.pem")), "localhost", "UnknownIssuer"),
        (format!("    ca: {}\n", stage.path("ours.pem")), "127.0.0.1", "not valid for name"),
        // The system does not know our authority.
        (String::new(), "localhost", "UnknownIssuer"),
    ];
    for (more, host, wanted) in cases {
        let (simulator, terminator, text) = behind_tls(&stage, None, &more).await;
        let gateway = start("127.0.0.1:0", &text.replace("localhost", host)).await;
        refused(&gateway).await;
        assert_eq!((terminator.handshakes(), simulator.log().len()), (0, 0), "{wanted}");
        let log = gateway.terminate().await;
        assert!(log.iter().any(|line| line.contains(wanted)), "{wanted}: {log:#?}");
        simulator.stop().await;
    }
}

/// Without a `ca` the roots are the system's, which are where OpenSSL's variable says.
#[tokio::test]
async fn an_upstream_that_the_system_believes_is_believed() {
    let stage = Stage::new();
    let (simulator, terminator, text) = behind_tls(&stage, None, "").await;
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    for (roots, status) in [("ours.pem", 200), ("partners.pem", 502)] {
        let mut command = home.command();
        command.env("SSL_CERT_FILE", stage.path(roots)).env_remove("SSL_CERT_DIR");
        let gateway = Gateway::launch(&home, command).await;
        let answer = Answer::parse(&exchange(&gateway.address, &closing(message())).await);
        assert_eq!(answer.status, status, "{roots}: {answer:?}");
        gateway.stop().await;
    }
    assert_eq!((terminator.handshakes(), simulator.log().len()), (1, 1));
    simulator.stop().await;
}

/// The upstream's certificate is for one of the two names that it is listed by.
#[tokio::test]
async fn each_endpoint_has_to_show_its_own_name() {
    let stage = Stage::new();
    let more = format!("    ca: {}\n    balance: failover\n", stage.path("ours.pem"));
    let (simulator, terminator, text) = behind_tls(&stage, None, &more).await;
    let port = terminator.port;
    let url = text.lines().find(|line| line.contains("url: ")).unwrap();
    let good = url.trim().strip_prefix("url: ").unwrap();
    let wrong = good.replace("localhost", "127.0.0.1");
    for urls in [format!("[{wrong}, {good}]"), format!("[{good}, {wrong}]")] {
        let before = terminator.handshakes();
        let several = text.replace(url, &format!("    urls: {urls}"));
        assert!(several.contains(&format!("https://127.0.0.1:{port}")), "{several}");
        let gateway = start(&stage.listen(None), &several).await;
        in_time(async {
            let mut stream = connect(&gateway, &stage.client(None)).await.unwrap();
            let answer = call(&mut stream).await.unwrap();
            assert_eq!(answer.status, 200, "{urls}: {answer:?}");
        })
        .await;
        assert_eq!(terminator.handshakes(), before + 1, "{urls}");
        gateway.stop().await;
    }
    assert_eq!(simulator.log().len(), 2);
    simulator.stop().await;
}

/// The call is refused because the upstream cannot be reached: nothing was done.
async fn refused(gateway: &Gateway) {
    let request = request(Vendor::Series, &ticket(Vendor::Series, 1), "resolved", KEY);
    let headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let answer = gateway.call(&request.line, &headers, &request.body).await;
    assert_eq!(answer.header("x-latimer-fault"), Some("upstream_unreachable"), "{answer:?}");
    assert_eq!(answer.header("x-latimer-outcome"), Some("no"), "{answer:?}");
}

#[tokio::test]
async fn an_upstream_is_shown_our_certificate() {
    let stage = Stage::new();
    let shown = stage.issued("latimer", &stage.partners.issue("latimer"));
    let unknown = stage.issued("unknown", &stage.ours.issue("latimer"));
    for (files, fits) in [(Some(shown), true), (Some(unknown), false), (None, false)] {
        let mut more = format!("    ca: {}\n", stage.path("ours.pem"));
        if let Some(Files { cert, key }) = files {
            let (cert, key) = (cert.display(), key.display());
            more.push_str(&format!("    client_cert: {{cert: {cert}, key: {key}}}\n"));
        }
        let (simulator, terminator, text) = behind_tls(&stage, Some("partners.pem"), &more).await;
        let gateway = start(&stage.listen(None), &text).await;
        in_time(async {
            let mut stream = connect(&gateway, &stage.client(None)).await.unwrap();
            let answer = call(&mut stream).await.unwrap();
            if fits {
                assert_eq!(answer.status, 200, "{answer:?}");
            } else {
                let fault = answer.header("x-latimer-fault");
                assert_eq!(fault, Some("upstream_unreachable"), "{answer:?}");
                assert_eq!(answer.header("x-latimer-outcome"), Some("no"), "{answer:?}");
            }
        })
        .await;
        let reached = usize::from(fits);
        assert_eq!((terminator.handshakes(), simulator.log().len()), (reached, reached));
        gateway.stop().await;
        simulator.stop().await;
    }
}

#[tokio::test]
async fn clients_show_a_certificate_where_one_is_asked_for() {
    let stage = Stage::new();
    let (simulator, text) = series(Simulator::url, "").await;
    let gateway = start(&stage.listen(Some("partners.pem")), &text).await;
    let (good, wrong) = (stage.partners.issue("acme"), stage.ours.issue("acme"));
    in_time(async {
        for shown in [None, Some(&wrong)] {
            // With TLS 1.3 the client hears of it when it reads.
            let refused = match connect(&gateway, &stage.client(shown)).await {
                Ok(mut stream) => call(&mut stream).await.map(drop),
                Err(error) => Err(error),
            };
            assert!(refused.is_err());
        }
        assert!(simulator.log().is_empty(), "nothing may be sent");
        let mut stream = connect(&gateway, &stage.client(Some(&good))).await.unwrap();
        assert_eq!(call(&mut stream).await.unwrap().status, 200);
    })
    .await;
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_handshake_has_the_time_of_a_head() {
    let stage = Stage::new();
    let (simulator, text) = series(Simulator::url, "").await;
    let gateway = start(&stage.listen(None), &text).await;
    let limit = Duration::from_millis(400);
    in_time(async {
        // Nothing, and the beginning of a record that does not come.
        for said in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"] {
            let began = Instant::now();
            let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
            stream.write_all(said).await.unwrap();
            let mut told = Vec::new();
            // A reset ends it as well.
            let _ = stream.read_to_end(&mut told).await;
            assert!(told.is_empty(), "{told:?}");
            assert!(began.elapsed() >= limit, "not before its time");
            assert!(began.elapsed() < 5 * limit, "{:?}", began.elapsed());
        }
        // What is no TLS is not waited for.
        let began = Instant::now();
        let mut stream = TcpStream::connect(&gateway.address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
        assert!(!told.starts_with(b"HTTP"), "{told:?}");
        assert!(began.elapsed() < limit, "{:?}", began.elapsed());

        // Behind a handshake a head that does not end is told so, as on a plain connection.
        let mut stream = connect(&gateway, &stage.client(None)).await.unwrap();
        stream.write_all(b"POST /tick").await.unwrap();
        let mut told = Vec::new();
        let _ = stream.read_to_end(&mut told).await;
        assert_eq!(Answer::parse(&told).status, 408);
    })
    .await;
    gateway.stop().await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_half_handshake_does_not_hold_up_a_stop() {
    let stage = Stage::new();
    let (simulator, text) = series(Simulator::url, "").await;
    let patient = text.replace("header_timeout: 400ms", "header_timeout: 1h");
    let gateway = start(&stage.listen(None), &patient).await;
    let mut silent = TcpStream::connect(&gateway.address).await.unwrap();
    silent.write_all(b"\x16\x03\x01").await.unwrap();
    // Another one that went through tells that the silent one was accepted.
    let mut stream = connect(&gateway, &stage.client(None)).await.unwrap();
    assert_eq!(in_time(call(&mut stream)).await.unwrap().status, 200);
    gateway.terminate().await;
    simulator.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_up_while_serving() {
    let stage = Stage::new();
    let (simulator, text) = series(Simulator::url, "").await;
    let gateway = start(&stage.listen(None), &text).await;
    let shown = async || {
        let mut stream = connect(&gateway, &stage.client(None)).await.unwrap();
        assert_eq!(call(&mut stream).await.unwrap().status, 200);
        stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
    };
    in_time(async {
        let before = shown().await;
        stage.issued("gateway", &stage.ours.issue(HOST));
        gateway.until_logged("the certificate was replaced").await;
        let after = shown().await;
        assert_ne!(after, before);
        // One that cannot be used changes nothing, and is told of.
        stage.write("gateway.cert", "damaged");
        gateway.until_logged("there is no certificate in the file").await;
        assert_eq!(shown().await, after);
    })
    .await;
    let log = gateway.terminate().await;
    let told = |text: &str| log.iter().filter(|line| line.contains(text)).count();
    assert_eq!(told("the certificate was replaced"), 1, "{log:#?}");
    assert_eq!(told("there is no certificate in the file"), 1, "{log:#?}");
    simulator.stop().await;
}
