//! The state that a command looks into or changes, beside a gateway that may have it too.
//!
//! Who opens it says how, and what is told where there is none: `crosswalk.rs` and `journal.rs` do.

use std::path::PathBuf;

use clap::Args;
use tokio::runtime::Runtime;

use crate::app;
use crate::app::StartError;
use crate::cli::{could_not, fail};
use crate::config::{self, StateConfig};
use crate::store::{Store, StoreError};

/// Where the state is.
#[derive(Debug, Args)]
pub(super) struct Place {
    /// The configuration whose `state:` it is in
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// The state, opened.
pub(super) struct Opened {
    pub(super) runtime: Runtime,
    pub(super) store: Store,
    pub(super) state: StateConfig,
    /// True if it is a file to be changed that a gateway has too.
    pub(super) beside: bool,
}

/// How a command ends: with a code, or one that says that it was told why not.
pub(super) type Done = Result<u8, u8>;

impl Place {
    /// What the configuration names.
    pub(super) fn state(&self) -> Result<StateConfig, u8> {
        match config::load(&self.config, app::environment()) {
            Ok((config, _)) => Ok(config.state.value),
            Err(error) => Err(fail(&StartError::from(error))),
        }
    }
}

impl Opened {
    /// What comes of an operation, or that it was told why not.
    pub(super) fn ask<T>(
        &self,
        asked: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, u8> {
        self.runtime.block_on(asked).map_err(|error| could_not(&error))
    }

    /// Lets go of the file, which then has no log beside it.
    pub(super) fn close(&self) {
        self.runtime.block_on(self.store.close());
    }
}
