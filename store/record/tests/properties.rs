//! Every codec against prost-reflect, over random messages in every valid wire form.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage, SerializeOptions, Value as Reflected};
use rowkeep_record::csv::{CsvOptions, CsvReader, CsvWriter};
use rowkeep_record::json::{ReadOptions, WriteOptions};
use rowkeep_record::{ReadMask, Value};
use serde_json::Value as Json;
use support::entropy::Entropy;
use support::{fixture, generate, mangle, oracle};

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// What makes a message, its encoding and what is done with it.
fn seeds() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..700)
}

fn random(entropy: &mut Entropy<'_>) -> DynamicMessage {
    generate::message(entropy, &fixture().descriptor())
}

/// The message as the oracle understands its wire form, without what the schema does not know.
fn reflect(wire: &[u8]) -> DynamicMessage {
    oracle::known(&DynamicMessage::decode(fixture().descriptor(), wire).unwrap())
}

/// A message in a wire form that only a parser must understand, and as the oracle understands it.
fn mangled(entropy: &mut Entropy<'_>) -> (Vec<u8>, DynamicMessage) {
    let message = random(entropy);
    let wire = mangle::encode(entropy, &message);
    let understood = reflect(&wire);
    (wire, understood)
}

fn to_json(wire: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let options = WriteOptions { secrets: true };
    fixture().codecs.json.to_json(fixture().message(), wire, &mut out, options).unwrap();
    out
}

fn from_json(text: &[u8]) -> DynamicMessage {
    let parsed = fixture().codecs.json.from_json(fixture().message(), text, ReadOptions::default());
    reflect(&parsed.unwrap_or_else(|error| panic!("{error:?} in {}", String::from_utf8_lossy(text))).wire)
}

fn serialized(message: &DynamicMessage, options: &SerializeOptions) -> Json {
    message.serialize_with_options(serde_json::value::Serializer, options).unwrap()
}

/// Messages print their descriptors, which may hold themselves, so they are shown as JSON.
fn check_same(ours: &DynamicMessage, expected: &DynamicMessage) -> Result<(), TestCaseError> {
    let json =
        |message: &DynamicMessage| serde_json::to_value(message).unwrap_or_else(|error| error.to_string().into());
    let shown = |message| json(message).to_string();
    // NaN is not equal to itself.
    let same = oracle::comparable(ours) == oracle::comparable(expected)
        || shown(ours).contains("NaN") && same(&json(ours), &json(expected));
    prop_assert!(same, "ours     {}\nexpected {}", shown(ours), shown(expected));
    Ok(())
}

/// Equal but for how numbers of 32 bits are written.
fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            a == b || a as f32 == b as f32
        }
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// Numbers of fields that hold one as strings.
fn quote_numbers(message: &DynamicMessage, json: &mut Json) {
    for field in message.descriptor().fields().filter(|field| !field.is_list() && !field.is_map()) {
        let is_number =
            !matches!(field.kind(), Kind::String | Kind::Bytes | Kind::Bool | Kind::Enum(_) | Kind::Message(_));
        if let Some(value) = json.get_mut(field.json_name()).filter(|value| is_number && value.is_number()) {
            *value = Json::String(value.to_string());
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_row_is_stored_and_read_as_any_parser_understands_it(seed in seeds()) {
        let (wire, understood) = mangled(&mut Entropy::new(&seed));
        let row = fixture().row().decode(&wire).unwrap();
        let record = fixture().row().encode(&row.values, 0).unwrap();
        check_same(&reflect(record.wire()), &oracle::stored(&understood))?;
        // What is written is canonical: once more changes nothing.
        let again = fixture().row().decode(record.wire()).unwrap();
        prop_assert_eq!(&fixture().row().encode(&again.values, 0).unwrap(), &record);
    }

    #[test]
    fn json_is_what_another_writer_writes(seed in seeds()) {
        let (wire, understood) = mangled(&mut Entropy::new(&seed));
        let ours: Json = serde_json::from_slice(&to_json(&wire)).unwrap();
        let theirs = serialized(&understood, &SerializeOptions::new());
        prop_assert!(same(&ours, &theirs), "ours   {ours}\ntheirs {theirs}");
    }

    #[test]
    fn json_reads_back_as_the_message_it_was_written_from(seed in seeds()) {
        let (wire, understood) = mangled(&mut Entropy::new(&seed));
        check_same(&from_json(&to_json(&wire)), &understood)?;
    }

    #[test]
    fn json_of_every_style_reads_as_the_same_message(seed in seeds()) {
        let mut entropy = Entropy::new(&seed);
        let message = oracle::known(&random(&mut entropy));
        let options = SerializeOptions::new()
            .use_proto_field_name(entropy.chance(2))
            .stringify_64_bit_integers(entropy.chance(2))
            .use_enum_numbers(entropy.chance(2));
        let mut json = serialized(&message, &options);
        if entropy.chance(2) {
            quote_numbers(&message, &mut json);
        }
        check_same(&from_json(json.to_string().as_bytes()), &message)?;
    }

    #[test]
    fn a_dump_in_csv_loads_back(seed in seeds()) {
        let mut entropy = Entropy::new(&seed);
        let wires: Vec<_> = (0..1 + entropy.below(3)).map(|_| mangled(&mut entropy).0).collect();
        let writer = CsvWriter::new(fixture().row());
        let mut text = Vec::new();
        writer.header(&mut text);
        for wire in &wires {
            writer.row(wire, &mut text).unwrap();
        }
        let mut reader = CsvReader::new(fixture().row(), text.as_slice(), CsvOptions::default()).unwrap();
        let secret = fixture().entity().column_by_field("a_secret").unwrap().id.index();
        for wire in &wires {
            let mut expected = fixture().row().decode(wire).unwrap().values;
            expected[secret] = Value::Text("".into());
            prop_assert_eq!(reader.next_row().unwrap().unwrap().1, expected);
        }
        prop_assert!(reader.next_row().is_none());
        prop_assert_eq!(reader.offset(), text.len() as u64);
    }

    #[test]
    fn a_read_mask_shows_what_it_names(seed in seeds()) {
        let mut entropy = Entropy::new(&seed);
        let row = fixture().row().decode(&mangled(&mut entropy).0).unwrap();
        let record = fixture().row().encode(&row.values, 0).unwrap();
        let paths: Vec<_> = (0..1 + entropy.below(4)).map(|_| read_path(&mut entropy)).collect();
        let names: Vec<_> = paths.iter().map(|path| spelled(&mut entropy, path)).collect();
        let mask = ReadMask::parse(&fixture().codecs.json, fixture().message(), &names).unwrap().unwrap();
        let plain: Vec<Vec<&str>> = paths.iter().map(|path| path.iter().map(|(proto, _)| &**proto).collect()).collect();
        let projected = mask.project(&record).unwrap();
        check_same(&reflect(projected.wire()), &oracle::prune(&reflect(record.wire()), &plain))?;
    }

    #[test]
    fn an_update_mask_writes_what_it_names(seed in seeds()) {
        let mut entropy = Entropy::new(&seed);
        let (old, new) = (mangled(&mut entropy).0, mangled(&mut entropy).0);
        let codec = fixture().row();
        let (mut row, new) = (codec.decode(&old).unwrap().values, codec.decode(&new).unwrap().values);
        let wire = |values: &[Value]| codec.encode(values, 0).unwrap();
        let (mut expected, theirs) = (reflect(wire(&row).wire()), reflect(wire(&new).wire()));
        let paths: Vec<_> = (0..1 + entropy.below(4)).map(|_| update_path(&mut entropy)).collect();
        let names: Vec<_> = paths.iter().map(|path| spelled(&mut entropy, path)).collect();
        let mask = codec.update_mask(&names).unwrap();
        for column in mask.columns.iter() {
            row[column.index()] = new[column.index()].clone();
        }
        for (column, path) in &mask.nested {
            row[column.index()] = codec.merge_nested(*column, path, &row[column.index()], &new[column.index()]).unwrap();
        }
        // Shorter paths hold the longer ones, which then change nothing; equal oneofs are set in the order of numbers.
        let mut plain: Vec<Vec<&str>> = paths.iter().map(|path| path.iter().map(|(proto, _)| &**proto).collect()).collect();
        plain.sort_by_key(|path| path_order(path));
        for path in &plain {
            oracle::take(&mut expected, Some(&theirs), path);
        }
        check_same(&reflect(wire(&row).wire()), &expected)?;
    }

    #[test]
    fn the_paths_that_json_names_are_a_mask_that_writes_all_of_it(seed in seeds()) {
        let message = random(&mut Entropy::new(&seed));
        let json = serialized(&message, &SerializeOptions::new()).to_string();
        let options = ReadOptions { paths: true, ..ReadOptions::default() };
        let parsed = fixture().codecs.json.from_json(fixture().message(), json.as_bytes(), options).unwrap();
        let codec = fixture().row();
        let new = codec.decode(&parsed.wire).unwrap().values;
        let mask = codec.update_mask(&parsed.paths).unwrap();
        let mut row = codec.empty();
        mask.columns.iter().for_each(|column| row[column.index()] = new[column.index()].clone());
        for (column, path) in &mask.nested {
            row[column.index()] = codec.merge_nested(*column, path, &row[column.index()], &new[column.index()]).unwrap();
        }
        prop_assert_eq!(row, new, "{:?}", parsed.paths);
    }

    #[test]
    fn values_read_back_from_their_text(seed in seeds()) {
        let (wire, _) = mangled(&mut Entropy::new(&seed));
        let values = fixture().row().decode(&wire).unwrap().values;
        for (column, value) in fixture().entity().columns.iter().zip(&values).filter(|(_, value)| !value.is_null()) {
            let text = fixture().row().format_text(column.id, value);
            prop_assert_eq!(&fixture().row().parse_text(column.id, &text).unwrap(), value, "{} {}", column.field, text);
        }
    }

    #[test]
    fn a_row_that_is_cut_off_is_an_error(seed in seeds(), cut in any::<u16>()) {
        let mut wire = random(&mut Entropy::new(&seed)).encode_to_vec();
        wire.truncate(usize::from(cut) % (wire.len() + 1));
        let understood = DynamicMessage::decode(fixture().descriptor(), wire.as_slice());
        let decoded = fixture().row().decode(&wire);
        prop_assert_eq!(decoded.is_ok(), understood.is_ok());
        let mut out = Vec::new();
        let json = fixture().codecs.json.to_json(fixture().message(), &wire, &mut out, WriteOptions::default());
        prop_assert_eq!(json.is_ok(), understood.is_ok());
    }

    // What a later value replaces is passed over unread, so bytes may be accepted that the oracle refuses.
    #[test]
    fn of_broken_bytes_only_what_can_be_read_again_is_accepted(
        seed in seeds(),
        flips in proptest::collection::vec(any::<(u16, u8)>(), 1..4),
    ) {
        let (mut wire, _) = mangled(&mut Entropy::new(&seed));
        for (at, byte) in flips {
            let at = usize::from(at) % wire.len().max(1);
            wire.iter_mut().skip(at).take(1).for_each(|old| *old = byte);
        }
        if let Ok(row) = fixture().row().decode(&wire) {
            let record = fixture().row().encode(&row.values, 0).unwrap();
            if let Ok(understood) = DynamicMessage::decode(fixture().descriptor(), wire.as_slice()) {
                check_same(&reflect(record.wire()), &oracle::stored(&understood))?;
            }
        }
        let mut out = Vec::new();
        let _ = fixture().codecs.json.to_json(fixture().message(), &wire, &mut out, WriteOptions::default());
        let _ = CsvWriter::new(fixture().row()).row(&wire, &mut out);
        let mask = ReadMask::parse(&fixture().codecs.json, fixture().message(), &["a_nested.inner.text"]);
        let framed = [&[0; rowkeep_record::PREFIX][..], &wire].concat();
        let _ = mask.unwrap().unwrap().project(&rowkeep_record::Record::from_reserved(framed, 0));
    }

    #[test]
    fn any_bytes_are_csv_or_errors(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..80), step in 1..9_usize) {
        let text = [&b"id,a_string,maybe_string\n"[..], &bytes].concat();
        let read = |step: usize| {
            let input = std::io::BufReader::with_capacity(step, text.as_slice());
            let mut reader = CsvReader::new(fixture().row(), input, CsvOptions::default()).unwrap();
            let mut found = Vec::new();
            while let Some(row) = reader.next_row() {
                found.push((row, reader.raw().to_vec(), reader.offset()));
            }
            assert_eq!(reader.offset(), text.len() as u64);
            found
        };
        // However the input comes, the records are the same.
        prop_assert_eq!(read(step), read(1000));
    }
}

type Path = Vec<(String, String)>;

/// A path to a field, in proto and JSON names.
fn read_path(entropy: &mut Entropy<'_>) -> Path {
    walk(entropy, |field| match field.kind() {
        Kind::Message(inner) if field.is_map() => match inner.map_entry_value_field().kind() {
            Kind::Message(inner) => Some(inner),
            _ => None,
        },
        Kind::Message(inner) => Some(inner),
        _ => None,
    })
}

fn update_path(entropy: &mut Entropy<'_>) -> Path {
    loop {
        let path = walk(entropy, |field| match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => Some(inner),
            _ => None,
        });
        // Members of a oneof that are columns are the engine's to keep apart.
        if !path[0].0.starts_with("choice_") {
            return path;
        }
    }
}

fn walk(
    entropy: &mut Entropy<'_>,
    inner: impl Fn(&prost_reflect::FieldDescriptor) -> Option<prost_reflect::MessageDescriptor>,
) -> Path {
    let mut descriptor = fixture().descriptor();
    let mut path = Path::new();
    loop {
        // Often into messages.
        let fields: Vec<_> = descriptor.fields().filter(|field| field.name() != "a_secret").collect();
        let messages: Vec<_> = fields.iter().filter(|field| inner(field).is_some_and(|d| opens(&d))).collect();
        let field = if entropy.chance(3) {
            fields[entropy.below(fields.len())].clone()
        } else {
            messages[entropy.below(messages.len())].clone()
        };
        path.push((field.name().to_owned(), field.json_name().to_owned()));
        let Some(next) = inner(&field).filter(|descriptor| opens(descriptor) && path.len() < 8) else { return path };
        if entropy.chance(4) {
            return path;
        }
        if field.is_map() || field.is_list() && entropy.chance(2) {
            path.push(("*".to_owned(), "*".to_owned()));
        }
        descriptor = next;
    }
}

fn opens(descriptor: &prost_reflect::MessageDescriptor) -> bool {
    descriptor.full_name().starts_with("every.v1.")
}

fn spelled(entropy: &mut Entropy<'_>, path: &Path) -> String {
    let names: Vec<_> =
        path.iter().map(|(proto, json)| if entropy.chance(2) { json } else { proto }.as_str()).collect();
    names.join(".")
}

/// Field numbers along a path.
fn path_order(path: &[&str]) -> Vec<u32> {
    let mut descriptor = fixture().descriptor();
    let mut order = Vec::new();
    for name in path {
        let field = descriptor.get_field_by_name(name).unwrap();
        order.push(field.number());
        if let Kind::Message(inner) = field.kind() {
            descriptor = inner;
        }
    }
    order
}

#[test]
fn reflected_values_are_of_this_crates_version() {
    // The oracle must read what it is given, or the properties say nothing.
    let wire = fixture().wire(&serde_json::json!({"id": "7"}));
    assert_eq!(reflect(&wire).get_field_by_name("id").unwrap().into_owned(), Reflected::I64(7));
}
