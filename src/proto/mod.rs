//! Wire formats as values: parsers, encoders, and the protocols' state machines. No I/O and no clock; the
//! services have the sockets (`crate::tftp`, `crate::dhcp::server`).

pub mod dhcp4;
pub mod fat;
pub mod tftp;
