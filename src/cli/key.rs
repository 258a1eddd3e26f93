//! `latimer key`.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ring::digest;
use zeroize::Zeroizing;

use crate::cli::{ask, print, tell, told};
use crate::config::{self, PepperPlace};
use crate::secret::{PEPPER_CHARS_MIN, Pepper, Secret, hash_password, hexadecimal};
use crate::{app, bounds};

/// Make or hash a consumer's key, or hash a password
#[derive(Debug, Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a key; it is printed once, with its line for the configuration
    New(PepperArgs),
    /// Read a key from standard input and print its line for the configuration
    Hash(PepperArgs),
    /// Read a log-in's password from standard input and print its line for the configuration
    Password {
        /// Clients send the SHA-512 of the password, in hexadecimal digits: those of ZStack do
        #[arg(long)]
        sha512: bool,
    },
}

/// What keys are hashed under.
#[derive(Debug, Args)]
struct PepperArgs {
    /// The file of the installation's pepper, which is made if it is not there
    /// [default: what the configuration says, or latimer.pepper]
    #[arg(long, value_name = "FILE")]
    pepper: Option<PathBuf>,
    /// The configuration whose `pepper:` it is
    #[arg(long, value_name = "FILE", conflicts_with = "pepper")]
    config: Option<PathBuf>,
}

/// The file of the pepper, unless somebody says otherwise.
const PEPPER: &str = "latimer.pepper";

impl Key {
    pub(super) fn run(self) -> u8 {
        let done = match self.command {
            Command::New(pepper) => new(&pepper),
            Command::Hash(pepper) => hash(&pepper),
            Command::Password { sha512 } => password(sha512),
        };
        match done {
            Ok(()) => 0,
            Err(message) => told(message),
        }
    }
}

/// 256 random bits as hexadecimal digits.
fn random() -> Result<Secret, String> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(no_random)?;
    Ok(Secret::new(hexadecimal(&*bytes)))
}

fn no_random(error: getrandom::Error) -> String {
    format!("the operating system gives no random numbers: {error}")
}

fn new(pepper: &PepperArgs) -> Result<(), String> {
    let pepper = pepper.find()?;
    let key = random()?;
    tell("The key, for the client; it is not shown again:\n");
    print(&format!("{}\n", key.expose()));
    tell("Its line for the configuration, under `consumers:`:\n");
    print(&line(&pepper, &key));
    Ok(())
}

fn hash(pepper: &PepperArgs) -> Result<(), String> {
    let key = read("key", "latimer key hash")?;
    let pepper = pepper.find()?;
    print(&line(&pepper, &key));
    Ok(())
}

fn line(pepper: &Pepper, key: &Secret) -> String {
    format!("NAME: {{key: {{hash: \"{}\"}}}}\n", pepper.hash(key.expose()))
}

fn password(sha512: bool) -> Result<(), String> {
    let mut password = read("password", "latimer key password")?;
    if sha512 {
        let hash = digest::digest(&digest::SHA512, password.expose().as_bytes());
        password = Secret::new(hexadecimal(hash.as_ref()));
    }
    let hash = hash_password(&password).map_err(no_random)?;
    print(&format!("{{user: NAME, password: {{hash: \"{hash}\"}}}}\n"));
    Ok(())
}

/// A secret from standard input, less the end of its line.
fn read(what: &str, command: &str) -> Result<Secret, String> {
    let mut text = Zeroizing::new(String::new());
    ask(&format!("reading the {what} from standard input; Ctrl-D after its line ends it"));
    // One byte more than is taken, so that a longer one is told from a whole one.
    let limit = bounds::SECRET_BYTES_MAX as u64 + 1;
    let read = io::stdin().take(limit).read_to_string(&mut text);
    read.map_err(|error| format!("cannot read the {what}: {error}"))?;
    if text.len() > bounds::SECRET_BYTES_MAX {
        return Err(format!("the {what} has more than {} bytes", bounds::SECRET_BYTES_MAX));
    }
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        let word = what.to_uppercase();
        return Err(format!("no {what} on standard input: write `printf %s {word} | {command}`"));
    }
    Ok(Secret::new(secret))
}

impl PepperArgs {
    /// The pepper, from where it is kept; made if there is none.
    fn find(&self) -> Result<Pepper, String> {
        let place = match (&self.pepper, &self.config) {
            (Some(file), _) => PepperPlace::File(file.clone()),
            (None, Some(path)) => config::pepper_place(path, app::environment())
                .map_err(|error| format!("{}: {error}", path.display()))?
                .unwrap_or_else(|| PepperPlace::File(path.with_file_name(PEPPER))),
            (None, None) => PepperPlace::File(PEPPER.into()),
        };
        let file = match place {
            PepperPlace::Environment(pepper) => return checked(&pepper, "the variable"),
            PepperPlace::File(file) => file,
        };
        let shown = file.display();
        match read_pepper(&file) {
            Ok(pepper) => checked(&pepper, &shown.to_string()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let pepper = random()?;
                write_pepper(&file, &pepper)
                    .map_err(|error| format!("cannot make {shown}: {error}"))?;
                tell(&format!(
                    "Made {shown}. Keys are hashed under it: keep it, and keep it secret. In the configuration:\n  \
                     pepper: {{file: {shown}}}\n"
                ));
                checked(&pepper, &shown.to_string())
            }
            Err(error) => Err(format!("cannot read {shown}: {error}")),
        }
    }
}

fn checked(pepper: &Secret, shown: &str) -> Result<Pepper, String> {
    if pepper.expose().chars().count() < PEPPER_CHARS_MIN {
        return Err(format!(
            "{shown} has less than {PEPPER_CHARS_MIN} characters, which is no pepper"
        ));
    }
    Ok(Pepper::new(pepper))
}

fn read_pepper(file: &Path) -> io::Result<Secret> {
    let mut text = Zeroizing::new(String::new());
    File::open(file)?.take(bounds::SECRET_BYTES_MAX as u64).read_to_string(&mut text)?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

/// Writes a file that was not there, for its owner alone.
fn write_pepper(file: &Path, pepper: &Secret) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(file)?;
    file.write_all(format!("{}\n", pepper.expose()).as_bytes())?;
    file.sync_all()
}
