//! The boot decision: what a machine that asks gets, and why.
//!
//! [`decide()`] is the only place that decides. DHCP, TFTP, HTTP, `explain` and `files` ask it and nothing
//! else. [`namespace`] says what a path means, [`attempt`] when a power-on is a new one, [`client`] who a
//! packet says it is, [`loader`] which loader fits that client, [`signed`] which ones do under Secure Boot,
//! [`data`] how the decision looks to DHCP, [`stops`] what it means when a boot does not go on.
//! All of it is pure: the facts and the time are arguments.

pub mod attempt;
pub mod capability;
pub mod chainload;
pub mod client;
pub mod data;
pub mod decision;
pub mod foreign_addresses;
pub mod loader;
pub mod loader_ask;
pub mod namespace;
pub mod signed;
pub mod stops;

pub use client::NetbootClient;
pub use data::BootData;
pub use decision::{BootDecision, BootGrant, BootQuestion, DecisionFacts, DecisionRule, Verdict, decide};
pub use loader::{LoaderTransport, NextStage, next_stage};
