//! Why a simulated machine stopped: what it expected, and what it got.

use std::fmt::Display;

/// A step with another result than firmware or an installer needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{step}: expected {expected}; {came}")]
pub struct StepFailure {
    /// The step's name, as it is printed: `dhcp`, `tftp`, `http`, `script`, …
    pub step: &'static str,
    pub expected: String,
    pub came: String,
}

impl StepFailure {
    pub fn new(step: &'static str, expected: impl Into<String>, came: impl Display) -> Self {
        StepFailure { step, expected: expected.into(), came: came.to_string() }
    }
}
