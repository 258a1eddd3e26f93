//! What a client of each vendor is told for each fault: the answer key (LANGUAGE §8), row by row.
//!
//! Where no page fixes a text it is ours, as `mappings/vocabulary.yaml` has it.

use super::Client;

/// An answer as a client sees it.
pub(super) struct Told {
    pub(super) status: u16,
    /// Empty for an answer without a type.
    pub(super) media_type: &'static str,
    pub(super) body: String,
}

/// Our own text of a fault.
pub(super) fn own(fault: &str) -> &'static str {
    match fault {
        // The member and the reason are the upstream's, and are not known.
        "invalid_request" => "The request is not valid: the ticket system refused it",
        "missing_field" => "A required member is missing: the ticket system does not say which",
        "invalid_status" => "The status is not valid",
        "method_not_allowed" => "The method is not allowed",
        "unsupported_media_type" => "The media type of the body is not supported",
        "too_large" => "The body is too large",
        "conflict" => "The status of the ticket does not allow this change",
        "already_closed" => "The ticket is closed",
        "not_found" => "The ticket does not exist",
        "invalid_id" => "The ticket's id is not valid",
        "unknown_path" => "The path does not exist",
        "forbidden" => "This is not allowed",
        "rate_limited" => "Too many requests",
        "overloaded" => "The service is overloaded",
        "upstream_failed" => "The ticket system failed",
        "upstream_unreachable" => "The ticket system cannot be reached",
        "outcome_unknown" => {
            "The outcome of this call is not known; do not repeat it before reading the ticket. \
             Call CALL."
        }
        other => panic!("{other} is no fault that comes from an upstream"),
    }
}

/// What the client is told. `path` is the one that it asked for.
pub(super) fn told(client: Client, fault: &str, path: &str) -> Told {
    match client {
        Client::Arena => arena(fault),
        Client::Series => series(fault),
        Client::Akana => akana(fault, false),
        Client::AkanaXml => akana(fault, true),
        Client::Thalamus => thalamus(fault),
        Client::Zstack => zstack(fault, path),
    }
}

fn arena(fault: &str) -> Told {
    let (status, code, text) = match fault {
        "invalid_request" => (400, 400, own(fault)),
        "missing_field" => (400, 3001, r#"The attribute \"?\" is required."#),
        "invalid_status" => (400, 3083, "Invalid status."),
        "invalid_id" => (400, 3011, own(fault)),
        "not_found" => (400, 3012, own(fault)),
        "already_closed" => (400, 3090, "Ticket cannot be edited when status is Complete."),
        "forbidden" => {
            let text = "Either you do not have privileges to access the requested data or it does \
                        not exist.";
            (403, 3024, text)
        }
        "unknown_path" => (404, 404, "No resource has been found."),
        "method_not_allowed" => (405, 405, "The method is not allowed."),
        "conflict" => (409, 409, own(fault)),
        "too_large" => (413, 413, own(fault)),
        "unsupported_media_type" => (415, 415, own(fault)),
        "rate_limited" => (429, 429, own(fault)),
        "upstream_failed" | "upstream_unreachable" => (502, 3000, own(fault)),
        "overloaded" => (503, 503, "The service is currently unavailable."),
        "outcome_unknown" => (504, 3000, own(fault)),
        other => panic!("no row for {other}"),
    };
    let body = format!(r#"{{"status":{status},"errors":[{{"code":{code},"message":"{text}"}}]}}"#);
    Told { status, media_type: "application/json", body }
}

fn series(fault: &str) -> Told {
    let (status, text) = match fault {
        "invalid_status" => {
            (400, "Invalid status. Must be one of: open, in-progress, resolved, closed")
        }
        "already_closed" => (400, "The ticket is closed"),
        "invalid_request" | "missing_field" | "conflict" => (400, own(fault)),
        "forbidden" => (403, "Forbidden"),
        "not_found" => (404, "Ticket not found"),
        "unknown_path" => (404, "Not found"),
        "invalid_id" => (404, own(fault)),
        "method_not_allowed" => (405, own(fault)),
        "too_large" => (413, own(fault)),
        "unsupported_media_type" => (415, own(fault)),
        "rate_limited" => (429, own(fault)),
        "upstream_failed" => (500, own(fault)),
        "upstream_unreachable" => (502, own(fault)),
        "overloaded" => (503, own(fault)),
        "outcome_unknown" => (504, own(fault)),
        other => panic!("no row for {other}"),
    };
    let body = format!(r#"{{"success":false,"error":{{"code":{status},"message":"{text}"}}}}"#);
    Told { status, media_type: "application/json", body }
}

fn akana(fault: &str, xml: bool) -> Told {
    let (status, code, text) = match fault {
        "invalid_request" | "missing_field" => (400, "Client", own(fault)),
        "forbidden" => (403, "Client", "Forbidden"),
        // The platform answers so for a wrong path, type or Accept too.
        "not_found" | "unknown_path" | "unsupported_media_type" => (404, "Client", "Not Found"),
        "invalid_id" => (404, "Client", own(fault)),
        "method_not_allowed" => (405, "Client", "Method Not Allowed"),
        "too_large" => (413, "Client", own(fault)),
        "rate_limited" => (429, "Client", own(fault)),
        // A step that the workflow does not have.
        "invalid_status" | "conflict" | "already_closed" => (500, "Server", own(fault)),
        "upstream_failed" => (500, "Server", "An error occurred processing the call."),
        "upstream_unreachable" => (502, "Server", own(fault)),
        "overloaded" => (503, "Server", own(fault)),
        "outcome_unknown" => (504, "Server", own(fault)),
        other => panic!("no row for {other}"),
    };
    if xml {
        let body = format!(
            "<Fault><faultcode>{code}</faultcode><faultstring>{text}</faultstring></Fault>"
        );
        return Told { status, media_type: "application/xml", body };
    }
    let body = format!(r#"{{"faultcode":"{code}","faultstring":"{text}"}}"#);
    Told { status, media_type: "application/json", body }
}

/// Codes only. The key fixes those beside 400; the others no page attests.
fn thalamus(fault: &str) -> Told {
    let (status, member, code) = match fault {
        "invalid_request" => (400, "request", "InvalidJson"),
        // The member is the upstream's, and is not known.
        "missing_field" => (400, "request", "Required"),
        "invalid_status" | "conflict" => (400, "statusName", "invalid"),
        "already_closed" => (400, "statusName", "statusIsAlreadyClose"),
        "not_found" | "invalid_id" | "forbidden" => (400, "caseInstanceId", "invalidId"),
        "unsupported_media_type" => (400, "request", "UnsupportedMediaType"),
        "unknown_path" => (404, "request", "NotFound"),
        "method_not_allowed" => (405, "request", "MethodNotAllowed"),
        "too_large" => (413, "request", "TooLarge"),
        "rate_limited" => (429, "request", "TooManyRequests"),
        "upstream_failed" | "upstream_unreachable" => (502, "request", "SystemError"),
        "overloaded" => (503, "request", "Unavailable"),
        "outcome_unknown" => (504, "request", "Timeout"),
        other => panic!("no row for {other}"),
    };
    let body = format!(r#"{{"errors":{{"{member}":"{code}"}}}}"#);
    Told { status, media_type: "application/json", body }
}

/// A text for what is refused before the ticket is looked at, else an error object; never a type.
fn zstack(fault: &str, path: &str) -> Told {
    let text = |status, text: &str| Told { status, media_type: "", body: text.to_owned() };
    let error = |status, code: &str| {
        let text = own(fault);
        let body =
            format!(r#"{{"error":{{"code":"{code}","description":"{text}","details":"{text}"}}}}"#);
        Told { status, media_type: "", body }
    };
    match fault {
        "invalid_request" | "missing_field" => text(400, own(fault)),
        "unknown_path" => text(404, &format!("no api mapping to {path}")),
        "method_not_allowed" => text(405, own(fault)),
        "too_large" => text(413, own(fault)),
        "unsupported_media_type" => text(415, own(fault)),
        "invalid_status" => error(503, "SYS.1007"),
        "not_found" | "invalid_id" => error(503, "SYS.1003"),
        "conflict" | "already_closed" => error(503, "SYS.1005"),
        "forbidden" => error(503, "ID.1002"),
        "rate_limited" => error(429, "SYS.1006"),
        "overloaded" => error(503, "SYS.1010"),
        "upstream_failed" | "upstream_unreachable" => error(503, "SYS.1000"),
        "outcome_unknown" => error(503, "SYS.1001"),
        other => panic!("no row for {other}"),
    }
}
