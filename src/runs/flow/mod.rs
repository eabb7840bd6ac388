//! The rules by which a machine moves through its workflow, as pure functions.
//!
//! `expand` makes the list of steps of a run. `step` says what to do at the present step. [`Flow`] applies
//! what has happened to a machine's status: `rules` has the life of a run, `shown` the state that a machine
//! shows, `boot` the effects of boots, `evidence` those of late reports on an installation, `jobs` those of
//! tasks, `live` those of a loss of power in a live system, `overdue` what comes too late, `skips` the
//! actions of operators on single steps. Nothing here does I/O or reads the clock; the house around it
//! commits and writes events. Start with `rules`.

mod boot;
mod entries;
mod evidence;
pub mod expand;
mod jobs;
mod live;
mod overdue;
mod rules;
mod shown;
mod skips;
pub mod step;
mod step_reference;
#[cfg(test)]
mod tests;

pub use entries::note_entry;
pub use expand::expand;
pub use rules::{Flow, JobOutcome, OperatorNote, RunStart};
pub use step::{NextStep, Position, next_step};
pub use step_reference::StepReference;

/// How long a machine stays armed for a destructive boot, in seconds.
pub const ARMED_SECONDS: i64 = 24 * 3600;
/// How long a boot into an installer or a live image may take if its stage does not say, in seconds.
pub const BOOT_SECONDS: u32 = 3600;
/// How long an installer usually takes from its kernel to its answer file, in seconds.
pub const ANSWER_SECONDS: u32 = 300;
/// Longest time from the kernel to the deadline of a boot that is put off by what is heard of it, in seconds.
pub const HEARD_SECONDS_MAX: u32 = 24 * 3600;
/// Longest time from the first packet of a power-on until the kernel is fetched, in seconds.
pub const FIRMWARE_SECONDS: i64 = 900;
/// How long a boot that destroys nothing waits for the machine to be powered on, in seconds.
pub const POWER_ON_SECONDS: i64 = 24 * 3600;
/// How long a task waits for an agent if its stage does not say, in seconds.
pub const AGENT_SECONDS: u32 = 3600;
/// How long an agent with a job may be silent before the job counts as lost, in seconds.
pub const SILENCE_SECONDS: i64 = 600;
/// Attempts at one step without result after which the machine is held.
pub const FRUITLESS_ATTEMPTS_MAX: u32 = 3;
/// Most reboots that are requested of an agent for one step before the machine is held.
pub const REBOOTS_MAX: u32 = 3;
/// Longest pause before a failed task is run again, in seconds.
pub const BACK_OFF_SECONDS_MAX: i64 = 60;
/// Most runs of one task in one step, whatever its `retries`.
pub const JOBS_PER_STEP_MAX: u32 = 100;
/// Most times that the live system of one boot is booted again after losses of power before the machine is
/// held.
pub const LIVE_RESTARTS_MAX: u32 = 3;
/// Most steps of a run.
pub const STEPS_MAX: usize = 2000;
