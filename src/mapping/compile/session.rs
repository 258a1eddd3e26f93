//! `session:`, on both sides.

use std::time::Duration;

use crate::mapping::compile::poll::duration;
use crate::mapping::compile::{Compiler, Message, Position, Scope};
use crate::mapping::model::{
    Expired, GatewayField, Hole, Life, LogIn, OperationKind, Pattern, Piece, Request, Session,
    Slot, Source,
};
use crate::mapping::syntax::{self, Named, Take, Template};
use crate::value::SecretId;

impl Compiler<'_> {
    /// Compiles `session:`.
    pub(super) fn session(&mut self, session: &syntax::Session) -> Option<Session> {
        let upstream = session.log_in.as_ref().and_then(|log_in| self.log_in(session, log_in));
        self.scope = Scope { session: true, ..Scope::default() };
        self.set_message(Message::Answer);
        let gives: Vec<_> =
            session.gives.iter().filter_map(|(name, form)| self.give(name, form)).collect();
        self.scope = Scope::default();
        let life = session.lives.as_ref().and_then(|lives| self.life(lives))?;
        Some(Session { life, gives, upstream, at: self.at(session.span) })
    }

    fn log_in(&mut self, session: &syntax::Session, log_in: &syntax::LogIn) -> Option<LogIn> {
        let request = self.session_request(&log_in.request, OperationKind::LogIn);
        let renew = match &session.renew {
            Some(renew) => self.session_request(renew, OperationKind::Renew).map(Some),
            None => Some(None),
        };
        self.scope = Scope { session: true, ..Scope::default() };
        let takes = log_in.takes.iter().filter_map(|(name, places)| self.take(name, places));
        let takes = takes.collect();
        let expired = session.expired.iter().map(|expired| self.expired(expired)).collect();
        let unless = log_in.unless.as_ref().and_then(|path| self.json_path(path));
        Some(LogIn { request: request?, takes, unless, renew: renew?, expired })
    }

    /// A request that gets or keeps a session, which speaks of the fields of its kind.
    fn session_request(
        &mut self,
        request: &syntax::Request,
        kind: OperationKind,
    ) -> Option<Request> {
        let id = self.vocabulary.operations.iter().position(|known| known.kind == kind);
        self.scope = Scope { operation: id, session: true, ..Scope::default() };
        self.set_message(Message::Request);
        let parts = self.parts(&request.parts);
        self.request(request, parts)
    }

    fn take(&mut self, name: &Named, places: &[Take]) -> Option<(SecretId, Vec<Source>)> {
        let sources = places.iter().filter_map(|place| self.source(place)).collect();
        Some((self.session_secret(name)?, sources))
    }

    fn source(&mut self, place: &Take) -> Option<Source> {
        match place {
            Take::Json(path) => Some(Source::Json(self.json_path(path)?)),
            Take::Cookie(name) => {
                Some(Source::Cookie(self.name_pattern(name, Position::Cookie, "cookie")))
            }
            Take::Header(name) => self.header_name(name).map(Source::Header),
        }
    }

    /// The secret below `auth.`.
    fn session_secret(&mut self, name: &Named) -> Option<SecretId> {
        let full = format!("auth.{}", name.text);
        let secret = self.vocabulary.secret(&full);
        if secret.is_none() {
            let message = format!("the vocabulary has no secret named `{full}`");
            self.findings.error("M002", name.span, message, "name it under `secrets:`");
        }
        secret
    }

    fn expired(&mut self, expired: &syntax::Expired) -> Expired {
        Expired {
            http: expired.http,
            native: expired.native.as_ref().map(|native| native.text.clone()),
            text: expired.text.as_ref().map(|text| text.text.clone()),
            when: expired.when.as_ref().and_then(|path| self.json_path(path)),
            on_poll: expired.on_poll,
        }
    }

    /// A secret that is given out: nobody may guess it.
    fn give(&mut self, name: &Named, form: &Template) -> Option<(SecretId, Pattern)> {
        let secret = self.session_secret(name)?;
        let pattern = self.pattern(form, Position::Spoken, false);
        let is_random = |hole: &Hole| hole.slot == Slot::Gateway(GatewayField::SessionRandom);
        if !pattern.holes().any(is_random) {
            let message = "a secret that anybody could guess";
            self.findings.error("M001", form.span, message, "write <session.random> into it");
        }
        for hole in pattern.holes() {
            if !matches!(hole.slot, Slot::Gateway(_) | Slot::Setting(_)) {
                let message = format!("`{}` cannot stand in what is given out", hole.name);
                self.findings.error("M002", form.span, message, "write <session.random>");
            }
        }
        let pieces = pattern.pieces.iter();
        let texts = pieces.filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            Piece::Hole(_) => None,
        });
        if let Some(illegal) = texts.flat_map(|text| text.chars()).find(|c| !is_cookie_octet(*c)) {
            let message =
                format!("`{illegal}` cannot stand in every place that a secret is shown in");
            let label = "visible ASCII without comma, semicolon, quote and backslash";
            self.findings.error("M001", form.span, message, label);
        }
        Some((secret, pattern))
    }

    fn life(&mut self, lives: &Named) -> Option<Life> {
        let (length, form) = lives.text.split_once(' ').unwrap_or((&lives.text, ""));
        let slides = match form {
            "fixed" => Some(false),
            "sliding" => Some(true),
            _ => None,
        };
        let length = duration(length).filter(|length| *length >= LIFE_MIN);
        let life = slides.zip(length).map(|(slides, length)| Life { length, slides });
        if life.is_none() {
            let message = format!("`{}` does not say how long a session lives", lives.text);
            let label = "such as `2h fixed` or `90m sliding`";
            self.findings.error("M001", lives.span, message, label);
        }
        life
    }
}

/// A session that lives shorter than this is one that nobody could use.
const LIFE_MIN: Duration = Duration::from_secs(1);

/// RFC 6265 section 4.1.1.
fn is_cookie_octet(letter: char) -> bool {
    letter.is_ascii_graphic() && !matches!(letter, '"' | ',' | ';' | '\\')
}
