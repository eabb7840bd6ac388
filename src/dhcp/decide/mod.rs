//! The DHCP decisions: which address a client gets, what it is told, and how the reply reaches it.
//!
//! It covers full DHCP for the subnets that are served (RFC 2131, 2132, 3046, 3527, 5107, 6842), and boot
//! data beside another DHCP server (ProxyDHCP, PXE 2.1). Others encode bytes (`proto::dhcp4`), decide what to
//! boot (`netboot::decide`) and store leases (the rest of the house). Everything here is pure.
//!
//! [`PacketFacts::gather`] collects what is known about a packet, [`Link::select`] finds its shared network.
//! [`answer`] uses [`classify`] and [`AddressPicker::pick`] and writes the reply. Start there.

mod answer;
mod class;
mod classify;
mod client_key;
mod conversations;
mod destination;
mod example;
mod facts;
pub mod frame;
pub mod import;
mod index;
mod link;
mod neighbours;
mod network_observations;
mod offers;
pub mod options;
mod outcome;
mod pool;
pub mod probe;
mod proxy;
mod reply;
mod scopes;
mod silence;

pub use answer::{answer, quarantine};
pub use class::{ClassResult, DhcpClient, MatchedClasses, examine};
pub use classify::{ClientMessage, UnanswerablePacket, classify, classify_at_boot_server};
pub use client_key::ClientKey;
pub use conversations::{CONVERSATIONS_MAX, DhcpConversations};
pub use destination::{BOOT_SERVER_PORT, ReplyDestination, destination};
pub use example::{example_discover, example_query};
pub use facts::{BootAnswer, PacketFacts};
pub use frame::{FrameEnds, encode_frame};
pub use index::{pool_parts, servers_named};
pub use link::{
    DhcpQuery, InterfaceAddress, Link, NetworkInterface, NoLink, own_boot_server, server_identifier,
};
pub use neighbours::address_elsewhere;
pub use network_observations::{NetworkObservations, OtherServer, ServerSighting, UnservedPackets};
pub use offers::{AddressOffer, HOLD_SECONDS, HOLDS_MAX, OpenOffers, SOLE_SECONDS};
pub use options::{addresses_named, check_options, encode_text, ready_options};
pub use outcome::{DhcpAnswer, DhcpReply, LeaseChange, PacketEvent, ReplyDatagram, TemplateOption};
pub use pool::{AddressPicker, AddressRefusal, DECLINES_MAX, NoAddress, PickedAddress};
pub use probe::{AddressProber, LateAnswer, ProbeMethod, ProbeResult, ProbeTarget, how_to_probe};
pub use scopes::{OptionScope, OptionScopes};
pub use silence::SilenceReason;

#[cfg(test)]
mod tests;
