//! MySQL: sets of transactions, as intervals of numbers for each server and tag.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::GtidError;
use crate::{Error, bytes::Bytes};

/// Characters of a tag at most.
const LONGEST_TAG: usize = 32;
/// In the first eight bytes of a binary set: sets with tags have a form of their own.
const TAGGED: u64 = 1 << 56;

/// A label that a transaction was given by hand (since 8.3), in lower case; mostly none.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag([u8; LONGEST_TAG]);

impl Tag {
    /// The tag as text, empty for none.
    pub fn as_str(&self) -> &str {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(LONGEST_TAG);
        // A tag is made of ASCII only.
        std::str::from_utf8(&self.0[..end]).unwrap_or_default()
    }

    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        self.0[0] == 0
    }

    /// `[a-z_][a-z0-9_]{0,31}`, or none.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut tag = Self::default();
        let is_valid = |(at, byte): (usize, &u8)| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
            b'0'..=b'9' => at > 0,
            _ => false,
        };
        if bytes.len() > LONGEST_TAG || !bytes.iter().enumerate().all(is_valid) {
            return None;
        }
        tag.0[..bytes.len()].copy_from_slice(bytes);
        tag.0.make_ascii_lowercase();
        Some(tag)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// Who numbers transactions: a server (or a group) and a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// UUID of the server or the group.
    pub uuid: u128,
    /// The tag, or none.
    pub tag: Tag,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_uuid(f, self.uuid)?;
        if self.tag.is_none() { Ok(()) } else { write!(f, ":{}", self.tag.as_str()) }
    }
}

/// A transaction: `uuid:number` or `uuid:tag:number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MySqlGtid {
    /// Who numbered it.
    pub source: Source,
    /// 1 or more.
    pub number: u64,
}

impl fmt::Display for MySqlGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.number)
    }
}

impl FromStr for MySqlGtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let gtids: MySqlGtids = text.parse()?;
        let mut all = gtids.iter();
        match (all.next(), all.next()) {
            (Some((source, [(first, last)])), None) if first == last => Ok(Self { source: *source, number: *first }),
            _ => Err(GtidError::new(text, "it is not one transaction")),
        }
    }
}

/// A set: `uuid:1-5:7,uuid:tag:1-3`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MySqlGtids(BTreeMap<Source, Runs>);

/// First and last numbers of runs: in order, apart from each other.
type Runs = Vec<(u64, u64)>;

impl MySqlGtids {
    /// Whether the transaction is in the set.
    pub fn contains(&self, gtid: &MySqlGtid) -> bool {
        self.0.get(&gtid.source).is_some_and(|runs| covers(runs, gtid.number, gtid.number))
    }

    /// First and last number of the run that a transaction is in.
    pub fn run(&self, gtid: &MySqlGtid) -> Option<(u64, u64)> {
        let runs = self.0.get(&gtid.source)?;
        let run = runs.get(runs.partition_point(|run| run.1 < gtid.number))?;
        (run.0 <= gtid.number).then_some(*run)
    }

    /// Adds a transaction.
    pub fn add(&mut self, gtid: &MySqlGtid) {
        self.add_run(gtid.source, gtid.number, gtid.number);
    }

    /// Adds those from `first` to `last`, if that is 1 or more.
    pub fn add_run(&mut self, source: Source, first: u64, last: u64) {
        if first == 0 || last < first {
            return;
        }
        let runs = self.0.entry(source).or_default();
        // The next number of the last run, nearly always.
        if let Some(run) = runs.last_mut()
            && run.0 <= first
            && first <= run.1.saturating_add(1)
        {
            run.1 = run.1.max(last);
            return;
        }
        let from = runs.partition_point(|run| run.1.saturating_add(1) < first);
        let to = runs.partition_point(|run| run.0 <= last.saturating_add(1));
        let touched = runs.get(from..to).unwrap_or_default();
        let first = touched.first().map_or(first, |run| run.0.min(first));
        let last = touched.last().map_or(last, |run| run.1.max(last));
        runs.splice(from..to.max(from), [(first, last)]);
    }

    /// Adds all of another set.
    pub fn union(&mut self, other: &Self) {
        for (source, runs) in other.iter() {
            runs.iter().for_each(|(first, last)| self.add_run(*source, *first, *last));
        }
    }

    /// Whether the other set has all of these.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|(source, runs)| {
            let outer = other.0.get(source).map_or(&[][..], Vec::as_slice);
            runs.iter().all(|(first, last)| covers(outer, *first, *last))
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sources with their runs, each of a first and a last number.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &[(u64, u64)])> {
        self.0.iter().map(|(source, runs)| (source, runs.as_slice()))
    }

    /// The form of `COM_BINLOG_DUMP_GTID` and `PREVIOUS_GTIDS`.
    pub(crate) fn write(&self, buffer: &mut Vec<u8>) {
        let tagged = self.0.keys().any(|source| !source.tag.is_none());
        let count = self.0.len() as u64;
        buffer.extend_from_slice(&if tagged { count << 8 | TAGGED } else { count }.to_le_bytes());
        for (source, runs) in self.iter() {
            buffer.extend_from_slice(&source.uuid.to_be_bytes());
            if tagged {
                let tag = source.tag.as_str().as_bytes();
                // At most 32, which is one byte of the serialization library's numbers.
                buffer.push((tag.len() as u8) << 1);
                buffer.extend_from_slice(tag);
            }
            buffer.extend_from_slice(&(runs.len() as u64).to_le_bytes());
            for (first, last) in runs {
                buffer.extend_from_slice(&first.to_le_bytes());
                buffer.extend_from_slice(&last.saturating_add(1).to_le_bytes());
            }
        }
    }

    /// Reads that form.
    pub(crate) fn read(bytes: &mut Bytes<'_>) -> Result<Self, Error> {
        let head = bytes.u64()?;
        let tagged = head >> 56 == 1;
        let count = if tagged { head >> 8 & 0xffff_ffff_ffff } else { head & 0x00ff_ffff_ffff_ffff };
        let mut gtids = Self::default();
        for _ in 0..count {
            let uuid = u128::from_be_bytes(bytes.array()?);
            let tag = if tagged {
                let length = usize::try_from(bytes.varlen()?).unwrap_or(usize::MAX);
                Tag::read(bytes.take(length)?).ok_or(Error::Malformed("a tag of a GTID that is none"))?
            } else {
                Tag::default()
            };
            for _ in 0..bytes.u64()? {
                let (first, end) = (bytes.u64()?, bytes.u64()?);
                if first == 0 || end <= first {
                    return Err(Error::Malformed("an interval of GTIDs that is none"));
                }
                gtids.add_run(Source { uuid, tag }, first, end - 1);
            }
        }
        Ok(gtids)
    }
}

fn covers(runs: &[(u64, u64)], first: u64, last: u64) -> bool {
    let at = runs.partition_point(|run| run.1 < first);
    runs.get(at).is_some_and(|run| run.0 <= first && last <= run.1)
}

impl fmt::Display for MySqlGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before: Option<u128> = None;
        for (source, runs) in self.iter() {
            if before != Some(source.uuid) {
                f.write_str(if before.is_some() { "," } else { "" })?;
                write_uuid(f, source.uuid)?;
            }
            before = Some(source.uuid);
            if !source.tag.is_none() {
                write!(f, ":{}", source.tag.as_str())?;
            }
            for (first, last) in runs {
                if first == last { write!(f, ":{first}") } else { write!(f, ":{first}-{last}") }?;
            }
        }
        Ok(())
    }
}

impl FromStr for MySqlGtids {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let error = |reason| GtidError::new(text, reason);
        let mut gtids = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let mut fields = part.split(':').map(str::trim);
            let uuid = fields.next().and_then(parse_uuid).ok_or_else(|| error("MySQL's begin with a UUID"))?;
            let mut source = Source { uuid, tag: Tag::default() };
            let mut empty = true;
            for field in fields {
                if field.starts_with(|first: char| first.is_ascii_digit()) {
                    let (first, last) = parse_run(field).ok_or_else(|| error("an interval looks like 1-5 or 7"))?;
                    gtids.add_run(source, first, last);
                } else {
                    source.tag = Tag::read(field.as_bytes())
                        .filter(|tag| !tag.is_none())
                        .ok_or_else(|| error("a tag has up to 32 letters, digits and underscores"))?;
                }
                empty = false;
            }
            if empty {
                return Err(error("a UUID without numbers"));
            }
        }
        Ok(gtids)
    }
}

fn parse_run(text: &str) -> Option<(u64, u64)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let parse = |text: &str| {
        let text = text.trim();
        // The largest number is the largest signed one less one.
        let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u64>().ok())??;
        (number >= 1 && number < i64::MAX as u64).then_some(number)
    };
    let (first, last) = (parse(first)?, parse(last)?);
    (first <= last).then_some((first, last))
}

fn parse_uuid(text: &str) -> Option<u128> {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    let digits: String = match text.len() {
        36 if DASHES.iter().all(|at| text.as_bytes()[*at] == b'-') => text.split('-').collect(),
        _ => text.to_owned(),
    };
    let is_hex = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u128::from_str_radix(&digits, 16).ok()).flatten()
}

fn write_uuid(f: &mut fmt::Formatter<'_>, uuid: u128) -> fmt::Result {
    let digits = format!("{uuid:032x}");
    write!(f, "{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
    const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

    fn gtids(text: &str) -> MySqlGtids {
        text.parse().unwrap()
    }

    #[test]
    fn sets_are_printed_as_the_server_prints_them() {
        for (text, expected) in [
            (String::new(), String::new()),
            (format!("{A}:1-5:7"), format!("{A}:1-5:7")),
            (format!("{B}:3, \n{A}:7:6:1-5"), format!("{A}:1-7,{B}:3")),
            (format!("{A}:Blue:1-3:5:1-2"), format!("{A}:blue:1-3:5")),
            (A.replace('-', "").to_uppercase() + ":2", format!("{A}:2")),
        ] {
            assert_eq!(gtids(&text).to_string(), expected);
        }
        assert_eq!(gtids(&format!("{A}:1-3:blue:9,{A}:green:1")).to_string(), format!("{A}:1-3:blue:9:green:1"));
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for text in [
            "x",
            A,
            &format!("{A}:0"),
            &format!("{A}:5-1"),
            &format!("{A}:1-"),
            &format!("{A}:"),
            &format!("{A}:a-b:1"),
            &format!("{A}:9223372036854775807"),
            "3e11fa47-71ca-11e1-9e33-c80aa942956:1",
            "ü11fa47-71ca-11e1-9e33-c80aa9429562:1",
        ] {
            assert!(text.parse::<MySqlGtids>().is_err(), "{text}");
        }
        assert!(format!("{A}:1-2").parse::<MySqlGtid>().is_err());
    }

    #[test]
    fn tags_are_streams_of_their_own() {
        let set = gtids(&format!("{A}:1-3:blue:1-9"));
        let one = |text: String| text.parse::<MySqlGtid>().unwrap();
        assert!(set.contains(&one(format!("{A}:3"))) && !set.contains(&one(format!("{A}:9"))));
        assert!(set.contains(&one(format!("{A}:blue:9"))) && !set.contains(&one(format!("{A}:green:1"))));
        assert_eq!(one(format!("{A}:blue:9")).to_string(), format!("{A}:blue:9"));
    }

    fn numbers() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
        prop::collection::vec((0..3_u8, 1..40_u64, 0..6_u64), 0..24)
    }

    /// The set of sets, and the same as plain numbers.
    fn build(runs: &[(u8, u64, u64)]) -> (MySqlGtids, std::collections::BTreeSet<(u8, u64)>) {
        let (mut set, mut plain) = (MySqlGtids::default(), std::collections::BTreeSet::new());
        for (which, first, more) in runs {
            set.add_run(source(*which), *first, first + more);
            plain.extend((*first..=first + more).map(|number| (*which, number)));
        }
        (set, plain)
    }

    fn source(which: u8) -> Source {
        let tag = if which == 2 { Tag::read(b"blue").unwrap() } else { Tag::default() };
        Source { uuid: u128::from(which % 2) + 7, tag }
    }

    proptest! {
        #[test]
        fn sets_behave_as_sets_of_numbers(one in numbers(), other in numbers()) {
            let ((mut set, mut plain), (set_2, plain_2)) = (build(&one), build(&other));
            prop_assert_eq!(set.is_subset_of(&set_2), plain.is_subset(&plain_2));
            set.union(&set_2);
            plain.extend(&plain_2);
            for which in 0..3 {
                for number in 1..50 {
                    let gtid = MySqlGtid { source: source(which), number };
                    prop_assert_eq!(set.contains(&gtid), plain.contains(&(which, number)));
                }
            }
            for (_, runs) in set.iter() {
                prop_assert!(runs.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "runs that touch: {:?}", runs);
            }
            prop_assert_eq!(gtids(&set.to_string()), set.clone());
            let mut bytes = Vec::new();
            set.write(&mut bytes);
            prop_assert_eq!(MySqlGtids::read(&mut Bytes(&bytes)).unwrap(), set);
        }
    }
}
