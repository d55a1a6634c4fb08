//! Changes a part of a stored JSON text.
//!
//! The text is what the codec writes: members in the order of field numbers, unset ones left out. So is the result.

use kit_core::Error;
use rowkeep_schema::{ColumnId, MessageId};

use super::NestedPath;
use super::update::message_of;
use crate::fault::Fault;
use crate::json::text::Text;
use crate::table::{FieldTable, Message, Tables};
use crate::{RowCodec, Value};

impl RowCodec {
    /// A JSON column's old value with the part at `path` as it is in the new one.
    ///
    /// Setting a member of a oneof unsets the others. Messages around the part come into being when it is set, and stay
    /// when it is unset.
    ///
    /// # Errors
    /// `INTERNAL` if a value is not what the codec writes.
    pub fn merge_nested(&self, column: ColumnId, path: &NestedPath, old: &Value, new: &Value) -> Result<Value, Error> {
        let column = self.column(column);
        let field = &self.table().fields[column.place];
        let merge = Merge { tables: self.json.tables() };
        let merged = text(old).and_then(|old| merge.field(field, &path.0, old, text(new)?));
        let merged = merged.map_err(|fault| fault.field(&column.name).into_internal())?;
        Ok(merged.map_or_else(|| column.empty.clone(), |text| Value::Text(text.into())))
    }
}

fn text(value: &Value) -> Result<Option<&str>, Fault> {
    match value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(text)),
        _ => Err(unreadable("is not JSON text")),
    }
}

fn unreadable(text: &str) -> Fault {
    Fault::new("INTERNAL", text)
}

struct Merge<'t> {
    tables: &'t Tables,
}

/// The members of a JSON object: places of the fields, in order, and their values as text.
type Members<'a> = Vec<(usize, &'a str)>;

impl Merge<'_> {
    /// The field's value when what is at `path` in it is as in `new`. `None`: unset.
    fn field(
        &self,
        field: &FieldTable,
        path: &[u16],
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<Option<String>, Fault> {
        let Some((place, rest)) = path.split_first() else { return Ok(new.map(str::to_owned)) };
        let id = message_of(self.tables, field).map_err(|(_, text)| unreadable(&text))?;
        self.message(id, (usize::from(*place), rest), old, new)
    }

    fn message(
        &self,
        id: MessageId,
        (place, rest): (usize, &[u16]),
        old: Option<&str>,
        new: Option<&str>,
    ) -> Result<Option<String>, Fault> {
        let table = self.tables.message(id);
        let mut ours = members(table, old.unwrap_or("{}"))?;
        let theirs = members(table, new.unwrap_or("{}"))?;
        let field = table.fields.get(place).ok_or_else(|| unreadable("has no such part"))?;
        let value = self.field(field, rest, value_of(&ours, place), value_of(&theirs, place))?;
        if old.is_none() && value.is_none() {
            return Ok(None);
        }
        let unset = |other: &FieldTable| value.is_some() && field.oneof.is_some() && other.oneof == field.oneof;
        ours.retain(|(other, _)| *other != place && !unset(&table.fields[*other]));
        if let Some(value) = &value {
            let at = ours.partition_point(|(other, _)| *other < place);
            ours.insert(at, (place, value));
        }
        Ok(Some(object(table, &ours)))
    }
}

fn value_of<'a>(members: &Members<'a>, place: usize) -> Option<&'a str> {
    members.iter().find(|(other, _)| *other == place).map(|(_, value)| *value)
}

fn members<'a>(table: &Message, json: &'a str) -> Result<Members<'a>, Fault> {
    let mut text = Text::new(json.as_bytes())?;
    let (mut members, mut first) = (Members::new(), true);
    text.expect(b'{', "an object")?;
    while let Some(name) = text.next_member(&mut first)? {
        let place = table.place_by_name(&name, members.last().map_or(0, |(place, _)| place + 1));
        let place = place.ok_or_else(|| unreadable("has an unknown field"))?;
        text.peek();
        let start = text.position();
        text.skip_value()?;
        members.push((place, &json[start..text.position()]));
    }
    Ok(members)
}

fn object(table: &Message, members: &Members<'_>) -> String {
    let mut out = String::from("{");
    for (place, value) in members {
        if out.len() > 1 {
            out.push(',');
        }
        out.push_str(&table.fields[*place].json_key);
        out.push_str(value);
    }
    out.push('}');
    out
}
