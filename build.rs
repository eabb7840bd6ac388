//! Makes a build notice files that are new, for the macro that embeds it sees changed files only, and lists
//! the modules of the program, so that a filter of the log can be checked against them.

use std::path::Path;
use std::{env, fs, io};

/// Deepest folder of modules that is looked into.
const DEPTH_MAX: usize = 8;

fn main() -> io::Result<()> {
    for folder in ["bootenvs", "client_classes", "migrations", "templates", "workflows", "src"] {
        println!("cargo::rerun-if-changed={folder}");
    }
    let mut modules = Vec::new();
    list(Path::new("src"), "", &mut modules, DEPTH_MAX)?;
    modules.sort();
    modules.dedup();
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    let (path, text) = (Path::new(&out).join("modules.txt"), modules.join("\n"));
    // A list that stays as it is does not have the crate built again.
    if fs::read_to_string(&path).is_ok_and(|before| before == text) { Ok(()) } else { fs::write(path, text) }
}

/// Adds the modules in a folder, as paths below the crate: `dhcp::service`.
fn list(folder: &Path, above: &str, modules: &mut Vec<String>, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let module = if above.is_empty() { stem.to_owned() } else { format!("{above}::{stem}") };
        if path.is_dir() && depth > 0 {
            list(&path, &module, modules, depth - 1)?;
            modules.push(module);
        } else if path.extension().is_some_and(|end| end == "rs") && !["mod", "lib", "main"].contains(&stem) {
            modules.push(module);
        }
    }
    Ok(())
}
