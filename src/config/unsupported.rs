//! Keys that are known and whose feature this version does not have.
//!
//! They are refused, because an operator who writes one and gets nothing of it must hear of it; their form is
//! checked all the same, so that the file is right when the feature comes.

use super::form::{self, Malformed};
use super::schema::{Field, Form, Shape};
use super::section::Reader;
use super::tree::{Entry, Item};
use super::{codes, secrets};

/// Reports the key, and what is wrong below it.
pub(super) fn refuse(reader: &mut Reader<'_>, field: &'static Field, entry: &Entry) {
    let message = format!("`{}` is not supported by this version", field.name);
    reader.error(codes::UNSUPPORTED, &entry.name.at, message, "leave it out");
    check(reader, field.name, &field.shape, &entry.item);
}

fn check(reader: &mut Reader<'_>, key: &'static str, shape: &'static Shape, item: &Item) {
    match shape {
        Shape::Opaque
        | Shape::Settings
        | Shape::Named(..)
        | Shape::List
        | Shape::ListOf(_)
        | Shape::LeafOrList => {}
        Shape::Leaf => {
            reader.parsed(item, key, form::text);
        }
        Shape::Later(form) => {
            reader.parsed(item, key, |text| form_of(*form, text));
        }
        Shape::Secret(fields) => {
            secrets::read(reader, item, key, fields);
        }
        Shape::Map(fields) | Shape::LeafOrMap(fields) => {
            let Some(section) = reader.section(item, format!("`{key}`"), &item.at, fields) else {
                return;
            };
            for field in *fields {
                if let Some(item) = section.get(field.name).filter(|_| !field.later) {
                    check(reader, field.name, &field.shape, item);
                }
            }
        }
    }
}

fn form_of(form: Form, text: &str) -> Result<(), Malformed> {
    match form {
        Form::Text => form::text(text).map(drop),
    }
}
