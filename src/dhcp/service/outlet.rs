//! How replies leave: as a datagram, or as a frame to a client that has no address yet.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddrV4;

use socket2::Socket;
use tracing::{info, warn};

use crate::dhcp::frame::{FrameEnds, encode_frame};
use crate::dhcp::service::interfaces::{self, Port};
use crate::dhcp::service::socket::{self, Departure, Listener};
use crate::dhcp::{Destination, Reply};
use crate::model::Mac;

/// The interfaces that are served, and the socket for frames.
pub(super) struct Outlet {
    frames: Option<Socket>,
    names: Vec<String>,
    ports: BTreeMap<u32, Port>,
    told_of_fallback: bool,
}

impl Outlet {
    pub fn new(names: Vec<String>) -> io::Result<Self> {
        let frames = socket::frames()
            .inspect_err(
                |error| warn!(%error, "no raw socket: clients without an address are sent broadcasts"),
            )
            .ok();
        let ports = interfaces::read(&names)?;
        let missing = names.iter().filter(|name| ports.values().all(|port| port.facts.name != **name));
        missing.for_each(|name| warn!(interface = name, "there is no such interface yet"));
        Ok(Outlet { told_of_fallback: frames.is_none(), frames, names, ports })
    }

    /// The interface with this index, if it is served.
    pub fn port(&self, index: u32) -> Option<&Port> {
        self.ports.get(&index)
    }

    /// Reads the interfaces anew: they come and go, and so do their addresses.
    pub fn refresh(&mut self) {
        match interfaces::read(&self.names) {
            Ok(ports) => {
                for port in ports.values().filter(|port| !self.ports.contains_key(&port.facts.index)) {
                    info!(interface = port.facts.name, "serving DHCP");
                }
                self.ports = ports;
            }
            Err(error) => warn!(%error, "the network interfaces cannot be read"),
        }
    }

    /// Sends a reply from the port its question came to.
    pub fn send(&mut self, listener: &Listener, reply: &Reply) -> io::Result<()> {
        let port = self.ports.get(&reply.interface);
        let port = port.ok_or_else(|| io::Error::other("its interface is gone"))?;
        if let Some((mac, to)) = framed(&reply.destination) {
            let from = SocketAddrV4::new(reply.source, listener.local_port());
            let ends = port.mac().map(|from_mac| FrameEnds { from_mac, to_mac: mac, from, to });
            match self.send_frame(port, ends, &reply.bytes) {
                Ok(()) => return Ok(()),
                Err(error) if !self.told_of_fallback => {
                    warn!(%error, interface = port.facts.name, "no frame can be sent: broadcasting instead");
                    self.told_of_fallback = true;
                }
                Err(_) => {}
            }
        }
        let to = match reply.destination {
            Destination::Unicast(to) => to,
            Destination::Broadcast | Destination::Frame { .. } => Destination::Broadcast.socket_address(),
        };
        let Some(port) = self.ports.get(&reply.interface) else { return Ok(()) };
        // What is behind a router is left to routing; a forced interface would look for it on the link.
        let direct = to.ip().is_broadcast() || port.facts.is_on_link(*to.ip());
        let interface = if direct { reply.interface } else { 0 };
        listener.send(Departure { source: reply.source, interface }, to, &reply.bytes)
    }

    fn send_frame(&self, port: &Port, ends: Option<FrameEnds>, payload: &[u8]) -> io::Result<()> {
        let unable = || io::Error::other("the interface has no Ethernet address, or there is no raw socket");
        let (link, ends) = port.link.as_ref().zip(ends).ok_or_else(unable)?;
        let frames = self.frames.as_ref().ok_or_else(unable)?;
        let frame = encode_frame(&ends, payload).ok_or_else(unable)?;
        socket::send_frame(frames, link, &frame)
    }
}

/// What goes out as a frame: on virtual links the kernel leaves the checksum of its own broadcasts undone,
/// and clients that read frames drop them.
fn framed(destination: &Destination) -> Option<(Mac, SocketAddrV4)> {
    match destination {
        Destination::Unicast(_) => None,
        Destination::Frame { mac, to } => Some((*mac, *to)),
        Destination::Broadcast => Some((Mac([0xff; 6]), destination.socket_address())),
    }
}
