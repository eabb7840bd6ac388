//! How much one machine may have written down of what it sends and fetches, and all machines together, so
//! that none pushes out what is kept of the others or fills the disk. It is kept in this process only: a
//! restart begins anew.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::Error;
use crate::model::event::BootLogLimited;
use crate::model::{Machine, Stored};
use crate::netboot::Netboot;
use crate::netboot::identify::about;
use crate::rate_limit::{Allowance, AllowanceAnswer, AllowanceRate, KeyedAllowances, warn_limited};

/// Bytes of boot logs of one machine: a megabyte at once, and then a kilobyte a second.
pub const BOOT_LOG_OF_ONE: AllowanceRate = AllowanceRate { burst_max: 1 << 20, a_second: 1 << 10 };
/// Bytes of boot logs of all machines together.
pub const BOOT_LOG_OF_ALL: AllowanceRate = AllowanceRate { burst_max: 256 << 20, a_second: 256 << 10 };
/// Events about the fetches of one machine.
const FETCHES_OF_ONE: AllowanceRate = AllowanceRate { burst_max: 10_000, a_second: 1 };
/// What a piece of a log counts beside its bytes: its row in the database.
const PIECE_BYTES: u64 = 256;
/// What machines may have written down.
#[derive(Debug)]
pub struct WriteBudgets {
    logs: KeyedAllowances,
    logs_of_all: Mutex<Allowance>,
    fetches: KeyedAllowances,
    /// Pieces of boot logs that were refused.
    pub log_pieces_refused: AtomicU64,
}

impl Default for WriteBudgets {
    fn default() -> Self {
        WriteBudgets {
            logs: KeyedAllowances::new(BOOT_LOG_OF_ONE),
            logs_of_all: Mutex::new(Allowance::new(BOOT_LOG_OF_ALL, Instant::now())),
            fetches: KeyedAllowances::new(FETCHES_OF_ONE),
            log_pieces_refused: AtomicU64::new(0),
        }
    }
}

impl WriteBudgets {
    /// Takes the bytes of a piece of a machine's log.
    fn take_log(&self, machine: &str, bytes: u64, now: Instant) -> AllowanceAnswer {
        let amount = bytes.saturating_add(PIECE_BYTES);
        let of_one = self.logs.take(machine, amount, now);
        if of_one != AllowanceAnswer::Taken {
            return of_one;
        }
        self.logs_of_all.lock().unwrap_or_else(PoisonError::into_inner).take(BOOT_LOG_OF_ALL, amount, now)
    }

    /// Whether another event about a machine's fetches may be written.
    pub fn takes_fetch(&self, machine: &str) -> bool {
        self.fetches.take(machine, 1, Instant::now()) == AllowanceAnswer::Taken
    }
}

impl Netboot {
    /// Takes a piece of a boot log from the budgets. The first refusal of a spell is an event and a line of
    /// the log.
    pub(super) fn admit_log(&self, machine: &Stored<Machine>, bytes: usize) -> Result<(), Error> {
        let AllowanceAnswer::Refused { is_first, wait } =
            self.memory.budgets.take_log(&machine.key, bytes as u64, Instant::now())
        else {
            return Ok(());
        };
        self.memory.budgets.log_pieces_refused.fetch_add(1, Ordering::Relaxed);
        let (burst, rate) = (BOOT_LOG_OF_ONE.burst_max, BOOT_LOG_OF_ONE.a_second);
        let name = &machine.spec.name;
        let why =
            format!("{name} sends more of its log than is kept: {burst} bytes, and {rate} bytes a second");
        if is_first {
            warn_limited!(machine = name, "a machine sends more of its log than is kept");
            self.note_boot_event(&about(Some(machine)), BootLogLimited { reason: why.clone() });
        }
        Err(Error::TooMuch { why, retry_after: wait.max(Duration::from_secs(1)) })
    }

    /// Whether the reason of a failure may be kept as long as it is.
    pub(super) fn takes_reason(&self, machine: &Stored<Machine>, bytes: usize) -> bool {
        let taken = self.memory.budgets.take_log(&machine.key, bytes as u64, Instant::now());
        taken == AllowanceAnswer::Taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_that_writes_without_end_leaves_the_others_their_budget() {
        let (budgets, now) = (WriteBudgets::default(), Instant::now());
        let taken = |machine: &str| {
            let pieces = (0..10_000).map(|_| budgets.take_log(machine, 16 << 10, now));
            pieces.filter(|answer| *answer == AllowanceAnswer::Taken).count() as u64
        };
        let most = BOOT_LOG_OF_ONE.burst_max / ((16 << 10) + PIECE_BYTES);
        assert_eq!((taken("a"), taken("a"), taken("b")), (most, 0, most));
        let all = (0..1000).map(|n| taken(&n.to_string()) * ((16 << 10) + PIECE_BYTES)).sum::<u64>();
        assert!(all <= BOOT_LOG_OF_ALL.burst_max, "{all}");
    }
}
