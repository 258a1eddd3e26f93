//! `pepper:`, what consumers' keys are hashed under.

use std::path::{Path, PathBuf};

use super::section::{Reader, Section};
use super::{LoadError, codes, secrets};
use crate::diag::Span;
use crate::secret::{Pepper, Secret};
use crate::yaml;

/// Where an installation's pepper is kept.
#[derive(Debug)]
pub enum PepperPlace {
    /// In a file, which may not be there yet.
    File(PathBuf),
    /// In the environment.
    Environment(Secret),
}

/// Where the configuration at `path` says that the pepper is, whatever else is wrong in it; `None` if it does
/// not say.
///
/// # Errors
/// If the file cannot be read, or is no YAML.
pub fn pepper_place(
    path: &Path,
    mut environment: impl Iterator<Item = (String, String)>,
) -> Result<Option<PepperPlace>, LoadError> {
    let root = yaml::load(&super::read_file(path)?, codes::YAML, yaml::Most::CONFIGURATION)
        .map_err(LoadError::Findings)?;
    let Some(pepper) = root.get("pepper") else { return Ok(None) };
    let text = |key| Some(pepper.get(key)?.scalar()?.text.as_str());
    let variable = |name: &str| environment.find(|(known, _)| known == name);
    let base = path.parent().unwrap_or(Path::new(""));
    Ok(match (text("file"), text("env").and_then(variable)) {
        (Some(file), _) => Some(PepperPlace::File(base.join(file))),
        (None, Some((_, value))) => Some(PepperPlace::Environment(Secret::new(value))),
        (None, None) => None,
    })
}

/// The installation's pepper. Without one nothing that was hashed before can be there, and any will do.
pub(super) fn read(reader: &mut Reader<'_>, root: &Section<'_>) -> Option<Pepper> {
    match (secrets::pepper(reader, root), Pepper::random()) {
        (Some(pepper), _) => Some(Pepper::new(&pepper.value)),
        (None, Ok(pepper)) => Some(pepper),
        (None, Err(error)) => {
            let message = format!("the operating system gives no random numbers: {error}");
            let at = reader.at(Span::default());
            reader.error(codes::SECRET, &at, message, "keys cannot be hashed without");
            None
        }
    }
}
