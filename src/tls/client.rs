//! The side that connects to upstreams.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::ResolvesClientCert;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;

use super::{Error, Identity, Offer, Protocol, Renewable, Roots, VERSIONS, provider};

/// A stream to an upstream.
pub type ClientStream<S> = tokio_rustls::client::TlsStream<S>;

/// What an upstream has to show, and what it is shown.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// Whom its certificate must come from.
    pub roots: Roots,
    /// Our certificate, if the upstream asks for one.
    pub identity: Option<Identity>,
}

/// Makes TLS connections to one host. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    connector: TlsConnector,
    host: ServerName<'static>,
    certificate: Option<Arc<Renewable>>,
}

impl Client {
    /// Takes settings that were read, and the host that the upstream's certificate must be for: a name,
    /// which is also sent as SNI (RFC 6066 section 3), or an address, which is not.
    ///
    /// # Errors
    /// If no certificate can be for that host, or rustls refuses the settings.
    pub fn new(settings: &ClientSettings, host: &str, offer: Offer) -> Result<Self, Error> {
        let name = Self::name(host)?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(Error::Settings)?
            .with_root_certificates(Arc::clone(&settings.roots.0));
        let certificate = settings.identity.clone().map(Renewable::new);
        let mut config = match &certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let resolver: Arc<dyn ResolvesClientCert> = Arc::clone(certificate) as _;
                builder.with_client_cert_resolver(resolver)
            }
        };
        config.alpn_protocols = offer.names();
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), host: name, certificate })
    }

    /// The same for another host.
    ///
    /// # Errors
    /// If no certificate can be for that host.
    pub fn for_host(&self, host: &str) -> Result<Self, Error> {
        Ok(Self { host: Self::name(host)?, ..self.clone() })
    }

    /// Sees that a certificate can be for a host: a name, an IPv4 address, or an IPv6 address without
    /// brackets.
    ///
    /// # Errors
    /// If none can.
    pub fn check_host(host: &str) -> Result<(), Error> {
        Self::name(host).map(drop)
    }

    fn name(host: &str) -> Result<ServerName<'static>, Error> {
        ServerName::try_from(host.to_owned()).map_err(|_| Error::Host(host.to_owned()))
    }

    /// Our certificate, for whoever watches its files.
    pub fn certificate(&self) -> Option<Arc<Renewable>> {
        self.certificate.clone()
    }

    /// Shakes hands. The caller says how long it may take, by dropping the future.
    ///
    /// # Errors
    /// If the upstream does not speak TLS as it is spoken here, its certificate does not hold, is for
    /// another host or comes from somebody else, or it goes away. With TLS 1.3 an upstream that does
    /// not take *our* certificate says so only when the stream is read.
    pub async fn connect<S>(&self, stream: S) -> io::Result<ClientStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.connector.connect(self.host.clone(), stream).await
    }

    /// What was agreed on with an upstream.
    pub fn protocol<S>(stream: &ClientStream<S>) -> Protocol {
        Protocol::of(stream.get_ref().1.alpn_protocol())
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("host", &self.host).finish_non_exhaustive()
    }
}
