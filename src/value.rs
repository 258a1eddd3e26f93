//! The canonical side of a call: what was said, in nobody's dialect.
//!
//! A [`Record`] holds one call or one answer as the vocabulary's fields; a [`Fault`] is a canonical
//! error. Mappings turn a vendor's messages into these and back. Nothing here knows a vendor.

mod fault;
mod id;
mod record;

pub use fault::Fault;
pub use id::{IdKind, fit_id, fit_system};
pub use record::{FieldId, RawId, Record, SecretId, SettingId, Value, WordId};
