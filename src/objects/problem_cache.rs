//! The problems of objects that were found and still hold, so that a read looks for them only where something
//! changed: the object, or the specs of the tables that its noun's problems follow from
//! ([`NounRules::PROBLEMS_SEE`]). Start at [`ProblemCache::get`].
//!
//! In debug builds, and so in every test, what is found here is looked for anew as well, and both are equal.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::{Kind, Problem, Stored, World};
use crate::objects::rules::NounRules;

/// Objects whose problems are kept, and bytes of all that is kept. A cache that is full begins anew.
const OBJECTS_MAX: usize = 65_536;
const BYTES_MAX: usize = 16 << 20;
/// What an entry takes beside its texts.
const ENTRY_BYTES: usize = 128;

/// What problems were found in: the commit that wrote the object, and the tables that were looked at. None
/// for an object that no commit has written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemBasis {
    commit: u64,
    /// The sum of the generations of their specs: those only grow.
    generations: u64,
}

impl ProblemBasis {
    pub fn of<T: NounRules>(stored: &Stored<T>, world: &World) -> Option<Self> {
        let commit = stored.commit.get();
        let seen = T::REFERS_TO.iter().chain(T::PROBLEMS_SEE).chain(&[Kind::Param]);
        let generations = seen.map(|kind| world.spec_generation(*kind)).fold(0, u64::wrapping_add);
        (commit != 0).then_some(ProblemBasis { commit, generations })
    }
}

/// Problems by object.
#[derive(Debug, Default)]
pub struct ProblemCache {
    kept: Mutex<KeptProblems>,
    /// How often problems were looked for.
    pub searches: AtomicU64,
}

#[derive(Debug, Default)]
struct KeptProblems {
    by_object: HashMap<(Kind, String), (ProblemBasis, Arc<[Problem]>)>,
    bytes: usize,
}

impl ProblemCache {
    /// The problems of an object, where they were found in the same.
    pub fn get<T: NounRules>(
        &self,
        stored: &Stored<T>,
        basis: Option<ProblemBasis>,
    ) -> Option<Arc<[Problem]>> {
        let kept = self.kept();
        let (found_in, problems) = kept.by_object.get(&(T::KIND, stored.key.clone()))?;
        (Some(*found_in) == basis).then(|| Arc::clone(problems))
    }

    /// Keeps what was found in something.
    pub fn keep<T: NounRules>(
        &self,
        stored: &Stored<T>,
        (basis, problems): (Option<ProblemBasis>, Vec<Problem>),
    ) -> Arc<[Problem]> {
        self.searches.fetch_add(1, Ordering::Relaxed);
        let problems: Arc<[Problem]> = problems.into();
        if let Some(basis) = basis {
            self.kept().put((T::KIND, stored.key.clone()), (basis, Arc::clone(&problems)));
        }
        problems
    }

    fn kept(&self) -> MutexGuard<'_, KeptProblems> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KeptProblems {
    fn put(&mut self, object: (Kind, String), found: (ProblemBasis, Arc<[Problem]>)) {
        let bytes = bytes_of(&object, &found.1);
        if let Some((_, old)) = self.by_object.remove(&object) {
            self.bytes = self.bytes.saturating_sub(bytes_of(&object, &old));
        }
        if self.by_object.len() >= OBJECTS_MAX || self.bytes + bytes > BYTES_MAX {
            *self = KeptProblems::default();
        }
        if bytes <= BYTES_MAX {
            self.bytes += bytes;
            self.by_object.insert(object, found);
        }
    }
}

fn bytes_of((_, key): &(Kind, String), problems: &[Problem]) -> usize {
    let texts = problems.iter().map(|problem| problem.pointer.len() + problem.message.len() + ENTRY_BYTES);
    ENTRY_BYTES + key.len() + texts.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(commit: u64, message: &str) -> (ProblemBasis, Arc<[Problem]>) {
        (ProblemBasis { commit, generations: 1 }, Arc::from([Problem::new("/x", message)]))
    }

    #[test]
    fn what_is_kept_has_a_bound_in_objects_and_in_bytes() {
        let mut kept = KeptProblems::default();
        let object = |n: usize| (Kind::Machine, format!("machine-{n}"));
        for n in 0..OBJECTS_MAX + 10 {
            kept.put(object(n), found(1, "x"));
        }
        assert!(kept.by_object.len() <= OBJECTS_MAX && kept.bytes <= BYTES_MAX);
        let large = "x".repeat(1 << 20);
        for n in 0..40 {
            kept.put(object(n), found(2, &large));
            assert!(kept.bytes <= BYTES_MAX, "{}", kept.bytes);
        }
        // Who is written again and again takes one place.
        let mut kept = KeptProblems::default();
        for commit in 0..100 {
            kept.put(object(1), found(commit, "x"));
        }
        let bytes = bytes_of(&object(1), &found(1, "x").1);
        assert_eq!((kept.by_object.len(), kept.bytes), (1, bytes));
    }
}
