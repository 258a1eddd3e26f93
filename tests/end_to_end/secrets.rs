//! What the program must show nobody: every line that it logs and every answer that it gives in any of these
//! tests is searched for the secrets that it was given.

use latimer::sim::Vendor;

use crate::harness::{KEY, OTHER_KEY, PEPPER};
use crate::log_in::SHA512;

/// What the tests log in with, there and here; one that is told in another place must be a slip.
const PASSWORDS: [&str; 3] = ["the-upstreams-password", "the-wrong-one", SHA512];

/// The first secret that the text shows.
fn shown_in(text: &str) -> Option<String> {
    let tokens = Vendor::ALL.map(Vendor::default_token);
    let known = [KEY, OTHER_KEY, PEPPER].into_iter().chain(PASSWORDS);
    let mut known = known.chain(tokens.iter().map(String::as_str));
    known.find(|secret| text.contains(secret)).map(str::to_owned)
}

/// Ends the test if a secret is shown.
pub(crate) fn refuse(what: &str, text: &str) {
    if let Some(secret) = shown_in(text) {
        panic!("{what} shows the secret `{secret}`: {text}");
    }
}
