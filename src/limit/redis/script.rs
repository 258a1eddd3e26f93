//! What is asked of the script, and what it answers.

use std::sync::LazyLock;

use ::redis::{Cmd, Value, cmd};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::error::{Fault, Reason};
use crate::limit::bucket::Room;
use crate::limit::quota::{Quota, Span, slot_length};
use crate::limit::rule::{Charge, Form, Rule};
use crate::limit::verdict::{Standing, Verdict};

const SCRIPT: &str = include_str!("charge.lua");

/// Redis names its scripts by their SHA-1.
static NAME: LazyLock<String> = LazyLock::new(|| {
    let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, SCRIPT.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
});

/// What a check does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Charge,
    Look,
}

/// Limits by their index, with the beginnings of the keys of their counts.
pub(super) struct Limits<'l> {
    pub(super) rules: &'l [Rule],
    pub(super) keys: &'l [String],
}

/// One check.
pub(super) struct Check<'l> {
    pub(super) limits: Limits<'l>,
    pub(super) charges: &'l [Charge],
    pub(super) act: Act,
    /// The time that all counts go by; none for the server's own.
    pub(super) time: Option<u64>,
    /// The time that says what day it is.
    pub(super) wall: u64,
}

impl Limits<'_> {
    /// The key of a count.
    pub(super) fn key(&self, charge: &Charge) -> String {
        format!("{}{:016x}", self.keys[charge.rule], charge.subject.0)
    }
}

impl Check<'_> {
    /// The command, for a server that knows the script or for one that does not.
    pub(super) fn command(&self, is_known: bool) -> Cmd {
        let mut command = if is_known { cmd("EVALSHA") } else { cmd("EVAL") };
        command.arg(if is_known { NAME.as_str() } else { SCRIPT }).arg(self.charges.len());
        for charge in self.charges {
            command.arg(self.limits.key(charge));
        }
        command.arg(match self.act {
            Act::Charge => "charge",
            Act::Look => "look",
        });
        match self.time {
            Some(time) => command.arg(time),
            None => command.arg(""),
        };
        for charge in self.charges {
            self.form(&mut command, &self.limits.rules[charge.rule].form);
        }
        command
    }

    fn form(&self, command: &mut Cmd, form: &Form) {
        let (name, numbers) = match form {
            Form::Rate { pace, .. } => ("rate", [pace.cost, pace.leak, pace.capacity]),
            Form::Quota(Quota { calls, span: Span::Sliding(length) }) => {
                ("sliding", [*calls, *length, slot_length(*length)])
            }
            Form::Quota(Quota { calls, span }) => {
                let window = span.window(self.wall);
                ("day", [*calls, window.start, window.end.saturating_sub(self.wall)])
            }
        };
        command.arg(name);
        for number in numbers {
            command.arg(number);
        }
    }

    /// What was decided.
    pub(super) fn verdict(&self, answer: &Value) -> Result<Verdict, Fault> {
        let numbers = numbers(answer).filter(|all| all.len() == 1 + 3 * self.charges.len());
        let numbers = numbers.ok_or_else(|| Fault::new(Reason::Unfit))?;
        let rooms = numbers[1..].chunks_exact(3).map(|room| Room {
            calls: room[0],
            whole_after: room[1],
            free_after: room[2],
        });
        let standings = self.charges.iter().zip(rooms);
        let standings =
            standings.map(|(charge, room)| Standing { rule: charge.rule, room }).collect();
        if numbers[0] == 0 {
            return Ok(Verdict { standings, refused: None });
        }
        Ok(Verdict::of(standings))
    }
}

fn numbers(answer: &Value) -> Option<Vec<u64>> {
    let Value::Array(values) = answer else { return None };
    let number = |value: &Value| match value {
        Value::Int(number) => u64::try_from(*number).ok(),
        _ => None,
    };
    values.iter().map(number).collect()
}
