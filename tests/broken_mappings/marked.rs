//! The place that a finding marks: the very text that is wrong, or that lacks something.
//!
//! What is expected here was read off the broken files by hand; the snapshots of the whole output would only
//! show that nothing has changed.

use std::collections::BTreeSet;
use std::path::Path;

use crate::{check, read};

/// Each file of tests/mappings/broken, and what its findings of the code that it is named after mark, in the
/// order of the file; of `many`, what all of them do.
const MARKED: &[(&str, &[&str])] = &[
    ("m000_alias", &["*"]),
    ("m000_anchor", &["&a A sample"]),
    ("m000_arrow_list", &["cancelled rejected"]),
    ("m000_ask_with_post", &["POST"]),
    ("m000_ask_without_path", &["GET jobs"]),
    ("m000_duplicate_key", &["open"]),
    ("m000_format_no_expression", &["\"[A-Z\""]),
    ("m000_hole_with_odd_word", &["by"]),
    ("m000_hole_without_end", &["<status via status"]),
    ("m000_line_without_path", &["POST"]),
    ("m000_no_method", &["post"]),
    ("m000_not_yaml", &[":"]),
    ("m000_or_with_odd_value", &["nothing"]),
    ("m000_or_without_value", &["<actor as int or >"]),
    ("m000_question_mark_in_line", &["?"]),
    ("m000_tab", &["\t"]),
    ("m001_accepts_without_body", &["application/xml"]),
    (
        "m001_arrow_before_code",
        &["code: <- 200", "<- 200", "{http: -> 401, means: unauthenticated}", "<- 402"],
    ),
    ("m001_ask_is_no_line", &["{line: GET /jobs/<call>}"]),
    ("m001_ask_of_a_read", &["GET /jobs/<call>"]),
    ("m001_bad_code", &["code: 99", "99"]),
    ("m001_flow_row_with_comma", &["rejected"]),
    ("m001_ignore_case_maybe", &["maybe"]),
    ("m001_no_code", &["json:"]),
    ("m001_no_line", &["headers:"]),
    ("m001_no_success", &["change_status", "succes"]),
    ("m001_no_vendor", &[""]),
    ("m001_poll_every_soon", &["soon"]),
    ("m001_poll_of_a_success", &["200"]),
    ("m001_poll_runs_and_is_over", &["202"]),
    ("m001_poll_too_often", &["10ms"]),
    ("m001_poll_without_done", &["{code: 202, at: $.location}"]),
    ("m001_row_without_means", &["{http: 403}"]),
    ("m001_rows_no_list", &["rows", "other"]),
    (
        "m001_session_taken_from_nowhere",
        &[
            "[]",
            "{cookie: Csrf, header: X-Csrf}",
            "{body: $.session}",
            "body",
            "40l",
            "read",
            "{on: poll}",
        ],
    ),
    (
        "m001_session_that_could_be_guessed",
        &["\"session of <auth.user>\"", "\"session of <auth.user>\"", "key"],
    ),
    ("m001_session_that_says_nothing", &["session", "for a while"]),
    ("m001_session_that_takes_nothing", &["line: POST /login"]),
    ("m001_unknown_key_request", &["haeders"]),
    ("m001_unknown_key_row", &["txt"]),
    ("m001_unknown_key_top", &["tilte"]),
    ("m002_ask_of_unknown_field", &["cal"]),
    ("m002_format_of_nothing", &["tickt"]),
    ("m002_request_field_in_request", &["request.actor"]),
    ("m002_unknown_fault", &["forbiden"]),
    ("m002_unknown_field", &["tickt"]),
    ("m002_unknown_operation", &["change_state"]),
    ("m002_unknown_setting_type", &["integer"]),
    ("m002_unknown_word", &["opened"]),
    ("m003_unknown_codec", &["integer"]),
    ("m003_unknown_setting", &["$staf"]),
    ("m003_unknown_table", &["statsu"]),
    ("m004_adjacent_holes", &["<status via status or request.status>"]),
    ("m005_fault_twice", &["{http: 504, means: \"<- outcome_unknown, not_found\"}"]),
    ("m005_word_twice", &["new"]),
    ("m006_wire_twice_without_case", &["OPEN"]),
    ("m007_same_conditions", &["{http: 404, means: not_found}"]),
    ("m008_no_root", &["rows"]),
    ("m008_three_roots", &["rows", "rows", "rows"]),
    ("m009_ask_of_an_untold_call", &["GET /jobs/<call>"]),
    ("m009_ask_without_call", &["GET /jobs/<ticket>"]),
    ("m009_required_field", &["POST /tickets/all/status"]),
    ("m010_secret_in_answer", &["<auth.token>"]),
    ("m010_secret_in_ask", &["<auth.token>"]),
    ("m010_secret_in_path", &["<auth.token>"]),
    ("m010_secret_in_say", &["<auth.token>"]),
    ("m012_codec_on_wrong_type", &["http_date"]),
    ("m012_raw_in_header", &["raw.x"]),
    ("m012_table_on_text", &["status"]),
    ("m012_word_without_table", &["<status>"]),
    ("m013_no_example", &["$.error.code"]),
    ("m013_path_outside_subset", &["$..error"]),
    ("m013_poll_path", &["$..location"]),
    ("m013_silent_filter", &["\"$.a[?@.x in ['y']]\""]),
    ("m013_unless_outside_the_subset", &["$.tasks[0:2]"]),
    ("m014_added_is_not_there", &["Cookie"]),
    ("m014_fault_differs", &["gives"]),
    ("m014_record_differs", &["means"]),
    ("m015_field_in_name", &["<ticket>"]),
    ("m015_illegal_name", &["\"api key\""]),
    ("m015_name_twice", &["ApiKey"]),
    ("m016_answer_word_without_row", &["status"]),
    ("m017_status_without_request", &["<status via status>"]),
    ("m018_format_admits_slash", &["<ticket>"]),
    ("m018_text_without_format", &["<comment or none>"]),
    ("m018_wire_holds_separator", &["<status via status or request.status>"]),
    ("m018_written_only", &["\"<- actor=<actor or \\\"\\\">;note=<comment or \\\"\\\">\""]),
    ("m019_no_number", &["vendor: sample"]),
    ("m019_number", &["2"]),
    ("m021_same_line", &["POST /tickets/<ticket>/status"]),
    ("m101_lossy_word", &["in-progress", "resolved", "closed"]),
    (
        "m104_unverified",
        &[
            "closed",
            "POST /tickets/<ticket>/status",
            "code: 200",
            "{http: 403, means: forbidden, unverified: true}",
            "http: 404",
        ],
    ),
    ("m105_retyped", &["yes"]),
    (
        "m106_without_example",
        &[
            "json",
            "{http: 400, text: Invalid status, means: invalid_status, say: no such status}",
            "{http: 400, means: invalid_request}",
            "{http: 401, means: unauthenticated}",
            "{http: 403, means: forbidden}",
            "{http: 404, means: not_found}",
            "{http: 429, means: rate_limited}",
            "{http: 500, means: upstream_failed}",
        ],
    ),
    (
        "many_at_once",
        &["tilte", "in-progress", "resolved", "closed", "tickt", "statsu", "integer", "forbiden"],
    ),
];

#[test]
fn every_finding_marks_what_is_wrong() {
    for (name, wanted) in MARKED {
        let code = name.split('_').next().unwrap().to_uppercase();
        let found = check(read(&format!("tests/mappings/broken/{name}.yaml")));
        let found = found.iter().filter(|finding| finding.code == code || code == "MANY");
        let marked: Vec<&str> =
            found.map(|one| &one.at.file.text[one.at.span.start..one.at.span.end]).collect();
        assert_eq!(marked, *wanted, "{name}");
    }
}

#[test]
fn no_broken_file_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mappings/broken");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let files: BTreeSet<String> =
        files.map(|name| name.to_str().unwrap().trim_end_matches(".yaml").to_owned()).collect();
    let named: BTreeSet<String> = MARKED.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(named, files);
}
