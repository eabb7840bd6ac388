//! The IPv4 addresses of this host, by the index of their interface. An address can have a label (`eth1:0`,
//! `ip address add … label`), which getifaddrs(3) returns as the name of the interface; the kernel's own list
//! (rtnetlink(7)) has the index. Start at [`read`].

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;

use nix::libc;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Most parts of the kernel's list. Each has about a hundred addresses.
const PARTS_MAX: usize = 1024;
/// The kernel makes parts of at most 32 KiB.
const PART_BYTES_MAX: usize = 64 << 10;
const HEADER_BYTES: usize = 16;
const ADDRESS_BYTES: usize = 8;
const ATTRIBUTE_BYTES: usize = 4;
const DONE: u16 = libc::NLMSG_DONE as u16;
const ERROR: u16 = libc::NLMSG_ERROR as u16;

/// An address of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnAddress {
    /// The index of its interface.
    pub interface: u32,
    pub address: Ipv4Addr,
    pub prefix: u8,
}

/// All present addresses, in the kernel's order.
///
/// # Errors
/// Those of the system.
pub fn read() -> io::Result<Vec<OwnAddress>> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    send(socket.as_raw_fd(), &question(), MsgFlags::empty())?;
    let mut buffer = vec![0; PART_BYTES_MAX];
    let mut found = Vec::new();
    for _ in 0..PARTS_MAX {
        // A part is ready when it is requested.
        let bytes = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
        if read_part(buffer.get(..bytes).unwrap_or_default(), &mut found)? == DumpPart::Last {
            return Ok(found);
        }
    }
    Err(io::Error::other("the kernel's list of addresses has no end"))
}

/// The request for all IPv4 addresses: a header, and the family.
fn question() -> Vec<u8> {
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let bytes = (HEADER_BYTES + ADDRESS_BYTES) as u32;
    let mut question = bytes.to_ne_bytes().to_vec();
    question.extend(libc::RTM_GETADDR.to_ne_bytes());
    question.extend(flags.to_ne_bytes());
    question.extend([0; 8]);
    question.extend([libc::AF_INET as u8, 0, 0, 0, 0, 0, 0, 0]);
    question
}

#[derive(Debug, PartialEq, Eq)]
enum DumpPart {
    Last,
    MoreFollow,
}

fn read_part(mut rest: &[u8], found: &mut Vec<OwnAddress>) -> io::Result<DumpPart> {
    while let Some(length) = word(rest, 0).and_then(|length| usize::try_from(length).ok()) {
        let Some(message) = rest.get(..length).filter(|message| message.len() >= HEADER_BYTES) else {
            return Err(io::Error::other("the kernel's list of addresses is cut off"));
        };
        let body = message.get(HEADER_BYTES..).unwrap_or_default();
        match half(message, 4).unwrap_or_default() {
            DONE => return Ok(DumpPart::Last),
            ERROR => {
                let code = word(body, 0).map_or(0, u32::cast_signed);
                return Err(io::Error::from_raw_os_error(code.saturating_neg()));
            }
            libc::RTM_NEWADDR => found.extend(own_address(body)),
            _ => {}
        }
        rest = rest.get(aligned(length)..).unwrap_or_default();
    }
    Ok(DumpPart::MoreFollow)
}

/// On a point-to-point link `IFA_ADDRESS` is the address of the other end and `IFA_LOCAL` that of this host;
/// otherwise they are equal.
fn own_address(body: &[u8]) -> Option<OwnAddress> {
    let (prefix, interface) = (*body.get(1)?, word(body, 4)?);
    let mut attributes = body.get(ADDRESS_BYTES..)?;
    let (mut local, mut any) = (None, None);
    while let Some(length) = half(attributes, 0).map(usize::from).filter(|length| *length >= ATTRIBUTE_BYTES)
    {
        let value = attributes.get(ATTRIBUTE_BYTES..length).and_then(|value| <[u8; 4]>::try_from(value).ok());
        match half(attributes, 2)? {
            libc::IFA_LOCAL => local = value,
            libc::IFA_ADDRESS => any = value,
            _ => {}
        }
        attributes = attributes.get(aligned(length)..).unwrap_or_default();
    }
    Some(OwnAddress { interface, address: Ipv4Addr::from(local.or(any)?), prefix })
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message in the form of the kernel.
    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let length = (HEADER_BYTES + body.len()) as u32;
        let header = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10]].concat();
        let mut whole = [&header, body].concat();
        whole.resize(aligned(whole.len()), 0);
        whole
    }

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let length = (ATTRIBUTE_BYTES + value.len()) as u16;
        let mut whole = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
        whole.resize(aligned(whole.len()), 0);
        whole
    }

    fn new_address(prefix: u8, interface: u32, attributes: &[Vec<u8>]) -> Vec<u8> {
        let fixed = [&[libc::AF_INET as u8, prefix, 0, 0][..], &interface.to_ne_bytes()].concat();
        message(libc::RTM_NEWADDR, &[fixed, attributes.concat()].concat())
    }

    #[test]
    fn the_loopback_address_is_found() {
        let index = nix::net::if_::if_nametoindex("lo").unwrap();
        let lo = OwnAddress { interface: index, address: Ipv4Addr::LOCALHOST, prefix: 8 };
        assert!(read().unwrap().contains(&lo));
    }

    #[test]
    fn an_address_counts_whatever_its_label_and_of_two_ends_ours() {
        let label = attribute(libc::IFA_LABEL, b"eth1:0\0");
        let labelled = new_address(24, 7, &[attribute(libc::IFA_ADDRESS, &[10, 0, 0, 1]), label]);
        let (theirs, ours) =
            (attribute(libc::IFA_ADDRESS, &[10, 9, 0, 2]), attribute(libc::IFA_LOCAL, &[10, 9, 0, 1]));
        let between_two = new_address(32, 8, &[theirs, ours]);
        let mut found = Vec::new();
        let part = [labelled, between_two].concat();
        assert_eq!(read_part(&part, &mut found).unwrap(), DumpPart::MoreFollow);
        let own =
            |interface, octets, prefix| OwnAddress { interface, address: Ipv4Addr::from(octets), prefix };
        assert_eq!(found, [own(7, [10, 0, 0, 1], 24), own(8, [10, 9, 0, 1], 32)]);
        assert_eq!(read_part(&message(DONE, &[0; 4]), &mut found).unwrap(), DumpPart::Last);
    }

    #[test]
    fn what_is_cut_off_or_refused_is_an_error_and_nothing_loops() {
        let whole = new_address(24, 7, &[attribute(libc::IFA_LOCAL, &[10, 0, 0, 1])]);
        for length in 4..whole.len() {
            assert!(read_part(&whole[..length], &mut Vec::new()).is_err(), "{length}");
        }
        let no_attribute = new_address(24, 7, &[vec![0; 8]]);
        let mut found = Vec::new();
        assert_eq!(read_part(&no_attribute, &mut found).unwrap(), DumpPart::MoreFollow);
        assert!(found.is_empty());
        let refused = message(ERROR, &(-libc::EPERM).to_ne_bytes());
        assert_eq!(read_part(&refused, &mut found).unwrap_err().raw_os_error(), Some(libc::EPERM));
    }
}
