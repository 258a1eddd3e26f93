//! What values look like.

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::bounds;
use crate::diag::Location;

/// The format of a path's value where the mapping gives none; `.` and `..` are refused besides.
pub const DEFAULT_PATH_FORMAT: &str = "[A-Za-z0-9._~-]{1,128}";

/// What a value of a field looks like.
#[derive(Clone, Debug)]
pub struct Format {
    /// The field's name.
    pub name: String,
    /// The expression as written.
    pub text: String,
    /// Where it stands.
    pub at: Location,
    shape: Shape,
}

/// How a value is held against the expression.
#[derive(Clone, Debug)]
enum Shape {
    /// So many of these ASCII characters: what nearly all formats are, and far cheaper to try than an
    /// expression.
    Run(Box<Run>),
    /// Anything else.
    Expression(Regex),
}

#[derive(Clone, Debug)]
struct Run {
    admitted: [bool; 128],
    least: usize,
    most: usize,
}

impl Format {
    /// A format of an expression, anchored at both ends.
    ///
    /// # Errors
    /// If the text is no expression, or one that would grow too large.
    pub fn new(name: String, text: String, at: Location) -> Result<Self, regex::Error> {
        let run = regex_syntax::parse(&text).ok().and_then(|hir| Run::of(&hir));
        let shape = match run {
            Some(run) => Shape::Run(Box::new(run)),
            None => {
                let anchored = format!(r"\A(?:{text})\z");
                let mut expression = RegexBuilder::new(&anchored);
                Shape::Expression(expression.size_limit(bounds::FORMAT_BYTES_MAX).build()?)
            }
        };
        Ok(Self { name, text, at, shape })
    }

    /// True if the value looks so.
    pub fn fits(&self, value: &str) -> bool {
        match &self.shape {
            Shape::Run(run) => run.fits(value),
            Shape::Expression(regex) => regex.is_match(value),
        }
    }
}

impl Run {
    /// The run that the expression says, if it is `[class]{least,most}` of ASCII.
    fn of(hir: &Hir) -> Option<Self> {
        let HirKind::Repetition(repetition) = hir.kind() else { return None };
        let HirKind::Class(Class::Unicode(class)) = repetition.sub.kind() else { return None };
        let mut admitted = [false; 128];
        for range in class.ranges() {
            for letter in range.start()..=range.end() {
                *admitted.get_mut(usize::try_from(u32::from(letter)).ok()?)? = true;
            }
        }
        let most = repetition.max.map_or(Some(usize::MAX), |most| usize::try_from(most).ok())?;
        Some(Self { admitted, least: usize::try_from(repetition.min).ok()?, most })
    }

    fn fits(&self, value: &str) -> bool {
        (self.least..=self.most).contains(&value.len())
            && value.bytes().all(|byte| self.admitted.get(usize::from(byte)) == Some(&true))
    }
}

/// True if the text has the default format of a path.
pub fn fits_default_path(text: &str) -> bool {
    debug_assert!(DEFAULT_PATH_FORMAT.ends_with("{1,128}"));
    (1..=bounds::PATH_VALUE_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::diag::{SourceFile, Span};

    fn format(text: &str) -> Format {
        let at = Location { file: SourceFile::new("f", text), span: Span::new(0, 0) };
        Format::new("f".to_owned(), text.to_owned(), at).unwrap()
    }

    #[test]
    fn runs_are_told_from_other_expressions() {
        for (text, is_run) in [
            ("[A-Za-z0-9_-]{1,64}", true),
            ("[0-9a-f]{32}", true),
            ("[A-Z]+", true),
            (r"\d{1,3}", false),
            ("[a-z]{2}[0-9]", false),
            ("(?i)[a-z]{3}", false),
            ("[^/]{1,9}", false),
            ("[a-z]{2}|x", false),
        ] {
            assert_eq!(matches!(format(text).shape, Shape::Run(_)), is_run, "{text}");
        }
    }

    proptest! {
        /// The expression itself is the reference.
        #[test]
        fn a_run_fits_what_its_expression_matches(
            value in "[a-c0/é]{0,8}",
            least in 0u32..4,
            more in 0u32..4,
        ) {
            let text = format!("[a-b0]{{{least},{}}}", least + more);
            let format = format(&text);
            let regex = Regex::new(&format!(r"\A(?:{text})\z")).unwrap();
            prop_assert_eq!(format.fits(&value), regex.is_match(&value));
        }
    }
}
