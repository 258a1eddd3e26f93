//! A certificate with its private key: what one side shows to the other.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{Error, Validity, Wrong, pem, provider};
use crate::bounds;

/// Where a certificate and its key are, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, then those that it was issued by.
    pub cert: PathBuf,
    /// Its private key, not encrypted.
    pub key: PathBuf,
}

/// A certificate with its key, as they were read.
#[derive(Clone)]
pub struct Identity {
    pub(super) files: Files,
    pub(super) certified: Arc<CertifiedKey>,
    pub(super) digest: [u8; 32],
    validity: Option<Validity>,
}

/// Both, or everything that is wrong.
fn both<A, B>(one: Result<A, Error>, other: Result<B, Error>) -> Result<(A, B), Vec<Error>> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (one, other) => Err(one.err().into_iter().chain(other.err()).collect()),
    }
}

/// The bytes of both files.
pub(super) struct Read {
    cert: Zeroizing<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

impl Files {
    /// Reads both files.
    pub(super) fn read(&self) -> Result<Read, Vec<Error>> {
        let cert = pem::read(&self.cert, bounds::TLS_FILE_BYTES_MAX)
            .map_err(|wrong| Error::file(&self.cert, wrong));
        let key = pem::read(&self.key, bounds::SECRET_BYTES_MAX)
            .map_err(|wrong| Error::file(&self.key, wrong));
        let (cert, key) = both(cert, key)?;
        Ok(Read { cert, key })
    }
}

impl Read {
    /// Tells whether the files say something else than before.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        // The length keeps a byte that moves from one file to the other from going unseen.
        hash.update(self.cert.len().to_le_bytes());
        hash.update(&self.cert);
        hash.update(&self.key);
        hash.finalize().into()
    }
}

impl Identity {
    /// Reads a certificate and its key, and sees that they belong together.
    ///
    /// # Errors
    /// Which of the two files cannot be used, and why; both, if that is so.
    pub fn read(files: Files) -> Result<Self, Vec<Error>> {
        let read = files.read()?;
        Self::of(files, &read)
    }

    pub(super) fn of(files: Files, read: &Read) -> Result<Self, Vec<Error>> {
        let cert = |wrong| Error::file(&files.cert, wrong);
        let key = |wrong| Error::file(&files.key, wrong);
        let chain = pem::certificates(&read.cert).map_err(cert);
        let load = |private| provider().key_provider.load_private_key(private);
        let private = pem::key(&read.key).and_then(|private| load(private).map_err(Wrong::BadKey));
        let (chain, private) = both(chain, private.map_err(key))?;
        let validity = chain.first().and_then(|first| Validity::of(first));
        let certified = CertifiedKey::new(chain, private);
        match certified.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                return Err(vec![key(Wrong::OtherKey)]);
            }
            // A key that does not tell its public half cannot be held against anything.
            Err(rustls::Error::InconsistentKeys(_)) => {}
            Err(cause) => return Err(vec![cert(Wrong::BadCertificate { number: 1, cause })]),
        }
        let digest = read.digest();
        Ok(Self { files, certified: Arc::new(certified), digest, validity })
    }

    /// When the certificate holds; none if that cannot be read from it.
    pub fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// Where it was read from.
    pub fn files(&self) -> &Files {
        &self.files
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("files", &self.files).finish_non_exhaustive()
    }
}
