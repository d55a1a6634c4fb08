//! The rows of the benchmarks' table, the same for Rowkeep and for PocketBase (`peers/pocketbase/main.go`).

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

/// Rows with the same category: 40 of 100,000.
pub(crate) const CATEGORIES: u64 = 2_500;

const DESCRIPTION: &str = "Plain words to bring the row to two hundred bytes, as in a shop: sturdy, blue, washable, two years old, used with.";

/// A row's columns without its id, by name.
pub(crate) fn columns(id: u64) -> [(&'static str, String); 9] {
    [
        ("name", format!("Item number {id:08}")),
        ("email", format!("owner{id:08}@example.com")),
        ("category", (id % CATEGORIES).to_string()),
        ("city", format!("City {:04}", id % 1_000)),
        ("price", format!("{}.25", id % 10_000)),
        ("stock", (id % 500).to_string()),
        ("active", (id % 2 == 1).to_string()),
        ("created_at", "2026-01-02T03:04:05Z".to_owned()),
        ("description", DESCRIPTION.to_owned()),
    ]
}

/// Rows 1 to `rows` with a header line.
pub(crate) fn write_csv(path: &Path, rows: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let header: Vec<_> = columns(0).into_iter().map(|(name, _)| name).collect();
    writeln!(file, "id,{}", header.join(","))?;
    for id in 1..=rows {
        let values = columns(id).map(|(_, value)| if value.contains(',') { format!("\"{value}\"") } else { value });
        writeln!(file, "{id},{}", values.join(","))?;
    }
    file.flush()
}

/// A row as the body of a create, without id.
pub(crate) fn json(id: u64) -> String {
    let fields = columns(id).map(|(name, value)| match name {
        "category" | "price" | "stock" | "active" => format!("\"{name}\":{value}"),
        _ => format!("\"{name}\":\"{value}\""),
    });
    format!("{{{}}}", fields.join(","))
}

/// Ids in `1..=rows` in an order without pattern, the same every time.
pub(crate) fn scattered_ids(rows: u64, count: usize) -> Vec<u64> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % rows + 1
    };
    (0..count).map(|_| next()).collect()
}
