//! The plural of an English word.

/// The plural of the last word of a name: `id` -> `ids`, `category` -> `categories`, `OrderBox` -> `OrderBoxes`.
pub(crate) fn plural(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| lower.ends_with(suffix));
    if ends(&["s", "x", "z", "ch", "sh"]) {
        return format!("{name}es");
    }
    if ends(&["y"]) && !ends(&["ay", "ey", "iy", "oy", "uy"]) {
        return format!("{}ies", &name[..name.len() - 1]);
    }
    format!("{name}s")
}
