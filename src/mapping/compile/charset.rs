//! Which characters a format admits.

use regex_syntax::hir::{Class, Hir, HirKind};

/// The characters that may occur in a text.
#[derive(Clone, Debug)]
pub enum Charset {
    /// Any character.
    Any,
    /// Characters within these ranges, both ends included.
    Ranges(Vec<(char, char)>),
}

impl Charset {
    /// The characters that a match of the expression can have; every branch counts as reachable.
    pub fn of_expression(expression: &str) -> Self {
        match regex_syntax::parse(expression) {
            Ok(hir) => {
                let mut ranges = Vec::new();
                collect(&hir, &mut ranges);
                Self::Ranges(ranges)
            }
            Err(_) => Self::Any,
        }
    }

    /// The characters of a text.
    pub fn of_text(text: &str) -> Self {
        Self::Ranges(text.chars().map(|letter| (letter, letter)).collect())
    }

    /// True if the character may occur.
    pub fn admits(&self, letter: char) -> bool {
        match self {
            Self::Any => true,
            Self::Ranges(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&letter)),
        }
    }

    /// True if a text of these characters can contain the separator.
    ///
    /// One character that cannot occur is enough to say no: any place where the separator was found
    /// too early would have to hold it.
    pub fn admits_all(&self, separator: &str) -> bool {
        separator.chars().all(|letter| self.admits(letter))
    }
}

fn collect(hir: &Hir, ranges: &mut Vec<(char, char)>) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            ranges.extend(text.chars().map(|letter| (letter, letter)));
        }
        HirKind::Class(Class::Unicode(class)) => {
            ranges.extend(class.ranges().iter().map(|range| (range.start(), range.end())));
        }
        HirKind::Class(Class::Bytes(class)) => {
            ranges.extend(
                class.ranges().iter().map(|range| (range.start().into(), range.end().into())),
            );
        }
        HirKind::Repetition(repetition) => collect(&repetition.sub, ranges),
        HirKind::Capture(capture) => collect(&capture.sub, ranges),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            for part in parts {
                collect(part, ranges);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_literals_and_branches_count() {
        let set = Charset::of_expression("[A-Z0-9]{2,}(-x|/y)?");
        for (letter, wanted) in [('A', true), ('5', true), ('-', true), ('/', true), ('z', false)] {
            assert_eq!(set.admits(letter), wanted, "{letter}");
        }
        assert!(Charset::of_expression(".*").admits('/'));
        assert!(!Charset::of_expression("[^/]*").admits('/'));
    }

    #[test]
    fn one_character_that_cannot_occur_is_enough() {
        let set = Charset::of_expression("[a-z]+");
        assert!(!set.admits_all("/token:"));
        assert!(set.admits_all("ab"));
    }
}
