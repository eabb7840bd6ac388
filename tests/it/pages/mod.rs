//! The documents: each command that they show is one that the program has, and most are run; each page is
//! in the index; each link leads somewhere. Start at [`commands::of_all_pages`].

mod commands;
mod index;
mod run;
mod settings;
mod templates;

use std::fs;
use std::path::{Path, PathBuf};

/// A page of the documents.
struct DocsPage {
    /// Its path from the root of the repository.
    path: String,
    text: String,
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The pages at the root and all below `docs/`, by path.
fn pages() -> Vec<DocsPage> {
    let mut found: Vec<PathBuf> =
        ["README.md", "CONTRIBUTING.md", "ARCHITECTURE.md"].map(|name| root().join(name)).into();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of documents") {
            let path = entry.expect("an entry").path();
            match path.is_dir() {
                true => folders.push(path),
                false if path.extension().is_some_and(|extension| extension == "md") => found.push(path),
                false => {}
            }
        }
    }
    let mut pages: Vec<DocsPage> = found.iter().map(|path| read(path)).collect();
    pages.sort_by(|one, other| one.path.cmp(&other.path));
    pages
}

fn read(path: &Path) -> DocsPage {
    let text = fs::read_to_string(path).expect("a page");
    let path = path.strip_prefix(root()).expect("a path in the repository");
    DocsPage { path: path.to_str().expect("a path in UTF-8").to_owned(), text }
}

/// What is code in a page's own text, beside its blocks.
#[derive(Debug)]
struct CodeBlock {
    /// The number of its first line.
    line: usize,
    lines: Vec<String>,
}

/// The blocks of code of a page: lines that are indented by four spaces, or stand between fences. What is
/// left is its text, where the lines of blocks are empty.
fn split(text: &str) -> (Vec<CodeBlock>, Vec<String>) {
    let (mut blocks, mut rest) = (Vec::<CodeBlock>::new(), Vec::new());
    let (mut is_fenced, mut is_open) = (false, false);
    for (line, number) in text.lines().zip(1..) {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
            is_open = false;
            rest.push(String::new());
            continue;
        }
        let code = if is_fenced { Some(line) } else { line.strip_prefix("    ") };
        // An empty line does not end a block that goes on below it.
        let code = code.or_else(|| line.is_empty().then_some("").filter(|_| is_open));
        let Some(code) = code else {
            is_open = false;
            rest.push(line.to_owned());
            continue;
        };
        rest.push(String::new());
        if !is_open {
            blocks.push(CodeBlock { line: number, lines: Vec::new() });
        }
        is_open = true;
        blocks.last_mut().expect("an open block").lines.push(code.to_owned());
    }
    (blocks, rest)
}
