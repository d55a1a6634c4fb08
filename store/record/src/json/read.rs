//! JSON to wire form, streaming: no tree of values, so memory is bounded by the text's own size.

use std::borrow::Cow;
use std::collections::HashSet;

use rowkeep_schema::{Cardinality, EnumId, Kind, MapKey, MessageId, WellKnown};
use smallvec::SmallVec;

use super::ReadOptions;
use super::text::Text;
use crate::fault::{Fault, did_you_mean, excerpt, shortened};
use crate::number::{self, NumberError};
use crate::scalar::{self, Scalar};
use crate::table::{FieldTable, Message, Tables, key_kind, wire_type_of};
use crate::text::decode_base64;
use crate::time;
use crate::wire::{self, wire_type};

/// Reads messages of one schema from one text.
pub(crate) struct Reader<'t, 'a> {
    tables: &'t Tables,
    options: ReadOptions,
    text: Text<'a>,
    /// What the text names, if that is asked for.
    pub(crate) paths: Vec<String>,
}

impl<'t, 'a> Reader<'t, 'a> {
    pub(crate) fn new(tables: &'t Tables, options: ReadOptions, text: &'a [u8]) -> Result<Self, Fault> {
        Ok(Self { tables, options, text: Text::new(text)?, paths: Vec::new() })
    }

    /// The message that is the whole text.
    pub(crate) fn top(&mut self, id: MessageId, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut path = self.options.paths.then(String::new);
        self.message(id, path.as_mut(), out)?;
        self.text.end()
    }

    /// The value of a field that is the whole text, tags included. Null is a list or a map without anything in it.
    pub(crate) fn top_field(&mut self, field: &FieldTable, out: &mut Vec<u8>) -> Result<(), Fault> {
        if field.is_singular() || !self.text.eat_word("null") {
            self.values(field, None, out)?;
        }
        self.text.end()
    }

    fn message(&mut self, id: MessageId, path: Option<&mut String>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let tables = self.tables;
        let table = tables.message(id);
        match table.well_known {
            None | Some(WellKnown::Date | WellKnown::Decimal | WellKnown::Empty) => {
                self.object(table, path, false, out)
            }
            Some(known) => self.well_known(known, table, out),
        }
    }

    /// An object of fields. In an Any, `@type` is passed over.
    fn object(
        &mut self,
        table: &Message,
        mut path: Option<&mut String>,
        in_any: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        self.text.enter()?;
        self.text.expect(b'{', "an object")?;
        let (mut first, mut hint) = (true, 0);
        let mut seen = Seen::default();
        loop {
            self.text.peek();
            let at = self.text.position();
            let Some(name) = self.text.next_member(&mut first)? else { break };
            let Some(place) = table.place_by_name(&name, hint) else {
                if self.options.ignore_unknown || in_any && name == "@type" {
                    self.text.skip_value()?;
                    continue;
                }
                return Err(unknown_field(table, &name).at(at));
            };
            hint = place + 1;
            let field = &table.fields[place];
            seen.field(place, field).map_err(|fault| fault.at(at))?;
            if self.member(field, path.as_deref_mut(), out).map_err(|fault| fault.field(&field.name))? {
                seen.member_of_oneof(field).map_err(|fault| fault.at(at).field(&field.name))?;
            }
        }
        self.text.leave();
        Ok(())
    }

    /// One member's value; `false` if it is null, which is as if it were absent.
    fn member(&mut self, field: &FieldTable, path: Option<&mut String>, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let Some(path) = path else { return self.present(field, None, out) };
        let outer = path.len();
        if outer > 0 {
            path.push('.');
        }
        path.push_str(&field.name);
        let before = self.paths.len();
        let opens = self.opens_object(field);
        let present = self.present(field, opens.then_some(&mut *path), out)?;
        // An object names what is in it; one that names nothing, or is null, is named itself.
        if self.paths.len() == before {
            self.paths.push(path.clone());
        }
        path.truncate(outer);
        Ok(present)
    }

    /// Whether the field's value is an object of fields that an update mask can name one by one.
    fn opens_object(&self, field: &FieldTable) -> bool {
        match field.kind {
            Kind::Message(id) => field.is_singular() && self.tables.message(id).well_known.is_none(),
            _ => false,
        }
    }

    fn present(&mut self, field: &FieldTable, path: Option<&mut String>, out: &mut Vec<u8>) -> Result<bool, Fault> {
        let takes_null = field.is_singular() && self.tables.takes_null(field.kind);
        if !takes_null && self.text.eat_word("null") {
            return Ok(false);
        }
        self.values(field, path, out)?;
        Ok(true)
    }

    fn values(&mut self, field: &FieldTable, path: Option<&mut String>, out: &mut Vec<u8>) -> Result<(), Fault> {
        match field.cardinality {
            Cardinality::Implicit | Cardinality::Explicit => {
                wire::put_tag(out, field.number, wire_type_of(field.kind));
                self.value(field.kind, path, out)
            }
            Cardinality::Repeated => self.items(field, out),
            Cardinality::Map(key) => self.entries(field, key, out),
        }
    }

    /// One value without its tag.
    fn value(&mut self, kind: Kind, path: Option<&mut String>, out: &mut Vec<u8>) -> Result<(), Fault> {
        if let Kind::Message(id) = kind {
            let open = wire::open(out);
            self.message(id, path, out)?;
            wire::close(out, open);
            return Ok(());
        }
        self.text.peek();
        let at = self.text.position();
        self.scalar(kind, out).map_err(|fault| fault.at(at))
    }

    fn items(&mut self, field: &FieldTable, out: &mut Vec<u8>) -> Result<(), Fault> {
        let packs = wire_type_of(field.kind) != wire_type::LENGTH;
        let start = out.len();
        if packs {
            wire::put_tag(out, field.number, wire_type::LENGTH);
        }
        let packed = packs.then(|| wire::open(out));
        self.text.enter()?;
        self.text.expect(b'[', "an array")?;
        let (mut first, mut count) = (true, 0);
        while self.text.next_item(&mut first)? {
            if !packs {
                wire::put_tag(out, field.number, wire_type::LENGTH);
            }
            self.value(field.kind, None, out).map_err(|fault| fault.item(count))?;
            count += 1;
        }
        self.text.leave();
        match packed {
            Some(open) if count > 0 => wire::close(out, open),
            _ if count == 0 => out.truncate(start),
            _ => {}
        }
        Ok(())
    }

    fn entries(&mut self, field: &FieldTable, key: MapKey, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.text.enter()?;
        self.text.expect(b'{', "an object")?;
        let mut first = true;
        let mut seen: HashSet<Cow<'a, str>> = HashSet::new();
        loop {
            self.text.peek();
            let at = self.text.position();
            let Some(name) = self.text.next_member(&mut first)? else { break };
            wire::put_tag(out, field.number, wire_type::LENGTH);
            let entry = wire::open(out);
            put_map_key(key, &name, out).map_err(|fault| fault.at(at))?;
            wire::put_tag(out, 2, wire_type_of(field.kind));
            self.value(field.kind, None, out).map_err(|fault| fault.key(&name))?;
            wire::close(out, entry);
            if !seen.insert(name) {
                return Err(Fault::new("DUPLICATE_FIELD", "the key is given twice").at(at));
            }
        }
        self.text.leave();
        Ok(())
    }

    fn scalar(&mut self, kind: Kind, out: &mut Vec<u8>) -> Result<(), Fault> {
        match kind {
            Kind::Bool => {
                let value = self.text.eat_word("true");
                if !value && !self.text.eat_word("false") {
                    return Err(self.text.expected("true or false"));
                }
                scalar::put(kind, Scalar::Bool(value), out);
            }
            Kind::String => {
                let value = self.string("a string in double quotes")?;
                scalar::put(kind, Scalar::Text(&value), out);
            }
            Kind::Bytes | Kind::Message(_) => {
                let text = self.string("base64 in double quotes")?;
                let value = decode_base64(&text).ok_or_else(|| invalid(format!("{} is not base64", excerpt(&text))))?;
                scalar::put(kind, Scalar::Bytes(&value), out);
            }
            Kind::Float | Kind::Double => {
                let value = self.float(kind)?;
                scalar::put(kind, value, out);
            }
            Kind::Enum(id) => {
                let number = self.enumeration(id)?;
                scalar::put(kind, Scalar::Int(number), out);
            }
            _ => {
                let value = self.integer(kind)?;
                scalar::put(kind, value, out);
            }
        }
        Ok(())
    }

    fn string(&mut self, what: &str) -> Result<Cow<'a, str>, Fault> {
        if self.text.peek() == Some(b'"') { self.text.string() } else { Err(self.text.expected(what)) }
    }

    /// A number, or a string that holds one.
    fn digits(&mut self, what: &str) -> Result<Cow<'a, str>, Fault> {
        match self.text.peek() {
            Some(b'"') => self.text.string(),
            Some(b'-' | b'0'..=b'9') => self.text.number().map(Cow::Borrowed),
            _ => Err(self.text.expected(what)),
        }
    }

    fn integer(&mut self, kind: Kind) -> Result<Scalar<'static>, Fault> {
        let text = self.digits("a whole number")?;
        integer_of(kind, &text)
    }

    fn float(&mut self, kind: Kind) -> Result<Scalar<'static>, Fault> {
        let text = self.digits("a number")?;
        let special = match &*text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ => None,
        };
        if kind == Kind::Float {
            #[expect(clippy::cast_possible_truncation, reason = "only NaN and the infinities are cast")]
            let special = special.map(|value| value as f32);
            let value = special.map_or_else(|| number::float(&text), Ok);
            return value.map(Scalar::Float).map_err(|error| bad_float(&text, error, 32));
        }
        let value = special.map_or_else(|| number::double(&text), Ok);
        value.map(Scalar::Double).map_err(|error| bad_float(&text, error, 64))
    }

    fn enumeration(&mut self, id: EnumId) -> Result<i64, Fault> {
        let table = self.tables.enumeration(id);
        if table.is_null_value && self.text.eat_word("null") {
            return Ok(0);
        }
        match self.text.peek() {
            Some(b'"') => {
                let name = self.text.string()?;
                table.number(&name).map(i64::from).ok_or_else(|| {
                    let text = format!("{} is not a value of {}: {}", excerpt(&name), table.full_name, table.choices());
                    Fault::new("UNKNOWN_ENUM_VALUE", text)
                })
            }
            Some(b'-' | b'0'..=b'9') => match self.integer(Kind::Int32)? {
                Scalar::Int(number) => Ok(number),
                _ => Ok(0),
            },
            _ => Err(self.text.expected(&format!("a value of {}: {}", table.full_name, table.choices()))),
        }
    }

    fn well_known(&mut self, known: WellKnown, table: &Message, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.text.peek();
        let at = self.text.position();
        match known {
            WellKnown::Timestamp => {
                let text = self.string("a time like \"2024-05-01T12:00:00Z\"")?;
                let (seconds, nanos) = time::parse_timestamp(&text, false).map_err(|text| invalid(text).at(at))?;
                put_seconds_and_nanos(seconds, nanos, out);
                Ok(())
            }
            WellKnown::Duration => {
                let text = self.string("a duration like \"1.5s\"")?;
                let (seconds, nanos) = time::parse_duration(&text).map_err(|text| invalid(text).at(at))?;
                put_seconds_and_nanos(seconds, nanos, out);
                Ok(())
            }
            WellKnown::FieldMask => {
                let text = self.string("a field mask like \"name,shipTo.city\"")?;
                put_field_mask(&text, out);
                Ok(())
            }
            WellKnown::Struct | WellKnown::ListValue | WellKnown::Wrapper => match table.fields.first() {
                Some(field) => self.values(field, None, out),
                None => Ok(()),
            },
            WellKnown::Value => self.dynamic(table, out),
            WellKnown::Any => self.any(out),
            WellKnown::Date | WellKnown::Decimal | WellKnown::Empty => unreachable!("read as objects by `message`"),
        }
    }

    /// `google.protobuf.Value`: the type is told by the text.
    fn dynamic(&mut self, table: &Message, out: &mut Vec<u8>) -> Result<(), Fault> {
        const NULL: u32 = 1;
        const NUMBER: u32 = 2;
        const STRING: u32 = 3;
        const BOOL: u32 = 4;
        const STRUCT: u32 = 5;
        const LIST: u32 = 6;
        let number = match self.text.peek() {
            Some(b'{') => STRUCT,
            Some(b'[') => LIST,
            Some(b'"') => STRING,
            Some(b'-' | b'0'..=b'9') => NUMBER,
            Some(b't' | b'f') => BOOL,
            Some(b'n') => NULL,
            _ => return Err(self.text.expected("a value")),
        };
        match table.place(number, 0) {
            Some(place) => self.values(&table.fields[place], None, out),
            None => Ok(()),
        }
    }

    fn any(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.text.peek();
        let start = self.text;
        let Some((url, at)) = self.type_url()? else { return Ok(()) };
        let Some(id) = self.tables.find_type_url(&url) else {
            let text = format!("{} is not a type of this schema", excerpt(&url));
            return Err(Fault::new("UNKNOWN_TYPE", text).at(at).field("@type"));
        };
        let end = std::mem::replace(&mut self.text, start);
        let tables = self.tables;
        let table = tables.message(id);
        // A bare name is understood, and the full URL is what travels.
        wire::put_bytes(out, 1, format!("type.googleapis.com/{}", table.full_name).as_bytes());
        wire::put_tag(out, 2, wire_type::LENGTH);
        let value = wire::open(out);
        if table.is_plain() {
            self.object(table, None, true, out)?;
        } else {
            self.any_value(id, out)?;
        }
        wire::close(out, value);
        debug_assert_eq!(self.text.position(), end.position(), "an Any is read to its end");
        Ok(())
    }

    /// The `@type` of the object that starts here, with its place; `None` for an empty object.
    fn type_url(&mut self) -> Result<Option<(Cow<'a, str>, usize)>, Fault> {
        let start = self.text.position();
        self.text.enter()?;
        self.text.expect(b'{', "an object with \"@type\"")?;
        let (mut first, mut found) = (true, None);
        while let Some(name) = self.text.next_member(&mut first)? {
            if name != "@type" {
                self.text.skip_value()?;
                continue;
            }
            self.text.peek();
            let at = self.text.position();
            let url = self.string("the name of a type")?;
            if found.replace((url, at)).is_some() {
                return Err(Fault::new("DUPLICATE_FIELD", "is given twice").at(at).field("@type"));
            }
        }
        self.text.leave();
        if found.is_none() && !first {
            return Err(Fault::new("REQUIRED", "is missing: it names the message's type").at(start).field("@type"));
        }
        Ok(found)
    }

    /// `{"@type": ..., "value": ...}`, for messages that are no objects themselves.
    fn any_value(&mut self, id: MessageId, out: &mut Vec<u8>) -> Result<(), Fault> {
        self.text.enter()?;
        self.text.expect(b'{', "an object")?;
        let (mut first, mut given) = (true, false);
        while let Some(name) = self.text.next_member(&mut first)? {
            match &*name {
                "@type" => self.text.skip_value()?,
                "value" if !given => {
                    given = true;
                    self.message(id, None, out).map_err(|fault| fault.field("value"))?;
                }
                _ => return Err(self.text.expected("\"@type\" and one \"value\", nothing else")),
            }
        }
        self.text.leave();
        Ok(())
    }
}

/// The fields and oneofs an object has named.
#[derive(Default)]
struct Seen {
    places: SmallVec<[u64; 2]>,
    oneofs: SmallVec<[u16; 4]>,
}

impl Seen {
    fn field(&mut self, place: usize, field: &FieldTable) -> Result<(), Fault> {
        let (word, bit) = (place / 64, 1 << (place % 64));
        if self.places.len() <= word {
            self.places.resize(word + 1, 0);
        }
        if self.places[word] & bit != 0 {
            return Err(Fault::new("DUPLICATE_FIELD", "is given twice").field(&field.name));
        }
        self.places[word] |= bit;
        Ok(())
    }

    fn member_of_oneof(&mut self, field: &FieldTable) -> Result<(), Fault> {
        let Some(oneof) = field.oneof else { return Ok(()) };
        if self.oneofs.contains(&oneof) {
            return Err(Fault::new("ONEOF_CONFLICT", "only one member of its oneof can be set"));
        }
        self.oneofs.push(oneof);
        Ok(())
    }
}

fn invalid(text: String) -> Fault {
    Fault::new("INVALID_VALUE", text)
}

fn unknown_field(table: &Message, name: &str) -> Fault {
    let shown = table.fields.iter().filter(|field| !field.secret);
    let hint = did_you_mean(name, shown.map(|field| &*field.json_name));
    Fault::new("UNKNOWN_FIELD", format!("{} has no such field{hint}", table.full_name)).field(&shortened(name))
}

fn integer_of(kind: Kind, text: &str) -> Result<Scalar<'static>, Fault> {
    let (low, high): (i128, i128) = match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => (i32::MIN.into(), i32::MAX.into()),
        Kind::Uint32 | Kind::Fixed32 => (0, u32::MAX.into()),
        Kind::Uint64 | Kind::Fixed64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    };
    let out_of_range = || Fault::new("OUT_OF_RANGE", format!("{} is not from {low} to {high}", excerpt(text)));
    let value = number::integer(text).map_err(|error| match error {
        NumberError::Range => out_of_range(),
        NumberError::Syntax | NumberError::Fraction => invalid(format!("{} is not a whole number", excerpt(text))),
    })?;
    if !(low..=high).contains(&value) {
        return Err(out_of_range());
    }
    let fits = if low == 0 { u64::try_from(value).map(Scalar::Uint) } else { i64::try_from(value).map(Scalar::Int) };
    fits.map_err(|_| out_of_range())
}

fn bad_float(text: &str, error: NumberError, bits: u32) -> Fault {
    match error {
        NumberError::Range => Fault::new("OUT_OF_RANGE", format!("{} does not fit in {bits} bits", excerpt(text))),
        NumberError::Syntax | NumberError::Fraction => invalid(format!("{} is not a number", excerpt(text))),
    }
}

fn put_map_key(key: MapKey, name: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let kind = key_kind(key);
    let value = match kind {
        Kind::String => Scalar::Text(name),
        Kind::Bool => match name {
            "true" => Scalar::Bool(true),
            "false" => Scalar::Bool(false),
            _ => return Err(invalid(format!("the key {} is not true or false", excerpt(name)))),
        },
        kind => integer_of(kind, name)?,
    };
    wire::put_tag(out, 1, wire_type_of(kind));
    scalar::put(kind, value, out);
    Ok(())
}

/// Fields 1 and 2 of a Timestamp or Duration.
pub(crate) fn put_seconds_and_nanos(seconds: i64, nanos: i32, out: &mut Vec<u8>) {
    if seconds != 0 {
        wire::put_uint(out, 1, seconds.cast_unsigned());
    }
    if nanos != 0 {
        wire::put_uint(out, 2, i64::from(nanos).cast_unsigned());
    }
}

/// The paths of a mask, in proto names.
fn put_field_mask(text: &str, out: &mut Vec<u8>) {
    for path in text.split(',').filter(|path| !path.is_empty()) {
        let mut name = String::with_capacity(path.len() + 4);
        for c in path.trim().chars() {
            if c.is_ascii_uppercase() {
                name.push('_');
            }
            name.push(c.to_ascii_lowercase());
        }
        wire::put_bytes(out, 1, name.as_bytes());
    }
}
