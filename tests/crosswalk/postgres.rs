//! The same commands on a PostgreSQL database, which a gateway and commands share.

use latimer::store;

use crate::server::{Server, state};
use crate::{Place, has, pairs};

#[test]
fn everything_goes_in_postgres_while_a_gateway_has_it() {
    let server = Server::start();
    let at = server.database();
    let mut place = Place::new();
    place.keep_in(&format!(
        "state: {{url: \"postgres://{}@{}:{}/{}?sslmode=disable\", password: {{env: STATE_PASSWORD}}}}\n",
        at.user, at.host, at.port, at.database
    ));
    place.password = at.password.as_ref().map(|one| one.expose().to_owned()).unwrap_or_default();
    let gateway = store::open(&state(&at)).unwrap();
    place.write("pairs.csv", pairs(1_200) + "ticket,A-0000001,other\nticket,A-0000007\n");
    let told = ["pairs.csv:1202: ", "pairs.csv:1203: 2 fields", "1 conflicts, 1 bad lines"];
    has(&place.prints(&["import", "--dry-run", "pairs.csv"], 1), &told);
    has(&place.prints(&["check"], 0), &["0 conflicts"]);
    has(&place.prints(&["import", "pairs.csv"], 1), &told);
    has(&place.prints(&["import", "pairs.csv"], 1), &["0 linked", "1200 known before"]);

    // The same file gives the same export, whatever keeps it.
    let file = Place::new();
    file.write("pairs.csv", pairs(1_200));
    file.prints(&["import", "pairs.csv"], 0);
    assert_eq!(place.export(), file.export());

    has(&place.prints(&["find", "A-0000001"], 0), &["conflicted", "by pairs.csv"]);
    has(&place.prints(&["unlink", "arena=A-0000001"], 0), &["unlinked"]);
    has(&place.prints(&["check"], 1), &["ticket ids of arena: 1199", "1 former ids, 1 conflicts"]);
    has(&place.cannot(&["backup", "copy.sqlite"]), &["pg_dump --schema latimer"]);
    assert!(!place.path("copy.sqlite").exists() && !place.path("latimer.sqlite").exists());
    drop(gateway);
}
