//! DHCP as a client, or as the relay agent in front of a client: gets an address and boot data, and checks
//! everything in the replies that real clients depend on.
//!
//! A broadcast does not leave the loopback interface, so there the simulator acts as a relay: it puts its own
//! address into `giaddr` and asks for the reply at its source port (RFC 8357). On a named interface it
//! broadcasts from port 68 like any client. Start at [`DhcpSession::lease`].

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use tokio::net::UdpSocket;
use tokio::time::{Instant as Deadline, timeout_at};

use crate::proto::dhcp4::{DATAGRAM_BYTES_MAX, DhcpPacket, MessageType, codes, encode_listed, parse};
use crate::simulate::console::MachineConsole;
use crate::simulate::failure::StepFailure;
use crate::simulate::firmware::{DhcpProgram, MachineIdentity, OfferedAddress};

/// How often a message is sent before the client gives up.
const TRIES: u32 = 4;
/// Most packets for other clients, or without an answer, that are skipped while it waits.
const STRAY_PACKETS_MAX: u32 = 10_000;
const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// Relay sub-option 19: reply to the source port (RFC 8357).
const SOURCE_PORT: [u8; 2] = [19, 0];

/// How the simulated machine reaches a DHCP server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DhcpReach {
    /// As a relay agent with the address `relay`, to this server.
    Relay { server: SocketAddrV4, relay: Ipv4Addr },
    /// By broadcast on this interface.
    Interface(String),
}

/// The DHCP client of a machine.
#[derive(Debug)]
pub struct DhcpSession {
    socket: UdpSocket,
    relay: Option<Ipv4Addr>,
    server: SocketAddr,
    /// The wait for the first answer; it doubles with each try.
    first_wait: Duration,
}

/// The lease of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLease {
    pub address: Ipv4Addr,
    pub prefix: u8,
    pub next_server: Ipv4Addr,
    /// `file`, or option 67; empty if there is nothing to boot.
    pub boot_file: String,
    ack: DhcpPacket,
}

impl DhcpSession {
    /// Opens the socket of a client.
    ///
    /// # Errors
    /// The address or the interface does not exist, or port 68 needs more rights.
    pub async fn open(reach: &DhcpReach, first_wait: Duration) -> Result<Self, StepFailure> {
        let refused = |what: String| {
            move |error: io::Error| StepFailure::new("dhcp", what, format!("the system says: {error}"))
        };
        match reach {
            DhcpReach::Relay { server, relay } => {
                let socket = UdpSocket::bind((*relay, 0)).await;
                let socket = socket.map_err(refused(format!("to send from the relay address {relay}")))?;
                Ok(DhcpSession { socket, relay: Some(*relay), server: (*server).into(), first_wait })
            }
            DhcpReach::Interface(name) => {
                let socket = bind_to_interface(name);
                let socket =
                    socket.map_err(refused(format!("to use port {CLIENT_PORT} of interface {name}")))?;
                let server = SocketAddr::from((Ipv4Addr::BROADCAST, SERVER_PORT));
                Ok(DhcpSession { socket, relay: None, server, first_wait })
            }
        }
    }

    /// Gets a lease: DISCOVER, OFFER, REQUEST, ACK.
    ///
    /// # Errors
    /// There was no answer, or one that a real client would not accept.
    pub async fn lease(
        &self,
        identity: &MachineIdentity,
        speaker: DhcpProgram,
        console: &mut MachineConsole,
    ) -> Result<ClientLease, StepFailure> {
        let mut discover = speaker.discover(identity, random_xid());
        match self.relay {
            Some(relay) => {
                (discover.giaddr, discover.hops) = (relay, 1);
                discover.options.set(codes::RELAY_AGENT, SOURCE_PORT);
            }
            // The interface has another MAC address, so it would not receive a frame for the simulated one.
            None => discover.set_broadcast(),
        }
        let began = Instant::now();
        let offer = self.exchange(&discover, &[MessageType::Offer]).await?;
        let offered = read_reply(speaker, (&discover, &offer))?;
        console.step("dhcp.offer", began, format!("OFFER {}", offered.describe())).await;
        let Some(server) = offer.server_identifier() else {
            return Err(StepFailure::new("dhcp", "option 54 in the OFFER", "there is none"));
        };
        let began = Instant::now();
        let request = DhcpProgram::request(&discover, OfferedAddress { address: offered.address, server });
        let ack = self.exchange(&request, &[MessageType::Ack, MessageType::Nak]).await?;
        if ack.message_type() == Some(MessageType::Nak) {
            let why = ack.options.get(codes::MESSAGE).unwrap_or_default();
            let came = format!("a NAK came: {}", String::from_utf8_lossy(why));
            return Err(StepFailure::new("dhcp", format!("an ACK for {}", offered.address), came));
        }
        let lease = read_reply(speaker, (&request, &ack))?;
        if (lease.address, &lease.boot_file) != (offered.address, &offered.boot_file) {
            let (expected, came) = (offered.describe(), lease.describe());
            return Err(StepFailure::new("dhcp", format!("an ACK like the OFFER, {expected}"), came));
        }
        console.step("dhcp.ack", began, format!("ACK {} from {server}", lease.address)).await;
        Ok(lease)
    }

    /// Sends a message until an answer of one of these kinds arrives.
    async fn exchange(&self, message: &DhcpPacket, kinds: &[MessageType]) -> Result<DhcpPacket, StepFailure> {
        let bytes = encode_listed(message);
        let began = Instant::now();
        let mut wait = self.first_wait;
        let mut stray = String::new();
        for _ in 0..TRIES {
            let sent = self.socket.send_to(&bytes, self.server).await;
            sent.map_err(|error| self.failure(kinds, format!("it could not be asked: {error}")))?;
            match self.answer(message, kinds, Deadline::now() + wait).await {
                Ok(Some(answer)) => return Ok(answer),
                Ok(None) => {}
                Err(what) => stray = format!(", but {what}"),
            }
            wait *= 2;
        }
        let came = format!("nothing came in {} ms and {TRIES} tries{stray}", began.elapsed().as_millis());
        Err(self.failure(kinds, came))
    }

    fn failure(&self, kinds: &[MessageType], came: String) -> StepFailure {
        let kind = if kinds.contains(&MessageType::Offer) { "an OFFER" } else { "an ACK" };
        StepFailure::new("dhcp", format!("{kind} from {}", self.server), came)
    }

    /// The next answer before the deadline; an error describes the last packet that was not an answer.
    async fn answer(
        &self,
        message: &DhcpPacket,
        kinds: &[MessageType],
        until: Deadline,
    ) -> Result<Option<DhcpPacket>, String> {
        let mut buffer = vec![0; DATAGRAM_BYTES_MAX + 1];
        let mut stray = None;
        for _ in 0..STRAY_PACKETS_MAX {
            let Ok(received) = timeout_at(until, self.socket.recv_from(&mut buffer)).await else { break };
            // This error reports a closed port; the port may be open at the next try.
            let Ok((bytes, from)) = received else { continue };
            match parse(buffer.get(..bytes).unwrap_or_default()) {
                Ok(packet) if packet.op != 2 || packet.xid != message.xid => {}
                Ok(packet) if packet.chaddr != message.chaddr => {
                    stray = Some(format!("{from} answered for another hardware address"));
                }
                Ok(packet) if packet.message_type().is_some_and(|kind| kinds.contains(&kind)) => {
                    return Ok(Some(packet));
                }
                Ok(packet) => stray = Some(format!("{from} answered {:?}", packet.message_type())),
                Err(error) => {
                    stray = Some(format!("{from} sent something that is not a DHCP message: {error}"))
                }
            }
        }
        stray.map_or(Ok(None), Err)
    }
}

impl ClientLease {
    /// Whether the reply names something that this program can boot.
    pub fn boots(&self, speaker: DhcpProgram) -> bool {
        match speaker {
            // EDK2 treats an offer without its class as one that only gives an address.
            DhcpProgram::Edk2Http => !self.boot_file.is_empty() && self.is_http_client(),
            _ => !self.boot_file.is_empty(),
        }
    }

    fn is_http_client(&self) -> bool {
        self.ack.vendor_class().is_some_and(|class| class.starts_with(b"HTTPClient"))
    }

    fn describe(&self) -> String {
        let mut text = self.address.to_string();
        if !self.next_server.is_unspecified() {
            text.push_str(&format!(" siaddr {}", self.next_server));
        }
        match self.boot_file.as_str() {
            "" => text.push_str(", nothing to boot"),
            file => text.push_str(&format!(" file {file}")),
        }
        text
    }
}

/// Checks a reply as clients and relays do, and reads what they read.
fn read_reply(
    speaker: DhcpProgram,
    (request, reply): (&DhcpPacket, &DhcpPacket),
) -> Result<ClientLease, StepFailure> {
    let wrong = |expected: &str, came: String| Err(StepFailure::new("dhcp", expected, came));
    for code in [codes::RELAY_AGENT, codes::CLIENT_IDENTIFIER] {
        let (sent, came) = (request.options.get(code), reply.options.get(code));
        if sent != came {
            return wrong(&format!("option {code} as it was sent, {sent:02x?}"), format!("{came:02x?} came"));
        }
    }
    if reply.giaddr != request.giaddr {
        return wrong("giaddr as it was sent", format!("{} came", reply.giaddr));
    }
    if reply.yiaddr.is_unspecified() {
        return wrong("an address in yiaddr", "it is 0.0.0.0".to_owned());
    }
    if reply.lease_seconds().is_none_or(|seconds| seconds == 0) {
        return wrong("a lease time in option 51", "there is none".to_owned());
    }
    let mask = reply.options.get(codes::SUBNET_MASK).and_then(|mask| <[u8; 4]>::try_from(mask).ok());
    let Some(mask) = mask else { return wrong("a subnet mask in option 1", "there is none".to_owned()) };
    let option = text(reply.options.get(codes::BOOTFILE_NAME).unwrap_or_default());
    let field = text(&reply.file);
    if !field.is_empty() && !option.is_empty() && field != option {
        return wrong("`file` and option 67 to be the same", format!("`{field}` and `{option}` came"));
    }
    let lease = ClientLease {
        address: reply.yiaddr,
        prefix: u8::try_from(u32::from_be_bytes(mask).leading_ones()).unwrap_or(32),
        next_server: reply.siaddr,
        boot_file: if option.is_empty() { field } else { option },
        ack: reply.clone(),
    };
    check_boot_data(speaker, lease)
}

/// Checks the boot data as each firmware does; see EDK2's classes of offers.
fn check_boot_data(speaker: DhcpProgram, lease: ClientLease) -> Result<ClientLease, StepFailure> {
    let wrong = |expected: &str, came: String| Err(StepFailure::new("dhcp", expected, came));
    let class = text(lease.ack.vendor_class().unwrap_or_default());
    let has_file = !lease.boot_file.is_empty();
    match speaker {
        DhcpProgram::Edk2 if class.starts_with("PXEClient") => wrong(
            "no option 60 in an offer to UEFI, which would go on to port 4011",
            format!("`{class}` came"),
        ),
        DhcpProgram::Edk2Http if class.starts_with("HTTPClient") && !lease.boot_file.starts_with("http") => {
            wrong("a URL for a client that boots over HTTP", format!("`{}` came", lease.boot_file))
        }
        DhcpProgram::Edk2 | DhcpProgram::PxeRom if has_file && lease.next_server.is_unspecified() => {
            wrong("a TFTP server in siaddr", format!("`{}` came without one", lease.boot_file))
        }
        DhcpProgram::PxeRom if !ends_with_nul(&lease.ack) => {
            wrong("a NUL at the end of option 67, which ROMs read past its length", lease.boot_file)
        }
        DhcpProgram::Udhcpc | DhcpProgram::NetworkManager if has_file => {
            wrong("an address only for an operating system", format!("`{}` came", lease.boot_file))
        }
        _ => Ok(lease),
    }
}

fn ends_with_nul(reply: &DhcpPacket) -> bool {
    reply.options.get(codes::BOOTFILE_NAME).is_none_or(|name| name.last() == Some(&0))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
}

fn bind_to_interface(name: &str) -> io::Result<UdpSocket> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(name.as_bytes()))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT)).into())?;
    UdpSocket::from_std(socket.into())
}

fn random_xid() -> u32 {
    // Without the system's random numbers the time is used: it must differ between clients, but need not be
    // secret.
    getrandom::u32().unwrap_or_else(|_| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(1, |now| now.subsec_nanos())
    })
}

#[cfg(test)]
mod tests;
