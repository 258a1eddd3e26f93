//! Authorities, certificates and both sides for tests.

#[path = "../../../tests/end_to_end/authority.rs"]
pub(crate) mod authority;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use self::authority::{Authority, Issued};
use crate::tls::{Client, ClientSettings, Files, Identity, Offer, Roots, Server, ServerSettings};

pub(crate) const HOST: &str = "desk.example";

/// Two authorities and what they issued, in files.
pub(crate) struct Stage {
    pub(crate) folder: TempDir,
    pub(crate) ours: Authority,
    pub(crate) other: Authority,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let stage = Self {
            folder: tempfile::tempdir().unwrap(),
            ours: Authority::new("ours"),
            other: Authority::new("other"),
        };
        stage.write("ours.pem", &stage.ours.pem());
        stage.write("other.pem", &stage.other.pem());
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    pub(crate) fn files(&self, name: &str, issued: &Issued) -> Files {
        let cert = self.write(&format!("{name}.cert"), &issued.cert);
        Files { cert, key: self.write(&format!("{name}.key"), &issued.key) }
    }

    pub(crate) fn identity(&self, name: &str, issued: &Issued) -> Identity {
        Identity::read(self.files(name, issued)).unwrap()
    }

    pub(crate) fn roots(&self, name: &str) -> Roots {
        Roots::read(&self.path(name)).unwrap()
    }

    pub(crate) fn server(&self, issued: &Issued, client_ca: Option<&str>) -> Server {
        let identity = self.identity("server", issued);
        let client_ca = client_ca.map(|name| self.roots(name));
        Server::new(&ServerSettings { identity, client_ca }, Offer::Http1).unwrap()
    }

    pub(crate) fn client(&self, roots: &str, host: &str, issued: Option<&Issued>) -> Client {
        let identity = issued.map(|issued| self.identity("client", issued));
        let settings = ClientSettings { roots: self.roots(roots), identity };
        Client::new(&settings, host, Offer::Http1).unwrap()
    }
}
