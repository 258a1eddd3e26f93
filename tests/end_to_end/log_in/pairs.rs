//! Sessions on both sides, for all pairs: the client logs in to the gateway in its own way, the gateway logs in to
//! the system in that one's, and either side is restarted in the middle.

use latimer::sim::Vendor;

use super::{Desk, SHA512, cookie, start};
use crate::harness::{KEY, log_ins, simulator_with_account, upstream};
use crate::vendors::{fresh, sayable, ticket, told};

/// What a client shows after its log-in: in the place of its key, and besides.
struct Shown {
    key: String,
    more: Vec<(&'static str, String)>,
}

/// The system's lines, with an account in place of a token where it has log-ins.
fn lines(vendor: Vendor, url: &str) -> String {
    let lines = upstream(vendor, url);
    let account = "user: {env: DESK_USER}, password: {env: DESK_PASSWORD}}";
    match vendor {
        Vendor::Series => lines,
        Vendor::Thalamus => lines
            .replace("web}", "web, session_cookie: JSESSIONID, log_in_path: login}")
            .replace("_TOKEN}}", &format!("_TOKEN}}, {account}")),
        Vendor::Arena | Vendor::Akana | Vendor::Zstack => {
            let token = format!("token: {{env: {}_TOKEN}}}}", vendor.name().to_uppercase());
            lines.replace(&token, account)
        }
    }
}

/// A word that the clients have and the system can be told, and its tickets' status before.
fn word(client: Vendor, system: Vendor) -> (&'static str, &'static str) {
    let mut words = sayable(client).iter();
    let found = words.find_map(|(wire, word)| Some((*wire, told(system, word)?.0)));
    let (wire, theirs) = found.unwrap();
    (wire, fresh(system, theirs))
}

/// Each client has two tickets.
fn numbers(client: Vendor) -> [usize; 2] {
    let place = Vendor::ALL.iter().position(|known| *known == client).unwrap();
    [2 * place + 1, 2 * place + 2]
}

async fn open(vendor: Vendor) -> Desk {
    let tickets = Vendor::ALL.iter().flat_map(|client| {
        let status = word(*client, vendor).1;
        numbers(*client).map(|number| (ticket(vendor, number), status))
    });
    let tickets: Vec<_> = tickets.collect();
    let system = simulator_with_account(vendor, &tickets).await;
    let lines = lines(vendor, &system.url());
    Desk::before(system, &lines, ("mappings", "")).await
}

async fn log_in(desk: &Desk, client: Vendor) -> Shown {
    let alone = |key: &str| Shown { key: key.to_owned(), more: Vec::new() };
    if client == Vendor::Series {
        return alone(KEY);
    }
    let (user, password) = match client {
        Vendor::Zstack => ("admin", SHA512),
        _ => ("jo@example.com", "password"),
    };
    let answer = desk.log_in(client, user, password).await;
    assert_eq!(answer.status, 200, "{client}: {answer:?}");
    match client {
        Vendor::Arena => alone(answer.json()["arenaSessionId"].as_str().unwrap()),
        Vendor::Zstack => alone(answer.json()["inventory"]["uuid"].as_str().unwrap()),
        Vendor::Akana => {
            let (token, _) = cookie(&answer, "AtmoAuthToken_acmepaymentscorp");
            let (csrf, _) = cookie(&answer, "Csrf-Token_acmepaymentscorp");
            let more = vec![("X-Csrf-Token_acmepaymentscorp", csrf.to_owned())];
            Shown { key: token.to_owned(), more }
        }
        Vendor::Thalamus => {
            let (session, _) = cookie(&answer, "JSESSIONID");
            let more = vec![("Cookie", format!("JSESSIONID={session}"))];
            Shown { key: KEY.to_owned(), more }
        }
        Vendor::Series => unreachable!("it has returned"),
    }
}

async fn change(desk: &Desk, client: Vendor, shown: &Shown, number: usize) {
    let wire = word(client, desk.system.vendor()).0;
    let more: Vec<(&str, &str)> =
        shown.more.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let answer = desk.change_to(client, (number, wire), &shown.key, &more).await;
    let outcome = answer.header("x-latimer-outcome");
    assert_eq!(outcome, Some("yes"), "{client} of {}: {answer:?}", desk.system.vendor());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_pair_has_sessions_on_both_sides() {
    for vendor in Vendor::ALL {
        let mut desk = open(vendor).await;
        let mut clients = Vec::new();
        for client in Vendor::ALL {
            let shown = log_in(&desk, client).await;
            change(&desk, client, &shown, numbers(client)[0]).await;
            clients.push((client, shown));
        }
        let one = usize::from(vendor != Vendor::Series);
        assert_eq!(log_ins(&desk.system), one, "{vendor}: one for the clients of all vendors");
        // The system forgets its sessions, and the gateway is started anew. Its clients' sessions go on.
        desk.system.end_sessions();
        let Desk { home, gateway, system } = desk;
        gateway.terminate().await;
        let gateway = start(&home).await;
        desk = Desk { home, gateway, system };
        for (client, shown) in &clients {
            change(&desk, *client, shown, numbers(*client)[1]).await;
        }
        assert_eq!(log_ins(&desk.system), 2 * one, "{vendor}");
        desk.stop().await;
    }
}
