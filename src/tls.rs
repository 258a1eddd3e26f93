//! TLS on both sides of the gateway, by rustls with ring.
//!
//! ```text
//! PEM files ──▶ Identity (certificate + key), Roots ──▶ ServerSettings ─▶ Server ─accept──▶ stream
//!                    │                            └───▶ ClientSettings ─▶ Client ─connect─▶ stream
//!                    └──▶ Renewable ◀── watch: the files are read again, a broken one changes nothing
//! ```
//!
//! Settings are plain data that was read and checked before start; [`Server`] and [`Client`] are what
//! connections are made with. TLS 1.2 and 1.3 are spoken (RFC 8446, RFC 5246) and nothing older; an
//! upstream's certificate is always verified, against the system's roots or a named bundle, and there
//! is no switch for that. 0-RTT data is neither taken nor sent, for it can be replayed.
//!
//! How long a handshake may take is the caller's business: dropping its future ends it. Hostile bytes
//! end a handshake with an [`std::io::Error`].

mod client;
mod error;
mod identity;
mod pem;
mod renew;
mod roots;
mod server;
#[cfg(test)]
pub(crate) mod tests;
mod validity;

use std::io;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::{AlertDescription, SupportedProtocolVersion};

pub use client::{Client, ClientSettings, ClientStream};
pub use error::{Error, Wrong};
pub use identity::{Files, Identity};
pub use renew::{Renewable, Renewed, watch};
pub use roots::Roots;
pub use server::{Server, ServerSettings, ServerStream};
pub use validity::{Standing, Validity};

/// The versions that are spoken, TLS 1.2 at least.
const VERSIONS: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];

/// What is offered by ALPN (RFC 7301), the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// `http/1.1` alone.
    Http1,
    /// `h2` (RFC 9113), else `http/1.1`.
    Http2AndHttp1,
    /// `h2` alone.
    Http2,
    /// `postgresql` alone; servers before version 17 do not look at it.
    Postgresql,
    /// Nothing, for a protocol that has no name there.
    Nothing,
}

/// What both sides agreed on by ALPN; without ALPN it is HTTP/1.1 (RFC 9112).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

impl Offer {
    fn names(self) -> Vec<Vec<u8>> {
        match self {
            Self::Http1 => vec![HTTP_1_1.to_vec()],
            Self::Http2 => vec![H2.to_vec()],
            Self::Postgresql => vec![b"postgresql".to_vec()],
            Self::Nothing => Vec::new(),
            Self::Http2AndHttp1 => vec![H2.to_vec(), HTTP_1_1.to_vec()],
        }
    }
}

impl Protocol {
    fn of(name: Option<&[u8]>) -> Self {
        if name == Some(H2) { Self::Http2 } else { Self::Http1 }
    }
}

/// True if the other side ended a handshake because of what *we* showed: then it has taken nothing of
/// what we said after it.
///
/// With TLS 1.3 that is heard only after our side has finished, when the answer is read; yet the other
/// side looks at our certificate before it reads on (RFC 8446 section 4.4.4). It is true only until the
/// first byte of an answer has come.
pub fn is_refusal(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = inner else { return false };
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
    )
}

/// The one set of algorithms, made once.
fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}
