//! SQL databases behind the engine's ports: statements, tables, migrations, and the embedded SQLite store.
//!
//! What does not depend on the database (which tables a schema asks for, the statements of an entity, filters as
//! conditions, plans) is apart from what does (connections, transactions, the catalogue), which is in one module per
//! database.

mod ddl;
mod dialect;
mod filter_sql;
mod migrate;
pub mod mysql;
pub mod sqlite;
mod statements;
#[cfg(test)]
mod testing;

pub use migrate::{Allow, Drift, Need, Plan, Preview, Step};
