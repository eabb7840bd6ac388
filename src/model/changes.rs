//! The objects that were written or deleted after a given commit, each at its last change. Start at
//! [`World::changes`].

use std::ops::Bound;
use std::sync::Arc;

use super::{ChangePlace, Kind, Noun, ObjectChange, ObjectChangeKind, Table, Tombstone, World};

/// A page of changes, in the order of commits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePage {
    pub items: Vec<ObjectChange>,
    /// Whether more follow.
    pub has_more: bool,
}

/// The place behind all changes of a commit.
pub fn place_after(commit: u64) -> ChangePlace {
    // Keys are never empty, so no object is at exactly this place.
    (commit.saturating_add(1), Kind::Machine, Arc::from(""))
}

impl<T: Noun> Table<T> {
    pub(super) fn written_after(&self, after: &ChangePlace, limit: usize) -> Vec<ObjectChange> {
        let (commit, kind, key) = after;
        let first = match T::KIND.cmp(kind) {
            std::cmp::Ordering::Less => Bound::Included((commit.saturating_add(1), Arc::from(""))),
            std::cmp::Ordering::Equal => Bound::Excluded((*commit, Arc::clone(key))),
            std::cmp::Ordering::Greater => Bound::Included((*commit, Arc::from(""))),
        };
        let written = self.by_commit.range((first, Bound::Unbounded)).take(limit);
        written
            .map(|(commit, key): &(u64, Arc<str>)| ObjectChange {
                commit: *commit,
                kind: T::KIND,
                key: key.to_string(),
                revision: self.get(key).map_or(0, |row| row.revision),
                what: ObjectChangeKind::Written,
            })
            .collect()
    }
}

impl World {
    /// The last changes of objects of the given kinds after a place in the order, at most `limit`. An object
    /// that changed more than once appears once.
    pub fn changes(&self, after: &ChangePlace, kinds: &[Kind], limit: usize) -> ChangePage {
        let more = limit.saturating_add(1);
        let deletions = self.commits.deletions(after, kinds).take(more);
        let mut items: Vec<ObjectChange> = deletions.collect();
        items.extend(kinds.iter().flat_map(|kind| self.written_after(*kind, after, more)));
        items.sort_by(|a, b| (a.commit, a.kind, &a.key).cmp(&(b.commit, b.kind, &b.key)));
        let has_more = items.len() > limit;
        items.truncate(limit);
        ChangePage { items, has_more }
    }

    /// Removes an object and keeps its tombstone.
    pub fn bury(&mut self, tombstone: Tombstone) {
        self.remove(tombstone.kind, &tombstone.key);
        self.commits.bury(tombstone);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::{SignedDuration, Timestamp};
    use serde_json::json;
    use uuid::Uuid;

    use super::*;
    use crate::model::commits::TOMBSTONE_AGE_MAX;
    use crate::model::{CommitHistory, Epoch, Param, Profile, ReadAgain, Stored, TOMBSTONES_MAX};

    const KINDS: [Kind; 2] = [Kind::Param, Kind::Profile];

    fn written<T: Noun>(key: &str, commit: u64) -> crate::model::Object {
        let spec: T = serde_json::from_value(json!({"name": key})).unwrap();
        let stored = Stored::new(key.to_owned(), spec, Timestamp::UNIX_EPOCH);
        stored.commit.set(commit);
        T::object(Arc::new(stored))
    }

    fn tombstone(kind: Kind, key: &str, commit: u64) -> Tombstone {
        Tombstone { commit, kind, key: key.into(), revision: 7, time: Timestamp::UNIX_EPOCH }
    }

    fn shown(page: &ChangePage) -> Vec<(u64, String, bool)> {
        let is_written = |change: &ObjectChange| change.what == ObjectChangeKind::Written;
        page.items
            .iter()
            .map(|change| (change.commit, change.kind.subject(&change.key), is_written(change)))
            .collect()
    }

    #[test]
    fn each_object_is_told_once_at_its_last_change() {
        let mut world = World::default();
        for (commit, key) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            world.put(written::<Param>(key, commit));
        }
        world.bury(tombstone(Kind::Param, "b", 5));
        world.bury(tombstone(Kind::Param, "c", 6));
        world.put(written::<Param>("c", 7));
        world.put(written::<Profile>("p", 7));
        let all = world.changes(&place_after(0), &KINDS, 10);
        let expected =
            [(3, "param:a", true), (5, "param:b", false), (7, "param:c", true), (7, "profile:p", true)];
        let expected = expected.map(|(commit, subject, is)| (commit, subject.to_owned(), is));
        assert_eq!(shown(&all), expected);
        assert!(!all.has_more);
        assert_eq!(shown(&world.changes(&place_after(5), &KINDS, 10)), expected[2..]);
        assert_eq!(shown(&world.changes(&place_after(0), &[Kind::Profile], 10)), expected[3..]);
        assert!(world.changes(&place_after(7), &KINDS, 10).items.is_empty());
    }

    #[test]
    fn pages_of_one_commit_are_as_the_whole() {
        let mut world = World::default();
        for key in ["a", "b", "c", "d", "e"] {
            world.put(written::<Param>(key, 2));
            world.put(written::<Profile>(key, 2));
            world.bury(tombstone(Kind::Param, &format!("gone-{key}"), 2));
        }
        let whole = world.changes(&place_after(1), &KINDS, 100);
        assert_eq!(whole.items.len(), 15);
        for limit in 1..15 {
            let (mut place, mut read) = (place_after(1), Vec::new());
            loop {
                let page = world.changes(&place, &KINDS, limit);
                read.extend(page.items);
                let last = read.last().unwrap();
                place = (last.commit, last.kind, last.key.as_str().into());
                if !page.has_more {
                    break;
                }
            }
            assert_eq!(read, whole.items, "pages of {limit}");
        }
    }

    #[test]
    fn a_follower_that_replays_random_writes_has_the_set_of_a_list() {
        let mut random = 88172645463325252_u64;
        let mut below = |end: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random % end
        };
        let (mut world, mut followed) = (World::default(), BTreeMap::new());
        let (mut commit, mut seen) = (0, 0);
        for _ in 0..300 {
            for _ in 0..below(20) {
                commit += 1;
                let key = format!("key-{}", below(30));
                match below(3) {
                    0 if world.params.get(&key).is_some() => world.bury(tombstone(Kind::Param, &key, commit)),
                    _ => world.put(written::<Param>(&key, commit)),
                }
                world.commits.advance(commit, None);
            }
            let mut place = place_after(seen);
            loop {
                let page = world.changes(&place, &KINDS, 1 + usize::try_from(below(7)).unwrap());
                for change in &page.items {
                    place = (change.commit, change.kind, change.key.as_str().into());
                    match change.what {
                        ObjectChangeKind::Written => followed.insert(change.key.clone(), change.commit),
                        ObjectChangeKind::Deleted => followed.remove(&change.key),
                    };
                }
                if !page.has_more {
                    break;
                }
            }
            seen = world.commits.commit();
            let listed = world.params.iter().map(|row| (row.key.clone(), row.commit.get()));
            assert_eq!(followed, listed.collect());
        }
    }

    #[test]
    fn a_number_of_another_history_is_refused() {
        let epochs = [1_u128, 2].map(Uuid::from_u128);
        let epoch = |first_commit, id| Epoch { first_commit, id };
        let mut history = CommitHistory::restore(20, vec![epoch(1, epochs[0]), epoch(10, epochs[1])], 3);
        assert_eq!(history.check(9, Some(epochs[0])), Ok(()));
        assert_eq!(history.check(20, Some(epochs[1])), Ok(()));
        assert_eq!(history.check(9, Some(epochs[1])), Ok(()), "the later epoch goes on from the first");
        let other = |after| Err(ReadAgain::OtherEpoch { after });
        assert_eq!(history.check(10, Some(epochs[0])), other(10), "that epoch ended with 9 here");
        assert_eq!(history.check(9, Some(Uuid::from_u128(3))), other(9));
        assert_eq!(history.check(21, None), Err(ReadAgain::Future { after: 21, present: 20 }));
        assert_eq!(history.check(2, None), Err(ReadAgain::TooOld { after: 2, known_from: 3 }));
        assert_eq!(history.check(3, None), Ok(()));
        history.advance(21, Some(epoch(21, Uuid::from_u128(4))));
        assert_eq!(history.check(20, Some(epochs[1])), Ok(()));
        assert_eq!(history.position().epoch, Uuid::from_u128(4));
    }

    #[test]
    fn tombstones_are_bounded_by_number_and_by_age() {
        let mut world = World::default();
        let (first, second) = (Timestamp::UNIX_EPOCH, SignedDuration::from_secs(1));
        for number in 1..=TOMBSTONES_MAX as u64 {
            let time = first + second * i32::try_from(number).unwrap();
            world.bury(Tombstone { time, ..tombstone(Kind::Param, &format!("p{number}"), number) });
        }
        assert_eq!(world.commits.prunable(first, 0), None);
        let upto = world.commits.prunable(first, 1).unwrap();
        assert_eq!(upto, TOMBSTONES_MAX as u64 / 8);
        world.commits.advance(TOMBSTONES_MAX as u64, None);
        world.commits.prune(upto);
        assert_eq!(world.commits.tombstones(), TOMBSTONES_MAX - TOMBSTONES_MAX / 8);
        assert!(world.commits.check(upto - 1, None).is_err() && world.commits.check(upto, None).is_ok());
        let later = first + TOMBSTONE_AGE_MAX;
        assert_eq!(world.commits.prunable(later, 0), None);
        let two_hours = second * 7200;
        let old = world.commits.prunable(later + two_hours + second * i32::try_from(upto).unwrap(), 0);
        assert_eq!(old, Some(upto + 7199));
    }
}
