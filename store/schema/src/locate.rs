//! Where in the text an element or one of its options stands.
//!
//! The compiler records a span for each statement. An option written as one aggregate (`(rowkeep.v1.column) = { … }`)
//! has only one span, so the name and the value in question are looked for inside it.

use std::collections::HashMap;
use std::ops::Range;

use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor, ServiceDescriptor,
};

use crate::diagnostics::Place;
use crate::model::Location;
use crate::sources::Sources;

/// Field numbers of `descriptor.proto` that paths are made of.
mod tag {
    pub(super) const NAME: i32 = 1;
    pub(super) const MESSAGE_OPTIONS: i32 = 7;
    pub(super) const FIELD_OPTIONS: i32 = 8;
    pub(super) const FILE_PACKAGE: i32 = 2;
}

/// Something declared in a file.
#[derive(Debug, Clone)]
pub(crate) struct Element {
    file: String,
    path: Vec<i32>,
    options: i32,
}

impl From<&MessageDescriptor> for Element {
    fn from(message: &MessageDescriptor) -> Self {
        let file = message.parent_file().name().to_owned();
        Self { file, path: message.path().to_vec(), options: tag::MESSAGE_OPTIONS }
    }
}

impl From<&FieldDescriptor> for Element {
    fn from(field: &FieldDescriptor) -> Self {
        let file = field.parent_file().name().to_owned();
        Self { file, path: field.path().to_vec(), options: tag::FIELD_OPTIONS }
    }
}

impl From<&EnumDescriptor> for Element {
    fn from(enumeration: &EnumDescriptor) -> Self {
        let file = enumeration.parent_file().name().to_owned();
        Self { file, path: enumeration.path().to_vec(), options: 3 }
    }
}

/// One option of an element: the number of its extension, and the names and numbers below it.
#[derive(Debug, Clone)]
pub(crate) struct OptionPath {
    pub(crate) extension: u32,
    pub(crate) steps: Vec<(String, u32)>,
}

/// Spans and comments of all files with a text.
#[derive(Debug)]
pub(crate) struct Locator<'a> {
    sources: &'a Sources,
    files: HashMap<String, HashMap<Vec<i32>, Span>>,
}

#[derive(Debug)]
struct Span {
    /// Several statements may set parts of one option.
    ranges: Vec<Vec<i32>>,
    comment: String,
}

impl<'a> Locator<'a> {
    pub(crate) fn new(sources: &'a Sources, pool: &DescriptorPool) -> Self {
        let known = pool.files().filter(|file| sources.text(file.name()).is_some());
        let files = known.map(|file| (file.name().to_owned(), spans(&file))).collect();
        Self { sources, files }
    }

    /// The name of the element.
    pub(crate) fn name(&self, element: &Element) -> Option<Place> {
        let mut path = element.path.clone();
        path.push(tag::NAME);
        self.place(&element.file, self.range(&element.file, &path)?)
    }

    /// The element's name as a model location.
    pub(crate) fn location(&self, element: &Element) -> Location {
        let file = self.sources.shown(&element.file).to_owned();
        match self.name(element) {
            Some(place) => Location { file, line: place.line, column: place.column },
            None => Location { file, ..Location::default() },
        }
    }

    /// The text above the element, or behind it on its line.
    pub(crate) fn comment(&self, element: &Element) -> String {
        let span = self.files.get(&element.file).and_then(|spans| spans.get(&element.path));
        span.map(|span| span.comment.clone()).unwrap_or_default()
    }

    /// The `package` statement of a file.
    pub(crate) fn package(&self, file: &str) -> Option<Place> {
        self.place(file, self.range(file, &[tag::FILE_PACKAGE])?)
    }

    /// The name of a service.
    pub(crate) fn service(&self, service: &ServiceDescriptor) -> Option<Place> {
        let file = service.parent_file().name().to_owned();
        self.name(&Element { file, path: service.path().to_vec(), options: 3 })
    }

    /// `needle` inside an option, else the option's name, else the element's.
    pub(crate) fn option(&self, element: &Element, option: &OptionPath, needle: &str) -> Option<Place> {
        let range = self.option_range(element, option, needle);
        range.and_then(|range| self.place(&element.file, range)).or_else(|| self.name(element))
    }

    fn option_range(&self, element: &Element, option: &OptionPath, needle: &str) -> Option<Range<usize>> {
        let text = self.sources.text(&element.file)?;
        let mut path = element.path.clone();
        path.extend([element.options, i32::try_from(option.extension).ok()?]);
        let base = path.len();
        path.extend(option.steps.iter().map(|(_, number)| i32::try_from(*number).unwrap_or(0)));
        // The longest recorded path wins; what it leaves open is looked for in its text.
        while path.len() >= base {
            for range in self.ranges(&element.file, &path) {
                let rest = &option.steps[path.len() - base..];
                if let Some(found) = find(text, range, rest, needle) {
                    return Some(found);
                }
            }
            path.pop();
        }
        None
    }

    fn ranges(&self, file: &str, path: &[i32]) -> Vec<Range<usize>> {
        let span = self.files.get(file).and_then(|spans| spans.get(path));
        let ranges = span.map(|span| span.ranges.as_slice()).unwrap_or_default();
        ranges.iter().filter_map(|range| self.sources.range(file, range)).collect()
    }

    fn range(&self, file: &str, path: &[i32]) -> Option<Range<usize>> {
        self.ranges(file, path).into_iter().next()
    }

    fn place(&self, file: &str, range: Range<usize>) -> Option<Place> {
        self.sources.place(file, range)
    }
}

/// Comments of a file by path, read from its descriptor alone.
pub(crate) fn comments(file: &FileDescriptor) -> HashMap<Vec<i32>, String> {
    spans(file).into_iter().map(|(path, span)| (path, span.comment)).collect()
}

fn spans(file: &FileDescriptor) -> HashMap<Vec<i32>, Span> {
    let mut spans: HashMap<Vec<i32>, Span> = HashMap::new();
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    for location in info.map(|info| info.location.as_slice()).unwrap_or_default() {
        let span =
            spans.entry(location.path.clone()).or_insert_with(|| Span { ranges: Vec::new(), comment: String::new() });
        span.ranges.push(location.span.clone());
        if span.comment.is_empty() {
            span.comment = comment(location.leading_comments(), location.trailing_comments());
        }
    }
    spans
}

fn comment(leading: &str, trailing: &str) -> String {
    let text = if leading.trim().is_empty() { trailing } else { leading };
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end()).collect();
    lines.join("\n").trim().to_owned()
}

/// Follows the names of `steps` into the text of an aggregate, and then to `needle`.
fn find(text: &str, range: Range<usize>, steps: &[(String, u32)], needle: &str) -> Option<Range<usize>> {
    let mut range = range;
    let mut found = range.clone();
    for (name, _) in steps {
        found = word(text, &range, name)?;
        range = found.end..range.end;
    }
    if needle.is_empty() {
        return Some(found);
    }
    Some(word(text, &range, needle).unwrap_or(found))
}

/// The first place where `needle` stands as a whole word.
fn word(text: &str, range: &Range<usize>, needle: &str) -> Option<Range<usize>> {
    let area = text.get(range.clone())?;
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    area.match_indices(needle).map(|(i, _)| i).find_map(|i| {
        let before = area[..i].chars().next_back();
        let after = area[i + needle.len()..].chars().next();
        let joined_before = needle.starts_with(is_word) && before.is_some_and(is_word);
        let joined_after = needle.ends_with(is_word) && after.is_some_and(is_word);
        (!joined_before && !joined_after).then(|| range.start + i..range.start + i + needle.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_inside_an_aggregate_is_found_as_a_word() {
        let text = "(c) = { max_length: 3 max: \"9\" }";
        let max = vec![("max".to_owned(), 13)];
        assert_eq!(&text[find(text, 0..text.len(), &max, "").unwrap()], "max");
        assert_eq!(find(text, 0..text.len(), &max, "9").unwrap(), 28..29);
        assert_eq!(find(text, 0..text.len(), &[("min".to_owned(), 12)], ""), None);
    }
}
