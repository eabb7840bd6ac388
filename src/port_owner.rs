//! Finds the process that holds a port, so that an error can name it. Reads `/proc`; best effort.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

/// Most processes, and most open files of one process, that are examined.
const PROCESSES_MAX: usize = 8192;
const FILES_MAX: usize = 4096;

/// The transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortProtocol {
    Udp,
    Tcp,
}

impl PortProtocol {
    fn tables(self) -> [&'static str; 2] {
        match self {
            PortProtocol::Udp => ["/proc/net/udp", "/proc/net/udp6"],
            PortProtocol::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
        }
    }

    fn name(self) -> &'static str {
        match self {
            PortProtocol::Udp => "UDP",
            PortProtocol::Tcp => "TCP",
        }
    }
}

/// A process that listens on a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortProcess {
    /// The process's name: `dnsmasq`.
    pub name: String,
    pub pid: u32,
}

impl fmt::Display for PortProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (pid {})", self.name, self.pid)
    }
}

/// The process that listens on a port: `dnsmasq (pid 812)`. `None` if there is none, or if it is not visible
/// to this process.
pub fn port_owner(protocol: PortProtocol, port: u16) -> Option<String> {
    owners(protocol, port).next().map(|owner| owner.to_string())
}

/// All visible processes that listen on a port.
pub fn port_owners(protocol: PortProtocol, port: u16) -> Vec<PortProcess> {
    owners(protocol, port).collect()
}

/// Whether a port is bound, even by a process that this one may not inspect.
pub fn is_port_bound(protocol: PortProtocol, port: u16) -> bool {
    !inodes(protocol, port).is_empty()
}

fn owners(protocol: PortProtocol, port: u16) -> impl Iterator<Item = PortProcess> {
    let targets: Vec<String> =
        inodes(protocol, port).iter().map(|inode| format!("socket:[{inode}]")).collect();
    let processes = fs::read_dir("/proc").ok().filter(|_| !targets.is_empty());
    processes.into_iter().flatten().flatten().take(PROCESSES_MAX).filter_map(move |entry| {
        let pid = entry.file_name().to_string_lossy().parse::<u32>().ok()?;
        holds_any(&entry.path(), &targets).then(|| {
            let name = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            PortProcess { name: name.trim().to_owned(), pid }
        })
    })
}

fn inodes(protocol: PortProtocol, port: u16) -> Vec<String> {
    let tables = protocol.tables().map(|path| fs::read_to_string(path).unwrap_or_default());
    tables.iter().flat_map(|table| listeners(table, protocol, port)).map(str::to_owned).collect()
}

/// Adds the owner of a busy port to the error of binding it.
pub fn explain_bind(error: io::Error, protocol: PortProtocol, port: u16) -> io::Error {
    let what = format!("{} port {port}", protocol.name());
    let text = match error.kind() {
        io::ErrorKind::AddrInUse => match port_owner(protocol, port) {
            Some(owner) => format!("{what} is in use by {owner}: stop it, or listen elsewhere"),
            None => format!("{what} is in use by another program: stop it, or listen elsewhere"),
        },
        io::ErrorKind::PermissionDenied => {
            format!("{what} needs root or the capability CAP_NET_BIND_SERVICE")
        }
        _ => return error,
    };
    io::Error::new(error.kind(), text)
}

/// Inodes of the sockets that are bound to `port`, in a table of the kernel (proc(5), `/proc/net/tcp`).
fn listeners(table: &str, protocol: PortProtocol, port: u16) -> impl Iterator<Item = &str> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).filter_map(move |line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let local = columns.get(1)?.rsplit_once(':')?.1;
        let listens = protocol == PortProtocol::Udp || columns.get(3) == Some(&LISTEN);
        let bound = u16::from_str_radix(local, 16).ok() == Some(port);
        columns.get(9).copied().filter(|_| bound && listens)
    })
}

fn holds_any(process: &Path, targets: &[String]) -> bool {
    let Ok(files) = fs::read_dir(process.join("fd")) else { return false };
    files.flatten().take(FILES_MAX).any(|file| {
        let target = fs::read_link(file.path()).unwrap_or_default();
        targets.iter().any(|wanted| target.as_os_str() == wanted.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn the_owner_of_a_bound_port_is_named() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let pid = format!("(pid {})", std::process::id());
        assert!(port_owner(PortProtocol::Udp, port).unwrap().ends_with(&pid));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error = TcpListener::bind(("127.0.0.1", port)).unwrap_err();
        assert!(explain_bind(error, PortProtocol::Tcp, port).to_string().contains(&pid));
    }

    #[test]
    fn only_the_lines_of_the_port_count() {
        let line = |port, inode| format!("1: 0100007F:{port} 0:0 07 0:0 00:0 0 0 0 {inode} 2\n");
        let table = format!("sl local_address ...\n{}{}", line("0043", "4711"), line("0044", "4712"));
        assert_eq!(listeners(&table, PortProtocol::Udp, 67).collect::<Vec<_>>(), ["4711"]);
        assert_eq!(listeners(&table, PortProtocol::Tcp, 67).count(), 0);
    }
}
