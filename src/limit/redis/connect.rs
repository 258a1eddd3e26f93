//! How a connection is made: the address, TLS, the log-in.

use std::error::Error;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::{AsyncConnectionConfig, ErrorKind, ProtocolVersion, RedisConnectionInfo, RedisError};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::error::{Fault, Reason, Said};
use crate::bounds;
use crate::config::RedisConfig;
use crate::secret::Secret;
use crate::tls;

/// Silence on a connection after which the system asks whether the server is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A server and how it is logged in to.
pub(super) struct Server {
    host: String,
    port: u16,
    database: u32,
    user: Option<String>,
    password: Option<Secret>,
    tls: Option<tls::Client>,
}

/// A connection that is logged in, and what drives it: whoever drops that closes the connection.
pub(super) struct Connected {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Pin<Box<dyn Future<Output = ()>>>,
}

impl Server {
    pub(super) fn new(config: &RedisConfig) -> Result<Self, Fault> {
        let tls = match &config.tls {
            Some(tls) => {
                let client = tls::Client::new(tls, &config.host, tls::Offer::Nothing);
                Some(client.map_err(|error| Fault::caused(Reason::Tls, error))?)
            }
            None => None,
        };
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            database: config.database,
            user: config.user.clone(),
            password: config.password.clone(),
            tls,
        })
    }

    pub(super) async fn connect(&self) -> Result<Connected, Fault> {
        tokio::time::timeout(bounds::LIMIT_STORE_CONNECT_TIMEOUT, self.log_in())
            .await
            .unwrap_or_else(|late| Err(Fault::caused(Reason::Late, late)))
    }

    async fn log_in(&self) -> Result<Connected, Fault> {
        let unreachable = |error: io::Error| Fault::caused(Reason::Unreachable, error);
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(unreachable)?;
        match &self.tls {
            None => self.set_up(stream).await,
            Some(tls) => {
                let stream = tls.connect(stream).await;
                self.set_up(stream.map_err(|error| Fault::caused(Reason::Tls, error))?).await
            }
        }
    }

    async fn set_up<S>(&self, stream: S) -> Result<Connected, Fault>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let login = RedisConnectionInfo {
            db: i64::from(self.database),
            username: self.user.clone(),
            password: self.password.as_ref().map(|password| password.expose().to_owned()),
            protocol: ProtocolVersion::RESP2,
        };
        let config = AsyncConnectionConfig::new();
        let made = MultiplexedConnection::new_with_config(&login, stream, config).await;
        let (mut connection, driver) = made.map_err(|error| fault_of_log_in(&error))?;
        let mut driver: Pin<Box<dyn Future<Output = ()>>> = Box::pin(driver);
        // Who needs a password and has none is let in, and told with the first thing that it asks.
        let ping = ::redis::cmd("PING");
        let hello = tokio::select! {
            hello = ping.query_async::<::redis::Value>(&mut connection) => hello,
            () = &mut driver => return Err(Fault::new(Reason::Unreachable)),
        };
        hello.map_err(|error| fault_of_log_in(&error))?;
        Ok(Connected { connection, driver })
    }
}

/// Why nobody could log in.
fn fault_of_log_in(error: &RedisError) -> Fault {
    if error.is_io_error() {
        // The crate makes its own errors of the system's; what they say is the system's all the same.
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        return Fault::caused(Reason::Unreachable, cause);
    }
    let reason = match error.kind() {
        ErrorKind::AuthenticationFailed => Reason::Refused,
        ErrorKind::BusyLoadingError | ErrorKind::MasterDown => Reason::Unreachable,
        _ if matches!(error.code(), Some("NOAUTH" | "WRONGPASS" | "NOPERM")) => Reason::Refused,
        _ => Reason::Unfit,
    };
    match (error.code(), reason) {
        (Some(code), _) => Fault::caused(reason, Said(code.to_owned())),
        (None, Reason::Refused) => Fault::caused(reason, "the user or the password does not hold"),
        (None, _) => Fault::new(reason),
    }
}
