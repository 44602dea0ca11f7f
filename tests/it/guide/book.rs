//! The code blocks of a page.

use std::fs;
use std::path::Path;

/// A fenced block.
pub(super) struct Block {
    /// What its fence says first: `rust`, `console`.
    pub(super) language: String,
    /// What it says after that: `no_run`, `background`.
    pub(super) options: Vec<String>,
    pub(super) text: String,
    /// Where it begins, for people.
    pub(super) place: String,
}

impl Block {
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|known| known == option)
    }
}

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The text of a page, by its path in the repository.
pub(super) fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub(super) fn blocks(path: &str) -> Vec<Block> {
    let (mut blocks, mut open) = (Vec::new(), None::<Block>);
    for (index, line) in page(path).lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(fence), None) => {
                let mut words = fence.split(',').map(|word| word.trim().to_owned());
                let (language, place) = (words.next().unwrap_or_default(), format!("{path}:{}", index + 1));
                open = Some(Block { language, options: words.collect(), text: String::new(), place });
            }
            (None, Some(mut block)) => {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{path}: a block is not closed");
    blocks
}

/// The pages of the guide, in the order in which they are read.
pub(super) fn chapters() -> Vec<String> {
    let contents = page("docs/guide/README.md");
    let links = contents.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: "));
    links.map(|(_, page)| format!("docs/guide/{page}")).collect()
}
