//! Wire formats as values: bytes in, values out, and the state machines between them. No I/O and no clock;
//! sockets live with the services (`crate::tftp`, `crate::dhcp::service`).

pub mod dhcp4;
pub mod fat;
pub mod tftp;
