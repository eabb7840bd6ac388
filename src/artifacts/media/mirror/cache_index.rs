//! Which files of a remote tree are kept, how much that is, and which go first. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most files that are kept of one tree.
pub const FILES_MAX: usize = 50_000;

/// A file that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedEntry {
    /// Where it is in the tree.
    pub path: String,
    /// What these very bytes are called on the disk; other bytes have another name.
    pub body: String,
    pub bytes: u64,
    pub sha256: String,
    /// What the upstream said by which it can tell whether it has changed (RFC 9110 section 8.8).
    #[serde(default)]
    pub etag: Option<String>,
    #[serde(default)]
    pub last_modified: Option<String>,
    /// When its content was last changed, in seconds since 1970.
    pub modified: i64,
    /// When the upstream last said that it is so; 0 when it is to be asked.
    pub checked_at: i64,
}

/// All that is kept, in the order in which it was used.
#[derive(Debug, Default)]
pub struct CacheIndex {
    /// By path, with the number of the last use.
    kept: BTreeMap<String, (u64, CachedEntry)>,
    by_use: BTreeMap<u64, String>,
    uses: u64,
    bytes: u64,
    /// Bytes that are promised to files which are coming.
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

    /// Bytes of the files that are kept.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Notes that a file was used just now.
    pub fn touch(&mut self, path: &str) {
        let Some((used, _)) = self.kept.get_mut(path) else { return };
        self.by_use.remove(used);
        self.uses += 1;
        *used = self.uses;
        self.by_use.insert(self.uses, path.to_owned());
    }

    /// Keeps a file, and gives back the one that had its path.
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

    /// Notes when the upstream said that a file is as it was.
    pub fn checked(&mut self, path: &str, at: i64) -> Option<&CachedEntry> {
        let (_, kept) = self.kept.get_mut(path)?;
        kept.checked_at = at;
        Some(kept)
    }

    /// Has the upstream asked for every file before it is given out again.
    pub fn expire(&mut self) {
        self.kept.values_mut().for_each(|(_, kept)| kept.checked_at = 0);
    }

    /// Promises room to a file that is coming.
    pub fn promise(&mut self, bytes: u64) {
        self.promised = self.promised.saturating_add(bytes);
    }

    /// The file has come, or does not come.
    pub fn release(&mut self, bytes: u64) {
        self.promised = self.promised.saturating_sub(bytes);
    }

    /// Which files have to go so that `bytes` more fit below `most`: the least recently used, and none of
    /// those that somebody reads. None where that is not enough.
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
