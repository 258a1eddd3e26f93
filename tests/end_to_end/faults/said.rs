//! Every fault that an upstream can say, byte for byte as its page or the answer key (LANGUAGE §8)
//! has it, and the fault that it is to be read as: the general one where several look alike.

use latimer::sim::Vendor;
use serde_json::json;

/// One answer of an upstream.
pub(super) struct Said {
    pub(super) vendor: Vendor,
    pub(super) status: &'static str,
    /// Empty for an answer without a type.
    pub(super) media_type: &'static str,
    pub(super) body: String,
    pub(super) reads: &'static str,
}

const JSON: &str = "application/json";

/// What all five can say.
pub(super) fn everything() -> Vec<Said> {
    let all = [arena(), series(), akana(), thalamus(), zstack(), zstack_texts()];
    all.into_iter().flatten().collect()
}

/// Codes and texts of the pages on errors; release "Winter 2023" gave some refusals the status 403
/// that had 400 before.
fn arena() -> Vec<Said> {
    let privileges = "Either you do not have privileges to access the requested data or it does \
                      not exist.";
    let token = "There is no access token associated with this request or the access token is not \
                 valid.";
    let system = "Sorry, a system error occurred, please try again.";
    [
        ("400 Bad Request", 400, "The format of the request is not valid.", "invalid_request"),
        ("400 Bad Request", 3001, "The attribute \"status\" is required.", "missing_field"),
        ("400 Bad Request", 3083, "Invalid status.", "invalid_status"),
        ("400 Bad Request", 3011, "The guid \"X\" is not valid.", "invalid_id"),
        ("400 Bad Request", 3012, "The requested object is not found.", "not_found"),
        ("400 Bad Request", 3090, "Ticket cannot be edited.", "already_closed"),
        ("401 Unauthorized", 401, token, "unauthenticated"),
        ("403 Forbidden", 3024, privileges, "forbidden"),
        ("400 Bad Request", 3024, privileges, "forbidden"),
        ("403 Forbidden", 3085, "You do not have privileges to perform it.", "forbidden"),
        ("400 Bad Request", 3085, "You do not have privileges to perform it.", "forbidden"),
        ("403 Forbidden", 3086, "You do not have privileges to read it.", "forbidden"),
        ("400 Bad Request", 3086, "You do not have privileges to read it.", "forbidden"),
        ("404 Not Found", 404, "No resource has been found.", "unknown_path"),
        ("405 Method Not Allowed", 405, "Method Not Allowed", "method_not_allowed"),
        ("409 Conflict", 409, "Conflict", "conflict"),
        ("413 Payload Too Large", 413, "Payload Too Large", "too_large"),
        ("415 Unsupported Media Type", 415, "Unsupported", "unsupported_media_type"),
        ("429 Too Many Requests", 429, "Too Many Requests", "rate_limited"),
        ("502 Bad Gateway", 3000, system, "upstream_failed"),
        ("503 Service Unavailable", 503, "The service is unavailable.", "overloaded"),
        ("504 Gateway Timeout", 3000, system, "outcome_unknown"),
    ]
    .map(|(status, code, text, reads)| {
        let http: u16 = status[..3].parse().unwrap();
        let body = json!({"status": http, "errors": [{"code": code, "message": text}]}).to_string();
        Said { vendor: Vendor::Arena, status, media_type: JSON, body, reads }
    })
    .into()
}

fn series() -> Vec<Said> {
    let words = "Invalid status. Must be one of: open, in-progress, resolved, closed";
    let plan = "Tickets module requires a Premium or Enterprise subscription";
    let module = "Tickets module is not enabled for this workspace";
    [
        ("400 Bad Request", words, "invalid_status"),
        // A missing member, a conflict and a closed ticket look like any wrong request.
        ("400 Bad Request", "Ticket already claimed", "invalid_request"),
        ("401 Unauthorized", "Invalid API key", "unauthenticated"),
        ("403 Forbidden", plan, "forbidden"),
        ("403 Forbidden", module, "forbidden"),
        ("404 Not Found", "Ticket not found", "not_found"),
        // So does a path that does not exist.
        ("404 Not Found", "Not found", "not_found"),
        ("405 Method Not Allowed", "Method not allowed", "method_not_allowed"),
        ("413 Payload Too Large", "Payload too large", "too_large"),
        ("415 Unsupported Media Type", "Unsupported media type", "unsupported_media_type"),
        ("429 Too Many Requests", "Rate limit exceeded", "rate_limited"),
        ("500 Internal Server Error", "Internal server error", "upstream_failed"),
        ("502 Bad Gateway", "Bad gateway", "upstream_unreachable"),
        ("503 Service Unavailable", "Service unavailable", "overloaded"),
        ("504 Gateway Timeout", "Gateway timeout", "outcome_unknown"),
    ]
    .map(|(status, text, reads)| {
        // With the page's line ends and indents.
        let body = format!(
            "{{\n  \"success\": false,\n  \"error\": {{\n    \"code\": {},\n    \"message\": \
             \"{text}\"\n  }}\n}}",
            &status[..3]
        );
        Said { vendor: Vendor::Series, status, media_type: JSON, body, reads }
    })
    .into()
}

/// Each in JSON and in XML; the page tells no namespace, so that any counts, or none.
fn akana() -> Vec<Said> {
    let statuses = [
        ("400 Bad Request", "Client", "invalid_request"),
        ("401 Unauthorized", "Client", "unauthenticated"),
        ("403 Forbidden", "Client", "forbidden"),
        // A wrong path, type or Accept looks like a ticket that does not exist.
        ("404 Not Found", "Client", "not_found"),
        ("405 Method Not Allowed", "Client", "method_not_allowed"),
        ("413 Payload Too Large", "Client", "too_large"),
        ("429 Too Many Requests", "Client", "rate_limited"),
        // A step that the workflow does not have looks like an error of the platform's own.
        ("500 Internal Server Error", "Server", "upstream_failed"),
        ("502 Bad Gateway", "Server", "upstream_unreachable"),
        ("503 Service Unavailable", "Server", "overloaded"),
        ("504 Gateway Timeout", "Server", "outcome_unknown"),
    ];
    let mut said = Vec::new();
    for (status, code, reads) in statuses {
        let text = &status[4..];
        let json = json!({"faultcode": code, "faultstring": text}).to_string();
        let members = [("faultcode", code), ("faultstring", text)];
        let element = |prefix: &str| {
            let members =
                members.map(|(name, text)| format!("<{prefix}{name}>{text}</{prefix}{name}>"));
            members.concat()
        };
        let xml = format!("<Fault>{}</Fault>", element(""));
        let spaced = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ns2:Fault xmlns:ns2=\"urn:x\">{}</ns2:Fault>",
            element("ns2:")
        );
        for (media_type, body) in
            [(JSON, json), ("application/xml", xml), ("application/xml; charset=UTF-8", spaced)]
        {
            said.push(Said { vendor: Vendor::Akana, status, media_type, body, reads });
        }
    }
    said
}

/// A code under the name of what is wrong, in any case of its letters.
fn thalamus() -> Vec<Said> {
    let bad = "400 Bad Request";
    let mut said: Vec<Said> = [
        (bad, "request", "InvalidJson", "invalid_request"),
        (bad, "request", "INVALIDJSON", "invalid_request"),
        (bad, "statusName", "Required", "missing_field"),
        (bad, "statusName", "required", "missing_field"),
        (bad, "statusName", "invalid", "invalid_status"),
        (bad, "statusName", "Invalid", "invalid_status"),
        // Says also that the case is not the operator's.
        (bad, "caseInstanceId", "invalidId", "not_found"),
        (bad, "caseInstanceId", "InvalidId", "not_found"),
        (bad, "anything", "INVALIDID", "not_found"),
        (bad, "statusName", "statusIsAlreadyClose", "already_closed"),
        (bad, "case", "StatusIsAlreadyClose", "already_closed"),
        (bad, "token", "InvalidToken", "unauthenticated"),
        (bad, "token", "invalidtoken", "unauthenticated"),
        (bad, "request", "UnsupportedMediaType", "unsupported_media_type"),
        ("404 Not Found", "request", "NotFound", "unknown_path"),
        ("405 Method Not Allowed", "request", "MethodNotAllowed", "method_not_allowed"),
        ("413 Payload Too Large", "request", "TooLarge", "too_large"),
        ("429 Too Many Requests", "request", "TooManyRequests", "rate_limited"),
        ("502 Bad Gateway", "request", "SystemError", "upstream_failed"),
        ("503 Service Unavailable", "request", "Unavailable", "overloaded"),
        ("504 Gateway Timeout", "request", "Timeout", "outcome_unknown"),
    ]
    .map(|(status, member, code, reads)| {
        let body = json!({"errors": {member: code}}).to_string();
        Said { vendor: Vendor::Thalamus, status, media_type: JSON, body, reads }
    })
    .into();
    for (body, reads) in [
        // The common envelope; and one name twice, as the page's own sample has it.
        (
            r#"{"links":[],"data":{"activities":[],"entity":{}},"errors":{"statusName":"invalid"}}"#,
            "invalid_status",
        ),
        (r#"{"errors":{"caseInstanceId":"invalidId","caseInstanceId":"invalidId"}}"#, "not_found"),
        // Of several, one that is known counts.
        (r#"{"errors":{"other":"NotEditable","statusName":"invalid"}}"#, "invalid_status"),
    ] {
        let body = body.to_owned();
        let media_type = "application/json;charset=UTF-8";
        said.push(Said { vendor: Vendor::Thalamus, status: bad, media_type, body, reads });
    }
    said
}

/// The error object, under whatever status; its answers have no media type.
fn zstack() -> Vec<Said> {
    let failed = "503 Service Unavailable";
    let mut said: Vec<Said> = [
        (failed, "SYS.1007", "Invalid argument", "invalid_status"),
        (failed, "SYS.1003", "Resource not found", "not_found"),
        (failed, "SYS.1005", "Failed to change state", "conflict"),
        (failed, "ID.1001", "Invalid session", "unauthenticated"),
        (failed, "ORG_ZSTACK_IDENTITY_10020", "Invalid session", "unauthenticated"),
        (failed, "ID.1002", "Permission denied", "forbidden"),
        ("429 Too Many Requests", "SYS.1006", "Operation error", "rate_limited"),
        (failed, "SYS.1010", "Not ready", "overloaded"),
        (failed, "SYS.1001", "Timeout", "outcome_unknown"),
        (failed, "SYS.1000", "Internal error", "upstream_failed"),
        // Codes that no row names.
        (failed, "SYS.1006", "Operation error", "upstream_failed"),
        (failed, "HOST.1001", "Host offline", "upstream_failed"),
        (failed, "ID.1006", "Too many sessions", "upstream_failed"),
        // An error is an error under any status.
        ("200 OK", "ID.1002", "Permission denied", "forbidden"),
        ("500 Internal Server Error", "SYS.1003", "Resource not found", "not_found"),
    ]
    .map(|(status, code, text, reads)| {
        let body = json!({"error": {
            "code": code, "description": text, "details": format!("{text}: why"),
            "elaboration": null, "opaque": null, "cause": null,
        }})
        .to_string();
        Said { vendor: Vendor::Zstack, status, media_type: "", body, reads }
    })
    .into();
    // Newer releases tell the session's end beside an older code.
    for code in ["ID.1000", "SYS.1000"] {
        let body = json!({"error": {
            "code": code, "description": "Invalid session", "details": "Session expired",
            "globalErrorCode": "ORG_ZSTACK_IDENTITY_10020",
        }})
        .to_string();
        said.push(Said {
            vendor: Vendor::Zstack,
            status: failed,
            media_type: "",
            body,
            reads: "unauthenticated",
        });
    }
    said
}

/// What the server refuses before it looks at the ticket is plain text.
fn zstack_texts() -> Vec<Said> {
    let no_action =
        "the body doesn't contain action mapping to the URL[/v1/tickets/{uuid}/actions]";
    [
        ("400 Bad Request", no_action, "invalid_request"),
        ("404 Not Found", "no api mapping to /v1/ticket", "unknown_path"),
        ("405 Method Not Allowed", "Method Not Allowed", "method_not_allowed"),
        ("413 Payload Too Large", "Payload Too Large", "too_large"),
        ("415 Unsupported Media Type", "Unsupported Media Type", "unsupported_media_type"),
        // A text beside 500 is an exception's, which says nothing of what it left behind.
        ("500 Internal Server Error", "unhandled exception", "outcome_unknown"),
    ]
    .map(|(status, body, reads)| {
        let body = body.to_owned();
        Said { vendor: Vendor::Zstack, status, media_type: "", body, reads }
    })
    .into()
}
