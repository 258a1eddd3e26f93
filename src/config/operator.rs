//! Where a running gateway is asked and told, for commands that do so.

use std::path::{Path, PathBuf};

use super::{LoadError, codes, gateway};
use crate::yaml;

/// Where the operator reaches a gateway.
#[derive(Debug, PartialEq, Eq)]
pub struct AdminPlace {
    /// Its listener for the operator, as it is written.
    pub listen: String,
    /// The file of the token that changes want.
    pub token: Option<PathBuf>,
}

/// Where the gateway with the configuration at `path` is reached, whatever else is wrong in it: who asks needs none
/// of its secrets.
///
/// # Errors
/// If the file cannot be read, or is no YAML.
pub fn admin_place(
    path: &Path,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<AdminPlace, LoadError> {
    let root = yaml::load(&super::read_file(path)?, codes::YAML, yaml::Most::CONFIGURATION)
        .map_err(LoadError::Findings)?;
    let environment: Vec<(String, String)> = environment.collect();
    let variable = |name: &str| {
        let found = environment.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let text = |node: Option<&yaml::Node>| Some(node?.scalar()?.text.clone());
    let admin = root.get("admin");
    let listen = text(admin.and_then(|admin| admin.get("listen")));
    let listen = variable("LATIMER__ADMIN__LISTEN").or(listen);
    let token = text(admin.and_then(|admin| admin.get("token")?.get("file")));
    let token = variable("LATIMER__ADMIN__TOKEN__FILE").or(token);
    let base = path.parent().unwrap_or(Path::new(""));
    Ok(AdminPlace {
        listen: listen.unwrap_or_else(|| gateway::ADMIN_LISTEN.to_string()),
        token: token.map(|token| base.join(token)),
    })
}
