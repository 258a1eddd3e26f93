//! `latimer check`.

use std::collections::HashSet;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::app::{self, StartError};
use crate::catalog::Catalog;
use crate::cli::{COULD_NOT_TELL, FINDINGS, fail, listed, print};
use crate::diag::{self, Diagnostic, SourceFile};

/// Check mappings and configuration.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// A configuration file, checked together with its mappings
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folders of mappings, or mapping files beside their vocabulary [default: mappings]
    paths: Vec<PathBuf>,
    /// List what no vendor page attests
    #[arg(long)]
    unverified: bool,
    /// Let warnings count as errors
    #[arg(long, value_name = "WHAT")]
    deny: Option<Deny>,
    /// How to print what was found
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Deny {
    Warnings,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Check {
    pub(super) fn run(self) -> u8 {
        let mut found = Vec::new();
        let mut could_not = None;
        if let Some(config) = &self.config {
            match app::load(config, app::environment()) {
                Ok((_, plan, mut warnings)) => {
                    found.append(&mut warnings);
                    if self.unverified {
                        found.append(&mut plan.unverified());
                    }
                }
                Err(StartError::Findings(mut list)) => found.append(&mut list),
                Err(error) => could_not = Some(fail(&error)),
            }
        }
        let default = [PathBuf::from("mappings")];
        let paths: &[PathBuf] = match (&self.paths[..], &self.config) {
            ([], None) => &default,
            (paths, _) => paths,
        };
        for path in paths {
            match self.mappings(path) {
                Ok(mut list) => found.append(&mut list),
                Err(error) => could_not = Some(fail(&error)),
            }
        }
        diag::sort(&mut found);
        if self.config.is_some() {
            once(&mut found);
        }
        self.report(&found);
        let denied = self.deny.is_some() && !found.is_empty();
        match could_not {
            Some(code) => code.max(COULD_NOT_TELL),
            None if diag::has_errors(&found) || denied => FINDINGS,
            None => 0,
        }
    }

    fn mappings(&self, path: &PathBuf) -> Result<Vec<Diagnostic>, StartError> {
        let loaded = if path.is_dir() { Catalog::load(path) } else { beside_vocabulary(path) };
        let (catalog, mut found) = match loaded {
            Ok(loaded) => loaded,
            Err(crate::catalog::LoadError::Findings(found)) => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        found.append(&mut catalog.losses());
        if self.unverified {
            found.append(&mut catalog.unverified());
        }
        Ok(found)
    }

    fn report(&self, found: &[Diagnostic]) {
        match self.format {
            Format::Text => print(&listed(found, std::io::stdout().is_terminal())),
            Format::Json => {
                for finding in found {
                    print(&format!("{}\n", diag::to_json(finding)));
                }
            }
        }
    }
}

/// Says a thing once, though routes share a mapping and a path may be the configuration's too.
fn once(found: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    found.retain(|finding| {
        let path = PathBuf::from(&finding.at.file.name);
        let path = path.canonicalize().unwrap_or(path);
        let place = (finding.at.file.first_line, finding.at.span);
        seen.insert((path, place, finding.code, finding.message.clone()))
    });
}

/// One mapping file with the vocabulary of its folder, or with the shipped one.
fn beside_vocabulary(
    path: &PathBuf,
) -> Result<(Catalog, Vec<Diagnostic>), crate::catalog::LoadError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).map_err(|source| {
            crate::catalog::LoadError::Unreadable { path: path.clone(), source }
        })?;
        Ok::<_, crate::catalog::LoadError>(SourceFile::new(path.display().to_string(), text))
    };
    let vocabulary = path.with_file_name("vocabulary.yaml");
    let vocabulary = if vocabulary.is_file() {
        read(&vocabulary)?
    } else {
        std::sync::Arc::clone(&Catalog::shipped().vocabulary.source)
    };
    let mapping = read(path)?;
    Catalog::of_sources(&[vocabulary, mapping]).map_err(crate::catalog::LoadError::Findings)
}
