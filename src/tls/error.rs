//! What can be wrong with certificates, keys and roots, as facts.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why there is nothing to speak TLS with.
#[derive(Debug)]
pub enum Error {
    /// A file cannot be used.
    File {
        /// Its path.
        path: PathBuf,
        /// What is wrong with it.
        wrong: Wrong,
    },
    /// The system has no root certificates.
    NoSystemRoots {
        /// What failed first, if anything did.
        cause: Option<String>,
    },
    /// No certificate can be for that host.
    Host(String),
    /// rustls refuses the settings.
    Settings(rustls::Error),
}

/// What is wrong with a file.
#[derive(Debug)]
pub enum Wrong {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It has more bytes than are read of it.
    TooLarge {
        /// How many are read.
        bytes_max: usize,
    },
    /// It is not PEM (RFC 7468).
    NotPem(String),
    /// There is no certificate in it.
    NoCertificate,
    /// A certificate in it cannot be used.
    BadCertificate {
        /// Which one, from 1.
        number: usize,
        /// Why.
        cause: rustls::Error,
    },
    /// There is no private key in it.
    NoKey,
    /// The private key wants a passphrase.
    EncryptedKey,
    /// The private key is damaged or of a kind that is not spoken.
    BadKey(rustls::Error),
    /// The private key is not that of the certificate.
    OtherKey,
}

impl Error {
    pub(super) fn file(path: impl Into<PathBuf>, wrong: Wrong) -> Self {
        Self::File { path: path.into(), wrong }
    }
}

impl Wrong {
    /// True if it is the private key that is wrong: both may stand in one file.
    pub fn is_of_key(&self) -> bool {
        match self {
            Self::NoKey | Self::EncryptedKey | Self::BadKey(_) | Self::OtherKey => true,
            Self::Unreadable(_)
            | Self::TooLarge { .. }
            | Self::NotPem(_)
            | Self::NoCertificate
            | Self::BadCertificate { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "paths start at this file's folder",
            Self::TooLarge { .. } => "name a file with what is needed and nothing else",
            Self::NotPem(_) | Self::NoCertificate => {
                "a certificate starts with `-----BEGIN CERTIFICATE-----`"
            }
            Self::BadCertificate { .. } => "have it issued anew",
            Self::NoKey => "a private key starts with `-----BEGIN PRIVATE KEY-----`",
            Self::EncryptedKey => {
                "take the passphrase away, `openssl pkey -in KEY -out FILE`, and protect the file"
            }
            Self::BadKey(_) => {
                "RSA from 2048 bits, ECDSA on P-256 or P-384, and Ed25519 are spoken"
            }
            Self::OtherKey => "name the key that the certificate was made for",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(cause) => write!(f, "the file cannot be read: {cause}"),
            Self::TooLarge { bytes_max } => write!(f, "the file has more than {bytes_max} bytes"),
            Self::NotPem(cause) => write!(f, "the file is not PEM: {cause}"),
            Self::NoCertificate => f.write_str("there is no certificate in the file"),
            Self::BadCertificate { number, cause } => {
                write!(f, "certificate {number} in the file cannot be used: {cause}")
            }
            Self::NoKey => f.write_str("there is no private key in the file"),
            Self::EncryptedKey => f.write_str("the private key is encrypted"),
            Self::BadKey(cause) => write!(f, "the private key cannot be used: {cause}"),
            Self::OtherKey => f.write_str("the private key is not that of the certificate"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, wrong } => write!(f, "{}: {wrong}", path.display()),
            Self::NoSystemRoots { cause: None } => {
                f.write_str("this system has no root certificates")
            }
            Self::NoSystemRoots { cause: Some(cause) } => {
                write!(f, "this system has no root certificates: {cause}")
            }
            Self::Host(host) => write!(f, "no certificate can be for `{host}`"),
            Self::Settings(_) => f.write_str("TLS cannot be set up"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Settings(cause) => Some(cause),
            Self::File { .. } | Self::NoSystemRoots { .. } | Self::Host(_) => None,
        }
    }
}
