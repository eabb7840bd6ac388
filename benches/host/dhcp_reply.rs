//! What the clients of the benches read from a DHCP reply (RFC 2131 2). It is not the server's own parser,
//! because the measured code must not take part in measuring.

use std::net::Ipv4Addr;

pub const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// The fixed fields and the cookie; options begin here.
pub const OPTIONS_OFFSET: usize = 240;
pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const ACK: u8 = 5;
const BOOT_REPLY: u8 = 2;
const PAD: u8 = 0;
const END: u8 = 255;

/// The parts that every client needs.
pub struct Reply {
    pub xid: u32,
    /// The message type; 0 if there is none.
    pub kind: u8,
    pub address: Ipv4Addr,
    pub server: [u8; 4],
}

impl Reply {
    /// Reads a packet, and passes each option to `see`.
    pub fn parse<'a>(packet: &'a [u8], mut see: impl FnMut(u8, &'a [u8])) -> Option<Reply> {
        let mut reply = Reply {
            xid: u32::from_be_bytes(four(packet, 4)?),
            kind: 0,
            address: four(packet, 16)?.into(),
            server: [0; 4],
        };
        let mut options = packet.get(OPTIONS_OFFSET..).filter(|_| packet.first() == Some(&BOOT_REPLY))?;
        loop {
            match options {
                [PAD, rest @ ..] => options = rest,
                [] | [END, ..] => return Some(reply),
                [code, length, rest @ ..] => {
                    let (data, after) = rest.split_at_checked(usize::from(*length))?;
                    match (code, data) {
                        (53, [kind]) => reply.kind = *kind,
                        (54, [a, b, c, d]) => reply.server = [*a, *b, *c, *d],
                        _ => see(*code, data),
                    }
                    options = after;
                }
                [_] => return None,
            }
        }
    }
}

/// Four bytes of the fixed fields.
pub fn four(packet: &[u8], at: usize) -> Option<[u8; 4]> {
    packet.get(at..at + 4)?.try_into().ok()
}
