//! How the tables came about, step by step, for both databases.
//!
//! Steps are only ever added, at the end; what was released is never changed. Each is run in a transaction
//! of its own, forward only. A gateway may still run while a newer one takes the next step, so a step adds
//! and does not take away what the version before it uses.

/// One step, in the words of both databases.
pub(super) struct Migration {
    pub(super) sqlite: &'static str,
    pub(super) postgres: &'static str,
}

/// All steps; how many were taken is the version of the form.
pub(super) const MIGRATIONS: &[Migration] = &[
    Migration { sqlite: SESSIONS_AND_JOBS_SQLITE, postgres: SESSIONS_AND_JOBS_POSTGRES },
    Migration { sqlite: LIMITS_SQLITE, postgres: LIMITS_POSTGRES },
    Migration { sqlite: CROSSWALK_SQLITE, postgres: CROSSWALK_POSTGRES },
    Migration { sqlite: JOURNAL_SQLITE, postgres: JOURNAL_POSTGRES },
];

/// The version of the form that this program works with.
pub(super) fn known() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are a few steps")
}

const SESSIONS_AND_JOBS_SQLITE: &str = "
CREATE TABLE sessions (
  token     BLOB    NOT NULL PRIMARY KEY,
  consumer  TEXT    NOT NULL,
  realm     TEXT    NOT NULL,
  user_name TEXT    NOT NULL,
  csrf      BLOB,
  created   INTEGER NOT NULL,
  expires   INTEGER NOT NULL,
  slides_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_of_user ON sessions (realm, user_name, created, token, expires);
CREATE INDEX sessions_by_end ON sessions (expires);

CREATE TABLE jobs (
  consumer TEXT    NOT NULL,
  id       BLOB    NOT NULL,
  call     BLOB    NOT NULL,
  created  INTEGER NOT NULL,
  deadline INTEGER NOT NULL,
  expires  INTEGER NOT NULL,
  status   INTEGER,
  headers  TEXT,
  body     BLOB,
  PRIMARY KEY (consumer, id)
) STRICT;
CREATE INDEX jobs_unfinished ON jobs (consumer, deadline) WHERE status IS NULL;
CREATE INDEX jobs_by_end ON jobs (expires);

CREATE TABLE upstream_sessions (
  key          BLOB    NOT NULL PRIMARY KEY,
  sealed       BLOB,
  expires      INTEGER NOT NULL,
  generation   INTEGER NOT NULL,
  holder       BLOB,
  leased_until INTEGER NOT NULL
) STRICT;
";

const SESSIONS_AND_JOBS_POSTGRES: &str = "
CREATE TABLE sessions (
  token     BYTEA  NOT NULL PRIMARY KEY,
  consumer  TEXT   NOT NULL,
  realm     TEXT   NOT NULL,
  user_name TEXT   NOT NULL,
  csrf      BYTEA,
  created   BIGINT NOT NULL,
  expires   BIGINT NOT NULL,
  slides_ms BIGINT
);
CREATE INDEX sessions_of_user ON sessions (realm, user_name, created, token, expires);
CREATE INDEX sessions_by_end ON sessions (expires);

CREATE TABLE jobs (
  consumer TEXT   NOT NULL,
  id       BYTEA  NOT NULL,
  call     BYTEA  NOT NULL,
  created  BIGINT NOT NULL,
  deadline BIGINT NOT NULL,
  expires  BIGINT NOT NULL,
  status   BIGINT,
  headers  TEXT,
  body     BYTEA,
  PRIMARY KEY (consumer, id)
);
CREATE INDEX jobs_unfinished ON jobs (consumer, deadline) WHERE status IS NULL;
CREATE INDEX jobs_by_end ON jobs (expires);

CREATE TABLE upstream_sessions (
  key          BYTEA  NOT NULL PRIMARY KEY,
  sealed       BYTEA,
  expires      BIGINT NOT NULL,
  generation   BIGINT NOT NULL,
  holder       BYTEA,
  leased_until BIGINT NOT NULL
);
";

const LIMITS_SQLITE: &str = "
CREATE TABLE limit_uses (
  name    TEXT    NOT NULL,
  span    INTEGER NOT NULL,
  subject INTEGER NOT NULL,
  start   INTEGER NOT NULL,
  calls   INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  PRIMARY KEY (name, span, subject, start)
) STRICT, WITHOUT ROWID;
CREATE INDEX limit_uses_of_caller ON limit_uses (name, subject);
CREATE INDEX limit_uses_by_end ON limit_uses (expires);

CREATE TABLE limit_writers (
  writer  BLOB    NOT NULL PRIMARY KEY,
  batch   INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Room is left in each page, so that a count goes up where it stands.
const LIMITS_POSTGRES: &str = "
CREATE TABLE limit_uses (
  name    TEXT   NOT NULL,
  span    BIGINT NOT NULL,
  subject BIGINT NOT NULL,
  start   BIGINT NOT NULL,
  calls   BIGINT NOT NULL,
  expires BIGINT NOT NULL,
  PRIMARY KEY (name, span, subject, start)
) WITH (fillfactor = 70);
CREATE INDEX limit_uses_of_caller ON limit_uses (name, subject);
CREATE INDEX limit_uses_by_end ON limit_uses (expires);

CREATE TABLE limit_writers (
  writer  BYTEA  NOT NULL PRIMARY KEY,
  batch   BIGINT NOT NULL,
  expires BIGINT NOT NULL
);
";

/// An entry has one id in each system, and past numbers go up, so that what went later comes later.
const CROSSWALK_SQLITE: &str = "
CREATE TABLE crosswalk_ids (
  kind   TEXT    NOT NULL,
  system TEXT    NOT NULL,
  id     TEXT    NOT NULL,
  entry  INTEGER NOT NULL,
  alias  TEXT,
  source TEXT    NOT NULL,
  linked INTEGER NOT NULL,
  note   TEXT,
  PRIMARY KEY (kind, system, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX crosswalk_ids_of_entry ON crosswalk_ids (entry, system);

CREATE TABLE crosswalk_past (
  number      INTEGER PRIMARY KEY AUTOINCREMENT,
  kind        TEXT    NOT NULL,
  system      TEXT    NOT NULL,
  id          TEXT    NOT NULL,
  entry       INTEGER NOT NULL,
  alias       TEXT,
  source      TEXT    NOT NULL,
  linked      INTEGER NOT NULL,
  ended       INTEGER NOT NULL,
  merged_into INTEGER,
  note        TEXT
) STRICT;
CREATE INDEX crosswalk_past_of_id ON crosswalk_past (kind, system, id, number);
CREATE INDEX crosswalk_past_of_entry ON crosswalk_past (entry, number);

CREATE TABLE crosswalk_conflicts (
  kind         TEXT    NOT NULL,
  system       TEXT    NOT NULL,
  id           TEXT    NOT NULL,
  other_system TEXT    NOT NULL,
  other_id     TEXT    NOT NULL,
  source       TEXT    NOT NULL,
  told         INTEGER NOT NULL,
  note         TEXT,
  PRIMARY KEY (kind, system, id, other_system, other_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX crosswalk_conflicts_of_other ON crosswalk_conflicts (kind, other_system, other_id);
";

/// Ids are in the order of their bytes, as in SQLite, whatever the database's own order is.
const CROSSWALK_POSTGRES: &str = "
CREATE TABLE crosswalk_ids (
  kind   TEXT COLLATE \"C\" NOT NULL,
  system TEXT COLLATE \"C\" NOT NULL,
  id     TEXT COLLATE \"C\" NOT NULL,
  entry  BIGINT  NOT NULL,
  alias  TEXT,
  source TEXT    NOT NULL,
  linked BIGINT  NOT NULL,
  note   TEXT,
  PRIMARY KEY (kind, system, id)
);
CREATE UNIQUE INDEX crosswalk_ids_of_entry ON crosswalk_ids (entry, system);

CREATE TABLE crosswalk_past (
  number      BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind        TEXT COLLATE \"C\" NOT NULL,
  system      TEXT COLLATE \"C\" NOT NULL,
  id          TEXT COLLATE \"C\" NOT NULL,
  entry       BIGINT  NOT NULL,
  alias       TEXT,
  source      TEXT    NOT NULL,
  linked      BIGINT  NOT NULL,
  ended       BIGINT  NOT NULL,
  merged_into BIGINT,
  note        TEXT
);
CREATE INDEX crosswalk_past_of_id ON crosswalk_past (kind, system, id, number);
CREATE INDEX crosswalk_past_of_entry ON crosswalk_past (entry, number);

CREATE TABLE crosswalk_conflicts (
  kind         TEXT COLLATE \"C\" NOT NULL,
  system       TEXT COLLATE \"C\" NOT NULL,
  id           TEXT COLLATE \"C\" NOT NULL,
  other_system TEXT COLLATE \"C\" NOT NULL,
  other_id     TEXT COLLATE \"C\" NOT NULL,
  source       TEXT    NOT NULL,
  told         BIGINT  NOT NULL,
  note         TEXT,
  PRIMARY KEY (kind, system, id, other_system, other_id)
);
CREATE INDEX crosswalk_conflicts_of_other ON crosswalk_conflicts (kind, other_system, other_id);
";

/// Records go in at the end. What is open is few and has an index of its own; an owner is a gateway that runs.
const JOURNAL_SQLITE: &str = "
CREATE TABLE journal (
  number          INTEGER PRIMARY KEY AUTOINCREMENT,
  call            BLOB    NOT NULL UNIQUE,
  began           INTEGER NOT NULL,
  due             INTEGER NOT NULL,
  owner           BLOB    NOT NULL,
  route           TEXT    NOT NULL,
  consumer        TEXT,
  upstream        TEXT    NOT NULL,
  operation       TEXT    NOT NULL,
  client_ticket   TEXT,
  upstream_ticket TEXT,
  from_word       TEXT,
  to_word         TEXT,
  tells           INTEGER NOT NULL,
  outcome         TEXT    NOT NULL,
  fault           TEXT,
  settled         INTEGER,
  settled_by      TEXT,
  read_word       TEXT,
  why             TEXT
) STRICT;
CREATE INDEX journal_open ON journal (due) WHERE outcome = 'open';
CREATE INDEX journal_by_time ON journal (began);
CREATE INDEX journal_of_client_ticket ON journal (client_ticket);
CREATE INDEX journal_of_upstream_ticket ON journal (upstream_ticket);

CREATE TABLE journal_owners (
  owner BLOB    NOT NULL PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

const JOURNAL_POSTGRES: &str = "
CREATE TABLE journal (
  number          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  call            BYTEA  NOT NULL UNIQUE,
  began           BIGINT NOT NULL,
  due             BIGINT NOT NULL,
  owner           BYTEA  NOT NULL,
  route           TEXT   NOT NULL,
  consumer        TEXT,
  upstream        TEXT   NOT NULL,
  operation       TEXT   NOT NULL,
  client_ticket   TEXT,
  upstream_ticket TEXT,
  from_word       TEXT,
  to_word         TEXT,
  tells           BIGINT NOT NULL,
  outcome         TEXT   NOT NULL,
  fault           TEXT,
  settled         BIGINT,
  settled_by      TEXT,
  read_word       TEXT,
  why             TEXT
);
CREATE INDEX journal_open ON journal (due) WHERE outcome = 'open';
CREATE INDEX journal_by_time ON journal (began);
CREATE INDEX journal_of_client_ticket ON journal (client_ticket);
CREATE INDEX journal_of_upstream_ticket ON journal (upstream_ticket);

CREATE TABLE journal_owners (
  owner BYTEA  NOT NULL PRIMARY KEY,
  until BIGINT NOT NULL
);
";
