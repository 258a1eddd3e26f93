//! How a connection is made: the address, TLS, the log-in.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use std::{fmt, io};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::tls::{ChannelBinding, TlsConnect, TlsStream};
use tokio_postgres::{Client, NoTls};

use crate::bounds;
use crate::config::PostgresConfig;
use crate::store::error::{Fault, Reason};
use crate::tls;

/// Silence on a connection after which the system asks whether the server is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// A server and how it is logged in to.
pub(super) struct Server {
    host: String,
    port: u16,
    settings: tokio_postgres::Config,
    tls: Option<tls::Client>,
}

impl Server {
    pub(super) fn new(config: &PostgresConfig) -> Result<Self, Fault> {
        let tls = match &config.tls {
            Some(settings) => {
                let client = tls::Client::new(settings, &config.host, tls::Offer::Postgresql);
                Some(client.map_err(|error| Fault::caused(Reason::Tls, error))?)
            }
            None => None,
        };
        let mut settings = tokio_postgres::Config::new();
        settings
            .user(&config.user)
            .dbname(&config.database)
            .application_name("latimer")
            // Never one where the other was asked for.
            .ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        if let Some(password) = &config.password {
            settings.password(password.expose());
        }
        Ok(Self { host: config.host.clone(), port: config.port, settings, tls })
    }

    /// A connection that is logged in; what drives it is a task of this thread and ends with it.
    pub(super) async fn connect(&self) -> Result<Client, Fault> {
        tokio::time::timeout(bounds::STATE_CONNECT_TIMEOUT, self.log_in())
            .await
            .unwrap_or_else(|late| Err(Fault::caused(Reason::Unavailable, late)))
    }

    async fn log_in(&self) -> Result<Client, Fault> {
        let unavailable = |error: io::Error| Fault::caused(Reason::Unavailable, error);
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(unavailable)?;
        stream.set_nodelay(true).map_err(unavailable)?;
        let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
        SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(unavailable)?;
        match &self.tls {
            None => {
                let connected = self.settings.connect_raw(stream, NoTls).await;
                let (client, connection) = connected.map_err(fault_of_connecting)?;
                tokio::task::spawn_local(connection);
                Ok(client)
            }
            Some(tls) => {
                let connected = self.settings.connect_raw(stream, Secured(tls.clone())).await;
                let (client, connection) = connected.map_err(fault_of_connecting)?;
                tokio::task::spawn_local(connection);
                Ok(client)
            }
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({}:{})", self.host, self.port)
    }
}

/// Why nobody could log in: what the server says of itself passes, what it says of us does not.
fn fault_of_connecting(error: tokio_postgres::Error) -> Fault {
    let reason = match error.code() {
        Some(&SqlState::CANNOT_CONNECT_NOW | &SqlState::TOO_MANY_CONNECTIONS) => {
            Reason::Unavailable
        }
        Some(code) if code.code().starts_with("57P") => Reason::Unavailable,
        Some(_) => Reason::Refused,
        None if is_tls(&error) => Reason::Tls,
        None if is_io(&error) => Reason::Unavailable,
        // A password that is wanted and not there, a way to log in that is not spoken.
        None => Reason::Refused,
    };
    Fault::caused(reason, error)
}

fn is_tls(error: &tokio_postgres::Error) -> bool {
    // The crate has no other way to tell.
    error.to_string().starts_with("error performing TLS handshake")
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<io::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// TLS by our own settings.
struct Secured(tls::Client);

/// A stream that is secured.
struct SecuredStream(tls::ClientStream<TcpStream>);

impl TlsConnect<TcpStream> for Secured {
    type Stream = SecuredStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<SecuredStream>>>>;

    fn connect(self, stream: TcpStream) -> Self::Future {
        Box::pin(async move { self.0.connect(stream).await.map(SecuredStream) })
    }
}

impl TlsStream for SecuredStream {
    /// The server's certificate was verified by our own roots, which is what a binding is for.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for SecuredStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for SecuredStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}
