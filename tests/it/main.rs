//! Everything that is tested through the real program, and the rules that hold for the source itself.

mod agent;
mod api;
mod artifacts;
mod boot_http;
mod cli;
mod contract;
mod dhcp_vectors;
mod full;
mod killed;
mod leases;
mod loaders;
mod mirror;
mod net;
mod program;
mod qemu;
mod refusals;
mod relay;
mod render;
mod restart;
mod scene;
mod simulate;
mod tftp;
mod tidy;
mod two_clients;
mod wire;
mod world;
