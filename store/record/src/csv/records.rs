//! Records out of a stream, cut into cells.
//!
//! A window over the input holds the record at hand. It grows only when a record does not fit, and then doubles, so that
//! scanning the record again from its start stays linear; a record above [`MAX_RECORD`] is given up.

use std::io::BufRead;
use std::ops::Range;

use super::CsvError;

/// Longest record in bytes.
pub(super) const MAX_RECORD: usize = 16 << 20;

/// Below this, whatever the input has ready is taken.
const SMALL: usize = 64 << 10;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where a cell's text lies in its record, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    start: usize,
    end: usize,
    pub(super) quotes: Quotes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quotes {
    None,
    Around,
    /// And doubled ones inside.
    Doubled,
}

impl Cell {
    pub(super) fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// The cells of a record. More than `limit` are counted but not kept.
#[derive(Debug)]
pub(super) struct Cells {
    kept: Vec<Cell>,
    pub(super) count: usize,
    pub(super) limit: usize,
}

impl Cells {
    fn clear(&mut self) {
        self.kept.clear();
        self.count = 0;
    }

    #[inline]
    fn push(&mut self, cell: Cell) {
        if self.kept.len() < self.limit {
            self.kept.push(cell);
        }
        self.count += 1;
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Cell> + Clone + '_ {
        self.kept.iter().copied()
    }
}

#[derive(Debug)]
pub(super) struct Records<R> {
    input: R,
    delimiter: u8,
    window: Vec<u8>,
    /// Where the input's byte at the window's start is.
    base: u64,
    /// Where the next record starts in the window.
    next: usize,
    /// The record last read.
    current: Range<usize>,
    pub(super) cells: Cells,
    /// Line of the next record.
    line: u64,
    /// Nothing more comes from the input.
    ended: bool,
}

/// What was found at the start of the window.
enum Scan {
    /// A record with so many bytes, its line end included. The fault makes it bad.
    Record { length: usize, has_quotes: bool, fault: Option<&'static str> },
    /// The window ends before the record.
    Incomplete,
    /// The input ends in a quoted cell.
    Unclosed,
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(input: R, delimiter: u8, limit: usize) -> Self {
        Self {
            input,
            delimiter,
            window: Vec::with_capacity(SMALL),
            base: 0,
            next: 0,
            current: 0..0,
            cells: Cells { kept: Vec::new(), count: 0, limit },
            line: 1,
            ended: false,
        }
    }

    /// The next record's first line. Its cells are then in `cells`.
    pub(super) fn next(&mut self) -> Option<Result<u64, CsvError>> {
        loop {
            self.skip_empty_lines();
            if self.ended && self.next == self.window.len() {
                self.current = self.next..self.next;
                return None;
            }
            self.cells.clear();
            let pending = &self.window[self.next..];
            let scan = scan(pending, self.delimiter, self.ended, &mut self.cells);
            match scan {
                Scan::Incomplete if pending.len() <= MAX_RECORD => {
                    if let Err(error) = self.fill() {
                        // What comes behind an unreadable part is unknown.
                        self.ended = true;
                        self.window.truncate(self.next);
                        return Some(Err(CsvError::unreadable(self.line, &error)));
                    }
                }
                Scan::Record { length, has_quotes, fault } if length <= MAX_RECORD => {
                    return Some(self.take(length, has_quotes, fault));
                }
                Scan::Unclosed => return Some(self.give_up("a quoted cell is not closed".to_owned())),
                Scan::Incomplete | Scan::Record { .. } => {
                    let message = format!("is longer than {MAX_RECORD} bytes; is a quoted cell not closed?");
                    return Some(self.give_up(message));
                }
            }
        }
    }

    /// The record last read, its line end included; of one that is too long the beginning.
    pub(super) fn raw(&self) -> &[u8] {
        &self.window[self.current.clone()]
    }

    /// Bytes of the input behind the record last read.
    pub(super) fn offset(&self) -> u64 {
        self.base + self.next as u64
    }

    fn take(&mut self, length: usize, has_quotes: bool, fault: Option<&str>) -> Result<u64, CsvError> {
        let line = self.line;
        self.advance(length);
        self.line += if has_quotes { self.raw().iter().filter(|byte| **byte == b'\n').count() as u64 } else { 1 };
        match fault {
            None => Ok(line),
            Some(fault) => Err(CsvError::record(line, fault)),
        }
    }

    fn advance(&mut self, length: usize) {
        self.current = self.next..self.next + length;
        self.next += length;
    }

    fn skip_empty_lines(&mut self) {
        loop {
            let length = match &self.window[self.next..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                [b'\r'] if self.ended => 1,
                _ => return,
            };
            self.next += length;
            self.line += 1;
        }
    }

    /// Takes the first line of a record without end for all of it: what follows may be good.
    fn give_up(&mut self, message: String) -> Result<u64, CsvError> {
        let line = self.line;
        let pending = &self.window[self.next..];
        match pending.iter().position(|byte| *byte == b'\n') {
            Some(end) => self.advance(end + 1),
            None => {
                self.advance(pending.len());
                self.skip_line();
            }
        }
        self.line += 1;
        Err(CsvError::record(line, message))
    }

    /// Passes over the rest of a line that the window does not hold.
    fn skip_line(&mut self) {
        while let Ok(chunk @ [_, ..]) = self.input.fill_buf() {
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            self.base += used as u64;
            if end.is_some() {
                return;
            }
        }
        self.ended = true;
    }

    /// Moves the record at hand to the window's start and puts more of the input behind it.
    fn fill(&mut self) -> std::io::Result<()> {
        let is_start = self.base == 0 && self.next == 0;
        self.window.drain(..self.next);
        self.base += std::mem::take(&mut self.next) as u64;
        self.current = 0..0;
        let wanted = if self.window.len() > SMALL { self.window.len() * 2 } else { self.window.len() + 1 };
        // Three bytes may be the byte order mark.
        let wanted = if is_start { wanted.max(BYTE_ORDER_MARK.len()) } else { wanted };
        while self.window.len() < wanted && !self.ended {
            let chunk = match self.input.fill_buf() {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                chunk => chunk?,
            };
            let used = chunk.len();
            self.window.extend_from_slice(chunk);
            self.input.consume(used);
            self.ended = used == 0;
        }
        if is_start && self.window.starts_with(BYTE_ORDER_MARK) {
            self.next = BYTE_ORDER_MARK.len();
        }
        Ok(())
    }
}

/// Cuts the first record. `last`: nothing comes behind these bytes.
fn scan(bytes: &[u8], delimiter: u8, last: bool, cells: &mut Cells) -> Scan {
    let (mut start, mut has_quotes) = (0, false);
    loop {
        if bytes.get(start) == Some(&b'"') {
            has_quotes = true;
            let Some((cell, behind)) = quoted(bytes, start + 1, last) else {
                return if last { Scan::Unclosed } else { Scan::Incomplete };
            };
            cells.push(cell);
            match bytes.get(behind) {
                Some(byte) if *byte == delimiter => start = behind + 1,
                _ => return behind_quote(bytes, behind, last),
            }
            continue;
        }
        let end = bytes[start..].iter().position(|byte| *byte == delimiter || *byte == b'\n');
        let cell = |end| Cell { start, end, quotes: Quotes::None };
        match end.map(|end| start + end) {
            Some(end) if bytes[end] == delimiter => {
                cells.push(cell(end));
                start = end + 1;
            }
            Some(end) => {
                cells.push(cell(without_return(bytes, start, end)));
                return Scan::Record { length: end + 1, has_quotes, fault: None };
            }
            None if last => {
                cells.push(cell(without_return(bytes, start, bytes.len())));
                return Scan::Record { length: bytes.len(), has_quotes, fault: None };
            }
            None => return Scan::Incomplete,
        }
    }
}

/// The end of a cell whose line ends here, be it in CRLF.
fn without_return(bytes: &[u8], start: usize, end: usize) -> usize {
    if end > start && bytes[end - 1] == b'\r' { end - 1 } else { end }
}

/// The cell behind an opening quote, and where its closing quote is behind. `None`: it is not closed, or may go on.
fn quoted(bytes: &[u8], start: usize, last: bool) -> Option<(Cell, usize)> {
    let (mut at, mut quotes) = (start, Quotes::Around);
    loop {
        at += bytes[at..].iter().position(|byte| *byte == b'"')?;
        match bytes.get(at + 1) {
            Some(b'"') => {
                quotes = Quotes::Doubled;
                at += 2;
            }
            None if !last => return None,
            _ => return Some((Cell { start, end: at, quotes }, at + 1)),
        }
    }
}

/// The record ends behind a closing quote, or is bad up to the end of the line.
fn behind_quote(bytes: &[u8], behind: usize, last: bool) -> Scan {
    let rest = &bytes[behind..];
    let length = match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => end + 1,
        None if last => rest.len(),
        None => return Scan::Incomplete,
    };
    let is_clean = matches!(&rest[..length], b"" | b"\n" | b"\r\n" | b"\r");
    let fault = "has text behind the closing quote of a cell; quotes inside a quoted cell must be doubled";
    Scan::Record { length: behind + length, has_quotes: true, fault: (!is_clean).then_some(fault) }
}
