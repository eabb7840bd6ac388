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
    /// Firmware that knows the names of its files and only has to know where they are, perhaps with a menu
    /// that it looks for.
    Server { next_server: Ipv4Addr, menu: Option<String> },
}

impl BootData {
    /// The boot server, where it is a part of the decision.
    pub fn next_server(&self) -> Option<Ipv4Addr> {
        match self {
            BootData::Tftp { next_server, .. } | BootData::Server { next_server, .. } => Some(*next_server),
            BootData::None | BootData::Url { .. } | BootData::Script { .. } => None,
        }
    }

    /// The name or URL of the boot file.
    pub fn file(&self) -> Option<&str> {
        match self {
            BootData::None | BootData::Server { .. } => None,
            BootData::Tftp { file, .. } => Some(file),
            BootData::Url { url } | BootData::Script { url } => Some(url),
        }
    }
}
