//! What the package must contain, and how its migrations and decision records are named.

use std::fs;
use std::path::{Path, PathBuf};

use super::Fault;

const REQUIRED: &[&str] =
    &["LICENSE", "CONTRIBUTING.md", "Makefile", "deny.toml", ".ci/run", "docs/testing.md"];
const REQUIRED_WITH_SERVER: &[&str] = &["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "openapi.yaml"];

pub fn faults() -> Vec<Fault> {
    let mut faults = Vec::new();
    let with_server = if path("src/server.rs").exists() { REQUIRED_WITH_SERVER } else { &[] };
    for name in REQUIRED.iter().chain(with_server) {
        if !path(name).is_file() {
            faults.push(Fault::new("tree", *name, "is not there"));
        }
    }
    faults.extend(migration_faults());
    faults
}

/// Both databases have the same migrations: same numbers, same names, no gaps.
fn migration_faults() -> Vec<Fault> {
    let mut faults = Vec::new();
    let sqlite = names_in("migrations/sqlite");
    for (index, name) in sqlite.iter().enumerate() {
        if !name.starts_with(&format!("{:04}_", index + 1)) {
            let why = format!("is number {} of its folder, which its name does not say", index + 1);
            faults.push(Fault::new("migrations", format!("migrations/sqlite/{name}"), why));
        }
    }
    if path("migrations/postgres").is_dir() && names_in("migrations/postgres") != sqlite {
        faults.push(Fault::new("migrations", "migrations", "the two databases have different migrations"));
    }
    faults
}

fn names_in(folder: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path(folder)) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
