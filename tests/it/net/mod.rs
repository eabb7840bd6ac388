//! Tests on real sockets in network namespaces: the server on one side of a bridge, the operating system's
//! own clients on the other. They need root. Start at [`Lan`].

mod devices;
mod dhcp;
mod doctor;
mod fetches;
mod lan;
mod neighbours;
mod options;
mod others;
mod packets;
mod probes;
mod relays;
mod snippets;
mod tftp;
mod unit;

pub use dhcp::subnet;
pub use lan::{BRIDGE, CIDR, Host, Lan, SERVER_ADDRESS, ip, may_make_namespaces, on_a_lan};
