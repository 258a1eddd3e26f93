//! A consumer's log-ins.

use crate::config::secrets::{self, Found};
use crate::config::section::{Reader, Section};
use crate::config::tree::{Item, Spanned};
use crate::config::{codes, form, schema};
use crate::diag::Location;
use crate::secret::{Malformed, Password};

/// A user who may log in as a consumer.
#[derive(Clone, Debug)]
pub struct Login {
    /// Whom clients name: an address or an account, as their vendor has it.
    pub user: Spanned<String>,
    /// What they have to know.
    pub password: Password,
}

/// All of `logins`; none if the key is not there. `None` if one is wrong.
pub(super) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Vec<Login>> {
    let items = reader.list(section, "logins");
    let logins: Vec<Option<Login>> = items.iter().map(|item| one(reader, item)).collect();
    logins.into_iter().collect()
}

fn one(reader: &mut Reader<'_>, item: &Item) -> Option<Login> {
    let section = reader.section(item, "a log-in", &item.at, schema::LOGIN)?;
    let user = reader.required(&section, "user", "add `user: NAME`");
    let user = user.and_then(|user| reader.parsed(user, "user", form::text));
    let hint = "add `password: {hash: \"$argon2id$…\"}`, `{env: NAME}` or `{file: PATH}`";
    let password = reader.required(&section, "password", hint)?;
    let found = secrets::read(reader, password, "password", schema::PASSWORD)?;
    let password = match found.value {
        Found::Text(secret) => Password::Text(secret),
        Found::Hash(text) => hashed(reader, &text, &found.at)?,
    };
    Some(Login { user: user?, password })
}

fn hashed(reader: &mut Reader<'_>, text: &str, at: &Location) -> Option<Password> {
    let message = match Password::parse(text) {
        Ok(password) => return Some(password),
        Err(Malformed::Form) => "`hash` is not the hash of a password",
        Err(Malformed::Algorithm) => "`hash` is not of Argon2id, version 19",
        Err(Malformed::Costs) => {
            "`hash` takes more than 256 MiB, 16 passes or 16 lanes to check, at each log-in"
        }
    };
    let label = "write `$argon2id$v=19$…`; `latimer key password` prints it";
    reader.error(codes::SECRET, at, message, label);
    None
}
