//! Metalwright: one server that takes a machine from power-on to a finished installation.

pub mod api;
pub mod app;
pub mod events;
pub mod model;
pub mod store;
