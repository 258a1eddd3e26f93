//! A gateway in front of a scripted system that it logs in to: what the system says, message for message, and what
//! it is shown.

use latimer::sim::Vendor;

use crate::edited::Edited;
use crate::harness::{Answer, Gateway, Home, KEY};
use crate::scripted::{Act, Scripted, answer, field, message};
use crate::vendors::{Request, reading, request, sayable, ticket, told};

/// Vendors that are logged in to.
pub(crate) const LOGGED_IN_TO: [Vendor; 4] =
    [Vendor::Arena, Vendor::Akana, Vendor::Thalamus, Vendor::Zstack];

/// Whom the gateway logs in as.
pub(crate) const USER: &str = "jo@example.com";
pub(crate) const PASSWORD: &str = "the-upstreams-password";

/// A client of each vendor, by host, in front of a scripted system. Its first ticket has an id for each of them.
pub(crate) struct Desk {
    pub(crate) vendor: Vendor,
    pub(crate) gateway: Gateway,
    pub(crate) scripted: Scripted,
}

/// A gateway with clients of each vendor, by host, in front of a system that it logs in to.
pub(crate) async fn gateway(vendor: Vendor, url: &str, mappings: &Edited) -> Gateway {
    let settings = match vendor {
        Vendor::Akana => "{tenant: acmepaymentscorp}",
        Vendor::Thalamus => "{touchpoint: web, session_cookie: JSESSIONID, log_in_path: login}",
        _ => "{}",
    };
    // Thalamus wants its API's own token beside the operator's session.
    let token = if vendor == Vendor::Thalamus { "token: {env: DESK_TOKEN}, " } else { "" };
    let mut text = format!(
        "upstreams:\n  desk:\n    vendor: {vendor}\n    url: {url}\n    settings: {settings}\n    breaker: off\n    \
         credential: {{{token}user: {{env: DESK_USER}}, password: {{env: DESK_PASSWORD}}}}\nroutes:\n"
    );
    let mut files = Vec::new();
    for client in Vendor::ALL {
        let settings = match client {
            Vendor::Akana => "{tenant: acmepaymentscorp}",
            Vendor::Thalamus => "{touchpoint: web}",
            _ => "{}",
        };
        text.push_str(&format!(
            "  {client}:\n    client: {client}\n    upstream: desk\n    consumers: [tester]\n    \
             match: {{host: {client}.test}}\n    limit: none\n    read_back: off\n    \
             settings: {settings}\n    ids: {{ticket: {{file: {client}.csv}}}}\n"
        ));
        let (ours, theirs) = (ticket(client, 1), ticket(vendor, 1));
        files.push((format!("{client}.csv"), format!("client_id,upstream_id\n{ours},{theirs}\n")));
    }
    let home = Home::new("127.0.0.1:0", mappings.path(), &text, &files);
    let mut command = home.command();
    command.env("DESK_USER", USER).env("DESK_PASSWORD", PASSWORD);
    command.env("DESK_TOKEN", "the-apis-token");
    Gateway::launch(&home, command).await
}

/// A read of the ticket by a client of the vendor's.
pub(crate) async fn read(gateway: &Gateway, client: Vendor) -> Answer {
    send(gateway, client, &reading(client, &ticket(client, 1), KEY)).await
}

async fn send(gateway: &Gateway, client: Vendor, request: &Request) -> Answer {
    let host = format!("{client}.test");
    let mut headers: Vec<(&str, &str)> =
        request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.push(("Host", &host));
    gateway.call(&request.line, &headers, &request.body).await
}

impl Desk {
    pub(crate) async fn open(vendor: Vendor, mappings: &Edited) -> Self {
        let scripted = Scripted::start(Act::Reset).await;
        let gateway = gateway(vendor, &scripted.url, mappings).await;
        Self { vendor, gateway, scripted }
    }

    /// A client's change, to a word that the system can be told.
    pub(crate) async fn change(&self, client: Vendor) -> Answer {
        let can_be_told = |(_, word): &&(&str, &str)| told(self.vendor, word).is_some();
        let wire = sayable(client).iter().rev().find(can_be_told).unwrap().0;
        send(&self.gateway, client, &request(client, &ticket(client, 1), wire, KEY)).await
    }

    pub(crate) async fn read(&self, client: Vendor) -> Answer {
        read(&self.gateway, client).await
    }

    /// What the system was sent since this was last asked, in short: what it was, and by which session, by the number
    /// that [`given`] has given it.
    pub(crate) fn told(&self) -> Vec<String> {
        self.scripted.take_seen().iter().map(|seen| self.in_short(seen)).collect()
    }

    /// The same of one request.
    pub(crate) fn in_short(&self, seen: &str) -> String {
        in_short(self.vendor, seen)
    }

    /// What the system answers to a change that it takes: one answer, or for ZStack two.
    pub(crate) fn taken(&self) -> Vec<Act> {
        let id = ticket(self.vendor, 1);
        match self.vendor {
            Vendor::Zstack => {
                let inventory =
                    format!(r#"{{"inventory":{{"uuid":"{id}","status":"IntermediateApproved"}}}}"#);
                vec![self.accepted(), message("200 OK", "", &inventory)]
            }
            Vendor::Akana => vec![message("200 OK", "text/plain", "RESOLVED")],
            vendor => vec![message("201 Created", "application/json", &whole_ticket(vendor))],
        }
    }

    /// ZStack's 202, which names the place of the job.
    pub(crate) fn accepted(&self) -> Act {
        let url = &self.scripted.url;
        let body = format!(r#"{{"location":"{url}/v1/api-jobs/1f","apiTimeout":1800000}}"#);
        message("202 Accepted", "", &body)
    }
}

/// The ticket as the system has it.
pub(crate) fn whole_ticket(vendor: Vendor) -> String {
    let id = ticket(vendor, 1);
    match vendor {
        Vendor::Arena => format!(
            r#"{{"guid":"{id}","title":"t","status":{{"guid":"R9TCV8TK7ARN6P8RATDZ","value":"In Progress"}}}}"#
        ),
        Vendor::Akana => format!(r#"{{"TicketID":"{id}","Title":"t","State":"RESOLVED"}}"#),
        Vendor::Thalamus => {
            format!(r#"{{"context":{{}},"case":{{"id":{id},"status":"resolved"}}}}"#)
        }
        Vendor::Zstack => {
            format!(r#"{{"inventories":[{{"uuid":"{id}","status":"IntermediateApproved"}}]}}"#)
        }
        Vendor::Series => panic!("nobody logs in there"),
    }
}

/// What the system answers to a read.
pub(crate) fn read_answer(vendor: Vendor) -> Act {
    let media_type = if vendor == Vendor::Zstack { "" } else { "application/json" };
    message("200 OK", media_type, &whole_ticket(vendor))
}

/// What the system answers to a log-in, or to a renewal: the session with this number.
pub(crate) fn given(vendor: Vendor, number: usize) -> Act {
    let json = "Content-Type: application/json\r\n";
    match vendor {
        // FACTS §2.
        Vendor::Arena => answer(
            "200 OK",
            json,
            &format!(
                r#"{{"arenaSessionId":"{}","workspaceId":200002,"workspaceName":"Labs","workspaceRequestLimit":25}}"#,
                token(vendor, number)
            ),
        ),
        // FACTS §4: two cookies, and a body that does not name them.
        Vendor::Akana => {
            let (token, csrf) = (token(vendor, number), csrf(number));
            let cookies = format!(
                "Set-Cookie: AtmoAuthToken_acmepaymentscorp={token}; Path=/; HttpOnly\r\n\
                 Set-Cookie: Csrf-Token_acmepaymentscorp={csrf}; Path=/\r\n"
            );
            answer("200 OK", &format!("{json}{cookies}"), r#"{"userName":"jo","status":"OK"}"#)
        }
        // FACTS §5: cookies.
        Vendor::Thalamus => {
            let cookie =
                format!("Set-Cookie: JSESSIONID={}; Path=/; HttpOnly\r\n", token(vendor, number));
            answer("200 OK", &format!("{json}{cookie}"), r#"{"context":{}}"#)
        }
        // FACTS §1.2.
        Vendor::Zstack => {
            let inventory = format!(
                r#"{{"inventory":{{"uuid":"{}","accountUuid":"36c27e8ff05c4780bf6d2fa65700f22e"}}}}"#,
                token(vendor, number)
            );
            message("200 OK", "", &inventory)
        }
        Vendor::Series => panic!("nobody logs in there"),
    }
}

fn token(vendor: Vendor, number: usize) -> String {
    match vendor {
        Vendor::Arena => format!("LABS-{number}|"),
        Vendor::Akana => format!("TokenID%3D{number}"),
        _ => format!("{number:032x}"),
    }
}

fn csrf(number: usize) -> String {
    format!("TokenID%3Dcsrf{number}")
}

/// Whether a request is a log-in, a renewal, a question after a job or a call, and by which session.
fn in_short(vendor: Vendor, seen: &str) -> String {
    let line = seen.lines().next().unwrap();
    let target = line.split(' ').nth(1).unwrap();
    let shown = shown(vendor, seen);
    match target {
        "/login" | "/api/login" | "/api/v4/login" | "/v1/accounts/login" => {
            assert!(seen.contains(PASSWORD), "{seen}");
            assert_eq!(shown, None, "a log-in shows no session: {seen}");
            return "log in".to_owned();
        }
        _ => assert!(!seen.contains(PASSWORD), "{seen}"),
    }
    let shown = shown.unwrap_or_else(|| panic!("no session is shown: {seen}"));
    let number = (1..99).find(|number| token(vendor, *number) == shown);
    let number = number.unwrap_or_else(|| panic!("nobody was given {shown}"));
    if vendor == Vendor::Akana && line.starts_with("POST ") {
        // Each session has its own, without which nothing is written.
        let shown = field(seen, "x-csrf-token_acmepaymentscorp");
        assert_eq!(shown, Some(csrf(number).as_str()), "{seen}");
    }
    let what = match target {
        "/api/login/renewToken" => "renew",
        "/v1/api-jobs/1f" => "ask",
        _ => "call",
    };
    format!("{what} {number}")
}

/// The session's token in a request, where the vendor has it.
fn shown(vendor: Vendor, seen: &str) -> Option<&str> {
    match vendor {
        Vendor::Arena => field(seen, "arena_session_id"),
        Vendor::Zstack => field(seen, "authorization")?.strip_prefix("OAuth "),
        Vendor::Akana => field(seen, "cookie")?.strip_prefix("AtmoAuthToken_acmepaymentscorp="),
        Vendor::Thalamus => field(seen, "cookie")?.strip_prefix("JSESSIONID="),
        Vendor::Series => None,
    }
}
