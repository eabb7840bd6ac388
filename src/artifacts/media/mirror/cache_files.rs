//! The files of one mirror's cache on disk:
//!
//! ```text
//! bodies/<id>         complete files; each id belongs to exactly these bytes
//! entries/<sha256>    one per path, by its digest: the metadata of the file, and the id of its bytes
//! new/<id>            files that are arriving; deleted at the start
//! ```
//!
//! No name on disk comes from a client. Renaming an entry is the atomic switch to a new file. The time of an
//! entry is about that of its last use. An open file has a shared lock, so that the kernel tells which files
//! are being read.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};

use super::cache_index::{CacheIndex, CachedEntry, FILES_MAX};
use crate::artifacts::media::{folder, space};
use crate::model::{hex, sha256_hex};

const BODIES: &str = "bodies";
const ENTRIES: &str = "entries";
const NEW: &str = "new";
/// Largest entry that is read back, in bytes.
const ENTRY_BYTES_MAX: u64 = 16 << 10;

/// The cache of a mirror, and its directory.
#[derive(Debug)]
pub struct CacheFiles {
    root: PathBuf,
    pub index: CacheIndex,
}

impl CacheFiles {
    /// Reads the existing cache. Incomplete files are deleted.
    ///
    /// # Errors
    /// The directory cannot be created or read.
    pub fn load(root: &Path) -> io::Result<Self> {
        let new = root.join(NEW);
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        for place in [BODIES, ENTRIES, NEW] {
            folder::make(&root.join(place))?;
        }
        let mut found: Vec<(SystemTime, CachedEntry)> = Vec::new();
        for entry in fs::read_dir(root.join(ENTRIES))? {
            let place = entry?.path();
            match read_entry(root, &place) {
                Some(kept) if found.len() < FILES_MAX => found.push(kept),
                _ => fs::remove_file(place)?,
            }
        }
        found.sort_by_key(|(used, _)| *used);
        let mut cache = CacheFiles { root: root.to_owned(), index: CacheIndex::default() };
        found.into_iter().for_each(|(_, kept)| drop(cache.index.put(kept)));
        cache.sweep()?;
        Ok(cache)
    }

    /// Deletes bodies that no entry names.
    fn sweep(&self) -> io::Result<()> {
        let named: std::collections::HashSet<&str> =
            self.index.all().map(|kept| kept.body.as_str()).collect();
        for entry in fs::read_dir(self.root.join(BODIES))? {
            let entry = entry?;
            if !entry.file_name().to_str().is_some_and(|name| named.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The path of a file's bytes.
    pub fn body(&self, kept: &CachedEntry) -> PathBuf {
        self.root.join(BODIES).join(&kept.body)
    }

    /// The path for bytes that are arriving.
    pub fn new_body(&self, id: &str) -> PathBuf {
        self.root.join(NEW).join(id)
    }

    /// Opens a cached file; it is not evicted as long as it is open.
    ///
    /// # Errors
    /// The file has changed.
    pub fn open(&mut self, path: &str) -> io::Result<(File, CachedEntry)> {
        let kept = self.index.get(path).cloned().ok_or(io::ErrorKind::NotFound)?;
        let file = held(&self.body(&kept))?;
        if file.metadata()?.len() != kept.bytes {
            return Err(io::Error::other("it has another length than it had"));
        }
        self.index.touch(path);
        // If this cannot be recorded, the file seems older after a restart.
        drop(
            OpenOptions::new()
                .write(true)
                .open(self.entry(path))
                .and_then(|entry| entry.set_modified(SystemTime::now())),
        );
        Ok((file, kept))
    }

    /// Makes room for `bytes` more below `most`, and on the disk. Returns how many files were evicted.
    ///
    /// # Errors
    /// `StorageFull`, with the reason.
    pub fn make_room(&mut self, (bytes, most): (u64, u64)) -> io::Result<usize> {
        if bytes > most {
            let why = format!(
                "a file of {} MiB is larger than `bytes_max`, {} MiB",
                mebibytes(bytes),
                mebibytes(most)
            );
            return Err(cache_full(why));
        }
        let free = space::free(&self.root)?.saturating_sub(space::KEPT_BYTES);
        let most = most.min(self.index.bytes().saturating_add(free));
        let victims = self.index.victims((bytes, most), |kept| is_read(&self.body(kept)));
        let Some(victims) = victims else {
            space::check(&self.root, bytes)?;
            return Err(cache_full(format!(
                "there is no room for {} MiB beside the files that are being read",
                mebibytes(bytes)
            )));
        };
        victims.iter().for_each(|path| self.throw_away(path));
        space::check(&self.root, bytes)?;
        Ok(victims.len())
    }

    /// Installs a complete file.
    ///
    /// # Errors
    /// The disk refuses; then the old file stays.
    pub fn place(&mut self, kept: CachedEntry) -> io::Result<()> {
        let (new, body) = (self.new_body(&kept.body), self.body(&kept));
        fs::rename(&new, &body)?;
        if let Err(error) = self.write_entry(&kept) {
            drop(fs::remove_file(&body));
            return Err(error);
        }
        if let Some(before) = self.index.put(kept) {
            drop(fs::remove_file(self.body(&before)));
        }
        Ok(())
    }

    /// Records that the upstream says that a file is unchanged.
    pub fn checked(&mut self, path: &str, at: i64) {
        let Some(kept) = self.index.checked(path, at).cloned() else { return };
        if let Err(error) = self.write_entry(&kept) {
            tracing::debug!(path, %error, "the time of a file's check could not be recorded");
        }
    }

    /// Deletes a file; whoever has it open keeps it.
    pub fn throw_away(&mut self, path: &str) {
        let Some(kept) = self.index.remove(path) else { return };
        for place in [self.entry(path), self.body(&kept)] {
            if let Err(error) = fs::remove_file(&place) {
                tracing::warn!(path, %error, "a file of a mirror could not be deleted");
            }
        }
    }

    fn entry(&self, path: &str) -> PathBuf {
        self.root.join(ENTRIES).join(sha256_hex(path))
    }

    fn write_entry(&self, kept: &CachedEntry) -> io::Result<()> {
        let new = self.root.join(NEW).join(format!("{}.entry", kept.body));
        fs::write(&new, serde_json::to_vec(kept)?)?;
        fs::rename(new, self.entry(&kept.path))
    }
}

fn cache_full(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::StorageFull, why)
}

fn mebibytes(bytes: u64) -> u64 {
    bytes.div_ceil(1 << 20)
}

/// A new unique name.
///
/// # Errors
/// The system gave no random numbers.
pub fn new_id() -> io::Result<String> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    Ok(hex(&id))
}

/// Opens a file so that [`is_read`] returns true until it is closed everywhere.
///
/// # Errors
/// The file cannot be opened, or is being deleted.
pub fn held(place: &Path) -> io::Result<File> {
    let file = File::open(place)?;
    flock(&file, FlockOperation::NonBlockingLockShared)?;
    Ok(file)
}

fn is_read(place: &Path) -> bool {
    let Ok(file) = File::open(place) else { return false };
    flock(&file, FlockOperation::NonBlockingLockExclusive).is_err()
}

/// An entry with the time of its last use, if its bytes exist.
fn read_entry(root: &Path, place: &Path) -> Option<(SystemTime, CachedEntry)> {
    let about = fs::metadata(place).ok().filter(|about| about.len() <= ENTRY_BYTES_MAX)?;
    let kept: CachedEntry = serde_json::from_slice(&fs::read(place).ok()?).ok()?;
    let named = place.file_name()? == sha256_hex(&kept.path).as_str();
    let hexadecimal = !kept.body.is_empty() && kept.body.bytes().all(|byte| byte.is_ascii_hexdigit());
    let body = fs::symlink_metadata(root.join(BODIES).join(&kept.body)).ok()?;
    let whole = body.is_file() && body.len() == kept.bytes;
    (named && hexadecimal && whole).then_some((about.modified().ok()?, kept))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u64 = 100;

    fn put(cache: &mut CacheFiles, path: &str, text: &str) {
        let kept = CachedEntry {
            path: path.into(),
            body: new_id().unwrap(),
            bytes: text.len() as u64,
            sha256: sha256_hex(text),
            checked_at: 1,
            ..CachedEntry::default()
        };
        fs::write(cache.new_body(&kept.body), text).unwrap();
        cache.place(kept).unwrap();
    }

    fn bodies(root: &Path) -> usize {
        fs::read_dir(root.join(BODIES)).unwrap().count()
    }

    #[test]
    fn what_was_kept_is_there_after_a_restart_and_what_is_not_whole_is_not() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = CacheFiles::load(root.path()).unwrap();
        for path in ["kept", "cut", "gone", "damaged"] {
            put(&mut cache, path, "0123456789");
        }
        fs::write(cache.body(cache.index.get("cut").unwrap()), "01234").unwrap();
        fs::remove_file(cache.body(cache.index.get("gone").unwrap())).unwrap();
        fs::write(cache.entry("damaged"), "{").unwrap();
        fs::write(cache.new_body("abc"), "half").unwrap();
        fs::write(root.path().join(BODIES).join("stray"), "x").unwrap();
        let mut cache = CacheFiles::load(root.path()).unwrap();
        let paths: Vec<&str> = cache.index.all().map(|kept| kept.path.as_str()).collect();
        assert_eq!(paths, ["kept"]);
        assert_eq!(bodies(root.path()), 1);
        assert!(!cache.new_body("abc").exists());
        assert_eq!(cache.open("kept").unwrap().1.sha256, sha256_hex("0123456789"));
    }

    #[test]
    fn a_file_that_is_open_is_not_thrown_away_to_make_room() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = CacheFiles::load(root.path()).unwrap();
        put(&mut cache, "a", &"a".repeat(50));
        put(&mut cache, "b", &"b".repeat(50));
        let (file, _) = cache.open("a").unwrap();
        let other = file.try_clone().unwrap();
        cache.index.touch("b");
        drop(file);
        assert_eq!(cache.make_room((50, MOST)).unwrap(), 1);
        assert!(cache.index.get("a").is_some() && cache.index.get("b").is_none());
        let error = cache.make_room((60, MOST)).unwrap_err();
        assert!(error.to_string().contains("beside the files that are being read"), "{error}");
        drop(other);
        assert_eq!(cache.make_room((60, MOST)).unwrap(), 1);
        assert_eq!(bodies(root.path()), 0);
        let error = cache.make_room((101, MOST)).unwrap_err();
        assert!(error.to_string().contains("larger than `bytes_max`"), "{error}");
    }

    #[test]
    fn the_order_of_use_outlives_a_restart() {
        let root = tempfile::tempdir().unwrap();
        let mut cache = CacheFiles::load(root.path()).unwrap();
        for (path, age) in [("a", 30), ("b", 20), ("c", 10)] {
            put(&mut cache, path, &"x".repeat(40));
            let used = SystemTime::now() - std::time::Duration::from_secs(age);
            OpenOptions::new().write(true).open(cache.entry(path)).unwrap().set_modified(used).unwrap();
        }
        cache.open("a").unwrap();
        let mut cache = CacheFiles::load(root.path()).unwrap();
        cache.make_room((20, MOST)).unwrap();
        let left: Vec<&str> = cache.index.all().map(|kept| kept.path.as_str()).collect();
        assert_eq!(left, ["a", "c"]);
    }
}
