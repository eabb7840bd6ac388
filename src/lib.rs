//! Metalwright: one server that takes a machine from power-on to a finished installation.

pub mod addresses;
pub mod agent;
pub mod api;
pub mod app;
pub mod boot;
pub mod cli;
pub mod client;
pub mod config;
pub mod connections;
pub mod content;
pub mod datagrams;
pub mod dhcp;
pub mod events;
pub mod listen;
pub mod media;
pub mod model;
pub mod proto;
pub mod render;
pub mod seldom;
pub mod server;
pub mod simulate;
pub mod store;
pub mod telemetry;
pub mod tftp;
pub mod threads;
pub mod workflow;
