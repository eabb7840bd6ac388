//! Wire formats as values: bytes in, values out, and the state machines between them. No I/O and no clock;
//! sockets live with the services (`crate::tftp`).

pub mod tftp;
//! Bytes to values and back: no I/O, no clock, nothing but `model`.

pub mod dhcp4;
