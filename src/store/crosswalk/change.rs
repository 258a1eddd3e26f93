//! Changes by hand: an id that is taken out, a conflict that is dismissed, a name for people.

use super::merge::{SETTLE, pair_values};
use super::{Kind, LOCK, Pair, SystemId};
use crate::store::connection::{Access, Connection, Operation, Param};
use crate::store::error::Fault;

/// Takes an id out of its entry.
pub(super) struct Unlink {
    pub(super) kind: Kind,
    pub(super) at: SystemId,
    pub(super) now: i64,
}

pub(super) const REMEMBER: &str = "
INSERT INTO crosswalk_past
  (kind, system, id, entry, alias, source, linked, ended, merged_into, note)
SELECT kind, system, id, entry, alias, source, linked, CAST($1 AS BIGINT), NULL, note
FROM crosswalk_ids WHERE kind = $2 AND system = $3 AND id = $4";

pub(super) const REMOVE: &str =
    "DELETE FROM crosswalk_ids WHERE kind = $1 AND system = $2 AND id = $3";

impl Operation for Unlink {
    type Answer = bool;
    const ACCESS: Access = Access::Transaction;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        connection.exclude_others(LOCK).await?;
        let [kind, system, id] = [self.kind.name(), &self.at.system, &self.at.id].map(Param::Text);
        connection.execute(REMEMBER, &[Param::Integer(self.now), kind, system, id]).await?;
        Ok(connection.execute(REMOVE, &[kind, system, id]).await? > 0)
    }
}

/// Forgets a pair that contradicts what is linked.
pub(super) struct Dismiss(pub(super) Pair);

impl Operation for Dismiss {
    type Answer = bool;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        Ok(connection.execute(SETTLE, &pair_values(&self.0)).await? > 0)
    }
}

/// Says how an id is shown.
pub(super) struct Alias {
    pub(super) kind: Kind,
    pub(super) at: SystemId,
    pub(super) alias: Option<String>,
}

pub(super) const ALIAS: &str =
    "UPDATE crosswalk_ids SET alias = $1 WHERE kind = $2 AND system = $3 AND id = $4";

impl Operation for Alias {
    type Answer = bool;
    const ACCESS: Access = Access::Statement;

    async fn run(&self, connection: &mut impl Connection) -> Result<bool, Fault> {
        let values = [
            Param::text_or_null(self.alias.as_deref()),
            Param::Text(self.kind.name()),
            Param::Text(&self.at.system),
            Param::Text(&self.at.id),
        ];
        Ok(connection.execute(ALIAS, &values).await? > 0)
    }
}

#[cfg(test)]
pub(super) const SEARCHES: [&str; 3] = [REMEMBER, REMOVE, ALIAS];
