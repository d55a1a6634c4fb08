//! The texts a schema was read from, and places in them.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::diagnostics::Place;

/// Texts by import path.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    texts: BTreeMap<String, Source>,
}

#[derive(Debug)]
struct Source {
    /// Path as the user knows it.
    shown: String,
    text: String,
}

impl Sources {
    pub(crate) fn add(&mut self, name: &str, shown: String, text: String) {
        self.texts.insert(name.to_owned(), Source { shown, text });
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.texts.get(name).map(|source| source.text.as_str())
    }

    /// The path to show for an import path.
    pub(crate) fn shown<'a>(&'a self, name: &'a str) -> &'a str {
        self.texts.get(name).map_or(name, |source| source.shown.as_str())
    }

    /// The place of a byte range; a range of several lines ends with the first.
    pub(crate) fn place(&self, name: &str, range: Range<usize>) -> Option<Place> {
        let source = self.texts.get(name)?;
        let start = floor(&source.text, range.start);
        let line_start = source.text[..start].rfind('\n').map_or(0, |i| i + 1);
        let line_end = source.text[start..].find('\n').map_or(source.text.len(), |i| start + i);
        let end = floor(&source.text, range.end).clamp(start, line_end);
        let text = source.text[line_start..line_end].trim_end();
        let length = source.text[start..end].trim_end().chars().count().max(1);
        Some(Place {
            file: source.shown.clone(),
            line: count(source.text[..start].matches('\n').count() + 1),
            column: count(source.text[line_start..start].chars().count() + 1),
            length: count(length),
            text: text.to_owned(),
        })
    }

    /// Byte range of a `source_code_info` span: lines and byte columns from 0, the end line left out if it is the first.
    pub(crate) fn range(&self, name: &str, span: &[i32]) -> Option<Range<usize>> {
        let text = self.text(name)?;
        let (start, end) = match *span {
            [line, start, end] => ((line, start), (line, end)),
            [line, start, end_line, end] => ((line, start), (end_line, end)),
            _ => return None,
        };
        let start = offset(text, start)?;
        Some(start..offset(text, end)?.max(start))
    }
}

fn offset(text: &str, (line, column): (i32, i32)) -> Option<usize> {
    let line = usize::try_from(line).ok()?;
    let start = match line.checked_sub(1) {
        None => 0,
        Some(nth) => text.match_indices('\n').nth(nth)?.0 + 1,
    };
    Some(floor(text, start + usize::try_from(column).ok()?))
}

/// The nearest character boundary at or before a byte.
fn floor(text: &str, mut index: usize) -> usize {
    index = index.min(text.len());
    while !text.is_char_boundary(index) {
        index -= 1;
    }
    index
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_characters_and_stay_on_one_line() {
        let mut sources = Sources::default();
        sources.add("a.proto", "dir/a.proto".into(), "eins\nzwö drei\nvier".into());
        let range = sources.range("a.proto", &[1, 5, 2, 2]).unwrap();
        let place = sources.place("a.proto", range).unwrap();
        assert_eq!((place.line, place.column, place.length), (2, 5, 4));
        assert_eq!((place.file.as_str(), place.text.as_str()), ("dir/a.proto", "zwö drei"));
    }

    #[test]
    fn a_range_behind_the_end_is_the_end() {
        let mut sources = Sources::default();
        sources.add("a.proto", "a.proto".into(), "x".into());
        assert_eq!(sources.place("a.proto", 100..200).unwrap().column, 2);
    }
}
