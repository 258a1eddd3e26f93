//! Certificates and keys out of PEM (RFC 7468), with an eye on what people mix up.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls_pki_types::pem::{Error as PemError, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::Wrong;

/// Marks of a key that wants a passphrase: PKCS #8 (RFC 7468 section 11), and the older form of OpenSSL.
const ENCRYPTED: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];

/// The bytes of a file, wiped when they are dropped.
pub(super) fn read(path: &Path, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Wrong> {
    let file = File::open(path).map_err(Wrong::Unreadable)?;
    let mut bytes = Zeroizing::new(Vec::new());
    // One byte more than is taken, to tell that there is more.
    let limit = bytes_max as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(Wrong::Unreadable)?;
    if bytes.len() > bytes_max { Err(Wrong::TooLarge { bytes_max }) } else { Ok(bytes) }
}

/// All certificates in a text, at least one.
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Wrong> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    match found {
        Ok(found) if found.is_empty() => Err(Wrong::NoCertificate),
        Ok(found) => Ok(found),
        Err(error) => Err(not_pem(&error)),
    }
}

/// The first private key in a text.
pub(super) fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Wrong> {
    // Looked for first: the older form is a key whose lines are no base64.
    if ENCRYPTED.iter().any(|mark| memchr::memmem::find(pem, mark).is_some()) {
        return Err(Wrong::EncryptedKey);
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        PemError::NoItemsFound => Wrong::NoKey,
        error => not_pem(&error),
    })
}

/// Without the text that it met, which may be part of a key.
fn not_pem(error: &PemError) -> Wrong {
    let cause = match error {
        PemError::MissingSectionEnd { .. } => "an END line is missing",
        PemError::IllegalSectionStart { .. } => "a BEGIN line is broken",
        PemError::Base64Decode(_) => "what stands between BEGIN and END is no base64",
        PemError::SectionTooLarge => "a section is too large",
        _ => "it cannot be read",
    };
    Wrong::NotPem(cause.to_owned())
}
