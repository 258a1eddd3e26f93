//! The side that clients connect to.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring::Ticketer;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

use super::{Error, Identity, Offer, Protocol, Renewable, Roots, VERSIONS, provider};

/// A stream to a client.
pub type ServerStream<S> = tokio_rustls::server::TlsStream<S>;

/// What clients are shown, and what they have to show.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// The certificate.
    pub identity: Identity,
    /// Whom a client's certificate must come from; without it none is asked for.
    pub client_ca: Option<Roots>,
}

/// Makes TLS connections of accepted ones. Cheap to clone.
#[derive(Clone)]
pub struct Server {
    acceptor: TlsAcceptor,
    certificate: Arc<Renewable>,
}

impl Server {
    /// Takes settings that were read.
    ///
    /// # Errors
    /// If rustls refuses them, as it does no roots.
    pub fn new(settings: &ServerSettings, offer: Offer) -> Result<Self, Error> {
        let certificate = Renewable::new(settings.identity.clone());
        let builder = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(VERSIONS)
            .map_err(Error::Settings)?;
        let builder = match &settings.client_ca {
            None => builder.with_no_client_auth(),
            Some(Roots(roots)) => {
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), provider())
                        .build()
                        .map_err(|error| {
                            Error::Settings(rustls::Error::General(error.to_string()))
                        })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&certificate) as _;
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = offer.names();
        resume(&mut config, settings.client_ca.is_some())?;
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// The certificate, for whoever watches its files.
    pub fn certificate(&self) -> Arc<Renewable> {
        Arc::clone(&self.certificate)
    }

    /// Shakes hands. The caller says how long it may take, by dropping the future.
    ///
    /// # Errors
    /// If the client does not speak TLS as it is spoken here, does not show the certificate that is
    /// asked for, or goes away.
    pub async fn accept<S>(&self, stream: S) -> io::Result<ServerStream<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        self.acceptor.accept(stream).await
    }

    /// What was agreed on with a client.
    pub fn protocol<S>(stream: &ServerStream<S>) -> Protocol {
        Protocol::of(stream.get_ref().1.alpn_protocol())
    }
}

/// Clients come back without a whole handshake, by tickets that only this process can read and that keep
/// nothing here; but not where they have to show a certificate, which would not be looked at again.
fn resume(config: &mut ServerConfig, asks: bool) -> Result<(), Error> {
    config.session_storage = Arc::new(NoServerSessionStorage {});
    if asks {
        config.send_tls13_tickets = 0;
    } else {
        config.ticketer = Ticketer::new().map_err(Error::Settings)?;
    }
    Ok(())
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}
