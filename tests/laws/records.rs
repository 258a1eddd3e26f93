//! Random records, with everything else that a message is written from.

use std::borrow::Cow;

use latimer::mapping::codecs::Codec;
use latimer::mapping::model::{Field, Pattern, Type};
use latimer::value::{Record, Value};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;

use crate::desk::{Desk, Input};

/// How often something is as an honest sender would have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    /// Mostly: now and then a part is missing or of any form at all.
    Any,
    /// Always: what is required is there and fits; texts are still any texts.
    Honest,
}

/// Any text: empty, of several scripts, with the characters that mean something somewhere.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\\PC{0,16}",
        3 => vec(any::<char>(), 0..12).prop_map(String::from_iter),
        3 => "[<>&\"'\\\\/?#%\r\n\t;, =+:\\]]{0,10}",
        1 => "[ \t\u{a0}\u{3000}]{0,2}[a-zé]{0,3}[ \t\u{a0}\u{2028}]{0,2}",
        1 => "-?[0-9]{1,20}",
        1 => select(vec!["", "-", "{}", "null", ".", "..", "\u{fffe}", "\u{feff}x", "]]>", "%2F", "%"])
            .prop_map(str::to_owned),
    ]
}

/// A text in which nothing is forbidden anywhere, so that a message with it is written often enough.
fn plain() -> impl Strategy<Value = String> {
    "[A-Za-z0-9._-]{1,12}"
}

/// What a request is written from.
pub(crate) fn requests(desk: &Desk, sender: Sender) -> BoxedStrategy<Input> {
    let def = &desk.vocabulary.operations[desk.operation().id];
    let secrets: Vec<_> = desk
        .vocabulary
        .secrets
        .iter()
        .map(|name| format_of(desk, name).map(without_controls))
        .map(|format| match (sender, format) {
            (Sender::Any, None) => option::weighted(0.9, any_secret()).boxed(),
            (Sender::Any, Some(fit)) => {
                option::weighted(0.9, prop_oneof![4 => fit, 1 => any_secret()]).boxed()
            }
            (Sender::Honest, fit) => fit.unwrap_or("[!-:<-~]{1,20}".boxed()).prop_map(Some).boxed(),
        })
        .collect();
    let steps = desk.operation().steps.iter();
    let steps: Vec<_> = steps.map(|step| vec(text(), step.take.len()..=step.take.len())).collect();
    let record = record(desk, &def.request, desk.operation().raw_names.len(), sender);
    (record, settings(desk, sender), secrets, steps)
        .prop_map(|(record, settings, secrets, steps)| Input {
            record,
            answer: Record::new(),
            settings,
            secrets,
            steps,
        })
        .boxed()
}

/// What an answer is written from, with the request that it answers.
pub(crate) fn answers(desk: &Desk, sender: Sender) -> BoxedStrategy<Input> {
    let def = &desk.vocabulary.operations[desk.operation().id];
    let request = record(desk, &def.request, 0, sender);
    let answer = record(desk, &def.answer, desk.operation().raw_names.len(), sender);
    (request, answer, settings(desk, sender))
        .prop_map(|(record, answer, settings)| Input {
            record,
            answer,
            settings,
            secrets: Vec::new(),
            steps: Vec::new(),
        })
        .boxed()
}

fn settings(desk: &Desk, sender: Sender) -> Vec<BoxedStrategy<Option<String>>> {
    let fit = desk.mapping.settings.iter().map(|setting| match setting.kind {
        Type::Int => "-?[1-9][0-9]{0,9}".boxed(),
        _ => plain().boxed(),
    });
    fit.map(|fit| may(sender, fit)).collect()
}

fn without_controls(texts: BoxedStrategy<String>) -> BoxedStrategy<String> {
    texts.prop_map(|text| text.replace(char::is_control, "c")).boxed()
}

fn any_secret() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[!-~]{1,20}",
        3 => "\\PC{1,20}",
        1 => "[ ;,=:|\"\\\\a]{1,6}",
    ]
}

/// There and fitting, or seldom something else.
fn may(sender: Sender, fit: BoxedStrategy<String>) -> BoxedStrategy<Option<String>> {
    match sender {
        Sender::Honest => fit.prop_map(Some).boxed(),
        Sender::Any => option::weighted(0.9, prop_oneof![12 => fit, 1 => text()]).boxed(),
    }
}

fn format_of(desk: &Desk, name: &str) -> Option<BoxedStrategy<String>> {
    let format = desk.mapping.formats.iter().find(|format| format.name == name)?;
    Some(string_regex(&format.text).unwrap().boxed())
}

fn path_codec(desk: &Desk, name: &str) -> Option<Codec> {
    let mut holes = desk.operation().request.segments.iter().flat_map(Pattern::holes);
    holes.find(|hole| hole.name == name)?.codec
}

fn record(
    desk: &Desk,
    fields: &[Field],
    raws: usize,
    sender: Sender,
) -> BoxedStrategy<Record<'static>> {
    let values: Vec<_> = fields.iter().map(|field| value(desk, field, sender)).collect();
    (values, vec(option::of(raw()), raws..=raws))
        .prop_map(|(values, raws)| {
            let mut record = Record::new();
            for (index, value) in (0u8..).zip(values) {
                if value.is_some() {
                    record.set(index, value);
                }
            }
            for (index, raw) in (0u8..).zip(raws) {
                if let Some(raw) = raw {
                    record.set_raw(index, Some(Cow::Owned(raw)));
                }
            }
            record
        })
        .boxed()
}

fn value(desk: &Desk, field: &Field, sender: Sender) -> BoxedStrategy<Option<Value<'static>>> {
    let present = move |value: BoxedStrategy<Value<'static>>| match (field.required, sender) {
        (true, Sender::Honest) => value.prop_map(Some).boxed(),
        (true, Sender::Any) => option::weighted(0.95, value).boxed(),
        (false, _) => option::weighted(0.7, value).boxed(),
    };
    if let Type::Word(kind) = field.kind {
        let words = desk.vocabulary.types[kind].words.len() as u8;
        return present((0..words).prop_map(Value::Word).boxed());
    }
    let fit = match (format_of(desk, &field.name), field.kind) {
        // A client's id fits the line's codec as well: `007` is no number.
        (Some(fit), _) => {
            match path_codec(desk, &field.name).filter(|_| sender == Sender::Honest) {
                Some(codec) => {
                    let fits = move |text: &String| codec.write(text).is_some();
                    fit.prop_filter("the codec's domain", fits).boxed()
                }
                None => fit,
            }
        }
        // An actor is a number for one vendor and a name for another.
        (None, Type::Id(_)) => "-?[1-9][0-9]{0,9}".boxed(),
        (None, _) => text().boxed(),
    };
    let value = match (sender, field.kind) {
        (Sender::Any, _) => prop_oneof![12 => fit, 1 => text()].boxed(),
        // A text that goes to a header cannot be just any.
        (Sender::Honest, Type::Text) if field.name == "touchpoint" => plain().boxed(),
        (Sender::Honest, _) => fit,
    };
    present(value.prop_map(|text| Value::Text(Cow::Owned(text))).boxed())
}

/// Compact JSON of any kind.
fn raw() -> impl Strategy<Value = String> {
    let json_text = text().prop_map(|text| serde_json::Value::from(text).to_string());
    let scalar = prop_oneof![
        select(vec!["null", "true", "0", "-0", "1.50", "1.0", "-1", "{}", "[]", "\"\""])
            .prop_map(str::to_owned),
        json_text,
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(","))),
            vec(inner, 0..3).prop_map(|items| {
                let members =
                    items.iter().enumerate().map(|(at, item)| format!("\"m{at}\":{item}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}
