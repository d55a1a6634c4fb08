//! The services that follow from the entities: one file per package, as descriptors and as text.
//!
//! Names and numbers are a promise to generated clients. Every number is fixed by the role of its field, never by its
//! position: options of a request start at 16 so that a key can have 15 columns, and what an entity lacks
//! (`show_deleted` without soft delete) leaves a gap. Adding an entity or a column changes no number that exists.
//!
//! A derived name that the user's files already use is a [`Collision`]: there is no second name it could silently get
//! that would not change when the user's file does.

mod descriptor;
mod file;
mod print;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use kit_core::{Code, Error};
use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::{DerivedFile, Entity, EntityId, HttpRule, MethodKind};
use file::{FieldType, File};

/// Files that derived ones import. The pool given to [`derive()`] must hold them.
pub const REQUIRED_IMPORTS: [&str; 4] =
    [ANNOTATIONS, "google/protobuf/empty.proto", "google/protobuf/field_mask.proto", STORE];

const ANNOTATIONS: &str = "google/api/annotations.proto";
const STORE: &str = "rowkeep/v1/store.proto";

/// The service and the package of writes across entities.
pub(crate) const COMMIT_SERVICE: &str = "rowkeep.v1.Store";

/// What follows from the entities.
#[derive(Debug)]
pub struct Derived {
    /// The given pool with the derived files.
    pub pool: DescriptorPool,
    /// The derived files as text.
    pub texts: Vec<DerivedFile>,
    /// All methods, in order of entity, `Commit` last.
    pub methods: Vec<MethodSpec>,
}

/// A [`Method`](crate::Method) whose messages are still names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodSpec {
    /// What it does.
    pub kind: MethodKind,
    /// The entity; `None` for `Commit`.
    pub entity: Option<EntityId>,
    /// Method name.
    pub name: String,
    /// Full service name.
    pub service: String,
    /// Full name of the request message.
    pub input: String,
    /// Full name of the response message.
    pub output: String,
    /// REST binding.
    pub http: HttpRule,
    /// One sentence for docs.
    pub comment: String,
}

/// A derived name that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collision {
    /// The entity that the name derives from.
    pub entity: EntityId,
    /// The full name: `shop.v1.UserKey`.
    pub name: String,
    /// The file that already has it; `None` if another entity derives it as well.
    pub file: Option<String>,
}

/// Why nothing could be derived.
#[derive(Debug)]
pub enum DeriveError {
    /// Names that are taken, all of them.
    Collisions(Vec<Collision>),
    /// A defect: the derived file does not link.
    Link(Error),
}

/// Derives the services of all entities and links them with the files in `pool`.
///
/// # Errors
/// If a derived name is taken, or `pool` lacks an entity's message or one of [`REQUIRED_IMPORTS`].
pub fn derive(pool: &DescriptorPool, entities: &[Entity]) -> Result<Derived, DeriveError> {
    let mut packages: Vec<Package> = Vec::new();
    for entity in entities {
        let message = message_of(pool, entity).map_err(DeriveError::Link)?;
        let index = packages.iter().position(|package| package.file.package == entity.package);
        let index = index.unwrap_or_else(|| {
            packages.push(Package::new(&entity.package, message.parent_file().name()));
            packages.len() - 1
        });
        packages[index].add(entity, &message);
    }
    let collisions = collisions(pool, &packages);
    if !collisions.is_empty() {
        return Err(DeriveError::Collisions(collisions));
    }
    link(pool, packages).map_err(DeriveError::Link)
}

fn link(pool: &DescriptorPool, packages: Vec<Package>) -> Result<Derived, Error> {
    let mut derived = Derived { pool: pool.clone(), texts: Vec::new(), methods: Vec::new() };
    let names = top_level_names(pool);
    for mut package in packages {
        package.file.imports = imports(pool, &package.file)?;
        let source = print::print(&package.file, &names);
        derived
            .pool
            .decode_file_descriptor_proto(descriptor::encode(&package.file).as_slice())
            .map_err(|e| Error::new(Code::Internal, "DERIVED_FILE_INVALID", format!("{}: {e}", package.file.path)))?;
        let File { path, package: name, .. } = package.file;
        derived.texts.push(DerivedFile { path, package: name, source });
        derived.methods.extend(package.methods);
    }
    derived.methods.push(commit());
    Ok(derived)
}

fn commit() -> MethodSpec {
    MethodSpec {
        kind: MethodKind::Commit,
        entity: None,
        name: "Commit".to_owned(),
        service: COMMIT_SERVICE.to_owned(),
        input: "rowkeep.v1.CommitRequest".to_owned(),
        output: "rowkeep.v1.CommitResponse".to_owned(),
        http: HttpRule { verb: "POST", path: "/v1:commit".to_owned(), body: Some("*".to_owned()) },
        comment: "Applies a list of writes in order, all or none.".to_owned(),
    }
}

fn message_of(pool: &DescriptorPool, entity: &Entity) -> Result<MessageDescriptor, Error> {
    pool.get_message_by_name(&entity.full_name)
        .ok_or_else(|| missing(format!("the descriptor pool has no message {}", entity.full_name)))
}

fn missing(message: String) -> Error {
    Error::new(Code::Internal, "DESCRIPTOR_MISSING", message)
}

/// One package's file in the making.
struct Package {
    file: File,
    methods: Vec<MethodSpec>,
    /// Full names it defines, with the entity each derives from.
    names: Vec<(String, EntityId)>,
}

impl Package {
    fn new(package: &str, user_file: &str) -> Self {
        let comment =
            format!("The services of the entities in {user_file}. Derived by Rowkeep: edit that file instead.");
        let file = File {
            path: derived_path(package, user_file),
            package: package.to_owned(),
            comment,
            imports: Vec::new(),
            services: Vec::new(),
            messages: Vec::new(),
        };
        Self { file, methods: Vec::new(), names: Vec::new() }
    }

    fn add(&mut self, entity: &Entity, message: &MessageDescriptor) {
        let parts = service::parts(entity, message);
        let scoped = |name: &str| service::scoped(&entity.package, name);
        self.names.push((scoped(&parts.service.name), entity.id));
        self.names.extend(parts.messages.iter().map(|message| (scoped(&message.name), entity.id)));
        for (rpc, kind) in parts.service.methods.iter().zip(&parts.kinds) {
            self.methods.push(MethodSpec {
                kind: *kind,
                entity: Some(entity.id),
                name: rpc.name.clone(),
                service: scoped(&parts.service.name),
                input: rpc.input.clone(),
                output: rpc.output.clone(),
                http: rpc.http.clone(),
                comment: rpc.comment.clone(),
            });
        }
        self.file.services.push(parts.service);
        self.file.messages.extend(parts.messages);
    }
}

/// `shop/v1/shop_rowkeep.proto` for package `shop.v1` whose first entity is in `.../shop.proto`.
fn derived_path(package: &str, user_file: &str) -> String {
    let name = user_file.rsplit(['/', '\\']).next().unwrap_or(user_file);
    let stem = name.strip_suffix(".proto").unwrap_or(name);
    match package {
        "" => format!("{stem}_rowkeep.proto"),
        package => format!("{}/{stem}_rowkeep.proto", package.replace('.', "/")),
    }
}

/// Names of derived messages and services that exist already, or that two entities derive.
fn collisions(pool: &DescriptorPool, packages: &[Package]) -> Vec<Collision> {
    let taken = declared_names(pool);
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (name, entity) in packages.iter().flat_map(|package| &package.names) {
        let file = taken.get(name).cloned();
        if file.is_some() || !seen.insert(name) {
            found.push(Collision { entity: *entity, name: name.clone(), file });
        }
    }
    found
}

/// Top-level names with the file of each.
fn declared_names(pool: &DescriptorPool) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for file in pool.files() {
        let path = file.name().to_owned();
        names.extend(file.messages().map(|message| (message.full_name().to_owned(), path.clone())));
        names.extend(file.enums().map(|item| (item.full_name().to_owned(), path.clone())));
        names.extend(file.services().map(|service| (service.full_name().to_owned(), path.clone())));
        // Values of an enum are in the scope around it.
        names.extend(file.enums().flat_map(|item| {
            let scope = file.package_name().to_owned();
            item.values().map(|value| (service::scoped(&scope, value.name()), path.clone())).collect::<Vec<_>>()
        }));
    }
    names
}

/// What a reference could be captured by: packages with all their parents, and declared names.
fn top_level_names(pool: &DescriptorPool) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = declared_names(pool).into_keys().collect();
    for file in pool.files() {
        let mut package = file.package_name();
        while !package.is_empty() {
            names.insert(package.to_owned());
            package = package.rfind('.').map_or("", |dot| &package[..dot]);
        }
    }
    names
}

/// The files that define what this one refers to, sorted.
fn imports(pool: &DescriptorPool, file: &File) -> Result<Vec<String>, Error> {
    let own: BTreeSet<String> =
        file.messages.iter().map(|message| service::scoped(&file.package, &message.name)).collect();
    let fields = file.messages.iter().flat_map(|message| &message.fields).filter_map(|field| match &field.ty {
        FieldType::Scalar(_) => None,
        FieldType::Enum(name) | FieldType::Message(name) => Some(name),
    });
    let results = file.services.iter().flat_map(|service| &service.methods).map(|rpc| &rpc.output);
    let mut imports = BTreeSet::from([ANNOTATIONS.to_owned()]);
    for name in fields.chain(results).filter(|name| !own.contains(*name)) {
        let defined = pool
            .get_message_by_name(name)
            .map(|message| message.parent_file())
            .or_else(|| pool.get_enum_by_name(name).map(|item| item.parent_file()))
            .ok_or_else(|| {
                missing(format!(
                    "the descriptor pool has no type {name}; does it import {}?",
                    REQUIRED_IMPORTS.join(", ")
                ))
            })?;
        imports.insert(defined.name().to_owned());
    }
    Ok(imports.into_iter().collect())
}

impl std::fmt::Display for Collision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.file {
            Some(file) => write!(
                f,
                "`{}` is declared in {file}, but Rowkeep derives it from this entity: rename it, or leave it out of the \
                 schema",
                self.name
            ),
            None => write!(
                f,
                "`{}` is derived from another entity too: rename one of them, or set `plural` in its entity option",
                self.name
            ),
        }
    }
}
