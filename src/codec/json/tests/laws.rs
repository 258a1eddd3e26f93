//! What holds for any input, with serde_json as the oracle.

use std::borrow::Cow;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use super::{Tree, UNWATCHED, check, compacted, written};

/// JSON text with the freedom of the grammar: whitespace, escapes, number forms.
fn json_text() -> impl Strategy<Value = String> {
    let space = "[ \n\r\t]{0,2}";
    let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?";
    let piece = prop_oneof![
        4 => "[a-zé😀/\u{7f} ]{0,12}",
        1 => r#"\\["\\/bfnrt]"#,
        1 => r"\\u[0-9a-cA-C][0-9a-fA-F]{3}",
        1 => Just(r"\ud83d\uDE00".to_owned()),
    ];
    let text = vec(piece, 0..4).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        number,
        text.clone(),
    ];
    let spaced = (space, scalar, space).prop_map(|(left, value, right)| left + &value + &right);
    spaced.prop_recursive(6, 64, 6, move |inner| {
        let member =
            (text.clone(), inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
        prop_oneof![
            vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            vec(member, 0..6).prop_map(|members| format!("{{{}}} ", members.join(","))),
        ]
    })
}

/// JSON text with some bytes replaced, left out or put in.
fn mutated_json() -> impl Strategy<Value = Vec<u8>> {
    let signs = prop::sample::select(b"{}[]\",:\\u0123456789eE+-.tfn \n\0\x1f\x80\xff".to_vec());
    let edits = vec((any::<prop::sample::Index>(), 0..3_u8, signs), 0..4);
    (json_text(), edits).prop_map(|(text, edits)| {
        let mut bytes = text.into_bytes();
        for (place, edit, sign) in edits {
            let at = place.index(bytes.len() + 1);
            match edit {
                0 => bytes.insert(at, sign),
                1 if at < bytes.len() => bytes[at] = sign,
                _ if at < bytes.len() => drop(bytes.remove(at)),
                _ => {}
            }
        }
        bytes
    })
}

/// Whether the pull reader and the oracle read the same value. The oracle writes exponents its own way.
fn same(tree: &Tree, value: &Value) -> bool {
    let plain = |number: &str| number.replace('E', "e").replace("e+", "e");
    match (tree, value) {
        (Tree::Scalar(Scalar::Null), Value::Null) => true,
        (Tree::Scalar(Scalar::Bool(left)), Value::Bool(right)) => left == right,
        (Tree::Scalar(Scalar::Text(left)), Value::String(right)) => left == right,
        (Tree::Scalar(Scalar::Number(left)), Value::Number(right)) => {
            plain(left) == plain(&right.to_string())
        }
        (Tree::Array(left), Value::Array(right)) => {
            left.len() == right.len()
                && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Tree::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .zip(right)
                    .all(|((name, left), (other, right))| name == other && same(left, right))
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn agrees_with_serde_json(bytes in mutated_json()) {
        let oracle: Result<Value, _> = serde_json::from_slice(&bytes);
        match (check(&bytes, Limits::default()), oracle) {
            (Ok(tree), Ok(value)) => prop_assert!(same(&tree, &value), "{tree:?} is not {value:?}"),
            (Err(_), Err(_)) => {}
            // The oracle keeps the last of duplicate keys; with them kept, it must accept.
            (Err(error), Ok(_)) => {
                prop_assert_eq!(error.kind, JsonErrorKind::DuplicateName);
                prop_assert!(check(&bytes, UNWATCHED).is_ok());
            }
            (Ok(_), Err(error)) => prop_assert!(false, "the oracle refuses: {error}"),
        }
    }

    #[test]
    fn compacting_changes_no_value(text in json_text()) {
        let compact = compacted(&text);
        prop_assert_eq!(check(compact.as_bytes(), UNWATCHED), check(text.as_bytes(), UNWATCHED));
        prop_assert_eq!(compacted(&compact), compact);
    }

    #[test]
    fn written_texts_are_read_back(text: String) {
        let json = written(&text);
        let tree = check(json.as_bytes(), Limits::default());
        prop_assert_eq!(tree, Ok(Tree::Scalar(Scalar::Text(Cow::Owned(text.clone())))));
        // The oracle escapes the same characters the same way.
        prop_assert_eq!(json, serde_json::to_string(&text).unwrap());
    }

    #[test]
    fn no_input_panics(bytes: Vec<u8>, limit in 0..5_usize) {
        let limits = Limits { depth_max: limit, duplicates: Duplicates::Refuse };
        let _ = check(&bytes, limits);
        compact(&String::from_utf8_lossy(&bytes), &mut Vec::new());
    }

    #[test]
    fn no_input_of_signs_panics(bytes in "[\\[\\]{},:\"\\\\u0-9a-fA-F.+-eE tnl]{0,60}") {
        let _ = check(bytes.as_bytes(), UNWATCHED);
        compact(&bytes, &mut Vec::new());
    }

    #[test]
    fn no_order_of_calls_panics(bytes in mutated_json(), calls in vec((0..9_u8, any::<prop::sample::Index>()), 0..40)) {
        let Ok(mut reader) = JsonReader::new(&bytes, UNWATCHED) else { return Ok(()) };
        let (mut objects, mut arrays) = (Vec::new(), Vec::new());
        for (call, which) in calls {
            match call {
                0 | 1 => objects.extend(reader.object()),
                2 => arrays.extend(reader.array()),
                3..=5 if !objects.is_empty() => drop(reader.key(which.get_mut(&mut objects))),
                6 if !arrays.is_empty() => drop(reader.item(which.get_mut(&mut arrays))),
                7 => drop(reader.skip()),
                _ => drop(reader.scalar()),
            }
        }
        let _ = reader.finish();
    }
}
