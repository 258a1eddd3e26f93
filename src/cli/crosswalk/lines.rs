//! A file of lines, read as a stream: plain or compressed, each line with its number and no longer than a bound.
//!
//! A line is a record: ids have no newlines, so one that stands between quotes is wrong where it begins.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

use flate2::bufread::MultiGzDecoder;
use terminal_size::{Width, terminal_size_of};

use crate::bounds;
use crate::cli::tell;

/// What a file compressed by gzip begins with.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// Time between two looks of the progress.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// A file, or standard input, line by line.
pub(super) struct Lines {
    stream: Box<dyn BufRead>,
    line: Vec<u8>,
    /// The number of the line that was read last.
    pub(super) number: u64,
    progress: Progress,
}

/// A line.
pub(super) enum Line<'l> {
    Text(&'l str),
    /// What is wrong with it.
    Wrong(String),
}

/// How far a file is read, on a terminal.
struct Progress {
    read: Rc<Cell<u64>>,
    bytes: Option<u64>,
    is_shown: bool,
    begun: Instant,
    last: Instant,
}

/// Counts what is read of a file.
struct Counted<R>(R, Rc<Cell<u64>>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.set(self.1.get() + read as u64);
        Ok(read)
    }
}

impl Lines {
    /// Opens a file; `-` is standard input.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let read = Rc::new(Cell::new(0));
        let (stream, bytes): (Box<dyn Read>, _) = if path.as_os_str() == "-" {
            (Box::new(io::stdin()), None)
        } else {
            let file = File::open(path)?;
            let known = file.metadata()?;
            (Box::new(file), known.is_file().then_some(known.len()))
        };
        let counted = Counted(stream, Rc::clone(&read));
        let mut stream = BufReader::with_capacity(64 * 1024, counted);
        // A pipe may give its first byte alone.
        let is_gzip = match stream.fill_buf()? {
            [first] => *first == GZIP[0],
            begin => begin.starts_with(&GZIP),
        };
        let stream: Box<dyn BufRead> = if is_gzip {
            Box::new(BufReader::with_capacity(64 * 1024, MultiGzDecoder::new(stream)))
        } else {
            Box::new(stream)
        };
        let now = Instant::now();
        let is_shown = io::stderr().is_terminal();
        let progress = Progress { read, bytes, is_shown, begun: now, last: now };
        Ok(Self { stream, line: Vec::new(), number: 0, progress })
    }

    /// The next line without its end; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let limit = bounds::CROSSWALK_LINE_BYTES_MAX as u64 + 1;
        let read = (&mut self.stream).take(limit).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.progress.show(self.number);
        if self.line.pop_if(|last| *last == b'\n').is_none() && read as u64 == limit {
            self.skip()?;
            let limit = bounds::CROSSWALK_LINE_BYTES_MAX;
            return Ok(Some(Line::Wrong(format!("the line has more than {limit} bytes"))));
        }
        self.line.pop_if(|last| *last == b'\r');
        if self.number == 1 && self.line.starts_with("\u{feff}".as_bytes()) {
            self.line.drain(.."\u{feff}".len());
        }
        Ok(Some(match std::str::from_utf8(&self.line) {
            Ok(text) => Line::Text(text),
            Err(_) => Line::Wrong("the line is not UTF-8 text".to_owned()),
        }))
    }

    /// Leaves the rest of a line out.
    fn skip(&mut self) -> io::Result<()> {
        loop {
            let begin = self.stream.fill_buf()?;
            let (used, is_over) = match memchr::memchr(b'\n', begin) {
                Some(end) => (end + 1, true),
                None => (begin.len(), begin.is_empty()),
            };
            self.stream.consume(used);
            if is_over {
                return Ok(());
            }
        }
    }

    /// Takes the progress off the terminal.
    pub(super) fn end(&self) {
        if self.progress.is_shown {
            tell("\r\x1b[K");
        }
    }
}

impl Progress {
    fn show(&mut self, lines: u64) {
        // Looking at the clock for each line would cost more than the line.
        if !self.is_shown || !lines.is_multiple_of(256) || self.last.elapsed() < PROGRESS_INTERVAL {
            return;
        }
        self.last = Instant::now();
        let share = match self.bytes {
            Some(bytes) if bytes > 0 => bar(self.read.get() * 100 / bytes),
            _ => String::new(),
        };
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        let rate = lines as f64 / seconds;
        let mut text = format!("{share}{lines} lines, {rate:.0} a second");
        // What went over into a second line could not be taken off again.
        if let Some((Width(columns), _)) = terminal_size_of(io::stderr()) {
            text.truncate(usize::from(columns.saturating_sub(1)));
        }
        tell(&format!("\r\x1b[K{text}"));
    }
}

fn bar(percent: u64) -> String {
    let percent = usize::try_from(percent).unwrap_or(100).min(100);
    let full = percent / 5;
    format!("[{}{}] {percent:3} %  ", "#".repeat(full), ".".repeat(20 - full))
}
