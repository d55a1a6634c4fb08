//! The fenced blocks of a Markdown page.

/// A fenced block.
pub(crate) struct Block {
    /// Path of the page.
    pub(crate) page: String,
    /// Line of its first line of text, from 1.
    pub(crate) line: usize,
    /// First word behind the fence.
    pub(crate) language: String,
    /// `file=NAME` behind the language.
    pub(crate) save_as: Option<String>,
    /// `mistake` behind the language: what is shown is wrong.
    pub(crate) is_mistake: bool,
    /// What is between the fences, without the indentation of the fence.
    pub(crate) text: String,
}

impl Block {
    /// A message about a line of the block, counted from 0.
    pub(crate) fn problem(&self, line: usize, what: &str) -> String {
        format!("{}:{}: {what}", self.page, self.line + line)
    }
}

/// All fenced blocks, in order.
pub(crate) fn of(page: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        let Some((indent, fence, info)) = opening(line) else { continue };
        let mut words = info.split_whitespace();
        let mut block = Block {
            page: page.to_owned(),
            line: number + 1,
            language: words.next().unwrap_or_default().to_owned(),
            save_as: None,
            is_mistake: false,
            text: String::new(),
        };
        for word in words {
            match word.split_once('=') {
                Some(("file", name)) => block.save_as = Some(name.to_owned()),
                _ => block.is_mistake |= word == "mistake",
            }
        }
        for (line, _) in lines.by_ref().take_while(|(line, _)| line.trim() != fence) {
            block.text.push_str(line.get(indent..).unwrap_or_default());
            block.text.push('\n');
        }
        blocks.push(block);
    }
    blocks
}

/// Indentation, fence and what is behind it, if the line opens a block.
fn opening(line: &str) -> Option<(usize, &str, &str)> {
    let rest = line.trim_start();
    let length = rest.len() - rest.trim_start_matches('`').len();
    (length >= 3).then(|| (line.len() - rest.len(), &rest[..length], &rest[length..]))
}

#[test]
fn blocks_are_found_with_their_places() {
    let page = "text\n```console\n$ ls\n```\n  ````proto file=a.proto mistake\n  ```\n   x\n  ````\n";
    let found = of("p.md", page);
    assert_eq!(found.len(), 2);
    assert_eq!((found[0].line, found[0].language.as_str(), found[0].text.as_str()), (3, "console", "$ ls\n"));
    assert_eq!((found[1].line, found[1].text.as_str(), found[1].is_mistake), (6, "```\n x\n", true));
    assert_eq!(found[1].save_as.as_deref(), Some("a.proto"));
}
