//! A boot decision in the terms of DHCP.

use std::net::Ipv4Addr;

/// The boot part of a DHCP reply. Names and URLs are final: `dhcp` puts them into `file` and option 67 alike,
/// and adds what the kind of client needs besides.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum BootData {
    /// No boot data: firmware continues with the disk.
    #[default]
    None,
    /// A file to read over TFTP.
    Tftp { next_server: Ipv4Addr, file: String },
    /// A loader by its full URL, for HTTP boot, and for an iPXE without HTTP (`tftp://`).
    Url { url: String },
    /// The script for an iPXE that can run it.
    Script { url: String },
    /// The boot server's address, for firmware that knows the names of its files, perhaps with a menu that it
    /// expects.
    Server { next_server: Ipv4Addr, menu: Option<String> },
}

impl BootData {
    /// The boot server, if the decision sets it.
    pub fn next_server(&self) -> Option<Ipv4Addr> {
        match self {
            BootData::Tftp { next_server, .. } | BootData::Server { next_server, .. } => Some(*next_server),
            BootData::None | BootData::Url { .. } | BootData::Script { .. } => None,
        }
    }

    /// Whether the client needs name servers to reach the host of its URL.
    pub fn names_host(&self) -> bool {
        let host = self.file().and_then(|file| file.split_once("://")?.1.split('/').next());
        let host = host.map(|host| host.split_once(':').map_or(host, |(host, _)| host));
        // A template is rendered later, with an address of this server.
        host.is_some_and(|host| !host.contains('{') && host.parse::<Ipv4Addr>().is_err())
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
