//! `settings:` maps: a vendor's own values, checked later against its mapping.

use super::form;
use super::section::{Reader, Section};
use super::tree::Spanned;

/// One setting as its operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name, with the place of the name.
    pub name: Spanned<String>,
    /// Its text; what type it has is said by the mapping.
    pub value: Spanned<String>,
}

/// The settings of a section, none if it has no such key.
pub(super) fn read(reader: &mut Reader<'_>, section: &Section<'_>) -> Vec<Setting> {
    let mut settings = Vec::new();
    for entry in reader.named(section, "settings") {
        let name = &entry.name;
        if let Some(value) = reader.parsed(&entry.item, &name.value, form::text) {
            settings.push(Setting { name: name.clone(), value });
        }
    }
    settings
}
