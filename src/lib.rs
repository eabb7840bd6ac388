//! Metalwright: one server that takes a machine from power-on to a finished installation.

pub mod model;
pub mod proto;
pub mod tftp;
