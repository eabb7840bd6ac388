//! Every program and system file that tests and benchmarks name comes from a package in `scripts/packages`,
//! so that `make deps` on a clean Debian installs everything.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The text before the name of a program that is run: everywhere, and in the tests' own helpers.
const RUNS: [&str; 1] = ["Command::new(\""];
const TEST_RUNS: [&str; 3] = ["Command::new(\"", "run(\"", "tool(\""];
/// The beginning of the path of a package's file.
const FILES: [&str; 4] = ["\"/usr/", "\"/bin/", "\"/sbin/", "\"/opt/"];
fn sources(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    let mut found = Vec::new();
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// The words of `text` that follow `opening`, up to the closing quote.
fn quoted<'a>(text: &'a str, opening: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(opening).skip(1).filter_map(|rest| rest.split_once('"').map(|(word, _)| word))
}

fn is_program(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "._+-/".contains(c))
}

/// Programs that the program and its tests run.
fn programs_run() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (folder, openings) in [("src", &RUNS[..]), ("benches", &RUNS), ("tests/it", &TEST_RUNS)] {
        for path in sources(folder) {
            let text = fs::read_to_string(&path).unwrap();
            let named = openings.iter().flat_map(|opening| quoted(&text, opening));
            found.extend(named.filter(|word| is_program(word)).map(str::to_owned));
        }
    }
    found
}

fn files_used() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for path in ["tests/it", "benches"].into_iter().flat_map(sources) {
        if path.ends_with("packages.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for opening in FILES {
            found.extend(quoted(&text, opening).map(|rest| format!("{}{rest}", &opening[1..])));
        }
    }
    found.retain(|path| is_program(path) && path.matches('/').count() > 1);
    found
}

/// The uses of all packages, as in the table.
fn uses() -> BTreeSet<String> {
    let table = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/packages")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let mut uses = BTreeSet::new();
    for row in rows {
        let words: Vec<&str> = row.split_whitespace().collect();
        assert!(words.len() >= 3, "a purpose, a package and what is used of it: {row}");
        uses.extend(words[2..].iter().map(|word| (*word).to_owned()));
    }
    uses
}

#[test]
fn every_program_and_file_that_tests_use_is_of_a_package_that_is_installed_for_them() {
    let uses = uses();
    let is_in_a_folder =
        |path: &str| Path::new(path).ancestors().any(|folder| uses.contains(folder.to_str().unwrap()));
    let is_known = |word: &String| uses.contains(word) || (word.starts_with('/') && is_in_a_folder(word));
    let (programs, files) = (programs_run(), files_used());
    assert!(programs.len() > 20 && files.len() > 10, "{programs:?} {files:?}");
    let unknown: Vec<&String> = programs.union(&files).filter(|word| !is_known(word)).collect();
    assert!(unknown.is_empty(), "in no row of scripts/packages: {unknown:?}");
}
