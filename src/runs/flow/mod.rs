//! How a machine moves through its workflow, as functions from a value to a value.
//!
//! `expand` makes the list of steps of a run. `step` says what is to happen at the present step. [`Flow`]
//! carries what has happened into a machine's status: `rules` has the life of a run and the states of a
//! machine, `boot` what power-ons do to it, `jobs` what tasks do, `live` what a loss of power does in a live
//! system, `skips` what operators do to single steps. Nothing here does I/O or knows the time;
//! commits and events are the business of the house around it. Start with `rules`.

mod boot;
pub mod expand;
mod jobs;
mod live;
mod rules;
mod shown;
mod skips;
pub mod step;
mod step_reference;
#[cfg(test)]
mod tests;

pub use expand::expand;
pub use rules::{Flow, JobOutcome, OperatorNote, RunStart};
pub use step::{NextStep, Position, next_step};
pub use step_reference::StepReference;

/// How long a machine stays armed for a destructive boot, in seconds.
pub const ARMED_SECONDS: i64 = 24 * 3600;
/// How long a boot into an installer or a live image may take where its stage says nothing, in seconds.
pub const BOOT_SECONDS: u32 = 3600;
/// From the first packet of a power-on until the kernel is fetched, in seconds.
pub const FIRMWARE_SECONDS: i64 = 900;
/// How long a boot that destroys nothing waits for the machine to be powered on, in seconds.
pub const POWER_ON_SECONDS: i64 = 24 * 3600;
/// How long a task waits for an agent where its stage says nothing, in seconds.
pub const AGENT_SECONDS: u32 = 3600;
/// How long an agent with a job may be silent until the job counts as lost, in seconds.
pub const SILENCE_SECONDS: i64 = 600;
/// Attempts at one step that may lead nowhere until the machine is held.
pub const FRUITLESS_ATTEMPTS_MAX: u32 = 3;
/// Most reboots asked of an agent for one step before the machine is held.
pub const REBOOTS_MAX: u32 = 3;
/// Longest pause before a failed task is run again, in seconds.
pub const BACK_OFF_SECONDS_MAX: i64 = 60;
/// How often one task may be run in one step, whatever it says.
pub const JOBS_PER_STEP_MAX: u32 = 100;
/// How often the live system of one boot is booted again after losses of power until the machine is held.
pub const LIVE_RESTARTS_MAX: u32 = 3;
/// Most steps of a run.
pub const STEPS_MAX: usize = 2000;
