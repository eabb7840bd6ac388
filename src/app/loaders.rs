//! The boot loaders that are installed on the server, found once at start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::boot::loader::LOADERS;

/// Loaders by their name in the boot namespace, with the file each was found at.
#[derive(Debug, Clone, Default)]
pub struct Loaders {
    found: BTreeMap<String, PathBuf>,
    /// The names of all that were found, for the boot decision.
    pub(super) names: Arc<BTreeSet<String>>,
}

impl Loaders {
    /// Looks for every loader of the table: first in `own` (a site's own builds, by name), then where the
    /// distribution's packages put it.
    pub fn find(own: &Path) -> Self {
        let place = |name: &str, paths: &[&str]| {
            std::iter::once(own.join(name)).chain(paths.iter().map(PathBuf::from)).find(|path| path.is_file())
        };
        let found = LOADERS.iter().filter_map(|loader| {
            let path = place(loader.name, loader.paths)?;
            Some((loader.name.to_owned(), path))
        });
        let found: BTreeMap<String, PathBuf> = found.collect();
        let names = Arc::new(found.keys().cloned().collect());
        Loaders { found, names }
    }

    pub fn contains(&self, name: &str) -> bool {
        self.found.contains_key(name)
    }

    /// Names and places of what was found.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.found.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }

    /// Opens a loader.
    ///
    /// # Errors
    /// It was not found at start, or has gone since.
    pub fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.found.get(name).ok_or(io::ErrorKind::NotFound)?)
    }
}
