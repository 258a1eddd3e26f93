//! A certificate that is replaced while connections are made with it.
//!
//! The files are read again at intervals and held against what was seen last, so that neither a clock
//! nor a file system's notion of change counts. What cannot be used changes nothing: the certificate in
//! use stays, and the reason is logged once.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::time::MissedTickBehavior;

use super::{Error, Files, Identity, Standing, Validity};

/// The certificate that the next handshake shows.
pub struct Renewable {
    files: Files,
    current: ArcSwap<CertifiedKey>,
    seen: Mutex<Seen>,
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Renewed {
    /// They say what they said before.
    Unchanged,
    /// The certificate was replaced by another one.
    Replaced(Option<Validity>),
    /// They say something new that cannot be used: the certificate in use stays.
    Kept(Vec<Error>),
}

/// What the last look saw.
#[derive(PartialEq, Eq)]
enum Seen {
    /// The digest of both files, good or not.
    Content([u8; 32]),
    /// Why they could not be read.
    Unreadable(String),
}

impl Renewable {
    /// Starts with a certificate that was read.
    pub fn new(identity: Identity) -> Arc<Self> {
        let Identity { files, certified, digest, .. } = identity;
        let seen = Mutex::new(Seen::Content(digest));
        Arc::new(Self { files, current: ArcSwap::new(certified), seen })
    }

    /// Where it is read from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Looks at the files. It blocks for as long as reading them takes.
    pub fn renew(&self) -> Renewed {
        // Held throughout: of two looks at one time the later must not be overtaken.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read = self.files.read();
        let sees = match &read {
            Ok(read) => Seen::Content(read.digest()),
            Err(errors) => Seen::Unreadable(told(errors)),
        };
        if *seen == sees {
            return Renewed::Unchanged;
        }
        *seen = sees;
        match read.and_then(|read| Identity::of(self.files.clone(), &read)) {
            Ok(identity) => {
                let validity = identity.validity();
                self.current.store(identity.certified);
                Renewed::Replaced(validity)
            }
            Err(errors) => Renewed::Kept(errors),
        }
    }
}

/// Looks at the files of all certificates at intervals, until told to stop.
pub async fn watch(
    identities: Vec<Arc<Renewable>>,
    interval: Duration,
    mut stop: tokio::sync::watch::Receiver<bool>,
) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.changed() => return,
        }
        for identity in &identities {
            let identity = Arc::clone(identity);
            // A file may lie on something slow.
            let looked = tokio::task::spawn_blocking(move || tell(&identity, &identity.renew()));
            if looked.await.is_err() {
                tracing::error!(target: "latimer::tls", "looking for a new certificate failed");
            }
        }
    }
}

fn tell(identity: &Renewable, renewed: &Renewed) {
    let cert = identity.files.cert.display();
    match renewed {
        Renewed::Unchanged => {}
        Renewed::Replaced(validity) => {
            let until = validity.map(|validity| validity.not_after.to_string());
            let until = until.unwrap_or_default();
            tracing::info!(target: "latimer::tls", %cert, until, "the certificate was replaced");
            let standing = validity.map(|validity| validity.standing(SystemTime::now()));
            if matches!(standing, Some(Standing::Expired | Standing::NotYet)) {
                tracing::warn!(target: "latimer::tls", %cert, until, "the new certificate does not hold now");
            }
        }
        Renewed::Kept(errors) => {
            tracing::error!(
                target: "latimer::tls",
                error = told(errors),
                "the new certificate cannot be used: the one before it stays"
            );
        }
    }
}

fn told(errors: &[Error]) -> String {
    let texts: Vec<String> = errors.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

impl ResolvesServerCert for Renewable {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

impl ResolvesClientCert for Renewable {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Renewable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewable").field("files", &self.files).finish_non_exhaustive()
    }
}
