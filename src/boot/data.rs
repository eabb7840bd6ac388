//! A boot decision in the terms of DHCP.

use std::net::Ipv4Addr;

/// What a DHCP reply says about booting. Names and URLs are final: `dhcp` puts them in `file` and
/// option 67 alike and adds what the kind of client needs besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BootData {
    /// An address at most: firmware goes on to the disk.
    #[default]
    None,
    /// A file to be read by TFTP.
    Tftp { next_server: Ipv4Addr, file: String },
    /// A loader by its full URL, for HTTP boot and for an iPXE that cannot speak HTTP (`tftp://`).
    Url { url: String },
    /// The script of an iPXE that can run it.
    Script { url: String },
    /// Raspberry Pi firmware, which looks for a menu with its own name.
    RaspberryPi { next_server: Ipv4Addr },
}

impl BootData {
    /// The name or URL of the boot file.
    pub fn file(&self) -> Option<&str> {
        match self {
            BootData::None | BootData::RaspberryPi { .. } => None,
            BootData::Tftp { file, .. } => Some(file),
            BootData::Url { url } | BootData::Script { url } => Some(url),
        }
    }
}
