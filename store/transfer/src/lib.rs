//! Bulk load and export: files against an [`Engine`](rowkeep_engine::Engine).
//!
//! A load reads ahead by one batch while the batch before is being stored, so memory is two batches whatever the size
//! of the file. Where the file is up to is kept *with* the rows, in the same transaction: a load that was killed goes
//! on behind the last row that is stored, neither losing nor doubling one.

mod checkpoint;
mod dump;
mod input;
mod load;

pub use dump::{DumpError, DumpOptions, dump};
pub use input::{Format, Rejected};
pub use load::{LoadError, LoadOptions, OpenRejects, Progress, Rejects, Summary, load};
