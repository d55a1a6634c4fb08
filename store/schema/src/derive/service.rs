//! The methods of one entity with their messages.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use prost_types::field_descriptor_proto::Type;

use super::file::{FieldType, Message, Rpc, Service};
use crate::names::plural_snake;
use crate::{Column, Entity, HttpRule, Index, MethodKind};

/// What one entity adds to its package's file.
pub(super) struct Parts {
    pub(super) service: Service,
    /// Parallel to the service's methods.
    pub(super) kinds: Vec<MethodKind>,
    pub(super) messages: Vec<Message>,
}

/// `shop.v1.User`; `User` in no package.
pub(super) fn scoped(package: &str, name: &str) -> String {
    if package.is_empty() { name.to_owned() } else { format!("{package}.{name}") }
}

pub(super) fn parts(entity: &Entity, message: &MessageDescriptor) -> Parts {
    let comment = format!("Rows of `{}`.", entity.name);
    let service = Service { name: format!("{}Service", entity.name), comment, methods: Vec::new() };
    let mut builder = Builder {
        entity,
        key: entity.primary_key.iter().map(|id| KeyField::new(message, entity.column(*id))).collect(),
        row: FieldType::Message(entity.full_name.clone()),
        parts: Parts { service, kinds: Vec::new(), messages: Vec::new() },
    };
    builder.get();
    for (index, i) in entity.indexes.iter().zip(0..) {
        builder.lookup(message, index, i);
    }
    builder.batch_get();
    builder.list();
    builder.watch();
    if entity.read_only {
        return builder.parts;
    }
    builder.create();
    builder.update();
    builder.delete();
    builder.undelete();
    builder.parts
}

/// A field of the row that a request repeats.
struct KeyField {
    name: String,
    ty: FieldType,
    comment: String,
}

impl KeyField {
    fn new(message: &MessageDescriptor, column: &Column) -> Self {
        // A checked entity has only columns of fields that its message has.
        let descriptor = message.get_field_by_name(&column.field);
        let ty = descriptor.as_ref().map_or(FieldType::Scalar(Type::String), field_type);
        Self { name: column.field.clone(), ty, comment: column.comment.clone() }
    }
}

fn field_type(field: &FieldDescriptor) -> FieldType {
    FieldType::Scalar(match field.kind() {
        Kind::Message(message) => return FieldType::Message(message.full_name().to_owned()),
        Kind::Enum(item) => return FieldType::Enum(item.full_name().to_owned()),
        Kind::Double => Type::Double,
        Kind::Float => Type::Float,
        Kind::Int32 => Type::Int32,
        Kind::Int64 => Type::Int64,
        Kind::Uint32 => Type::Uint32,
        Kind::Uint64 => Type::Uint64,
        Kind::Sint32 => Type::Sint32,
        Kind::Sint64 => Type::Sint64,
        Kind::Fixed32 => Type::Fixed32,
        Kind::Fixed64 => Type::Fixed64,
        Kind::Sfixed32 => Type::Sfixed32,
        Kind::Sfixed64 => Type::Sfixed64,
        Kind::Bool => Type::Bool,
        Kind::String => Type::String,
        Kind::Bytes => Type::Bytes,
    })
}

const TEXT: FieldType = FieldType::Scalar(Type::String);
const FLAG: FieldType = FieldType::Scalar(Type::Bool);
const INT32: FieldType = FieldType::Scalar(Type::Int32);
const INT64: FieldType = FieldType::Scalar(Type::Int64);
const EMPTY: &str = "google.protobuf.Empty";

/// Number of the first field in a request that is not part of the key.
const FIRST_OPTION: i32 = 16;

fn mask() -> FieldType {
    FieldType::Message("google.protobuf.FieldMask".to_owned())
}

struct Builder<'a> {
    entity: &'a Entity,
    key: Vec<KeyField>,
    row: FieldType,
    parts: Parts,
}

impl Builder<'_> {
    fn get(&mut self) {
        let name = format!("Get{}", self.entity.name);
        let request = self.keyed_request(&name).read_mask(FIRST_OPTION);
        let path = self.row_path("");
        let comment = format!("Returns one `{}` by its key.", self.entity.name);
        self.method(MethodKind::Get, name, &comment, request, self.entity.full_name.clone(), "GET", path, None);
    }

    fn lookup(&mut self, message: &MessageDescriptor, index: &Index, place: u16) {
        let Some(lookup) = &index.lookup else { return };
        let name = format!("Get{}By{lookup}", self.entity.name);
        let mut request = self.request(&name);
        let mut number = 1;
        for (id, _) in &index.columns {
            let field = KeyField::new(message, self.entity.column(*id));
            request = request.field(number, &field.name, field.ty, &field.comment);
            number += if number + 1 == FIRST_OPTION { 2 } else { 1 };
        }
        let request = request.read_mask(FIRST_OPTION);
        let columns: Vec<_> =
            index.columns.iter().map(|(id, _)| format!("`{}`", self.entity.column(*id).field)).collect();
        let comment = format!("Returns the `{}` of a unique {}.", self.entity.name, columns.join(" and "));
        let path = self.collection_path(&format!("getBy{lookup}"));
        self.method(
            MethodKind::Lookup(place),
            name,
            &comment,
            request,
            self.entity.full_name.clone(),
            "GET",
            path,
            None,
        );
    }

    fn batch_get(&mut self) {
        let name = format!("BatchGet{}", self.entity.plural);
        let single = self.key.len() == 1;
        let (keys, key_type) = if single {
            let key = &self.key[0];
            (plural_snake(&key.name), key.ty.clone())
        } else {
            let key_name = format!("{}Key", self.entity.name);
            let message = Message::new(key_name.clone(), format!("The key of one `{}`.", self.entity.name));
            let message = self.with_key(message);
            self.parts.messages.push(message);
            ("keys".to_owned(), FieldType::Message(self.scoped(&key_name)))
        };
        let request = self
            .request(&name)
            .repeated(1, &keys, key_type.clone(), "At most 500.")
            .field(2, "allow_missing", FLAG, "Answers with what exists instead of failing when a row is missing.")
            .read_mask(FIRST_OPTION);
        let response = self.response(&name).rows(self.entity, &self.row, "In the order of the request.").repeated(
            2,
            &format!("missing_{keys}"),
            key_type,
            "Keys without a row, if `allow_missing` was set.",
        );
        let comment = format!("Returns several `{}` by their keys.", self.entity.name);
        let (verb, body) = if single { ("GET", None) } else { ("POST", Some("*")) };
        let path = self.collection_path("batchGet");
        let output = self.add(response);
        self.method(MethodKind::BatchGet, name, &comment, request, output, verb, path, body);
    }

    fn list(&mut self) {
        let name = format!("List{}", self.entity.plural);
        let mut request = self
            .request(&name)
            .field(1, "page_size", INT32, "Rows at most; 50 if absent, 1000 if more is asked for.")
            .field(
                2,
                "page_token",
                TEXT,
                "`next_page_token` of the page before; all else but `page_size` must stay the same.",
            )
            .field(3, "filter", TEXT, "As in `city = \"Oslo\" AND age >= 18`; OR binds tighter than AND.")
            .field(4, "order_by", TEXT, "As in `city, created_at desc`.");
        if self.entity.soft_delete.is_some() {
            request = request.field(5, "show_deleted", FLAG, "Shows deleted rows as well.");
        }
        let request = request
            .field(6, "include_total_size", FLAG, "Counts the rows of all pages, which costs a scan of them.")
            .read_mask(FIRST_OPTION);
        let response = self
            .response(&name)
            .rows(self.entity, &self.row, "")
            .field(2, "next_page_token", TEXT, "Empty at the end, and only there.")
            .optional(3, "total_size", INT64, "Rows of all pages, if `include_total_size` was set.");
        let comment = format!("Lists `{}` by filter and order, page by page.", self.entity.name);
        let path = self.entity.rest_collection.clone();
        let output = self.add(response);
        self.method(MethodKind::List, name, &comment, request, output, "GET", path, None);
    }

    fn watch(&mut self) {
        let name = format!("Watch{}", self.entity.plural);
        let request = self
            .request(&name)
            .field(1, "filter", TEXT, "As of a list; with `snapshot` it needs the same index.")
            .field(2, "resume_token", TEXT, "Goes on behind the response that had it; the filter must be the same.")
            .field(3, "snapshot", FLAG, "Begins with every row that matches. Without effect beside a token.")
            .read_mask(FIRST_OPTION);
        let response = self
            .response(&name)
            .one_of("event", 1, "changed", self.row.clone(), "The row as it is: new, changed, or of the snapshot.")
            .one_of(
                "event",
                2,
                "deleted",
                self.row.clone(),
                "The key of a row that is gone or does not match any more.",
            )
            .one_of("event", 3, "snapshot_complete", FLAG, "Every row of the snapshot has been sent.")
            .one_of("event", 4, "heartbeat", FLAG, "Nothing happened for a while.")
            .field(5, "resume_token", TEXT, "Where to go on behind this; empty until the snapshot is complete.");
        let comment = format!(
            "Streams every change of `{}` that match a filter, and before it the rows there are.",
            self.entity.name
        );
        let path = self.collection_path("watch");
        let output = self.add(response);
        self.method(MethodKind::Watch, name, &comment, request, output, "GET", path, None);
    }

    fn create(&mut self) {
        let name = format!("Create{}", self.entity.name);
        let request = self.request(&name).row(self.entity, &self.row, "The new row.").write_options(2, 3);
        let comment = format!("Creates one `{}`.", self.entity.name);
        let path = self.entity.rest_collection.clone();
        let body = Some(self.entity.singular.as_str());
        self.method(MethodKind::Create, name, &comment, request, self.entity.full_name.clone(), "POST", path, body);
        self.batch(MethodKind::BatchCreate, "Create", true);
    }

    fn update(&mut self) {
        let name = format!("Update{}", self.entity.name);
        let request = self
            .request(&name)
            .row(self.entity, &self.row, "The key names the row; the fields of the mask are written.")
            .field(2, "update_mask", mask(), "Absent: the fields that are set. `*`: all.")
            .field(3, "etag", TEXT, ETAG)
            .field(4, "allow_missing", FLAG, "Creates the row if it does not exist.")
            .write_options(5, 6)
            .repeated(
                7,
                "transforms",
                FieldType::Message("rowkeep.v1.Transform".to_owned()),
                "Applied after the mask, on the current row.",
            );
        let comment = format!("Changes fields of one `{}`.", self.entity.name);
        let path = self.row_path(&format!("{}.", self.entity.singular));
        let body = Some(self.entity.singular.as_str());
        self.method(MethodKind::Update, name, &comment, request, self.entity.full_name.clone(), "PATCH", path, body);
        self.batch(MethodKind::BatchUpdate, "Update", true);
    }

    fn delete(&mut self) {
        let name = format!("Delete{}", self.entity.name);
        let soft = self.entity.soft_delete.is_some();
        let request = self
            .keyed_request(&name)
            .field(FIRST_OPTION, "etag", TEXT, ETAG)
            .field(17, "allow_missing", FLAG, "A row that does not exist is no error.")
            .write_options(18, 19);
        let comment = format!("Deletes one `{}`{}.", self.entity.name, if soft { "; it can be undeleted" } else { "" });
        let output = if soft { self.entity.full_name.clone() } else { EMPTY.to_owned() };
        let path = self.row_path("");
        self.method(MethodKind::Delete, name, &comment, request, output, "DELETE", path, None);
        self.batch(MethodKind::BatchDelete, "Delete", soft);
    }

    fn undelete(&mut self) {
        if self.entity.soft_delete.is_none() {
            return;
        }
        let name = format!("Undelete{}", self.entity.name);
        let request = self.keyed_request(&name).field(FIRST_OPTION, "etag", TEXT, ETAG).write_options(18, 19);
        let comment = format!("Brings a deleted `{}` back.", self.entity.name);
        let path = format!("{}:undelete", self.row_path(""));
        self.method(
            MethodKind::Undelete,
            name,
            &comment,
            request,
            self.entity.full_name.clone(),
            "POST",
            path,
            Some("*"),
        );
    }

    /// `BatchCreateUsers` and its like: the single requests in a list, all or none.
    fn batch(&mut self, kind: MethodKind, verb: &str, returns_rows: bool) {
        let name = format!("Batch{verb}{}", self.entity.plural);
        let single = FieldType::Message(self.scoped(&format!("{verb}{}Request", self.entity.name)));
        let request = self
            .request(&name)
            .repeated(1, "requests", single, "At most 500, in the order in which they are applied.")
            .write_options(2, 3);
        let output = if returns_rows {
            let response = self.response(&name).rows(self.entity, &self.row, "In the order of the requests.");
            self.add(response)
        } else {
            EMPTY.to_owned()
        };
        let comment = format!("{verb}s several `{}`, all or none.", self.entity.name);
        let path = self.collection_path(&format!("batch{verb}"));
        self.method(kind, name, &comment, request, output, "POST", path, Some("*"));
    }

    #[expect(clippy::too_many_arguments, reason = "the columns of the table of methods, read at each call")]
    fn method(
        &mut self,
        kind: MethodKind,
        name: String,
        comment: &str,
        request: Message,
        output: String,
        verb: &'static str,
        path: String,
        body: Option<&str>,
    ) {
        let input = self.add(request);
        let http = HttpRule { verb, path, body: body.map(str::to_owned) };
        self.parts.kinds.push(kind);
        let streams = kind.is_stream();
        self.parts.service.methods.push(Rpc { name, comment: comment.to_owned(), input, output, streams, http });
    }

    /// Adds a message and returns its full name.
    fn add(&mut self, message: Message) -> String {
        let name = self.scoped(&message.name);
        self.parts.messages.push(message);
        name
    }

    fn request(&self, method: &str) -> Message {
        Message::new(format!("{method}Request"), format!("Request of {method}."))
    }

    fn response(&self, method: &str) -> Message {
        Message::new(format!("{method}Response"), format!("Response of {method}."))
    }

    fn keyed_request(&self, method: &str) -> Message {
        self.with_key(self.request(method))
    }

    fn with_key(&self, message: Message) -> Message {
        self.key.iter().zip(1..).fold(message, |message, (field, number)| {
            message.field(number, &field.name, field.ty.clone(), &field.comment)
        })
    }

    /// `/v1/users/{id}`, `/v1/users/{user.id}` with prefix `user.`.
    fn row_path(&self, prefix: &str) -> String {
        let key: Vec<_> = self.key.iter().map(|field| format!("{{{prefix}{}}}", field.name)).collect();
        format!("{}/{}", self.entity.rest_collection, key.join("/"))
    }

    fn collection_path(&self, verb: &str) -> String {
        format!("{}:{verb}", self.entity.rest_collection)
    }

    fn scoped(&self, name: &str) -> String {
        scoped(&self.entity.package, name)
    }
}

const ETAG: &str = "Fails with ABORTED unless the row has this etag.";

/// Fields that several messages share.
impl Message {
    fn read_mask(self, number: i32) -> Self {
        self.field(number, "read_mask", mask(), "Fields to return; all if absent.")
    }

    fn row(self, entity: &Entity, row: &FieldType, comment: &str) -> Self {
        self.field(1, &entity.singular, row.clone(), comment)
    }

    fn rows(self, entity: &Entity, row: &FieldType, comment: &str) -> Self {
        self.repeated(1, &entity.plural_snake, row.clone(), comment)
    }

    fn write_options(self, request_id: i32, validate_only: i32) -> Self {
        self.field(
            request_id,
            "request_id",
            TEXT,
            "Repeating a request with the same id and content returns the first answer; other content is refused.",
        )
        .field(validate_only, "validate_only", FLAG, "Checks everything, changes nothing.")
    }
}
