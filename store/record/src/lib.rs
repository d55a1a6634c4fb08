//! Row codecs and the list language.
//!
//! A row is protobuf wire bytes from the database driver to the client. The codecs here are compiled once per entity
//! from the checked schema and translate between wire bytes, stored [`Value`]s, JSON, XML and CSV without a message tree.

mod frame;
pub mod query;
mod value;

pub use frame::{PREFIX, Record};
pub use value::{Key, Value, ValueRef};
