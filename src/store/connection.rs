//! What both databases have in common: statements with values, and operations made of them.
//!
//! An [`Operation`] is written once, over any [`Connection`]. Its statements are SQL that both databases
//! read alike, with parameters `$1`, `$2`, … that come up in this order: SQLite numbers them as they come.

use super::error::Fault;

/// A value that goes into a statement.
#[derive(Clone, Copy, Debug)]
pub(super) enum Param<'a> {
    Null,
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
}

/// A value that comes out of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Integer(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Values of one row, taken from left to right.
#[derive(Debug)]
pub(super) struct Row(std::vec::IntoIter<Value>);

/// How an operation is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Changes nothing.
    Read,
    /// Changes something by one statement.
    Statement,
    /// Several statements that hold together or not at all.
    Transaction,
}

/// A connection to one of the databases, inside whatever transaction the operation asks for.
pub(super) trait Connection {
    /// All rows that a statement gives.
    async fn query(&mut self, sql: &'static str, with: &[Param<'_>]) -> Result<Vec<Row>, Fault>;

    /// How many rows a statement has changed.
    async fn execute(&mut self, sql: &'static str, with: &[Param<'_>]) -> Result<u64, Fault>;

    /// Runs one statement with one set of values after the other.
    async fn execute_each(
        &mut self,
        sql: &'static str,
        with: &[Vec<Param<'_>>],
    ) -> Result<(), Fault>;

    /// The rows that one statement gives for one set of values after the other, which is one row each.
    async fn query_each(
        &mut self,
        sql: &'static str,
        with: &[Vec<Param<'_>>],
    ) -> Result<Vec<Row>, Fault>;

    /// Keeps other transactions on the same thing out until this one ends.
    async fn exclude_others(&mut self, from: &str) -> Result<(), Fault>;

    /// Writes all that is stored into a file, where this side can.
    async fn copy(&mut self, to: &str) -> Result<(), Fault>;

    /// Says whether what is stored is whole.
    async fn check(&mut self) -> Result<(), Fault>;
}

/// One thing that the store is asked for. It may be run again from the start if it was rolled back.
pub(super) trait Operation: Send + 'static {
    type Answer: Send + 'static;
    const ACCESS: Access;

    async fn run(&self, connection: &mut impl Connection) -> Result<Self::Answer, Fault>;
}

impl<'a> Param<'a> {
    pub(super) fn text_or_null(text: Option<&'a str>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }

    pub(super) fn bytes_or_null(bytes: Option<&'a [u8; 32]>) -> Self {
        bytes.map_or(Self::Null, |bytes| Self::Bytes(bytes))
    }

    /// A number that is never negative; what no column can hold is as good as the most that one can.
    pub(super) fn unsigned(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl Row {
    pub(super) fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    /// The next value, or a fault: a column of another type is not one that this program wrote.
    fn next<T>(&mut self, take: impl FnOnce(Value) -> Option<T>) -> Result<T, Fault> {
        self.0.next().and_then(take).ok_or_else(Fault::corrupt)
    }

    pub(super) fn integer(&mut self) -> Result<i64, Fault> {
        self.next(|value| match value {
            Value::Integer(number) => Some(number),
            Value::Null | Value::Text(_) | Value::Bytes(_) => None,
        })
    }

    pub(super) fn integer_or_null(&mut self) -> Result<Option<i64>, Fault> {
        self.next(|value| match value {
            Value::Integer(number) => Some(Some(number)),
            Value::Null => Some(None),
            Value::Text(_) | Value::Bytes(_) => None,
        })
    }

    /// A number that is never negative.
    pub(super) fn unsigned(&mut self) -> Result<u64, Fault> {
        u64::try_from(self.integer()?).map_err(|_| Fault::corrupt())
    }

    pub(super) fn text(&mut self) -> Result<String, Fault> {
        self.next(|value| match value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Bytes(_) => None,
        })
    }

    pub(super) fn text_or_null(&mut self) -> Result<Option<String>, Fault> {
        self.next(|value| match value {
            Value::Text(text) => Some(Some(text)),
            Value::Null => Some(None),
            Value::Integer(_) | Value::Bytes(_) => None,
        })
    }

    pub(super) fn bytes(&mut self) -> Result<Vec<u8>, Fault> {
        self.bytes_or_null()?.ok_or_else(Fault::corrupt)
    }

    pub(super) fn bytes_or_null(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        self.next(|value| match value {
            Value::Bytes(bytes) => Some(Some(bytes)),
            Value::Null => Some(None),
            Value::Integer(_) | Value::Text(_) => None,
        })
    }

    /// Bytes of a length that is known.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.bytes()?.try_into().map_err(|_| Fault::corrupt())
    }
}
