//! The boot decision: what a machine gets, and why.
//!
//! [`decide()`] alone decides; DHCP, TFTP, HTTP, `explain` and `files` all ask it. [`namespace`] says what a
//! path means, [`attempt`] when a power-on begins a new attempt, [`client`] which program sent a packet,
//! [`loader`] which loader fits that client, [`signed`] which loaders fit under Secure Boot, [`data`] how the
//! decision looks in DHCP, [`second_stage`] which loaders ask another server for files, [`stops`] what it
//! means when a boot stops. All of it is pure: the facts and the time are arguments.

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
pub mod second_stage;
pub mod signed;
pub mod stops;

pub use client::NetbootClient;
pub use data::BootData;
pub use decision::{BootDecision, BootGrant, BootQuestion, DecisionFacts, DecisionRule, Verdict, decide};
pub use loader::{LoaderTransport, NextStage, next_stage};
