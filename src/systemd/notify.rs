//! Words for the service manager (`sd_notify(3)`).

use std::ffi::OsStr;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::bounds::NOTIFY_TIMEOUT;

/// The service manager's ear, if there is one. A word that does not get there is logged and changes nothing.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As the environment says.
    pub fn from_environment() -> Self {
        let variable = |name| std::env::var(name).ok();
        let watchdog = watchdog(std::process::id(), variable);
        let Some(address) = std::env::var_os("NOTIFY_SOCKET") else {
            return Self { socket: None, watchdog };
        };
        let connected = connect(&address);
        if let Err(error) = &connected {
            tracing::warn!(target: "latimer::systemd", %error, ?address, "the service manager cannot be told anything");
        }
        Self { socket: connected.ok(), watchdog }
    }

    #[cfg(test)]
    pub(super) fn to(socket: UnixDatagram) -> Self {
        Self { socket: Some(socket), watchdog: None }
    }

    /// We serve.
    pub fn ready(&self, status: &str) {
        let pid = std::process::id();
        self.tell(&format!("READY=1\nMAINPID={pid}\nSTATUS={status}\n"));
    }

    /// We have been told to stop and do so.
    pub fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={status}\n"));
    }

    /// We are alive.
    pub fn alive(&self) {
        self.tell("WATCHDOG=1\n");
    }

    /// How long we may be silent, if somebody minds.
    pub fn watchdog(&self) -> Option<Duration> {
        self.socket.as_ref().and(self.watchdog)
    }

    fn tell(&self, words: &str) {
        let Some(socket) = &self.socket else { return };
        // Taken whole or not at all.
        if let Err(error) = socket.send(words.as_bytes()) {
            let words = words.trim_end();
            tracing::warn!(target: "latimer::systemd", %error, words, "the service manager was not told");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(NOTIFY_TIMEOUT))?;
    match address.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => connect_to_name(&socket, name)?,
        None => socket.connect(address)?,
    }
    Ok(socket)
}

/// A name that stands in no folder.
#[cfg(target_os = "linux")]
fn connect_to_name(socket: &UnixDatagram, name: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    socket.connect_addr(&SocketAddr::from_abstract_name(name)?)
}

#[cfg(not(target_os = "linux"))]
fn connect_to_name(_: &UnixDatagram, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// How long the process may be silent (`sd_watchdog_enabled(3)`).
fn watchdog(process: u32, variable: impl Fn(&'static str) -> Option<String>) -> Option<Duration> {
    let meant = variable("WATCHDOG_PID").is_none_or(|pid| pid.parse() == Ok(process));
    let micros = variable("WATCHDOG_USEC")?.parse().ok().filter(|micros| *micros > 0);
    micros.filter(|_| meant).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_watchdog_is_for_one_process() {
        let asked = |pid: Option<&str>, micros: &str| {
            watchdog(17, |name| match name {
                "WATCHDOG_PID" => pid.map(str::to_owned),
                _ => Some(micros.to_owned()),
            })
        };
        let second = Some(Duration::from_secs(1));
        assert_eq!(asked(Some("17"), "1000000"), second);
        assert_eq!(asked(None, "1000000"), second);
        assert_eq!(asked(Some("16"), "1000000"), None);
        assert_eq!(asked(None, "0"), None);
        assert_eq!(asked(None, "soon"), None);
        assert_eq!(watchdog(17, |_| None), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn words_go_to_a_name_that_stands_in_no_folder() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;

        let name = format!("latimer-notify-{}", std::process::id());
        let ear = SocketAddr::from_abstract_name(&name).unwrap();
        let ear = UnixDatagram::bind_addr(&ear).unwrap();
        let socket = connect(OsStr::new(&format!("@{name}"))).unwrap();
        Notify::to(socket).stopping("bye");
        let mut heard = [0; 64];
        let length = ear.recv(&mut heard).unwrap();
        assert_eq!(&heard[..length], b"STOPPING=1\nSTATUS=bye\n");
    }
}
