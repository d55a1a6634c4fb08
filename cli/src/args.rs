//! The command line, as clap reads it.

use std::path::PathBuf;

use rowkeep_sql::mysql::GivenKey;

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

/// One annotated .proto becomes a data store: tables, gRPC, REST.
#[derive(Debug, Parser)]
#[command(name = "rowkeep", version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create or migrate the tables, then serve gRPC, REST and docs on one port
    Serve(Serve),
    /// Check a schema and print every mistake
    Check(Check),
    /// Show what a schema would change in the data
    Plan(Migrate),
    /// Make these changes
    Apply(Migrate),
    /// Print the derived service definition, for protoc, buf and tonic-build
    Proto(Proto),
    /// Print the OpenAPI 3.1 document
    Openapi(Openapi),
    /// Write a schema for the tables of a MySQL or MariaDB database, which stay as they are
    Import(Import),
    /// Load rows from CSV or NDJSON, fast
    Load(Load),
    /// Write the rows of an entity as NDJSON or CSV
    Dump(Dump),
    /// Copy the data while a server may be running on it
    Backup(Backup),
    /// Show the database servers: which is the primary, which are how far behind
    Status(Status),
    /// Look into the cache of a running server
    #[command(subcommand)]
    Cache(Cache),
    /// Show the effective configuration and where each value came from
    Config(Config),
}

/// The files of a schema.
#[derive(Debug, ClapArgs)]
pub(crate) struct SchemaArgs {
    /// The annotated .proto files
    #[arg(value_name = "SCHEMA.proto", required = true)]
    pub(crate) schema: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) includes: Includes,
}

/// The files of a schema, where something else comes first.
#[derive(Debug, ClapArgs)]
pub(crate) struct SchemaOption {
    /// The annotated .proto files
    #[arg(long, short, value_name = "SCHEMA.proto", required = true)]
    pub(crate) schema: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) includes: Includes,
}

/// Where imports are looked for.
#[derive(Debug, ClapArgs)]
pub(crate) struct Includes {
    /// Directory that imports start from; may be repeated
    #[arg(short = 'I', long = "include", value_name = "DIR")]
    pub(crate) include: Vec<PathBuf>,
}

/// Settings that every command with data takes: file, environment and flags.
#[derive(Debug, ClapArgs)]
pub(crate) struct SettingArgs {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE", env = "ROWKEEP_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where the data lies [default: rowkeep-data]
    #[arg(long, value_name = "DIR", conflicts_with = "database")]
    pub(crate) data: Option<PathBuf>,
    /// The MySQL or MariaDB server that keeps the data instead: mysql://user:password@host/database. A password is
    /// better given in ROWKEEP_DATABASE, which no list of processes shows
    #[arg(long, value_name = "URL", hide_env_values = true)]
    pub(crate) database: Option<String>,
    /// A replica of that server, which answers reads; what the address does not say is as in --database; may be repeated
    #[arg(long, value_name = "URL", hide_env_values = true)]
    pub(crate) replica: Vec<String>,
    /// Accept a step of a migration that may lose data or block, by the name the refusal gives; may be repeated
    #[arg(long, value_name = "STEP")]
    pub(crate) allow: Vec<String>,
    /// Any setting, as `rowkeep config` names it; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Serve {
    #[command(flatten)]
    pub(crate) schema: SchemaArgs,
    /// Address and port of gRPC, REST and docs [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<String>,
    /// Address and port of metrics and health; empty for none [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin_listen: Option<String>,
    /// Listen beyond this machine although nobody is asked who they are
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Keep hot rows in memory: `memory`, in this process; `redis://HOST:PORT`, shared; or `none` [default: none]
    #[arg(long, value_name = "KIND")]
    pub(crate) cache: Option<String>,
    /// Directory with templates that replace the built-in pages
    #[arg(long, value_name = "DIR")]
    pub(crate) templates: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) schema: SchemaArgs,
    /// Print the mistakes as JSON on standard output
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Migrate {
    #[command(flatten)]
    pub(crate) schema: SchemaArgs,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Cache {
    /// Compare one row in the server's memory, on each replica and on the primary. Fails if memory has an old one
    Inspect(Inspect),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Inspect {
    /// The entity, as the schema names it
    pub(crate) entity: String,
    /// The row's key, as in its path: values of several fields between slashes
    pub(crate) key: String,
    /// Where the server's metrics and health are
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081", env = "ROWKEEP_ADMIN_LISTEN")]
    pub(crate) admin: String,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Proto {
    /// The annotated .proto files; or `options` for the annotation grammar, `store` for the API across entities
    #[arg(value_name = "SCHEMA.proto", required = true)]
    pub(crate) schema: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) includes: Includes,
    /// Write every file that a client needs into this directory instead
    #[arg(long, short, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Openapi {
    #[command(flatten)]
    pub(crate) schema: SchemaArgs,
    /// Where the API is served
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    pub(crate) server_url: String,
    /// Title of the document
    #[arg(long, default_value = "Rowkeep")]
    pub(crate) title: String,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Import {
    /// The database: mysql://user:password@host/database. A password is better given in ROWKEEP_DATABASE, which no list
    /// of processes shows
    #[arg(value_name = "URL", env = "ROWKEEP_DATABASE", hide_env_values = true)]
    pub(crate) url: String,
    /// A new file [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Package of the schema [default: the database's name and v1]
    #[arg(long, value_name = "NAME")]
    pub(crate) package: Option<String>,
    /// Only tables of this name, in which * stands for anything and ? for one character; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub(crate) table: Vec<String>,
    /// What tells the rows of a view or of a table without a key apart, so that they can be read; may be repeated
    #[arg(long, value_name = "TABLE=COLUMN,...")]
    pub(crate) key: Vec<GivenKey>,
}

/// How a file holds rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileFormat {
    Csv,
    Ndjson,
}

/// What to do with rows that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnConflict {
    /// Stop
    Fail,
    /// Leave the row of the file out
    Skip,
    /// Replace the stored row
    Replace,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Load {
    /// The entity: `User` or `shop.v1.User`
    pub(crate) entity: String,
    /// The file; `-` for standard input
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) schema: SchemaOption,
    /// How the file is written [default: by its extension]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// What stands between the cells of CSV; `\t` for a tab
    #[arg(long, default_value = ",", value_parser = delimiter)]
    pub(crate) delimiter: u8,
    /// A cell of CSV with this text is absent, as an empty one is
    #[arg(long, value_name = "TEXT")]
    pub(crate) null: Option<String>,
    /// What to do with rows that exist
    #[arg(long, value_enum, default_value_t = OnConflict::Fail)]
    pub(crate) on_conflict: OnConflict,
    /// Leave bad rows out and write their text here, instead of stopping at the first
    #[arg(long, value_name = "FILE")]
    pub(crate) rejects: Option<PathBuf>,
    /// Begin at the start although an earlier load of this file was broken off
    #[arg(long)]
    pub(crate) restart: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Print what was done as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Dump {
    /// The entity: `User` or `shop.v1.User`
    pub(crate) entity: String,
    /// A new file [default: standard output]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) schema: SchemaOption,
    /// How to write it [default: by the file's extension, else ndjson]
    #[arg(long, value_enum)]
    pub(crate) format: Option<FileFormat>,
    /// Only rows that match, in the list language: `city = "Oslo"`
    #[arg(long, default_value = "")]
    pub(crate) filter: String,
    /// Soft-deleted rows too
    #[arg(long)]
    pub(crate) show_deleted: bool,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Backup {
    /// A new file
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Config {
    #[command(flatten)]
    pub(crate) settings: SettingArgs,
    /// Print as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "\\t" | "tab" => Ok(b'\t'),
        _ => match text.as_bytes() {
            [byte] if byte.is_ascii() && !b"\"\r\n".contains(byte) => Ok(*byte),
            _ => Err("must be one character, or \\t".to_owned()),
        },
    }
}
