//! Field masks: what a read shows and what an update writes.
//!
//! A path is a chain of field names, proto or JSON, joined by dots: `name`, `ship_to.city`. Where several paths of a
//! mask lie in each other, the outer one says it all. All mistakes of a mask are answered at once.
//!
//! ## Reads
//! Paths go through message fields, and also through collections: `lines.sku` and `lines.*.sku` are that field of every
//! item, `prices.*.amount` that of every value of a map (without the star, a name behind a map would look like a key).
//! `*` alone, and `ship_to.*`, stand for everything. Secret fields are refused.
//!
//! ## Updates
//! A path below a column names a part of a message that is stored as JSON. It cannot go through a repeated field or a map
//! (AIP-161), nor into what is one value in JSON: times, wrappers, Struct and its kin. `*` stands for every column, alone.

mod merge;
mod read;
mod update;

pub use read::ReadMask;
pub use update::{NestedPath, UpdateMask};

use kit_core::{Error, FieldViolation};

use crate::fault::{did_you_mean, shortened};
use crate::table::Message;

/// Messages inside each other that a path may go through: as many as JSON has, of which a mask may be derived.
const MAX_STEPS: usize = crate::json::text::MAX_DEPTH as usize;

/// Mistakes that are answered; a mask may be made of nothing else.
const MAX_VIOLATIONS: usize = 100;

/// What is wrong with the paths of one mask.
struct Mistakes {
    mask: &'static str,
    found: Vec<FieldViolation>,
}

impl Mistakes {
    const fn of(mask: &'static str) -> Self {
        Self { mask, found: Vec::new() }
    }

    fn add(&mut self, path: &str, reason: &'static str, what: &str) {
        if self.found.len() < MAX_VIOLATIONS {
            let description = format!("`{}` {what}", shortened(path));
            self.found.push(FieldViolation { field: self.mask.to_owned(), description, reason });
        }
    }

    fn none_or_error(self) -> Result<(), Error> {
        if self.found.is_empty() { Ok(()) } else { Err(Error::invalid(self.found)) }
    }
}

/// Why a path is refused: the reason, and what stands behind the path.
type Refusal = (&'static str, String);

/// The place of a field by one segment of a path.
fn place(table: &Message, name: &str) -> Result<usize, Refusal> {
    table.place_by_name(name, usize::MAX).ok_or_else(|| {
        let shown = table.fields.iter().filter(|field| !field.secret);
        let hint = did_you_mean(name, shown.map(|field| &*field.name));
        let what = if name.is_empty() {
            "has an empty name in it".to_owned()
        } else {
            format!("names no field: {} has no `{}`{hint}", table.full_name, shortened(name))
        };
        ("UNKNOWN_FIELD", what)
    })
}

fn too_deep() -> Refusal {
    ("TOO_DEEP", format!("goes through more than {MAX_STEPS} messages"))
}
