//! Detects nested reads of the world, in debug builds and therefore in tests. While a writer waits, the lock
//! of the world admits no reader, so a nested read could deadlock.

use std::cell::Cell;

thread_local! {
    static IS_UNDER_WAY: Cell<bool> = const { Cell::new(false) };
}

/// A read of the world on this thread, until it is dropped.
pub(super) struct WorldLook(());

impl WorldLook {
    pub(super) fn begin() -> Self {
        debug_assert!(!IS_UNDER_WAY.get(), "a read of the world inside of another read");
        IS_UNDER_WAY.set(true);
        WorldLook(())
    }
}

impl Drop for WorldLook {
    fn drop(&mut self) {
        IS_UNDER_WAY.set(false);
    }
}

#[cfg(test)]
mod tests {
    use crate::houses::testing;

    #[test]
    #[should_panic(expected = "a look at the world inside of another one")]
    fn a_look_inside_of_another_one_is_a_fault() {
        let houses = testing::houses();
        houses.kernel.read(|_| houses.kernel.counts());
    }

    #[test]
    fn a_look_may_follow_another_one() {
        let houses = testing::houses();
        let counts = houses.kernel.read(|world| world.jobs.len());
        assert_eq!(houses.kernel.read(|world| world.jobs.len()), counts);
    }
}
