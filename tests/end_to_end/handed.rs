//! Sockets that a service manager hands over, and what it is told.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::Stdio;

use tokio::net::UnixDatagram;
use tokio::process::Command;
use tokio::time::timeout;

use crate::connections::right;
use crate::harness::{Answer, Gateway, Home, PATIENCE, exchange};
use crate::signals::series;

/// The first two sockets of the protocol are files 3 and 4; a shell puts them there.
const ONE: &str = r#"LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@" 3<&0 </dev/null"#;
const TWO: &str = r#"LISTEN_PID=$$ LISTEN_FDS=2 exec "$0" "$@" 3<&0 4<&1 </dev/null >/dev/null"#;

fn handed(socket: &TcpListener) -> Stdio {
    Stdio::from(OwnedFd::from(socket.try_clone().unwrap()))
}

/// The program with the socket that the test holds, for its clients.
pub(crate) fn command(home: &Home, socket: &TcpListener) -> Command {
    let mut command = home.command_by(ONE);
    command.stdin(handed(socket));
    command
}

fn socket() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    (socket, address)
}

#[tokio::test]
async fn a_socket_that_was_handed_over_is_served() {
    let (text, simulator) = series("").await;
    let (clients, address) = socket();
    let home = Home::new(&address, "mappings", &text, &[]);
    let gateway = Gateway::launch(&home, command(&home, &clients)).await;
    assert_eq!(gateway.address, address);
    let mut message = right();
    let at = message.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    message.splice(at..at, *b"Connection: close\r\n");
    assert_eq!(Answer::parse(&exchange(&address, &message).await).status, 200);
    let log = gateway.terminate().await;
    assert!(!log.iter().any(|line| line.contains("another address")), "{log:#?}");
    simulator.stop().await;
}

#[tokio::test]
async fn the_operators_socket_is_told_by_its_name() {
    let (text, simulator) = series("").await;
    let ((admin, admin_address), (clients, address)) = (socket(), socket());
    let home = Home::new("127.0.0.1:1", "mappings", &text, &[]);
    let mut command = home.command_by(TWO);
    command.env("LISTEN_FDNAMES", "admin:latimer.socket");
    command.stdin(handed(&admin)).stdout(handed(&clients));
    let gateway = Gateway::launch(&home, command).await;
    assert_eq!((&gateway.address, &gateway.admin), (&address, &admin_address));
    let live = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(Answer::parse(&exchange(&admin_address, live.as_bytes()).await).status, 200);
    let log = gateway.terminate().await;
    // The configuration names a port for clients, and port 0 for the operator.
    let told: Vec<_> = log.iter().filter(|line| line.contains("another address")).collect();
    assert_eq!(told.len(), 1, "{log:#?}");
    assert!(told[0].contains(&address) && told[0].contains("127.0.0.1:1"), "{log:#?}");
    simulator.stop().await;
}

#[tokio::test]
async fn what_was_meant_for_another_process_is_left_alone() {
    let (text, simulator) = series("").await;
    let (clients, address) = socket();
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let script = r#"LISTEN_PID=1 LISTEN_FDS=1 exec "$0" "$@" 3<&0 </dev/null"#;
    let mut command = home.command_by(script);
    command.stdin(handed(&clients));
    let gateway = Gateway::launch(&home, command).await;
    assert_ne!(gateway.address, address);
    gateway.terminate().await;
    simulator.stop().await;
}

#[tokio::test]
async fn what_cannot_be_served_keeps_the_program_from_starting() {
    let (text, simulator) = series("").await;
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let (one, _) = socket();
    let connected = std::net::TcpStream::connect(one.local_addr().unwrap()).unwrap();
    let file = std::fs::File::open(home.path("latimer.yaml")).unwrap();
    for (script, names, stdin, told) in [
        (TWO, "a:b", handed(&one), "two sockets for clients were handed over"),
        (ONE, "a", Stdio::from(file), "cannot take the clients' socket that was handed over"),
        (ONE, "admin", Stdio::from(OwnedFd::from(connected)), "it does not listen"),
    ] {
        let mut command = home.command_by(script);
        command.env("LISTEN_FDNAMES", names).stdin(stdin).stdout(handed(&one));
        let ended = timeout(PATIENCE, command.stderr(Stdio::piped()).output()).await;
        let ended = ended.expect("it ends in time").unwrap();
        let message = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{message}");
        assert!(message.contains("error: ") && message.contains(told), "{message}");
    }
    simulator.stop().await;
}

/// What the service manager hears next.
async fn heard(ear: &UnixDatagram) -> String {
    let mut word = [0; 1024];
    let length = timeout(PATIENCE, ear.recv(&mut word)).await.expect("it is told in time").unwrap();
    String::from_utf8_lossy(&word[..length]).into_owned()
}

#[tokio::test]
async fn the_service_manager_is_told_how_things_are() {
    let (text, simulator) = series("drain: 3s").await;
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let ear = UnixDatagram::bind(home.path("notify")).unwrap();
    let mut command = home.command();
    command.env("NOTIFY_SOCKET", home.path("notify")).env("WATCHDOG_USEC", "100000");
    let gateway = Gateway::launch(&home, command).await;
    let ready = heard(&ear).await;
    let pid = gateway.pid();
    let status = format!("STATUS=serving clients on {}\n", gateway.address);
    assert_eq!(ready, format!("READY=1\nMAINPID={pid}\n{status}"));
    for _ in 0..3 {
        assert_eq!(heard(&ear).await, "WATCHDOG=1\n");
    }
    gateway.signal("TERM").await;
    let stopping = loop {
        let word = heard(&ear).await;
        if word != "WATCHDOG=1\n" {
            break word;
        }
    };
    assert_eq!(stopping, "STOPPING=1\nSTATUS=stopping: calls in flight have 3s\n");
    let (code, log) = gateway.ended().await;
    assert_eq!(code, Some(0), "{log:#?}");
    simulator.stop().await;
}

#[tokio::test]
async fn an_ear_that_is_gone_stops_nothing() {
    let (text, simulator) = series("").await;
    let home = Home::new("127.0.0.1:0", "mappings", &text, &[]);
    let mut command = home.command();
    command.env("NOTIFY_SOCKET", home.path("nobody"));
    let log = Gateway::launch(&home, command).await.terminate().await;
    let told = "the service manager cannot be told anything";
    assert!(log.iter().any(|line| line.contains(told)), "{log:#?}");
    simulator.stop().await;
}
