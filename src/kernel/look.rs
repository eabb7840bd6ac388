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

/// What the longest look took, in time of the processor: how loaded the host is does not count. For tests of
/// what is done with the world held.
#[cfg(test)]
#[derive(Debug, Default)]
pub struct LookMeter {
    is_on: std::sync::atomic::AtomicBool,
    longest: std::sync::atomic::AtomicU64,
}

#[cfg(test)]
impl LookMeter {
    /// Measures from now on; gives the longest look since it was asked last.
    pub fn longest(&self) -> std::time::Duration {
        use std::sync::atomic::Ordering;
        self.is_on.store(true, Ordering::Relaxed);
        std::time::Duration::from_nanos(self.longest.swap(0, Ordering::Relaxed))
    }

    /// Does a look, and measures it.
    pub(super) fn measure<T>(&self, look: impl FnOnce() -> T) -> T {
        use std::sync::atomic::Ordering;
        if !self.is_on.load(Ordering::Relaxed) {
            return look();
        }
        let began = computed();
        let seen = look();
        self.longest.fetch_max(computed().saturating_sub(began), Ordering::Relaxed);
        seen
    }
}

/// What this thread has computed, in nanoseconds (`Documentation/scheduler/sched-stats.rst`).
#[cfg(test)]
fn computed() -> u64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|time| time.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::houses::testing;

    #[test]
    #[should_panic(expected = "a read of the world inside of another read")]
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
