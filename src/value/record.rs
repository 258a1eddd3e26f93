//! One call or one answer, as the vocabulary's fields with their values.

use std::borrow::Cow;

/// Index of a field within its operation's request or answer.
pub type FieldId = u8;
/// Index of a word within its type.
pub type WordId = u8;
/// Index of a `raw.` name within one mapping's operation.
pub type RawId = u8;
/// Index of a secret within the vocabulary.
pub type SecretId = u8;
/// Index of a setting within its mapping.
pub type SettingId = u8;

/// Fields that an operation usually has.
const FIELDS_USUAL: usize = 8;

/// A field's value.
///
/// Texts carry every type but words: an `int` is its digits, a `bool` is `true` or `false`, a `time`
/// is `YYYY-MM-DDTHH:MM:SSZ`. So a number never loses a digit on its way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text of an id, text, int, time or bool.
    Text(Cow<'a, str>),
    /// A word of the field's type.
    Word(WordId),
}

/// The canonical form of one call or answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    // `Vec`, not `SmallVec`: a record is covariant in its texts, so that one may be lent for less.
    fields: Vec<Option<Value<'a>>>,
    raw: Vec<Option<Cow<'a, str>>>,
}

impl<'a> Record<'a> {
    /// A record with nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The field's value, if it is there.
    pub fn get(&self, field: FieldId) -> Option<&Value<'a>> {
        self.fields.get(usize::from(field))?.as_ref()
    }

    /// The field's text; `None` for a word or for nothing.
    pub fn text(&self, field: FieldId) -> Option<&str> {
        match self.get(field)? {
            Value::Text(text) => Some(text),
            Value::Word(_) => None,
        }
    }

    /// The field's word; `None` for a text or for nothing.
    pub fn word(&self, field: FieldId) -> Option<WordId> {
        match self.get(field)? {
            Value::Word(word) => Some(*word),
            Value::Text(_) => None,
        }
    }

    /// Sets or clears a field.
    pub fn set(&mut self, field: FieldId, value: Option<Value<'a>>) {
        let index = usize::from(field);
        if self.fields.len() <= index {
            if self.fields.capacity() == 0 {
                // Room for the usual operation at once, not field by field.
                self.fields.reserve(FIELDS_USUAL.max(index + 1));
            }
            self.fields.resize(index + 1, None);
        }
        self.fields[index] = value;
    }

    /// Vendor-private JSON under a `raw.` name, as it came; its blanks are left out where it is written.
    pub fn raw(&self, raw: RawId) -> Option<&str> {
        self.raw.get(usize::from(raw))?.as_deref()
    }

    /// Sets or clears vendor-private JSON.
    pub fn set_raw(&mut self, raw: RawId, json: Option<Cow<'a, str>>) {
        let index = usize::from(raw);
        if self.raw.len() <= index {
            if self.raw.capacity() == 0 {
                self.raw.reserve(FIELDS_USUAL.max(index + 1));
            }
            self.raw.resize(index + 1, None);
        }
        self.raw[index] = json;
    }

    /// True if there is anything that is private to the vendor that it was read from.
    pub fn has_raw(&self) -> bool {
        self.raw.iter().any(Option::is_some)
    }

    /// Forgets what is private to the vendor that it was read from.
    pub fn drop_raw(&mut self) {
        self.raw.clear();
    }

    /// The fields that have a value, with their values.
    pub fn present(&self) -> impl Iterator<Item = (FieldId, &Value<'a>)> {
        (0..).zip(&self.fields).filter_map(|(field, value)| Some((field, value.as_ref()?)))
    }

    /// The same record with texts of its own.
    pub fn into_owned(self) -> Record<'static> {
        let own = |value: Value<'a>| match value {
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
            Value::Word(word) => Value::Word(word),
        };
        Record {
            fields: self.fields.into_iter().map(|value| value.map(own)).collect(),
            raw: self
                .raw
                .into_iter()
                .map(|json| json.map(|json| Cow::Owned(json.into_owned())))
                .collect(),
        }
    }
}
