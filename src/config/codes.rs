//! The codes of the configuration's findings; the table stands in [`config`](super).

pub(super) const YAML: &str = "C000";
pub(super) const UNKNOWN_KEY: &str = "C001";
pub(super) const FORM: &str = "C002";
pub(super) const MISSING: &str = "C003";
pub(super) const UNKNOWN_NAME: &str = "C004";
pub(super) const SECRET: &str = "C005";
pub(super) const ENVIRONMENT: &str = "C006";
pub(super) const CONFLICT: &str = "C007";
pub(super) const UNSAFE: &str = "C009";
pub(super) const PAIRS: &str = "C010";
pub(super) const CERTIFICATE: &str = "C011";
pub(super) const READABLE: &str = "C101";
pub(super) const UNUSED: &str = "C102";
pub(super) const VALIDITY: &str = "C103";
pub(super) const EXPIRED: &str = "C104";
