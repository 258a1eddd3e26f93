//! Handshakes between the two sides, over sockets of this machine.

pub(crate) mod stage;

use std::fs;
use std::io;

use proptest::prelude::*;
use rustls::{AlertDescription, ProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};

use self::stage::{HOST, Stage};
use super::*;
use crate::bounds;

/// What was agreed on, and that a word went each way.
#[derive(Debug, PartialEq)]
struct Agreed {
    version: ProtocolVersion,
    protocols: (Protocol, Protocol),
    /// The certificate that the client saw.
    shown: Vec<u8>,
    /// True if the server saw one.
    client_shown: bool,
    /// True if it went on from the handshake before.
    resumed: bool,
}

/// A handshake over a socket: what the client and what the server say of it.
async fn shake(server: &Server, client: &Client) -> (io::Result<Agreed>, io::Result<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = async {
        let mut stream = server.accept(listener.accept().await?.0).await?;
        let mut asked = [0; 4];
        stream.read_exact(&mut asked).await?;
        let protocol = Server::protocol(&stream);
        let shown = stream.get_ref().1.peer_certificates().is_some();
        stream.write_all(if shown { b"you!" } else { b"who?" }).await?;
        stream.shutdown().await?;
        Ok::<_, io::Error>((protocol, shown))
    };
    let calling = async {
        let mut stream = client.connect(TcpStream::connect(address).await?).await?;
        stream.write_all(b"ping").await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let protocol = Client::protocol(&stream);
        let session = stream.get_ref().1;
        let shown = session.peer_certificates().unwrap()[0].to_vec();
        let resumed = session.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
        Ok::<_, io::Error>((session.protocol_version().unwrap(), protocol, shown, resumed))
    };
    let (served, called) = tokio::join!(serving, calling);
    match (served, called) {
        (Ok((theirs, client_shown)), Ok((version, ours, shown, resumed))) => {
            let protocols = (ours, theirs);
            (Ok(Agreed { version, protocols, shown, client_shown, resumed }), Ok(()))
        }
        (served, called) => {
            let called = called.and_then(|_| Err(io::Error::other("the server failed")));
            (called, served.map(drop))
        }
    }
}

fn cause(error: &io::Error) -> String {
    error.to_string()
}

#[tokio::test]
async fn both_sides_of_ours_agree() {
    let stage = Stage::new();
    let issued = stage.ours.issue(HOST);
    let server = stage.server(&issued, None);
    let client = stage.client("ours.pem", HOST, None);
    let (agreed, _) = shake(&server, &client).await;
    let agreed = agreed.unwrap();
    assert_eq!(agreed.version, ProtocolVersion::TLSv1_3);
    assert_eq!(agreed.protocols, (Protocol::Http1, Protocol::Http1));
    assert!(!agreed.client_shown);

    // An address in the place of a name.
    let server = stage.server(&stage.ours.issue("127.0.0.1"), None);
    let client = stage.client("ours.pem", "127.0.0.1", None);
    assert!(shake(&server, &client).await.0.is_ok());
}

#[tokio::test]
async fn http_2_is_spoken_if_both_offer_it() {
    let stage = Stage::new();
    let identity = stage.identity("server", &stage.ours.issue(HOST));
    let both = Offer::Http2AndHttp1;
    let server = Server::new(&ServerSettings { identity, client_ca: None }, both).unwrap();
    let settings = ClientSettings { roots: stage.roots("ours.pem"), identity: None };
    for (offer, agreed) in [(Offer::Http1, Protocol::Http1), (both, Protocol::Http2)] {
        let client = Client::new(&settings, HOST, offer).unwrap();
        assert_eq!(shake(&server, &client).await.0.unwrap().protocols, (agreed, agreed));
    }
}

#[tokio::test]
async fn an_upstream_that_is_not_the_one_is_refused() {
    let stage = Stage::new();
    let good = stage.ours.issue(HOST);
    let cases = [
        ("other.pem", HOST, &good, "UnknownIssuer"),
        ("ours.pem", "desk.example.org", &good, "not valid for name"),
        ("ours.pem", "127.0.0.1", &good, "not valid for name"),
        ("ours.pem", HOST, &stage.ours.issue_for(HOST, (2000, 2001)), "expired"),
        ("ours.pem", HOST, &stage.ours.issue_for(HOST, (2090, 2100)), "not valid yet"),
        ("ours.pem", HOST, &stage.other.issue(HOST), "UnknownIssuer"),
    ];
    for (roots, host, issued, wanted) in cases {
        let server = stage.server(issued, None);
        let (called, served) = shake(&server, &stage.client(roots, host, None)).await;
        let said = cause(&called.unwrap_err());
        assert!(said.contains(wanted), "{wanted}: {said}");
        assert!(served.is_err(), "{wanted}: the upstream is told");
    }
}

#[tokio::test]
async fn a_client_shows_its_certificate_where_one_is_asked_for() {
    let stage = Stage::new();
    let issued = stage.ours.issue(HOST);
    let server = stage.server(&issued, Some("other.pem"));
    let good = stage.other.issue("gateway");
    let (agreed, _) = shake(&server, &stage.client("ours.pem", HOST, Some(&good))).await;
    assert!(agreed.unwrap().client_shown);

    // Nobody asks: it is not shown.
    let open = stage.server(&issued, None);
    let (agreed, _) = shake(&open, &stage.client("ours.pem", HOST, Some(&good))).await;
    assert!(!agreed.unwrap().client_shown);

    let late = stage.other.issue_for("gateway", (2000, 2001));
    for (shown, wanted, told) in [
        (None, "peer sent no certificates", AlertDescription::CertificateRequired),
        (Some(&issued), "UnknownIssuer", AlertDescription::UnknownCA),
        (Some(&late), "expired", AlertDescription::CertificateExpired),
    ] {
        let (called, served) = shake(&server, &stage.client("ours.pem", HOST, shown)).await;
        let said = cause(&served.unwrap_err());
        assert!(said.contains(wanted), "{wanted}: {said}");
        let error = called.unwrap_err();
        assert!(is_refusal(&error), "{wanted}: {error}");
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
        assert_eq!(inner, Some(&rustls::Error::AlertReceived(told)), "{wanted}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_asked_for_is_looked_at_each_time() {
    let stage = Stage::new();
    let issued = stage.ours.issue(HOST);
    for (client_ca, resumes) in [(None, true), (Some("ours.pem"), false)] {
        let server = stage.server(&issued, client_ca);
        let client = stage.client("ours.pem", HOST, Some(&issued));
        let first = shake(&server, &client).await.0.unwrap();
        let second = shake(&server, &client).await.0.unwrap();
        assert_eq!((first.resumed, second.resumed), (false, resumes), "{client_ca:?}");
    }
}

#[test]
fn other_ends_of_a_connection_are_no_refusal() {
    for error in [
        io::Error::from(io::ErrorKind::ConnectionReset),
        io::Error::other(rustls::Error::AlertReceived(AlertDescription::InternalError)),
        io::Error::other(rustls::Error::AlertReceived(AlertDescription::CloseNotify)),
    ] {
        assert!(!is_refusal(&error), "{error}");
    }
}

/// A ClientHello (RFC 8446 section 4.1.2, RFC 5246 section 7.4.1.2) that speaks one version at most.
fn hello(version: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]);
    body.push(0);
    // Suites of every age: ECDHE-ECDSA with AES-128-GCM and with AES-128-CBC-SHA.
    body.extend([0, 4, 0xc0, 0x2b, 0xc0, 0x09, 1, 0]);
    let extensions = [
        [0, 10, 0, 6, 0, 4, 0, 23, 0, 24].as_slice(), // groups: P-256, P-384
        &[0, 11, 0, 2, 1, 0],                         // point formats: uncompressed
        &[0, 13, 0, 4, 0, 2, 4, 3],                   // signatures: ECDSA on P-256
    ]
    .concat();
    body.extend([0, u8::try_from(extensions.len()).unwrap()]);
    body.extend(extensions);
    let length = u8::try_from(body.len()).unwrap();
    let mut record = vec![22, 3, 1, 0, length + 4, 1, 0, 0, length];
    record.extend(body);
    record
}

#[tokio::test]
async fn nothing_older_than_tls_1_2_is_spoken() {
    let stage = Stage::new();
    let server = stage.server(&stage.ours.issue(HOST), None);
    let answer_to = async |version| {
        let (mut near, far) = duplex(16 * 1024);
        near.write_all(&hello(version)).await.unwrap();
        near.shutdown().await.unwrap();
        let refused = server.accept(far).await.unwrap_err();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        (answer, cause(&refused))
    };
    for old in [[3, 0], [3, 1], [3, 2]] {
        let (answer, refused) = answer_to(old).await;
        // A fatal alert: protocol_version.
        assert_eq!((answer[0], &answer[5..]), (21, [2, 70].as_slice()), "{old:?}");
        assert!(refused.contains("incompatible"), "{refused}");
    }
    // The same hello is answered where it says 1.2: a handshake record with a ServerHello of 1.2.
    let (answer, _) = answer_to([3, 3]).await;
    assert_eq!((answer[0], answer[5], &answer[9..11]), (22, 2, [3, 3].as_slice()));

    let versions: Vec<_> = VERSIONS.iter().map(|version| version.version).collect();
    assert_eq!(versions, [ProtocolVersion::TLSv1_3, ProtocolVersion::TLSv1_2]);
}

#[tokio::test]
async fn a_new_certificate_is_shown_and_a_broken_one_is_not() {
    let stage = Stage::new();
    let (first, second) = (stage.ours.issue(HOST), stage.ours.issue(HOST));
    let server = stage.server(&first, None);
    let certificate = server.certificate();
    let shown = async || {
        let client = stage.client("ours.pem", HOST, None);
        shake(&server, &client).await.0.unwrap().shown
    };
    let before = shown().await;
    assert!(matches!(certificate.renew(), Renewed::Unchanged));

    // In the middle of a replacement: the new certificate beside the old key.
    stage.write("server.cert", &second.cert);
    let kept = certificate.renew();
    assert!(
        matches!(&kept, Renewed::Kept(errors) if matches!(
            errors.as_slice(),
            [Error::File { path, wrong: Wrong::OtherKey }] if path.ends_with("server.key")
        )),
        "{kept:?}"
    );
    assert!(matches!(certificate.renew(), Renewed::Unchanged), "told once");
    assert_eq!(shown().await, before);

    stage.write("server.key", &second.key);
    let replaced = certificate.renew();
    assert!(matches!(replaced, Renewed::Replaced(Some(_))), "{replaced:?}");
    let after = shown().await;
    assert_ne!(after, before);

    stage.write("server.cert", "damaged");
    assert!(matches!(certificate.renew(), Renewed::Kept(_)));
    fs::remove_file(stage.path("server.cert")).unwrap();
    let gone = certificate.renew();
    assert!(
        matches!(&gone, Renewed::Kept(errors) if matches!(
            errors.as_slice(),
            [Error::File { wrong: Wrong::Unreadable(_), .. }]
        )),
        "{gone:?}"
    );
    assert!(matches!(certificate.renew(), Renewed::Unchanged), "told once");
    assert_eq!(shown().await, after);

    // What was good before is good again.
    stage.write("server.cert", &second.cert);
    assert!(matches!(certificate.renew(), Renewed::Replaced(_)));
    assert_eq!(shown().await, after);
}

#[tokio::test]
async fn a_client_certificate_is_renewed_too() {
    let stage = Stage::new();
    let server = stage.server(&stage.ours.issue(HOST), Some("other.pem"));
    let client = stage.client("ours.pem", HOST, Some(&stage.ours.issue("gateway")));
    assert!(shake(&server, &client).await.1.is_err());
    stage.files("client", &stage.other.issue("gateway"));
    assert!(matches!(client.certificate().unwrap().renew(), Renewed::Replaced(_)));
    assert!(shake(&server, &client).await.0.unwrap().client_shown);
}

#[tokio::test(start_paused = true)]
async fn files_are_looked_at_until_told_to_stop() {
    let stage = Stage::new();
    let server = stage.server(&stage.ours.issue(HOST), None);
    let certificate = server.certificate();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let interval = bounds::TLS_RENEW_INTERVAL;
    let watching = tokio::spawn(watch(vec![Arc::clone(&certificate)], interval, stopped));
    tokio::time::sleep(interval / 2).await;
    stage.files("server", &stage.ours.issue(HOST));
    tokio::time::sleep(interval * 2).await;
    // The watcher has seen it: there is nothing new for us.
    assert!(matches!(certificate.renew(), Renewed::Unchanged));
    let client = stage.client("ours.pem", HOST, None);
    let shown = shake(&server, &client).await.0.unwrap().shown;
    let now = Identity::read(certificate.files().clone()).unwrap();
    assert_eq!(shown, now.certified.end_entity_cert().unwrap().as_ref());
    stop.send(true).unwrap();
    watching.await.unwrap();
}

#[test]
fn what_is_wrong_with_a_file_is_said() {
    let stage = Stage::new();
    let issued = stage.ours.issue(HOST);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let open = "-----BEGIN CERTIFICATE-----\nAAAA\n";
    let weird = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let long = "x".repeat(bounds::TLS_FILE_BYTES_MAX + 1);
    let other = stage.ours.issue(HOST);
    let cases = [
        ("", issued.key.as_str(), "c: there is no certificate in the file"),
        (&issued.key, &issued.key, "c: there is no certificate in the file"),
        (open, &issued.key, "c: the file is not PEM: an END line is missing"),
        (damaged, &issued.key, "c: certificate 1 in the file cannot be used: "),
        (&long, &issued.key, "c: the file has more than 1048576 bytes"),
        (&issued.cert, "", "k: there is no private key in the file"),
        (&issued.cert, &issued.cert, "k: there is no private key in the file"),
        (&issued.cert, encrypted, "k: the private key is encrypted"),
        (&issued.cert, old, "k: the private key is encrypted"),
        (&issued.cert, weird, "k: the private key cannot be used: "),
        (&issued.cert, &other.key, "k: the private key is not that of the certificate"),
    ];
    for (cert, key, wanted) in cases {
        let files = Files { cert: stage.write("c", cert), key: stage.write("k", key) };
        let error = Identity::read(files).unwrap_err().remove(0);
        let said = error.to_string();
        let folder = format!("{}/", stage.folder.path().display());
        assert!(said.strip_prefix(&folder).unwrap().starts_with(wanted), "{wanted}: {said}");
        let Error::File { wrong, .. } = error else { panic!("{error}") };
        assert!(!wrong.hint().is_empty());
    }
    let missing = Files { cert: stage.path("nothing"), key: stage.path("k") };
    let said = Identity::read(missing).unwrap_err().remove(0).to_string();
    assert!(said.contains("cannot be read"), "{said}");
    let both = Files { cert: stage.write("c", ""), key: stage.write("k", encrypted) };
    assert_eq!(Identity::read(both).unwrap_err().len(), 2, "both are told");

    let bundle = format!("{}{damaged}", stage.ours.pem());
    let said = Roots::read(&stage.write("bundle", &bundle)).unwrap_err().to_string();
    assert!(said.contains("certificate 2 in the file cannot be used"), "{said}");
    let said = Roots::read(&stage.write("bundle", &issued.key)).unwrap_err().to_string();
    assert!(said.contains("there is no certificate"), "{said}");
    assert!(Client::check_host("desk example").is_err());
}

#[test]
fn the_time_of_a_certificate_is_known() {
    let stage = Stage::new();
    let identity = stage.identity("x", &stage.ours.issue_for(HOST, (2010, 2060)));
    let validity = identity.validity().unwrap();
    assert_eq!(validity.not_before.to_string(), "2010-01-01T00:00:00Z");
    assert_eq!(validity.not_after.to_string(), "2060-01-01T00:00:00Z");
    let at = |second: i64| {
        let epoch = std::time::SystemTime::UNIX_EPOCH;
        validity.standing(epoch + std::time::Duration::from_secs(second.try_into().unwrap()))
    };
    let (first, last) = (validity.not_before.as_second(), validity.not_after.as_second());
    let standings = [first - 1, first, last, last + 1].map(at);
    let valid = Standing::Valid;
    assert_eq!(standings, [Standing::NotYet, valid, valid, Standing::Expired]);
}

#[test]
fn a_key_is_shown_nowhere() {
    let stage = Stage::new();
    let issued = stage.ours.issue(HOST);
    let identity = stage.identity("x", &issued);
    let server = stage.server(&issued, Some("ours.pem"));
    let client = stage.client("ours.pem", HOST, Some(&issued));
    let shown = format!("{identity:?} {server:?} {client:?} {:?}", server.certificate());
    let lines = issued.key.lines().filter(|line| !line.starts_with('-'));
    assert!(lines.into_iter().all(|line| !shown.contains(line)), "{shown}");
    assert!(shown.len() < 1_000, "{shown}");
}

#[test]
fn this_system_has_roots() {
    // Where it has none, that is what is said.
    match Roots::system() {
        Ok(Roots(roots)) => assert!(!roots.is_empty()),
        Err(error) => assert!(error.to_string().contains("no root certificates")),
    }
}

/// Bytes to a side that shakes hands; it must end, by an error.
async fn hostile<T>(
    bytes: &[u8],
    shaking: impl AsyncFnOnce(tokio::io::DuplexStream) -> io::Result<T>,
) {
    let (mut near, far) = duplex(64 * 1024);
    near.write_all(bytes).await.unwrap();
    near.shutdown().await.unwrap();
    let refused = shaking(far).await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn plain_http_is_no_handshake() {
    let stage = Stage::new();
    let server = stage.server(&stage.ours.issue(HOST), None);
    let client = stage.client("ours.pem", HOST, None);
    hostile(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", async |far| server.accept(far).await).await;
    hostile(b"HTTP/1.1 400 Bad Request\r\n\r\n", async |far| client.connect(far).await).await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_bytes_end_a_handshake(
        noise in proptest::collection::vec(any::<u8>(), 0..400),
        kept in 0_usize..100,
        place in 0_usize..100,
        byte in any::<u8>(),
    ) {
        thread_local! {
            static SIDES: (Server, Client) = {
                let stage = Stage::new();
                let client = stage.client("ours.pem", HOST, None);
                (stage.server(&stage.ours.issue(HOST), None), client)
            };
        }
        // A good hello, cut, with a byte changed, with noise behind it; and noise alone.
        let mut damaged = hello([3, 3]);
        damaged.truncate(kept);
        if let Some(at) = damaged.get_mut(place) {
            *at = byte;
        }
        damaged.extend(&noise);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        SIDES.with(|(server, client)| runtime.block_on(async {
            for bytes in [&noise, &damaged] {
                hostile(bytes, async |far| server.accept(far).await).await;
                hostile(bytes, async |far| client.connect(far).await).await;
            }
        }));
    }

    #[test]
    fn hostile_pem_is_refused(text in "(-----(BEGIN|END) [A-Z ]{0,12}-----|[A-Za-z0-9+/=]{0,40}|\n){0,12}") {
        let bytes = text.as_bytes();
        let _ = (pem::key(bytes), Validity::of(bytes));
        for found in pem::certificates(bytes).into_iter().flatten() {
            let _ = Validity::of(&found);
        }
    }
}
