//! The pull reader: values, members and items, in the order in which they stand in the body.

use std::borrow::Cow;
use std::mem;

use smallvec::SmallVec;

use super::lex::Lexer;
use super::{Duplicates, JsonError, JsonErrorKind, Kind, Limits, Scalar};
use crate::codec::names::{NameStack, Seen};

/// Reads one body from front to back.
///
/// After an error the reader's place is undefined: give the body up.
#[derive(Debug)]
pub struct JsonReader<'a> {
    lexer: Lexer<'a>,
    limits: Limits,
    depth: usize,
    names: NameStack<'a>,
    /// The containers open inside [`skip`](Self::skip), kept for their memory only.
    skipped: SmallVec<[Open; 4]>,
}

/// A place between the members of an object; see [`JsonReader::key`].
#[derive(Debug)]
pub struct Object {
    place: Place,
    seen: Seen,
}

/// A place between the items of an array; see [`JsonReader::item`].
#[derive(Debug)]
pub struct Array {
    place: Place,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Behind the opening bracket.
    Start,
    /// Behind a member or an item.
    Between,
    /// Behind the closing bracket.
    Closed,
}

#[derive(Debug)]
enum Open {
    Object(Object),
    Array(Array),
}

impl<'a> JsonReader<'a> {
    /// A reader at the start of `bytes`, which are checked to be UTF-8 without a byte order mark.
    pub fn new(bytes: &'a [u8], limits: Limits) -> Result<Self, JsonError> {
        let text = str::from_utf8(bytes).map_err(|error| JsonError {
            kind: JsonErrorKind::NotUtf8,
            offset: error.valid_up_to(),
        })?;
        let lexer = Lexer::new(text);
        if text.starts_with('\u{feff}') {
            return Err(lexer.error(JsonErrorKind::ByteOrderMark));
        }
        Ok(Self { lexer, limits, depth: 0, names: NameStack::default(), skipped: SmallVec::new() })
    }

    /// Where the reader stands, in bytes from the body's start.
    pub fn offset(&self) -> usize {
        self.lexer.offset()
    }

    /// The kind of the next value, which may yet prove malformed when it is read.
    #[inline]
    pub fn peek(&mut self) -> Result<Kind, JsonError> {
        match self.lexer.next() {
            b'"' => Ok(Kind::Text),
            b'{' => Ok(Kind::Object),
            b'[' => Ok(Kind::Array),
            b'-' | b'0'..=b'9' => Ok(Kind::Number),
            b't' | b'f' => Ok(Kind::Bool),
            b'n' => Ok(Kind::Null),
            _ => Err(self.lexer.error(JsonErrorKind::ExpectedValue)),
        }
    }

    /// Enters the object that comes next; its members come from [`key`](Self::key).
    #[inline]
    pub fn object(&mut self) -> Result<Object, JsonError> {
        self.enter(Kind::Object)?;
        Ok(Object { place: Place::Start, seen: self.names.open() })
    }

    /// Enters the array that comes next; its items come from [`item`](Self::item).
    #[inline]
    pub fn array(&mut self) -> Result<Array, JsonError> {
        self.enter(Kind::Array)?;
        Ok(Array { place: Place::Start })
    }

    /// The name of the object's next member, or `None` behind the last.
    ///
    /// The member's value must be read, or [skipped](Self::skip), before the next name is asked for.
    #[inline]
    pub fn key(&mut self, object: &mut Object) -> Result<Option<Cow<'a, str>>, JsonError> {
        if !self.next_member(object)? {
            return Ok(None);
        }
        let offset = self.lexer.offset();
        let name = self.lexer.text()?;
        if self.limits.duplicates == Duplicates::Refuse {
            self.watch(object, offset, name.clone())?;
        }
        self.colon()?;
        Ok(Some(name))
    }

    /// Steps over the next member's name and its colon if they stand there exactly as `written`: `"name":`. If
    /// not, nothing was read, and [`key`](Self::key) tells what stands there.
    ///
    /// Members mostly come in the order in which they are expected, and this costs far less than reading a name.
    /// Where names are watched it is always false: there each has to be seen.
    #[inline]
    pub fn pass_expected(&mut self, object: &mut Object, written: &[u8]) -> bool {
        if self.limits.duplicates == Duplicates::Refuse {
            return false;
        }
        let mut ahead = self.lexer;
        match (object.place, ahead.next()) {
            (Place::Start, _) => {}
            (Place::Between, b',') => {
                ahead.step();
                ahead.next();
            }
            (Place::Between | Place::Closed, _) => return false,
        }
        if !ahead.pass(written) {
            return false;
        }
        self.lexer = ahead;
        object.place = Place::Between;
        true
    }

    /// Whether another item follows in the array; it must be read, or [skipped](Self::skip), before the
    /// next is asked for.
    #[inline]
    pub fn item(&mut self, array: &mut Array) -> Result<bool, JsonError> {
        match (array.place, self.lexer.next()) {
            (Place::Closed, _) => return Ok(false),
            (_, b']') => {
                array.place = Place::Closed;
                self.leave();
                return Ok(false);
            }
            (Place::Start, _) => {}
            (Place::Between, b',') => self.lexer.step(),
            (Place::Between, _) => {
                return Err(self.lexer.error(JsonErrorKind::ExpectedCommaOrBracket));
            }
        }
        array.place = Place::Between;
        Ok(true)
    }

    /// Reads the next value, which must not be an object or an array.
    #[inline]
    pub fn scalar(&mut self) -> Result<Scalar<'a>, JsonError> {
        match self.lexer.next() {
            b'"' => Ok(Scalar::Text(self.lexer.text()?)),
            b'-' | b'0'..=b'9' => Ok(Scalar::Number(self.lexer.number()?)),
            b't' => self.lexer.word("true").map(|()| Scalar::Bool(true)),
            b'f' => self.lexer.word("false").map(|()| Scalar::Bool(false)),
            b'n' => self.lexer.word("null").map(|()| Scalar::Null),
            b'{' | b'[' => Err(self.lexer.error(JsonErrorKind::ExpectedScalar)),
            _ => Err(self.lexer.error(JsonErrorKind::ExpectedValue)),
        }
    }

    /// Steps over the next value, validating all of it, and returns it as it stands in the body.
    #[inline]
    pub fn skip(&mut self) -> Result<&'a str, JsonError> {
        let kind = self.peek()?;
        let start = self.lexer.offset();
        match kind {
            Kind::Text => self.lexer.pass_text()?,
            Kind::Object | Kind::Array => self.skip_container(kind)?,
            Kind::Number | Kind::Bool | Kind::Null => drop(self.scalar()?),
        }
        Ok(self.lexer.since(start))
    }

    /// Ends the reading: only whitespace may follow the value.
    pub fn finish(mut self) -> Result<(), JsonError> {
        self.lexer.next();
        if self.lexer.at_end() && self.depth == 0 {
            return Ok(());
        }
        Err(self.lexer.error(JsonErrorKind::Trailing))
    }

    /// Steps over a container without recursion, so that no depth costs stack.
    fn skip_container(&mut self, kind: Kind) -> Result<(), JsonError> {
        let mut open = mem::take(&mut self.skipped);
        let mut next = kind;
        loop {
            match next {
                Kind::Object => open.push(Open::Object(self.object()?)),
                Kind::Array => open.push(Open::Array(self.array()?)),
                Kind::Text => self.lexer.pass_text()?,
                Kind::Number | Kind::Bool | Kind::Null => drop(self.scalar()?),
            }
            loop {
                let more = match open.last_mut() {
                    Some(Open::Object(object)) => self.pass_key(object)?,
                    Some(Open::Array(array)) => self.item(array)?,
                    None => {
                        self.skipped = open;
                        return Ok(());
                    }
                };
                if more {
                    break;
                }
                open.pop();
            }
            next = self.peek()?;
        }
    }

    /// Whether another member follows in an object that is skipped; if so, its value comes next.
    #[inline]
    fn pass_key(&mut self, object: &mut Object) -> Result<bool, JsonError> {
        if !self.next_member(object)? {
            return Ok(false);
        }
        match self.limits.duplicates {
            Duplicates::Unwatched => self.lexer.pass_text()?,
            Duplicates::Refuse => {
                let offset = self.lexer.offset();
                let name = self.lexer.text()?;
                self.watch(object, offset, name)?;
            }
        }
        self.colon()?;
        Ok(true)
    }

    /// Whether another member follows; if so, its name comes next.
    #[inline(always)]
    fn next_member(&mut self, object: &mut Object) -> Result<bool, JsonError> {
        let mut byte = self.lexer.next();
        match (object.place, byte) {
            (Place::Closed, _) => return Ok(false),
            (_, b'}') => {
                object.place = Place::Closed;
                self.names.close(&object.seen);
                self.leave();
                return Ok(false);
            }
            (Place::Start, _) => {}
            (Place::Between, b',') => {
                self.lexer.step();
                byte = self.lexer.next();
            }
            (Place::Between, _) => {
                return Err(self.lexer.error(JsonErrorKind::ExpectedCommaOrBrace));
            }
        }
        object.place = Place::Between;
        if byte != b'"' {
            return Err(self.lexer.error(JsonErrorKind::ExpectedName));
        }
        Ok(true)
    }

    /// Steps over the colon behind a name.
    #[inline(always)]
    fn colon(&mut self) -> Result<(), JsonError> {
        if self.lexer.next() != b':' {
            return Err(self.lexer.error(JsonErrorKind::ExpectedColon));
        }
        self.lexer.step();
        Ok(())
    }

    /// Refuses the second of two equal names, at `offset`.
    #[inline]
    fn watch(
        &mut self,
        object: &mut Object,
        offset: usize,
        name: Cow<'a, str>,
    ) -> Result<(), JsonError> {
        if self.names.insert(&mut object.seen, name) {
            return Ok(());
        }
        Err(JsonError { kind: JsonErrorKind::DuplicateName, offset })
    }

    #[inline]
    fn enter(&mut self, kind: Kind) -> Result<(), JsonError> {
        if self.peek()? != kind {
            return Err(self.lexer.error(JsonErrorKind::ExpectedKind(kind)));
        }
        if self.depth >= self.limits.depth_max {
            return Err(self.lexer.error(JsonErrorKind::TooDeep));
        }
        self.depth += 1;
        self.lexer.step();
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        // Cursors of one reader cannot be closed twice, but those of two readers can be mixed up.
        self.depth = self.depth.saturating_sub(1);
        self.lexer.step();
    }
}
