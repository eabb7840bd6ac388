//! The nouns of Metalwright as plain values: no I/O, no clock, nothing of the other modules.

mod arch;
mod mac;
mod problem;

pub use arch::Arch;
pub use mac::{Mac, MacError};
pub use problem::{Problem, nearest};
