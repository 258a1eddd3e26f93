//! Reading and writing messages with a compiled mapping.
//!
//! Pure functions: bytes and heads in, records and messages out. No clock, no socket, no lock; the
//! stages of a call, `explain`, the examples and the laws all run these same functions.
//!
//! ```text
//! client bytes ──read_request──▶ Record ──write_request──▶ upstream bytes
//! client bytes ◀──write_answer── Record ◀──read_answer──── upstream bytes
//!              ◀──write_fault─── Fault  ◀┘
//! ```

mod answer;
mod body;
mod capture;
mod headers;
mod negotiate;
mod read;
mod reader;
mod render;
mod session;
mod standing;
mod step;
mod write;

use std::borrow::Cow;

use http::HeaderValue;

pub use answer::{AnswerHead, Mismatch, Reading, read_answer, read_public_answer};
pub use headers::{lasting_limit_headers, limit_headers, spent_until};
pub use negotiate::{Unreadable, acceptable, choose_body, media_type, preferred};
pub use read::{
    ReadOptions, RequestHead, fits_path, read_credentials, read_request, read_secrets, selects,
};
pub use reader::Presented;
pub use render::{Rendered, render_content, render_pattern};
pub use session::{has_expired, read_taken};
pub use standing::{StandingQuery, read_standing, split_query, standing_headers, write_standing};
pub use step::{read_location, read_step, write_ask, write_poll, write_step};
pub use write::{
    FaultText, Outgoing, RequestParts, WrittenAnswer, fault_places, write_answer,
    write_bare_request, write_body_answer, write_fault, write_request,
};

use crate::mapping::model::{GatewayField, Mapping, Vocabulary};
use crate::secret::Secret;
use crate::value::{Fault, Record, SecretId, SettingId};

/// Values of a mapping's settings, by index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<Option<Box<str>>>);

/// Secrets for an upstream, by index, each with what a header holds that is nothing but the secret.
#[derive(Debug, Default)]
pub struct Secrets(Vec<Option<(Secret, Option<HeaderValue>)>>);

/// What the gateway fills into answers.
#[derive(Clone, Debug, Default)]
pub struct Gateway<'a> {
    /// Status code of the answer.
    pub http: u16,
    /// The path that the client asked for, decoded and cut.
    pub path: &'a str,
    /// The call's id.
    pub call: &'a str,
    /// The methods that the path has.
    pub allow: &'a str,
    /// The client's own name of the member that is wrong.
    pub field: &'a str,
    /// Why the request cannot be read.
    pub reason: &'a str,
    /// Calls that are left.
    pub rate_remaining: Option<u64>,
    /// When the limit is whole again, as `YYYY-MM-DDTHH:MM:SSZ`.
    pub rate_reset: Option<&'a str>,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
    /// Where a client asks what came of its call, and how many milliseconds that takes at most.
    pub job: Option<(&'a str, u64)>,
    /// Calls that there may be at most.
    pub rate_limit: Option<u64>,
    /// The limit that says most to the client.
    pub limit: Option<LimitFacts<'a>>,
    /// The session that the call is about.
    pub session: Option<&'a SessionFacts>,
}

/// What is told of a limit.
#[derive(Clone, Copy, Debug)]
pub struct LimitFacts<'a> {
    /// What it is called.
    pub name: &'a str,
    /// Calls that it takes.
    pub calls: u64,
    /// In how many seconds.
    pub window: u64,
    /// Calls that are left.
    pub remaining: u64,
    /// Seconds until there are more, or all of them again.
    pub seconds: u64,
}

/// What is told of a session to whom it belongs.
#[derive(Clone, Debug, Default)]
pub struct SessionFacts {
    /// Who logged in.
    pub user: String,
    /// The same as 32 hexadecimal digits.
    pub account: String,
    /// When it began, as `YYYY-MM-DDTHH:MM:SSZ`.
    pub created: String,
    /// When it ends, in the same form.
    pub expires: String,
    /// 128 random bits as hexadecimal digits; empty where nothing is given out.
    pub random: String,
}

/// Why a message cannot be read or written, in the client's terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The canonical fault.
    pub fault: Fault,
    /// The message's own name of the member that is wrong; empty for the whole message.
    pub field: String,
    /// Why, in words that hold nothing of the message.
    pub reason: Cow<'static, str>,
}

/// Everything that a hole's value may come from when a message is written.
#[derive(Clone, Copy, Debug)]
pub struct Sources<'a> {
    /// The vocabulary.
    pub vocabulary: &'a Vocabulary,
    /// The mapping that is written.
    pub mapping: &'a Mapping,
    /// Its settings.
    pub settings: &'a Settings,
    /// The record that is written.
    pub record: &'a Record<'a>,
    /// The request, when an answer is written.
    pub request: Option<&'a Record<'a>>,
    /// Secrets, when a request is written, or an answer that gives some out.
    pub secrets: Option<&'a Secrets>,
    /// What the gateway fills in.
    pub gateway: &'a Gateway<'a>,
    /// Values of the steps.
    pub steps: &'a [Vec<String>],
    /// Values of split fields, by part.
    pub parts: &'a [String],
}

impl Settings {
    /// Settings of a mapping out of names and values; names that the mapping does not have are left out.
    pub fn of<'v>(mapping: &Mapping, values: impl IntoIterator<Item = (&'v str, &'v str)>) -> Self {
        let mut settings = vec![None; mapping.settings.len()];
        for (name, value) in values {
            if let Some(index) = mapping.setting(name) {
                settings[usize::from(index)] = Some(value.into());
            }
        }
        Self(settings)
    }

    /// A setting's value, if it is set.
    pub fn get(&self, setting: SettingId) -> Option<&str> {
        self.0.get(usize::from(setting))?.as_deref()
    }
}

impl Secrets {
    /// Secrets out of names and values; names that the vocabulary does not have are left out.
    pub fn of(vocabulary: &Vocabulary, values: impl IntoIterator<Item = (String, Secret)>) -> Self {
        let mut secrets: Vec<_> = vocabulary.secrets.iter().map(|_| None).collect();
        for (name, value) in values {
            if let Some(index) = vocabulary.secret(&name) {
                let header = headers::secret_header(&value);
                secrets[usize::from(index)] = Some((value, header));
            }
        }
        Self(secrets)
    }

    /// One of each name, for messages that nobody sends.
    pub fn of_nobody(vocabulary: &Vocabulary) -> Self {
        let secrets = vocabulary.secrets.iter();
        Self::of(vocabulary, secrets.map(|name| (name.clone(), Secret::new("secret"))))
    }

    /// The same without one of them.
    #[must_use]
    pub fn without(mut self, secret: Option<SecretId>) -> Self {
        if let Some(place) = secret.and_then(|secret| self.0.get_mut(usize::from(secret))) {
            *place = None;
        }
        self
    }

    /// A secret, if it is there.
    pub fn get(&self, secret: SecretId) -> Option<&Secret> {
        Some(&self.0.get(usize::from(secret))?.as_ref()?.0)
    }

    /// A secret as a header's value, if it is there and can be one.
    fn header(&self, secret: SecretId) -> Option<&HeaderValue> {
        self.0.get(usize::from(secret))?.as_ref()?.1.as_ref()
    }
}

impl SessionFacts {
    /// A session that nobody has: of an example, or of a call that is only explained.
    pub fn of_nobody() -> Self {
        Self {
            user: "user".to_owned(),
            account: "0".repeat(32),
            created: "2026-01-01T00:00:00Z".to_owned(),
            expires: "2026-01-01T01:00:00Z".to_owned(),
            random: "0123456789abcdef0123456789abcdef".to_owned(),
        }
    }
}

impl Gateway<'_> {
    /// The id of a call that is not made: of an example, or of one that is only explained.
    pub const NO_CALL: &'static str = "0123456789abcdef0123456789abcdef";

    /// The field's text, if it is known. `native` and `message` belong to the fault at hand.
    pub fn text(&self, field: GatewayField) -> Option<Cow<'_, str>> {
        let filled =
            |text: &'_ str| (!text.is_empty()).then(|| Cow::Owned(legible(text).into_owned()));
        match field {
            GatewayField::Http => Some(Cow::Owned(self.http.to_string())),
            GatewayField::Native | GatewayField::Message => None,
            GatewayField::Field => filled(self.field),
            GatewayField::Reason => filled(self.reason),
            GatewayField::Path => filled(self.path),
            GatewayField::Call => filled(self.call),
            GatewayField::Allow => filled(self.allow),
            GatewayField::RateRemaining => {
                self.rate_remaining.map(|left| Cow::Owned(left.to_string()))
            }
            GatewayField::RateReset => self.rate_reset.map(Cow::Borrowed),
            GatewayField::RetryAfter => {
                self.retry_after.map(|seconds| Cow::Owned(seconds.to_string()))
            }
            GatewayField::JobLocation => filled(self.job?.0),
            GatewayField::JobTimeout => Some(Cow::Owned(self.job?.1.to_string())),
            GatewayField::RateLimit => self.rate_limit.map(|limit| Cow::Owned(limit.to_string())),
            GatewayField::LimitName => Some(Cow::Borrowed(self.limit?.name)),
            GatewayField::LimitCalls => Some(Cow::Owned(self.limit?.calls.to_string())),
            GatewayField::LimitWindow => Some(Cow::Owned(self.limit?.window.to_string())),
            GatewayField::LimitRemaining => Some(Cow::Owned(self.limit?.remaining.to_string())),
            GatewayField::LimitSeconds => Some(Cow::Owned(self.limit?.seconds.to_string())),
            GatewayField::SessionUser => filled(&self.session?.user),
            GatewayField::SessionAccount => filled(&self.session?.account),
            GatewayField::SessionCreated => filled(&self.session?.created),
            GatewayField::SessionExpires => filled(&self.session?.expires),
            GatewayField::SessionRandom => filled(&self.session?.random),
        }
    }
}

/// A text for people, fit for every kind of body: what XML cannot carry, and no one can read, is replaced.
fn legible(text: &str) -> Cow<'_, str> {
    let legible = |letter: char| match letter {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => !other.is_control(),
    };
    if text.chars().all(legible) {
        return Cow::Borrowed(text);
    }
    let letters = text.chars();
    letters
        .map(|letter| if legible(letter) { letter } else { char::REPLACEMENT_CHARACTER })
        .collect()
}

impl Refusal {
    /// A refusal of the whole message.
    pub fn whole(fault: Fault, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { fault, field: String::new(), reason: reason.into() }
    }

    /// A refusal because of one member.
    pub fn member(fault: Fault, field: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { fault, field: field.to_owned(), reason: reason.into() }
    }
}
