//! `latimer key`.

use std::io::Read;

use clap::{Args, Subcommand};

use crate::bounds;
use crate::cli::{COULD_NOT_TELL, ask, print, tell};
use crate::secret::{Secret, hash_key};

/// Make or hash a consumer's key.
#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key; it is printed once, with its line for the configuration
    New,
    /// Read a key from standard input and print its line for the configuration
    Hash,
}

impl Key {
    pub(super) fn run(self) -> u8 {
        match self.command {
            Command::New => new(),
            Command::Hash => hash(),
        }
    }
}

/// 256 random bits, so that a plain hash of it is safe to keep.
fn new() -> u8 {
    let mut bytes = [0; 32];
    if let Err(error) = getrandom::fill(&mut bytes) {
        tell(&format!("error: the operating system gives no random numbers: {error}\n"));
        return COULD_NOT_TELL;
    }
    let key: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = Secret::new(key);
    tell("The key, for the client; it is not shown again:\n");
    print(&format!("{}\n", key.expose()));
    tell("Its line for the configuration, under `consumers:`:\n");
    print(&line(key.expose()));
    0
}

fn hash() -> u8 {
    let mut key = String::new();
    ask("reading the key from standard input; Ctrl-D after its line ends it");
    // One byte more than is taken, so that a longer key is told from a whole one.
    let limit = bounds::SECRET_BYTES_MAX as u64 + 1;
    if let Err(error) = std::io::stdin().take(limit).read_to_string(&mut key) {
        tell(&format!("error: cannot read the key: {error}\n"));
        return COULD_NOT_TELL;
    }
    if key.len() > bounds::SECRET_BYTES_MAX {
        tell(&format!("error: the key has more than {} bytes\n", bounds::SECRET_BYTES_MAX));
        return COULD_NOT_TELL;
    }
    let key = Secret::new(key.trim_end_matches(['\r', '\n']));
    if key.expose().is_empty() {
        tell("error: no key on standard input: write `printf %s KEY | latimer key hash`\n");
        return COULD_NOT_TELL;
    }
    print(&line(key.expose()));
    0
}

fn line(key: &str) -> String {
    format!("NAME: {{key: {{hash: \"{}\"}}}}\n", hash_key(key))
}
