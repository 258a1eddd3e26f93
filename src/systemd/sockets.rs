//! Listening sockets that were handed over (`sd_listen_fds(3)`).

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use listenfd::ListenFd;

use crate::bounds::HANDED_SOCKETS_MAX;

/// The name of the operator's socket, as the unit's `FileDescriptorName=` gives it. Whatever has another
/// name is the clients' one.
const ADMIN: &str = "admin";

/// Listening sockets that were handed over.
#[derive(Debug, Default)]
pub struct Sockets {
    /// Where clients are served.
    pub clients: Option<TcpListener>,
    /// Where the operator is.
    pub admin: Option<TcpListener>,
}

/// Why what was handed over cannot be taken.
#[derive(Debug)]
pub enum SocketsError {
    /// A variable has a value that it cannot have.
    Variable(&'static str, String),
    /// One cannot be listened on.
    Unusable(Use, io::Error),
    /// Two for one use; connections to the second one would wait for ever.
    Twice(Use),
}

/// What a socket is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Clients are served on it.
    Clients,
    /// The operator is.
    Admin,
}

impl Sockets {
    /// Takes what was handed over to this process. Has to be called while it has one thread, and once.
    ///
    /// # Errors
    /// If something was handed over that cannot be served on.
    pub fn take() -> Result<Self, SocketsError> {
        let uses = uses(std::process::id(), |name| std::env::var(name).ok())?;
        let mut sockets = Self::default();
        if uses.is_empty() {
            return Ok(sockets);
        }
        let mut handed = ListenFd::from_env();
        for (index, of) in uses.into_iter().enumerate() {
            let missing = || io::Error::from(io::ErrorKind::NotFound);
            let taken = handed.take_tcp_listener(index).and_then(|taken| taken.ok_or_else(missing));
            let listener = taken.and_then(listening);
            let place = match of {
                Use::Clients => &mut sockets.clients,
                Use::Admin => &mut sockets.admin,
            };
            *place = Some(listener.map_err(|error| SocketsError::Unusable(of, error))?);
        }
        Ok(sockets)
    }
}

/// What each of the sockets is for that were handed over to the process, by what its environment says.
fn uses(
    process: u32,
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Vec<Use>, SocketsError> {
    let wrong = |name, value: &str| SocketsError::Variable(name, value.to_owned());
    let Some(meant) = variable("LISTEN_PID") else { return Ok(Vec::new()) };
    let Ok(meant) = meant.parse::<u32>() else { return Err(wrong("LISTEN_PID", &meant)) };
    let count = match variable("LISTEN_FDS") {
        // What was meant for a process that started us is not ours.
        Some(count) if meant == process => count,
        Some(_) | None => return Ok(Vec::new()),
    };
    let names = variable("LISTEN_FDNAMES").unwrap_or_default();
    let number = count.parse().ok().filter(|number| *number <= HANDED_SOCKETS_MAX);
    let number = number.ok_or_else(|| wrong("LISTEN_FDS", &count))?;
    let mut uses = Vec::new();
    let names = names.split(':').map(Some).chain(std::iter::repeat(None)).take(number);
    for name in names {
        let of = if name == Some(ADMIN) { Use::Admin } else { Use::Clients };
        if uses.contains(&of) {
            return Err(SocketsError::Twice(of));
        }
        uses.push(of);
    }
    Ok(uses)
}

/// With `Accept=yes` in its unit a socket is one connection.
fn listening(listener: TcpListener) -> io::Result<TcpListener> {
    #[cfg(target_os = "linux")]
    if !socket2::SockRef::from(&listener).is_listener()? {
        return Err(io::Error::other("it does not listen; the unit has to say `Accept=no`"));
    }
    Ok(listener)
}

/// True if a socket that is bound to the first address serves what the configuration says by the second.
pub fn serves(bound: SocketAddr, configured: SocketAddr) -> bool {
    // A plain `ListenStream=8080` is bound to `[::]`, which has all of IPv4 in it.
    let everywhere = bound.ip().is_unspecified() && configured.ip().is_unspecified();
    let port = configured.port() == 0 || configured.port() == bound.port();
    port && (everywhere || bound.ip() == configured.ip())
}

impl fmt::Display for Use {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Clients => "the clients' socket",
            Self::Admin => "the socket named `admin`",
        })
    }
}

impl fmt::Display for SocketsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable(name, value) => write!(
                formatter,
                "cannot take the sockets that were handed over: `{name}={value}`; one is taken for clients, \
                 one named `admin` for the operator"
            ),
            Self::Unusable(of, error) => {
                write!(formatter, "cannot take {of} that was handed over: {error}")
            }
            Self::Twice(Use::Clients) => formatter.write_str(
                "two sockets for clients were handed over, and one is served; the operator's has to be named \
                 `admin` (`FileDescriptorName=admin`)",
            ),
            Self::Twice(Use::Admin) => {
                formatter.write_str("two sockets named `admin` were handed over, and one is served")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pid: &str, fds: &str, names: Option<&str>) -> Result<Vec<Use>, String> {
        let variable = |name: &'static str| match name {
            "LISTEN_PID" => Some(pid.to_owned()),
            "LISTEN_FDS" => Some(fds.to_owned()),
            "LISTEN_FDNAMES" => names.map(str::to_owned),
            name => panic!("{name} is none of the protocol's"),
        };
        uses(17, variable).map_err(|error| error.to_string())
    }

    #[test]
    fn sockets_are_told_apart_by_name() {
        use Use::{Admin, Clients};
        assert_eq!(of("17", "1", None), Ok(vec![Clients]));
        assert_eq!(of("17", "1", Some("latimer.socket")), Ok(vec![Clients]));
        assert_eq!(of("17", "1", Some("admin")), Ok(vec![Admin]));
        assert_eq!(of("17", "2", Some("http:admin")), Ok(vec![Clients, Admin]));
        assert_eq!(of("17", "2", Some("admin:http")), Ok(vec![Admin, Clients]));
        assert_eq!(of("17", "2", Some("admin")), Ok(vec![Admin, Clients]));
        assert_eq!(of("17", "0", None), Ok(vec![]));
        assert_eq!(of("16", "1", None), Ok(vec![]), "another process's");
        assert_eq!(uses(17, |_| None).unwrap(), []);
    }

    #[test]
    fn what_nobody_would_serve_is_refused() {
        for (pid, fds, names, told) in [
            ("17", "2", None, "two sockets for clients"),
            ("17", "2", Some("a:b"), "two sockets for clients"),
            ("17", "2", Some("admin:admin"), "two sockets named `admin`"),
            ("17", "3", Some("a:admin:b"), "`LISTEN_FDS=3`"),
            ("17", "2000000000", None, "`LISTEN_FDS=2000000000`"),
            ("17", "-1", None, "`LISTEN_FDS=-1`"),
            ("self", "1", None, "`LISTEN_PID=self`"),
        ] {
            let error = of(pid, fds, names).unwrap_err();
            assert!(error.contains(told), "{pid} {fds} {names:?}: {error}");
        }
    }

    #[test]
    fn an_address_is_served_by_what_has_it_in_it() {
        for (bound, configured, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:0", true),
            ("127.0.0.1:8080", "127.0.0.1:8081", false),
            ("127.0.0.1:8080", "127.0.0.2:8080", false),
            ("0.0.0.0:8080", "127.0.0.1:8080", false),
            ("[::]:8080", "0.0.0.0:8080", true),
            ("[::]:8080", "[::1]:8080", false),
        ] {
            let (bound_to, told) = (bound.parse().unwrap(), configured.parse().unwrap());
            assert_eq!(serves(bound_to, told), expected, "{bound} for {configured}");
        }
    }
}
