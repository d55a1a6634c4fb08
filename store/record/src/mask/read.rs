//! What a read shows.

use kit_core::Error;
use rowkeep_schema::{Cardinality, Kind, MessageId};
use smallvec::SmallVec;

use super::{MAX_STEPS, Mistakes, Refusal, place, too_deep};
use crate::Record;
use crate::fault::Fault;
use crate::json::JsonCodec;
use crate::scalar::wrong_wire_type;
use crate::table::{FieldTable, Message, Tables};
use crate::wire::{self, Reader, wire_type};

/// A checked read mask of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMask {
    shown: Fields,
}

/// The fields of a message that are shown, by number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Fields(Vec<(u32, Part)>);

/// How much of a field is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Whole,
    /// These fields of the message, of each if it is repeated. A map is a repeated message of a key and a value.
    Fields(Fields),
}

/// Field numbers from the outside in; a map takes two.
type Steps = SmallVec<[Step; 4]>;

#[derive(Debug, Clone, Copy)]
enum Step {
    Field(u32),
    /// To the value of a map's entry, of which the key is shown with it.
    MapValue,
}

impl ReadMask {
    /// Checks paths (`a`, `a.b`, in proto or JSON names). `None`: everything, for no path and for `*`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming every unknown or secret path.
    pub fn parse<S: AsRef<str>>(codec: &JsonCodec, message: MessageId, paths: &[S]) -> Result<Option<Self>, Error> {
        let mut mistakes = Mistakes::of("read_mask");
        let (mut shown, mut everything) = (Fields::default(), paths.is_empty());
        for path in paths.iter().map(AsRef::as_ref) {
            if path == "*" {
                everything = true;
                continue;
            }
            match resolve(codec.tables(), message, path) {
                Ok(steps) => shown.show(&steps),
                Err((reason, what)) => mistakes.add(path, reason, &what),
            }
        }
        mistakes.none_or_error()?;
        Ok((!everything).then_some(Self { shown }))
    }

    /// The row with only the masked fields. A message of which a part is masked is there if it was, be it empty.
    ///
    /// # Errors
    /// If the row's wire form is malformed.
    pub fn project(&self, record: &Record) -> Result<Record, Error> {
        let mut buffer = Record::reserve(record.wire().len());
        self.shown.copy(record.wire(), &mut buffer).map_err(Fault::into_error)?;
        Ok(Record::from_reserved(buffer, record.version()))
    }

    /// Whether the field of this number is shown, be it in part.
    pub(crate) fn shows(&self, number: u32) -> bool {
        self.shown.find(number).is_some()
    }
}

impl Fields {
    fn show(&mut self, steps: &[Step]) {
        let Some((step, rest)) = steps.split_first() else { return };
        let number = match step {
            Step::Field(number) => *number,
            Step::MapValue => {
                *self.part(1) = Part::Whole;
                2
            }
        };
        match self.part(number) {
            part if rest.is_empty() => *part = Part::Whole,
            Part::Fields(fields) => fields.show(rest),
            Part::Whole => {}
        }
    }

    /// The part of a field, at first none of it.
    fn part(&mut self, number: u32) -> &mut Part {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).unwrap_or_else(|at| {
            self.0.insert(at, (number, Part::Fields(Self::default())));
            at
        });
        &mut self.0[at].1
    }

    /// Appends what is shown of a message. Fields that follow each other are copied at once.
    fn copy(&self, wire: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut reader = Reader::new(wire);
        let mut run = 0..0;
        while !reader.is_empty() {
            let start = reader.position();
            let tag = reader.tag()?;
            match self.find(tag >> 3) {
                None => reader.skip(tag)?,
                Some(Part::Whole) => {
                    reader.skip(tag)?;
                    if run.end != start {
                        out.extend_from_slice(&wire[run]);
                        run = start..start;
                    }
                    run.end = reader.position();
                }
                Some(Part::Fields(fields)) => {
                    out.extend_from_slice(&wire[std::mem::take(&mut run)]);
                    fields.copy_inner(tag, &mut reader, out)?;
                }
            }
        }
        out.extend_from_slice(&wire[run]);
        Ok(())
    }

    fn copy_inner(&self, tag: u32, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if tag & 7 != wire_type::LENGTH {
            return Err(wrong_wire_type(Kind::Bytes, tag));
        }
        let inner = reader.bytes()?;
        wire::put_tag(out, tag >> 3, wire_type::LENGTH);
        let open = wire::open(out);
        self.copy(inner, out)?;
        wire::close(out, open);
        Ok(())
    }

    fn find(&self, number: u32) -> Option<&Part> {
        let at = self.0.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        Some(&self.0[at].1)
    }
}

fn resolve(tables: &Tables, message: MessageId, path: &str) -> Result<Steps, Refusal> {
    let mut table = tables.message(message);
    let mut names = path.split('.').peekable();
    let mut steps = Steps::new();
    while let Some(name) = names.next() {
        let field = &table.fields[place(table, name)?];
        if field.secret {
            return Err(("SECRET_FIELD", "is secret and never shown".to_owned()));
        }
        steps.push(Step::Field(field.number));
        if names.peek().is_none() {
            break;
        }
        let inner = message_of(tables, field);
        let is_star = names.peek() == Some(&"*");
        if is_star && (inner.is_some() || !field.is_singular()) {
            names.next();
            if names.peek().is_none() {
                break;
            }
        }
        check_star(field, is_star)?;
        if matches!(field.cardinality, Cardinality::Map(_)) {
            steps.push(Step::MapValue);
        }
        table = inner.ok_or_else(|| ("NO_SUCH_PART", format!("goes into `{}`, which is shown whole", field.name)))?;
        if steps.len() > MAX_STEPS {
            return Err(too_deep());
        }
    }
    Ok(steps)
}

/// A star in the middle of a path stands for the items of a collection, and a map needs it.
fn check_star(field: &FieldTable, is_star: bool) -> Result<(), Refusal> {
    let name = &field.name;
    match field.cardinality {
        Cardinality::Map(_) if !is_star => Err((
            "NO_SUCH_PART",
            format!("names a key of the map `{name}`; write `{name}.*.` and a field of its values"),
        )),
        Cardinality::Implicit | Cardinality::Explicit if is_star => {
            Err(("NO_SUCH_PART", format!("has a star behind `{name}`, which is no list and no map")))
        }
        _ => Ok(()),
    }
}

/// The message a path may go into.
fn message_of<'t>(tables: &'t Tables, field: &FieldTable) -> Option<&'t Message> {
    match field.kind {
        Kind::Message(id) => Some(tables.message(id)).filter(|table| table.is_plain()),
        _ => None,
    }
}
