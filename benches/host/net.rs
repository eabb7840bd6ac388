//! Two network namespaces and one wire between them. Nothing in them reaches any other network.

use std::io;
use std::path::Path;
use std::process::{self, Command};

/// The server's end of the wire.
pub const SERVER: &str = "10.77.0.1";
/// The client's end, which stands for a relay.
pub const CLIENT: &str = "10.77.0.2";
pub const INTERFACE: &str = "mwbench0";
pub const NETWORK: &str = "10.77.0.0";
pub const PREFIX: &str = "/16";

/// Dropping it takes everything down.
pub struct Net {
    server: String,
    client: String,
}

impl Net {
    pub fn up() -> io::Result<Net> {
        let [server, client] = ["s", "c"].map(|end| format!("mwbench-{}-{end}", process::id()));
        for namespace in [&server, &client] {
            ip(&["netns", "add", namespace])?;
        }
        let net = Net { server, client };
        let peer = ["peer", "name", "mwbench1", "netns", &net.client];
        let link = ["-n", &net.server, "link", "add", INTERFACE, "type", "veth"];
        ip(&[link.as_slice(), peer.as_slice()].concat())?;
        let ends = [(&net.server, INTERFACE, SERVER), (&net.client, "mwbench1", CLIENT)];
        for (namespace, interface, address) in ends {
            ip(&[
                "-n",
                namespace,
                "addr",
                "add",
                &format!("{address}{PREFIX}"),
                "brd",
                "+",
                "dev",
                interface,
            ])?;
            ip(&["-n", namespace, "link", "set", "lo", "up"])?;
            ip(&["-n", namespace, "link", "set", interface, "up"])?;
        }
        Ok(net)
    }

    pub fn in_server(&self, program: &Path) -> Command {
        within(&self.server, program)
    }

    pub fn in_client(&self, program: &Path) -> Command {
        within(&self.client, program)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for namespace in [&self.client, &self.server] {
            // It does not exist if `up` failed early.
            let _ = ip(&["netns", "del", namespace]);
        }
    }
}

/// `ip netns exec` becomes the program, so the child's id is the program's.
fn within(namespace: &str, program: &Path) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(program);
    command
}

fn ip(words: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    let why = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("ip {}: {} (run it as root)", words.join(" "), why.trim())))
}
