//! A pack as a folder of this host.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::{
    DEPTH_MAX, FAULTS_MAX, FILE_BYTES_MAX, FILES_MAX, FileFault, MANIFEST, PackFile, TESTS, accept,
    fault_of_all, path_faults,
};
use crate::model::Problem;

/// The files of a pack in a folder, without its tests and without what begins with a dot.
///
/// # Errors
/// Every fault, each with the path of its file: links, files that cannot be read or exceed a bound.
pub fn read_folder(root: &Path) -> Result<Vec<PackFile>, Vec<FileFault>> {
    if !root.join(MANIFEST).is_file() {
        return Err(fault_of_all(format!("{} has no {MANIFEST}: name the folder of a pack", root.display())));
    }
    accept(walk(root, |path| !path.starts_with('.') && !format!("{path}/").starts_with(TESTS))?)
}

/// The files of a pack's tests, by their paths below the folder `tests`.
///
/// # Errors
/// As [`read_folder`].
pub fn read_tests(root: &Path) -> Result<Vec<PackFile>, Vec<FileFault>> {
    let folder = root.join(TESTS);
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    walk(&folder, |path| !path.starts_with('.'))
}

/// Every file below a folder for whose path, and for those of whose folders, `is_wanted`.
fn walk(root: &Path, is_wanted: fn(&str) -> bool) -> Result<Vec<PackFile>, Vec<FileFault>> {
    let (mut files, mut faults) = (Vec::new(), Vec::new());
    let mut open: Vec<(PathBuf, String)> = vec![(root.to_owned(), String::new())];
    // Each folder is visited once; links are not followed, and the depth is bounded.
    while let Some((folder, prefix)) = open.pop() {
        let listed = fs::read_dir(&folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let entries = listed.map_err(|error| unreadable(&prefix, &error))?;
        for entry in entries {
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            if !is_wanted(&path) {
                continue;
            }
            let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
            if kind.is_dir() && path.split('/').count() <= DEPTH_MAX {
                open.push((entry.path(), format!("{path}/")));
            } else if kind.is_file() {
                files.push(read_file(&entry.path(), path)?);
            } else {
                let what =
                    if kind.is_dir() { "too many folders deep" } else { "a pack has plain files only" };
                faults.push((path, Problem::new("", what)));
            }
            if files.len() > FILES_MAX || faults.len() >= FAULTS_MAX {
                let what = format!("{} has more than {FILES_MAX} files", root.display());
                return Err(if faults.is_empty() { fault_of_all(what) } else { faults });
            }
        }
    }
    if faults.is_empty() { Ok(files) } else { Err(faults) }
}

fn unreadable(path: &str, error: &io::Error) -> Vec<FileFault> {
    vec![(path.to_owned(), Problem::new("", format!("cannot be read: {error}")))]
}

fn read_file(place: &Path, path: String) -> Result<PackFile, Vec<FileFault>> {
    let mut body = Vec::new();
    let read = File::open(place).and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut body));
    read.map_err(|error| unreadable(&path, &error))?;
    Ok(PackFile { path, body })
}

/// Writes the files into a folder that is not there yet, or is empty.
///
/// # Errors
/// The folder has something in it, a path leaves it, or the disk refuses.
pub fn write_folder(root: &Path, files: &[PackFile]) -> io::Result<()> {
    fs::create_dir_all(root)?;
    if fs::read_dir(root)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty"));
    }
    for file in files {
        if let Some(fault) = path_faults(&file.path).into_iter().next() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, fault.to_string()));
        }
        let place = root.join(&file.path);
        place.parent().map_or(Ok(()), fs::create_dir_all)?;
        File::create_new(&place)?.write_all(&file.body)?;
    }
    Ok(())
}
