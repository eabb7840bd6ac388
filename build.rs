//! Makes a build notice files that are new, for the macro that embeds it sees changed files only, and lists
//! the modules of the program, so that a filter of the log can be checked against them. It lists the files of
//! the web console too, which are there after `make console`.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs, io};

/// Deepest folder of modules that is looked into.
const DEPTH_MAX: usize = 8;
/// Where the console is made, and the page without which there is none.
const CONSOLE: &str = "console/dist";
const CONSOLE_PAGE: &str = "index.html";
/// Most files of the console.
const CONSOLE_FILES_MAX: usize = 1000;

fn main() -> io::Result<()> {
    for folder in ["bootenvs", "client_classes", "migrations", "templates", "workflows", "src"] {
        println!("cargo::rerun-if-changed={folder}");
    }
    let mut modules = Vec::new();
    list(Path::new("src"), "", &mut modules, DEPTH_MAX)?;
    modules.sort();
    modules.dedup();
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("OUT_DIR is not set"))?;
    put(&Path::new(&out).join("modules.txt"), &modules.join("\n"))?;
    watch_console()?;
    put(&Path::new(&out).join("console_files.rs"), &console_files()?)
}

/// Writes a file. One that stays as it is does not have the crate built again.
fn put(path: &Path, text: &str) -> io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) { Ok(()) } else { fs::write(path, text) }
}

/// Has the console noticed when it is made. A folder that is absent would be looked for in each build, which
/// would compile everything each time; so it is made, and looks as if it had always been there.
fn watch_console() -> io::Result<()> {
    let folder = Path::new(CONSOLE);
    if !folder.exists() && fs::create_dir(folder).is_ok() {
        fs::File::open(folder)?.set_modified(SystemTime::UNIX_EPOCH)?;
    }
    if folder.exists() {
        println!("cargo::rerun-if-changed={CONSOLE}");
    }
    Ok(())
}

/// The files of the console as Rust: those of a program without it are none.
fn console_files() -> io::Result<String> {
    let folder = env::current_dir()?.join(CONSOLE);
    let mut paths = Vec::new();
    if folder.join(CONSOLE_PAGE).is_file() {
        files(&folder, &mut paths, DEPTH_MAX)?;
    }
    paths.sort();
    let mut code = "/// What `make console` made.\nstatic CONSOLE_FILES: &[ConsoleFile] = &[\n".to_owned();
    for path in paths.iter().filter(|path| path.extension().is_none_or(|end| end != "gz")) {
        let name = path.strip_prefix(&folder).map_err(io::Error::other)?;
        let packed = PathBuf::from(format!("{}.gz", path.display()));
        let gzip = match paths.binary_search(&packed) {
            Ok(_) => format!("Some(include_bytes!({packed:?}))"),
            Err(_) => "None".to_owned(),
        };
        writeln!(
            code,
            "    ConsoleFile {{ path: {name:?}, bytes: include_bytes!({path:?}), gzip: {gzip} }},"
        )
        .map_err(io::Error::other)?;
    }
    Ok(code + "];\n")
}

/// Adds the files in a folder.
fn files(folder: &Path, paths: &mut Vec<PathBuf>, depth: usize) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            files(&path, paths, depth - 1)?;
        } else if path.is_file() && paths.len() < CONSOLE_FILES_MAX {
            paths.push(path);
        }
    }
    Ok(())
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
