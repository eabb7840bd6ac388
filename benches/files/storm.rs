//! The boot storm: simulated machines (`metalwright simulate`), all switched on at once, from the first
//! DISCOVER over loader, script, kernel, initrd and answer file to the last report. Ours alone, with
//! everything that an installation has; [`crate::beside`] compares it with other servers. All of it is on the
//! loopback of the server's namespace.

use std::io;
use std::path::Path;

use crate::running::{Running, empty_folder, program};
use crate::{Place, load, noise, with_memory};

/// How many machines.
const SIZES: [u32; 3] = [64, 200, 1000];
const DHCP_PORT: &str = "6767";
const ARTIFACT: &str = "debian-12-amd64";
const WORKFLOW: &str = "install-debian-12";
/// About the size of Debian's installer.
const FILES: [(&str, usize); 2] = [("linux", 8 << 20), ("initrd.gz", 30 << 20)];
const SUBNET: &str = "name: storm\ncidr: 127.1.0.0/16\npools: [{start: 127.1.1.0, end: 127.1.9.250}]\n\
                      relays: [127.0.0.1]\n";

/// Runs each size once and prints the simulator's summary, with the server's memory and processor time.
///
/// # Errors
/// The server does not start, or a machine fails.
pub fn measure(place: &Place) -> io::Result<()> {
    for machines in SIZES {
        if place.wants(&format!("storm of {machines} simulated")) {
            run(place, machines)?;
        }
    }
    Ok(())
}

fn run(place: &Place, machines: u32) -> io::Result<()> {
    let running = start(place)?;
    prepare(place, &running, machines)?;
    let before = running.cpu_us()?;
    let mut simulate = place.net.in_server(&program());
    simulate.args(["simulate", "-q", "--mac", &mac(0), "--count", &machines.to_string()]);
    simulate.arg("--dhcp").arg(format!("127.0.0.1:{DHCP_PORT}")).arg("--data").arg(data(&running));
    let (output, resident_kib) = with_memory(|| running.resident_kib(), || simulate.output())?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("\nA storm of {machines} simulated (load {}):\n\n{said}", load());
    println!("server: {} ms of processors, {} MiB", (running.cpu_us()? - before) / 1000, resident_kib / 1024);
    if output.status.success() { Ok(()) } else { Err(io::Error::other("not every machine was installed")) }
}

fn data(running: &Running) -> std::path::PathBuf {
    running.folder().join("data")
}

fn start(place: &Place) -> io::Result<Running> {
    let folder = empty_folder("storm")?;
    let mut command = place.net.in_server(&program());
    command.arg("serve").arg("--data").arg(folder.join("data")).args(["--log-level", "warn"]);
    command.args([
        "--api-listen",
        "127.0.0.1:0",
        "--boot-http",
        "127.0.0.1:0",
        "--tftp-listen",
        "127.0.0.1:0",
    ]);
    command.args(["--dhcp-interface", "lo", "--dhcp-port", DHCP_PORT]);
    command.arg("--artifacts-root").arg(folder.join("installer"));
    Running::start(command, folder)
}

/// A subnet, an installer, and machines to install.
fn prepare(place: &Place, running: &Running, machines: u32) -> io::Result<()> {
    let installer = running.folder().join("installer");
    std::fs::create_dir(&installer)?;
    for (name, bytes) in FILES {
        std::fs::write(installer.join(name), noise(bytes))?;
    }
    arm(place, running, Scene { subnet: SUBNET, installer: &installer, machines })
}

/// What to install, and where.
pub struct Scene<'a> {
    pub subnet: &'a str,
    /// The folder with kernel and initrd, under the names of Debian's netboot files.
    pub installer: &'a Path,
    pub machines: u32,
}

/// Registers it with the server and starts the workflow of every machine.
pub fn arm(place: &Place, running: &Running, scene: Scene<'_>) -> io::Result<()> {
    create(place, running, ("subnets", scene.subnet))?;
    let net = &place.net;
    running.cli(net, &["artifacts", "add", ARTIFACT, "--dir", &path(scene.installer)])?;
    let machine = |number| format!("---\nname: m{number}\nmacs: ['{}']\n", mac(number));
    let all: String = (0..scene.machines).map(machine).collect();
    create(place, running, ("machines", &all))?;
    for number in 0..scene.machines {
        running.cli(net, &["machines", "start", &format!("m{number}"), WORKFLOW])?;
    }
    Ok(())
}

/// The address of a machine's network card.
pub fn hardware(machine: u32) -> [u8; 6] {
    let [_, _, high, low] = machine.to_be_bytes();
    [0x52, 0x54, 0, 0, high, low]
}

/// The same as text.
pub fn mac(machine: u32) -> String {
    hardware(machine).map(|byte| format!("{byte:02x}")).join(":")
}

fn create(place: &Place, running: &Running, (noun, body): (&str, &str)) -> io::Result<()> {
    let file = running.folder().join(noun);
    std::fs::write(&file, body)?;
    running.cli(&place.net, &[noun, "create", "-f", &path(&file)])
}

fn path(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}
