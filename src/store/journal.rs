//! The journal of changes: what a call was to change, written down before it is sent, and what came of it.
//!
//! A record is added open, by the gateway that owns it, and settled once. What a call itself says of its outcome
//! stands before what somebody else found out by reading the ticket, whichever comes first. An open record is
//! claimed by another gateway once its owner is no more and its call cannot be under way.

mod read;

use super::connection::{Access, Connection, Operation, Param, Row};
use super::error::Fault;
use super::{Store, StoreError};
use crate::bounds;

pub use read::Filter;

/// What a call is about to change. Times are Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    /// The call's id.
    pub call: [u8; 16],
    /// When it is written down.
    pub began: i64,
    /// When the call cannot be under way any more.
    pub due: i64,
    /// The route's name.
    pub route: String,
    /// The consumer's name.
    pub consumer: Option<String>,
    /// The upstream's name.
    pub upstream: String,
    /// The operation's name.
    pub operation: String,
    /// The ticket, as the client knows it.
    pub client_ticket: Option<String>,
    /// The ticket, as the upstream knows it.
    pub upstream_ticket: Option<String>,
    /// The word that its status was, if it was read.
    pub from: Option<String>,
    /// The word that its status is to be.
    pub to: Option<String>,
    /// True if the status tells whether all of it was done.
    pub tells: bool,
}

/// Whether a change took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody has said yet.
    Open,
    /// It did.
    Yes,
    /// It did not.
    No,
    /// Nobody knows.
    Unknown,
}

/// Who said what came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The upstream, in its answer to the call.
    Answered,
    /// The ticket, which was read within the call.
    ReadBack,
    /// Nobody: the call ended before its answer.
    GivenUp,
    /// The ticket, which was read after its gateway had ended.
    Recovered,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The call's id.
    pub call: [u8; 16],
    /// Not [`Outcome::Open`].
    pub outcome: Outcome,
    /// The fault's name, if there was one.
    pub fault: Option<&'static str>,
    /// When, in Unix milliseconds.
    pub settled: i64,
    /// Who said so.
    pub by: By,
    /// The word that the ticket's status was when it was read for that.
    pub read: Option<String>,
    /// Why nobody knows, where it was looked into.
    pub why: Option<&'static str>,
}

/// A record of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Goes up.
    pub number: i64,
    /// What was to be changed.
    pub intent: Intent,
    /// Whether it was.
    pub outcome: Outcome,
    /// The fault's name.
    pub fault: Option<String>,
    /// When it was settled, in Unix milliseconds.
    pub settled: Option<i64>,
    /// By whom: [`By::name`].
    pub by: Option<String>,
    /// The word that was read for that.
    pub read: Option<String>,
    /// Why nobody knows.
    pub why: Option<String>,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Yes, Self::No, Self::Unknown];

    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }

    /// The outcome of a word.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

impl By {
    /// Its word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::ReadBack => "read_back",
            Self::GivenUp => "given_up",
            Self::Recovered => "recovered",
        }
    }
}

/// What marks a text that was cut: no id and no name has it at its end.
const CUT: char = '…';

/// A text as a column holds it. A call is not refused for a name that is too long; what was cut says so.
pub fn fitted(text: &str) -> String {
    let mut fitted = text.to_owned();
    if text.len() > bounds::STATE_NAME_BYTES_MAX {
        let room = bounds::STATE_NAME_BYTES_MAX - CUT.len_utf8();
        let ends = text.char_indices().map(|(start, letter)| start + letter.len_utf8());
        fitted.truncate(ends.take_while(|end| *end <= room).last().unwrap_or(0));
        fitted.push(CUT);
    }
    // PostgreSQL keeps none.
    if fitted.contains('\0') {
        fitted = fitted.replace('\0', &CUT.to_string());
    }
    fitted
}

/// True if a text is all of what it was.
pub fn is_whole(text: &str) -> bool {
    !text.contains(CUT)
}

/// The journal of changes.
impl Store {
    /// Adds open records of an owner's and settles some of its, all in one batch: what is added with it may be
    /// settled at once. Gives the number of those that were settled.
    ///
    /// # Errors
    /// If not all of it may have been done.
    pub async fn write_journal(
        &self,
        owner: [u8; 16],
        intents: Vec<Intent>,
        settlements: Vec<Settlement>,
    ) -> Result<u64, StoreError> {
        self.run(Write { owner, intents, settlements }).await
    }

    /// Takes open records over whose call cannot be under way any more: of owners that are no more, and of this
    /// owner's those that were due at `stale` already. They are due again from now on.
    ///
    /// # Errors
    /// If they may not all have been taken over.
    pub async fn claim_journal(
        &self,
        owner: [u8; 16],
        now: i64,
        stale: i64,
        most: u32,
    ) -> Result<Vec<Entry>, StoreError> {
        self.run(Claim { owner, now, stale, most }).await
    }

    /// Settles a record that was taken over, if nobody else has done it; true if it is settled by this.
    ///
    /// # Errors
    /// If it may not be settled.
    pub async fn settle_claimed(
        &self,
        owner: [u8; 16],
        settlement: Settlement,
    ) -> Result<bool, StoreError> {
        self.run(SettleClaimed { owner, settlement }).await
    }

    /// Says that an owner is there until then.
    ///
    /// # Errors
    /// If it may not have been said.
    pub async fn own_journal(&self, owner: [u8; 16], until: i64) -> Result<(), StoreError> {
        self.run(Own { owner, until }).await
    }

    /// Says that an owner is no more.
    ///
    /// # Errors
    /// If it may not have been said.
    pub async fn disown_journal(&self, owner: [u8; 16]) -> Result<(), StoreError> {
        self.run(Disown(owner)).await
    }

    /// Takes away settled records that began before then, in batches between which others get their turn, and owners
    /// that are gone since then. Gives the number of the records.
    ///
    /// # Errors
    /// If not all of it was taken away; what is left goes another time.
    pub async fn sweep_journal(&self, before: i64, gone: i64) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let taken = self.run(Sweep { before, gone }).await?;
            all += taken;
            if taken < u64::from(bounds::STATE_SWEEP_ROWS_MAX) {
                return Ok(all);
            }
        }
    }
}

/// What an entry is read from, in the order of [`entry`].
macro_rules! columns {
    () => {
        "number, call, began, due, route, consumer, upstream, operation, client_ticket, upstream_ticket,
       from_word, to_word, tells, outcome, fault, settled, settled_by, read_word, why"
    };
}
use columns;

/// An entry of a row with all columns.
fn entry(mut row: Row) -> Result<Entry, Fault> {
    let number = row.integer()?;
    let intent = Intent {
        call: row.array()?,
        began: row.integer()?,
        due: row.integer()?,
        route: row.text()?,
        consumer: row.text_or_null()?,
        upstream: row.text()?,
        operation: row.text()?,
        client_ticket: row.text_or_null()?,
        upstream_ticket: row.text_or_null()?,
        from: row.text_or_null()?,
        to: row.text_or_null()?,
        tells: row.integer()? != 0,
    };
    Ok(Entry {
        number,
        intent,
        outcome: Outcome::of(&row.text()?).ok_or_else(Fault::corrupt)?,
        fault: row.text_or_null()?,
        settled: row.integer_or_null()?,
        by: row.text_or_null()?,
        read: row.text_or_null()?,
        why: row.text_or_null()?,
    })
}

struct Write {
    owner: [u8; 16],
    intents: Vec<Intent>,
    settlements: Vec<Settlement>,
}

const ADD: &str = "
INSERT INTO journal (call, began, due, owner, route, consumer, upstream, operation, client_ticket, upstream_ticket,
                     from_word, to_word, tells, outcome)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'open')";

/// The call's own word also takes the place of what was found out by others.
const SETTLE: &str = "
UPDATE journal SET outcome = $1, fault = $2, settled = $3, settled_by = $4, read_word = $5, why = $6
WHERE call = $7 AND (outcome = 'open' OR settled_by = 'recovered')
RETURNING number";

fn values<'a>(intent: &'a Intent, owner: &'a [u8; 16]) -> Vec<Param<'a>> {
    let or_null = |text: &'a Option<String>| Param::text_or_null(text.as_deref());
    vec![
        Param::Bytes(&intent.call),
        Param::Integer(intent.began),
        Param::Integer(intent.due),
        Param::Bytes(owner),
        Param::Text(&intent.route),
        or_null(&intent.consumer),
        Param::Text(&intent.upstream),
        Param::Text(&intent.operation),
        or_null(&intent.client_ticket),
        or_null(&intent.upstream_ticket),
        or_null(&intent.from),
        or_null(&intent.to),
        Param::Integer(intent.tells.into()),
    ]
}

fn settling(settlement: &Settlement) -> Vec<Param<'_>> {
    vec![
        Param::Text(settlement.outcome.name()),
        Param::text_or_null(settlement.fault),
        Param::Integer(settlement.settled),
        Param::Text(settlement.by.name()),
        Param::text_or_null(settlement.read.as_deref()),
        Param::text_or_null(settlement.why),
        Param::Bytes(&settlement.call),
    ]
}

impl Operation for Write {
    type Answer = u64;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<u64, Fault> {
        if !self.intents.is_empty() {
            let intents: Vec<_> =
                self.intents.iter().map(|intent| values(intent, &self.owner)).collect();
            connection.execute_each(ADD, &intents).await?;
        }
        if self.settlements.is_empty() {
            return Ok(0);
        }
        let settlements: Vec<_> = self.settlements.iter().map(settling).collect();
        Ok(connection.query_each(SETTLE, &settlements).await?.len() as u64)
    }
}

struct Claim {
    owner: [u8; 16],
    now: i64,
    stale: i64,
    most: u32,
}

/// In a file there are no owners beside the one that has it open.
const FIND_OPEN: &str = concat!(
    "
SELECT ",
    columns!(),
    " FROM journal
WHERE outcome = 'open' AND due <= $1
  AND (owner = $2 AND due <= $3
       OR owner <> $2 AND owner NOT IN (SELECT owner FROM journal_owners WHERE until > $1))
ORDER BY due, number LIMIT $4"
);

const TAKE: &str = "
UPDATE journal SET owner = $1, due = $2 WHERE number = $3 AND outcome = 'open'";

impl Operation for Claim {
    type Answer = Vec<Entry>;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<Vec<Entry>, Fault> {
        connection.exclude_others("journal").await?;
        let (owner, now) = (Param::Bytes(&self.owner), Param::Integer(self.now));
        let most = Param::Integer(self.most.into());
        let found =
            connection.query(FIND_OPEN, &[now, owner, Param::Integer(self.stale), most]).await?;
        let entries = found.into_iter().map(entry).collect::<Result<Vec<Entry>, Fault>>()?;
        let numbers = entries.iter().map(|entry| vec![owner, now, Param::Integer(entry.number)]);
        connection.execute_each(TAKE, &numbers.collect::<Vec<_>>()).await?;
        Ok(entries)
    }
}

struct SettleClaimed {
    owner: [u8; 16],
    settlement: Settlement,
}

const SETTLE_CLAIMED: &str = "
UPDATE journal SET outcome = $1, fault = $2, settled = $3, settled_by = $4, read_word = $5, why = $6
WHERE call = $7 AND outcome = 'open' AND owner = $8";

impl Operation for SettleClaimed {
    type Answer = bool;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        let mut values = settling(&self.settlement);
        values.push(Param::Bytes(&self.owner));
        Ok(connection.execute(SETTLE_CLAIMED, &values).await? > 0)
    }
}

struct Own {
    owner: [u8; 16],
    until: i64,
}

const OWN: &str = "
INSERT INTO journal_owners (owner, until) VALUES ($1, $2)
ON CONFLICT (owner) DO UPDATE SET until = excluded.until";

impl Operation for Own {
    type Answer = ();
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        let values = [Param::Bytes(&self.owner), Param::Integer(self.until)];
        connection.execute(OWN, &values).await.map(drop)
    }
}

struct Disown([u8; 16]);

const DISOWN: &str = "DELETE FROM journal_owners WHERE owner = $1";

impl Operation for Disown {
    type Answer = ();
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<(), Fault> {
        connection.execute(DISOWN, &[Param::Bytes(&self.0)]).await.map(drop)
    }
}

struct Sweep {
    before: i64,
    gone: i64,
}

const SWEEP: &str = "
DELETE FROM journal WHERE number IN (
  SELECT number FROM journal WHERE began < $1 AND outcome <> 'open' LIMIT $2)";

const SWEEP_OWNERS: &str = "DELETE FROM journal_owners WHERE until < $1";

impl Operation for Sweep {
    type Answer = u64;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<u64, Fault> {
        connection.exclude_others("journal").await?;
        let batch = Param::Integer(bounds::STATE_SWEEP_ROWS_MAX.into());
        connection.execute(SWEEP_OWNERS, &[Param::Integer(self.gone)]).await?;
        connection.execute(SWEEP, &[Param::Integer(self.before), batch]).await
    }
}

/// What looks for rows. Owners are as many as gateways, so that a sweep may look at all of them.
#[cfg(test)]
pub(super) fn searches() -> impl Iterator<Item = &'static str> {
    let pages = read::PAGES.into_iter().flatten().chain([read::START]);
    [SETTLE, FIND_OPEN, TAKE, SETTLE_CLAIMED, DISOWN, SWEEP].into_iter().chain(pages)
}

/// The other statements.
#[cfg(test)]
pub(super) const OTHERS: [&str; 3] = [ADD, OWN, SWEEP_OWNERS];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let most = bounds::STATE_NAME_BYTES_MAX;
        for whole in ["", "T-1", &"x".repeat(most), &"é".repeat(most / 2)] {
            assert_eq!(fitted(whole), whole);
            assert!(is_whole(&fitted(whole)));
        }
        for long in
            ["x".repeat(most + 1), "é".repeat(most), format!("{}\u{1f600}", "x".repeat(most))]
        {
            let cut = fitted(&long);
            assert!(cut.len() <= most && cut.ends_with(CUT), "{cut}");
            assert!(long.starts_with(cut.trim_end_matches(CUT)), "{cut}");
            assert!(!is_whole(&cut));
        }
        assert_eq!(fitted("a\0b"), "a…b");
    }
}
