//! The boot decision: what a machine that asks gets, and why.
//!
//! [`decide`] is the only place that decides. DHCP, TFTP, HTTP, `explain` and `files` ask it and nothing else.
//! [`namespace`] says what a path means, [`attempt`] when a power-on is a new one, [`loader`] which loader fits
//! an architecture. All of it is pure: the facts and the time are arguments.

pub mod attempt;
pub mod capability;
pub mod decide;
pub mod namespace;

pub use decide::{Answer, Asked, Decision, Facts, Rule, Verdict, decide};
