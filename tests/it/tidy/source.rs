//! A Rust file as the rules see it: its lines, and its code with comments, literals and test modules
//! blanked out.

use std::fs;
use std::path::Path;

use super::scan;

pub struct Source {
    /// Relative to the package, with `/`.
    pub path: String,
    pub text: String,
    /// `text` with comments and the insides of literals replaced by spaces; the lines stay where they were.
    pub code: String,
}

impl Source {
    /// Every Rust file below `folder`, in order of path.
    pub fn all(folder: &str) -> Vec<Source> {
        let mut paths = Vec::new();
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), &mut paths);
        paths.sort();
        paths.into_iter().map(|path| Source::read(&path)).collect()
    }

    /// A source that is not in the tree, for the tests of the rules.
    #[cfg(test)]
    pub fn of(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), code: scan::blank(text) }
    }

    fn read(path: &str) -> Source {
        let full = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        Source::of(path, &fs::read_to_string(full).expect("a source file in UTF-8"))
    }

    /// The names from the crate's root: `src/dhcp/server.rs` is `dhcp::server`, `src/main.rs` is `main`.
    pub fn module(&self) -> String {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        inner.strip_suffix("/mod").unwrap_or(inner).replace('/', "::")
    }

    /// True for a file that holds nothing but tests.
    pub fn is_test(&self) -> bool {
        let stem = self.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".rs");
        self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || stem == "tests"
            || stem.ends_with("_tests")
    }

    /// The code that ships: `code` without what follows a `#[cfg(test)]` in the first column.
    pub fn shipped(&self) -> &str {
        if self.is_test() {
            return "";
        }
        // A test module that lives in a file of its own leaves one line here, and code may follow it.
        let mut rest = 0;
        while let Some(found) = self.code[rest..].find("\n#[cfg(test)]") {
            let at = rest + found;
            let after = self.code[at..].trim_start_matches(|c| c != '{' && c != ';');
            if after.starts_with('{') {
                return &self.code[..at];
            }
            rest = at + 1;
        }
        &self.code
    }
}

fn collect(folder: &Path, paths: &mut Vec<String>) {
    let root = env!("CARGO_MANIFEST_DIR");
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let inner = path.strip_prefix(root).expect("a path below the package");
            paths.push(inner.to_str().expect("a path in UTF-8").to_owned());
        }
    }
}
