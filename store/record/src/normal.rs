//! Puts the fields of a message in order.
//!
//! The codecs stream over messages whose fields come once and in order of their numbers, which is how every serializer
//! writes them. Other encodings are just as valid: fields in any order, scalars given several times (the last counts),
//! messages in pieces (which merge), members of a oneof replacing each other. Such a message is rewritten here, one level
//! at a time, and then streamed. What is copied is bounded by a budget, or messages inside messages would multiply.

use std::borrow::Cow;

use crate::fault::Fault;
use crate::table::{FieldTable, Message};
use crate::wire::{self, Reader, wire_type};

/// Bytes that may be copied to put one message and all that is in it in order.
#[derive(Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn of(message: &[u8]) -> Self {
        Self(message.len().saturating_mul(8).saturating_add(64 * 1024))
    }

    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), Fault> {
        let left = self.0.checked_sub(bytes);
        self.0 = left.ok_or_else(|| Fault::new("TOO_COMPLEX", "nested messages are too much out of order"))?;
        Ok(())
    }
}

/// A field as found: its place in the table, and where its tag and its end are.
#[derive(Debug, Clone, Copy)]
struct Found {
    field: u16,
    start: u32,
    end: u32,
}

/// The message with its known fields in order, borrowed if they are already.
pub(crate) fn normalize<'a>(table: &Message, wire: &'a [u8], budget: &mut Budget) -> Result<Cow<'a, [u8]>, Fault> {
    if is_ordered(table, wire)? {
        return Ok(Cow::Borrowed(wire));
    }
    budget.spend(wire.len())?;
    let mut found = find(table, wire)?;
    keep_last_of_oneofs(table, &mut found);
    found.sort_by_key(|found| found.field);
    let mut out = Vec::with_capacity(wire.len());
    for group in found.chunk_by(|a, b| a.field == b.field) {
        put_group(&table.fields[usize::from(group[0].field)], group, wire, &mut out)?;
    }
    Ok(Cow::Owned(out))
}

fn is_ordered(table: &Message, wire: &[u8]) -> Result<bool, Fault> {
    let mut reader = Reader::new(wire);
    let (mut last, mut oneofs) = (None, smallvec::SmallVec::<[u16; 8]>::new());
    let mut behind_unknown = false;
    while !reader.is_empty() {
        let tag = reader.tag()?;
        let place = table.place(tag >> 3, last.map_or(0, |last| last + 1));
        reader.skip(tag)?;
        let Some(place) = place else {
            behind_unknown = true;
            continue;
        };
        let field = &table.fields[place];
        let again = std::mem::take(&mut behind_unknown) || field.is_singular();
        match last {
            // The occurrences of a repeated field are one run, which an unknown field would break.
            Some(last) if place < last || place == last && again => return Ok(false),
            _ => {}
        }
        if let Some(oneof) = field.oneof {
            if oneofs.contains(&oneof) {
                return Ok(false);
            }
            oneofs.push(oneof);
        }
        last = Some(place);
    }
    Ok(true)
}

fn find(table: &Message, wire: &[u8]) -> Result<Vec<Found>, Fault> {
    let offset = |at: usize| u32::try_from(at).map_err(|_| Fault::new("TOO_LARGE", "the message is larger than 4 GiB"));
    let mut reader = Reader::new(wire);
    let mut found: Vec<Found> = Vec::new();
    // Where the last occurrence of a plain scalar is kept, so that repeating it costs no memory.
    let mut latest = vec![usize::MAX; table.fields.len()];
    while !reader.is_empty() {
        let start = offset(reader.position())?;
        let tag = reader.tag()?;
        let place = table.place(tag >> 3, 0);
        reader.skip(tag)?;
        let Some(place) = place else { continue };
        let entry = Found { field: u16::try_from(place).unwrap_or(u16::MAX), start, end: offset(reader.position())? };
        let field = &table.fields[place];
        let replaces = field.is_singular() && !field.is_message() && field.oneof.is_none();
        match found.get_mut(latest[place]) {
            Some(earlier) if replaces => *earlier = entry,
            _ => {
                latest[place] = found.len();
                found.push(entry);
            }
        }
    }
    Ok(found)
}

/// Of each oneof, only the run of its last member counts.
fn keep_last_of_oneofs(table: &Message, found: &mut Vec<Found>) {
    let mut winners: Vec<(u16, u16, bool)> = Vec::new();
    let mut kept: Vec<bool> = Vec::with_capacity(found.len());
    for entry in found.iter().rev() {
        let Some(oneof) = table.fields[usize::from(entry.field)].oneof else {
            kept.push(true);
            continue;
        };
        kept.push(match winners.iter_mut().find(|(seen, ..)| *seen == oneof) {
            Some((_, member, open)) => {
                *open &= *member == entry.field;
                *open
            }
            None => {
                winners.push((oneof, entry.field, true));
                true
            }
        });
    }
    let mut kept = kept.into_iter().rev();
    found.retain(|_| kept.next().unwrap_or(true));
}

fn put_group(field: &FieldTable, group: &[Found], wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let raw = |found: &Found| &wire[found.start as usize..found.end as usize];
    match group {
        [.., last] if field.is_singular() && (group.len() == 1 || !field.is_message()) => {
            out.extend_from_slice(raw(last));
        }
        pieces if field.is_singular() => {
            wire::put_tag(out, field.number, wire_type::LENGTH);
            let merged = wire::open(out);
            for piece in pieces {
                out.extend_from_slice(payload(field, raw(piece))?);
            }
            wire::close(out, merged);
        }
        items => items.iter().for_each(|item| out.extend_from_slice(raw(item))),
    }
    Ok(())
}

fn payload<'a>(field: &FieldTable, raw: &'a [u8]) -> Result<&'a [u8], Fault> {
    let mut reader = Reader::new(raw);
    let tag = reader.tag()?;
    if tag & 7 != wire_type::LENGTH {
        return Err(crate::scalar::wrong_wire_type(field.kind, tag).field(&field.name));
    }
    Ok(reader.bytes()?)
}
