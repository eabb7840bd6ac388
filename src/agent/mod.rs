//! The agent: asks its server for jobs, runs their scripts on this machine, sends what they print.
//!
//! `step` says what to do after each answer, and is pure. `run` is the loop that does it, `job` takes one
//! job from its first file to its report, `exec` has the directories and processes, `log` sends what was
//! printed. `remote` is the server behind its API, `config` what operators write. What a job is for and when it runs is the server's business.

pub mod config;
mod exec;
mod job;
mod log;
mod remote;
pub mod run;
pub mod step;
#[cfg(test)]
mod tests;

pub use config::{AgentArgs, AgentConfig};
pub use remote::Remote;
pub use run::{Agent, Asked, Server, run};
pub use step::{End, Manner, Power, Trouble, Until};
