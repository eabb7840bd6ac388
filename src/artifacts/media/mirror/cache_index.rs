//! The index of a cache: which files are cached, their size, and the order of eviction. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most cached files of one mirror.
pub const FILES_MAX: usize = 50_000;

/// A cached file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedEntry {
    /// Its path in the tree.
    pub path: String,
    /// The name of exactly these bytes on disk; other bytes have another name.
    pub body: String,
    pub bytes: u64,
    pub sha256: String,
    /// The upstream's validators (RFC 9110 section 8.8).
    #[serde(default)]
    pub etag: Option<String>,
    #[serde(default)]
    pub last_modified: Option<String>,
    /// When the content was last changed, in seconds since 1970.
    pub modified: i64,
    /// When the upstream last confirmed the file; 0 if it has to be asked.
    pub checked_at: i64,
}

/// All cached files, in the order of their last use.
#[derive(Debug, Default)]
pub struct CacheIndex {
    /// By path, with the number of the last use.
    kept: BTreeMap<String, (u64, CachedEntry)>,
    by_use: BTreeMap<u64, String>,
    uses: u64,
    bytes: u64,
    /// Bytes that are reserved for files that are arriving.
    promised: u64,
}

impl CacheIndex {
    pub fn get(&self, path: &str) -> Option<&CachedEntry> {
        self.kept.get(path).map(|(_, kept)| kept)
    }

    pub fn all(&self) -> impl Iterator<Item = &CachedEntry> {
        self.kept.values().map(|(_, kept)| kept)
    }

    pub fn files(&self) -> usize {
        self.kept.len()
    }

    /// Bytes of the cached files.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Records that a file was used now.
    pub fn touch(&mut self, path: &str) {
        let Some((used, _)) = self.kept.get_mut(path) else { return };
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, path.to_owned());
    }

    /// Adds a file, and returns the one that had its path.
    pub fn put(&mut self, kept: CachedEntry) -> Option<CachedEntry> {
        let before = self.remove(&kept.path);
        self.uses += 1;
        self.bytes += kept.bytes;
        self.by_use.insert(self.uses, kept.path.clone());
        self.kept.insert(kept.path.clone(), (self.uses, kept));
        before
    }

    pub fn remove(&mut self, path: &str) -> Option<CachedEntry> {
        let (used, kept) = self.kept.remove(path)?;
        self.by_use.remove(&used);
        self.bytes -= kept.bytes;
        Some(kept)
    }

    /// Records when the upstream confirmed that a file is unchanged.
    pub fn checked(&mut self, path: &str, at: i64) -> Option<&CachedEntry> {
        let (_, kept) = self.kept.get_mut(path)?;
        kept.checked_at = at;
        Some(kept)
    }

    /// Makes the upstream be asked for every file before it is served again.
    pub fn expire(&mut self) {
        self.kept.values_mut().for_each(|(_, kept)| kept.checked_at = 0);
    }

    /// Reserves room for a file that is arriving.
    pub fn promise(&mut self, bytes: u64) {
        self.promised = self.promised.saturating_add(bytes);
    }

    /// Releases the reservation of a file that has arrived, or will not arrive.
    pub fn release(&mut self, bytes: u64) {
        self.promised = self.promised.saturating_sub(bytes);
    }

    /// The files to evict so that `bytes` more fit below `most`: the least recently used ones, except files
    /// that are being read. None if that is not enough.
    pub fn victims(
        &self,
        (bytes, most): (u64, u64),
        is_read: impl Fn(&CachedEntry) -> bool,
    ) -> Option<Vec<String>> {
        let taken = self.bytes.saturating_add(self.promised).saturating_add(bytes);
        let mut excess = taken.saturating_sub(most);
        let mut too_many = self.kept.len().saturating_sub(FILES_MAX - 1);
        let mut victims = Vec::new();
        for path in self.by_use.values() {
            if excess == 0 && too_many == 0 {
                break;
            }
            let Some(kept) = self.get(path).filter(|kept| !is_read(kept)) else { continue };
            excess = excess.saturating_sub(kept.bytes);
            too_many = too_many.saturating_sub(1);
            victims.push(path.clone());
        }
        (excess == 0).then_some(victims)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index() -> CacheIndex {
        let mut index = CacheIndex::default();
        for (path, bytes) in [("a", 10), ("b", 20), ("c", 30)] {
            index.put(CachedEntry { path: path.into(), body: path.into(), bytes, ..CachedEntry::default() });
        }
        index
    }

    fn gone(index: &CacheIndex, bytes: u64, most: u64) -> Option<Vec<String>> {
        index.victims((bytes, most), |_| false)
    }

    #[test]
    fn the_least_recently_used_go_first_and_no_more_than_needed() {
        let mut index = index();
        assert_eq!(gone(&index, 40, 100), Some(vec![]));
        assert_eq!(gone(&index, 41, 100), Some(vec!["a".into()]));
        index.touch("a");
        assert_eq!(gone(&index, 41, 100), Some(vec!["b".into()]));
        assert_eq!(gone(&index, 70, 100), Some(vec!["b".into(), "c".into()]));
        assert_eq!(gone(&index, 101, 100), None);
        index.touch("not kept");
        assert_eq!((index.files(), index.bytes()), (3, 60));
    }

    #[test]
    fn what_is_read_stays_and_what_is_coming_has_its_room() {
        let mut index = index();
        let is_read = |kept: &CachedEntry| kept.path == "a";
        assert_eq!(index.victims((41, 100), is_read), Some(vec!["b".into()]));
        assert_eq!(index.victims((91, 100), is_read), None);
        index.promise(40);
        assert_eq!(gone(&index, 1, 100), Some(vec!["a".into()]));
        assert_eq!(gone(&index, 61, 100), None);
        index.release(40);
        assert_eq!(gone(&index, 1, 100), Some(vec![]));
    }

    #[test]
    fn a_file_with_the_path_of_another_takes_its_place() {
        let mut index = index();
        let old = index.put(CachedEntry {
            path: "a".into(),
            body: "new".into(),
            bytes: 1,
            ..CachedEntry::default()
        });
        assert_eq!(old.unwrap().body, "a");
        assert_eq!((index.files(), index.bytes()), (3, 51));
        assert_eq!(index.get("a").unwrap().body, "new");
        assert_eq!(gone(&index, 50, 100), Some(vec!["b".into()]), "it is the newest now");
        index.checked("b", 7);
        assert_eq!(index.get("b").unwrap().checked_at, 7);
        index.expire();
        assert!(index.all().all(|kept| kept.checked_at == 0));
    }
}
