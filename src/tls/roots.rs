//! Whom a certificate must come from to be believed.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;

use super::{Error, Wrong, pem};
use crate::bounds;

/// Root certificates, at least one.
#[derive(Clone)]
pub struct Roots(pub(super) Arc<RootCertStore>);

impl Roots {
    /// Exactly those of a PEM file.
    ///
    /// # Errors
    /// If the file cannot be read, or a certificate in it cannot be used, or there is none.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let wrong = |wrong| Error::file(path, wrong);
        let bytes = pem::read(path, bounds::TLS_FILE_BYTES_MAX).map_err(wrong)?;
        let mut roots = RootCertStore::empty();
        for (index, certificate) in
            pem::certificates(&bytes).map_err(wrong)?.into_iter().enumerate()
        {
            roots
                .add(certificate)
                .map_err(|cause| wrong(Wrong::BadCertificate { number: index + 1, cause }))?;
        }
        Ok(Self(Arc::new(roots)))
    }

    /// Those of the system: where it keeps them, or where `SSL_CERT_FILE` and `SSL_CERT_DIR` say.
    ///
    /// # Errors
    /// If there are none. One that cannot be used does not matter beside others that can.
    pub fn system() -> Result<Self, Error> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(found.certs);
        if added == 0 {
            let cause = found.errors.first().map(ToString::to_string);
            return Err(Error::NoSystemRoots { cause });
        }
        Ok(Self(Arc::new(roots)))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.0.len())
    }
}
