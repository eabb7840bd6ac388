//! The boot storm: machines made of packets (`metalwright simulate`), all switched on at once, from the first
//! DISCOVER over loader, script, kernel, initrd and answer file to the last report. Ours alone: the others
//! have no machines to install. All of it is on the loopback of the server's namespace.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::running::{Running, empty_folder, program};
use crate::{Place, load, noise};

/// How many machines.
const SIZES: [u32; 3] = [64, 200, 1000];
const FIRST_MAC: &str = "52:54:00:00:00:00";
const DHCP_PORT: &str = "6767";
const ARTIFACT: &str = "debian-12-amd64";
const WORKFLOW: &str = "install-debian-12";
/// About what Debian's installer has.
const FILES: [(&str, usize); 2] = [("linux", 8 << 20), ("initrd.gz", 30 << 20)];
const SUBNET: &str = "name: storm\ncidr: 127.1.0.0/16\npools: [{start: 127.1.1.0, end: 127.1.9.250}]\n\
                      relays: [127.0.0.1]\n";

/// Plays each size once and prints what the simulator says, with the server's memory and processor time.
///
/// # Errors
/// The server does not start, or a machine fails.
pub fn measure(place: &Place) -> io::Result<()> {
    for machines in SIZES {
        if place.wants(&format!("storm of {machines}")) {
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
    simulate.args(["simulate", "-q", "--mac", FIRST_MAC, "--count", &machines.to_string()]);
    simulate.arg("--dhcp").arg(format!("127.0.0.1:{DHCP_PORT}")).arg("--data").arg(data(&running));
    let (output, resident_kib) = std::thread::scope(|scope| {
        let playing = scope.spawn(|| simulate.output());
        let mut resident = 0;
        while !playing.is_finished() {
            resident = resident.max(running.resident_kib()?);
            std::thread::park_timeout(Duration::from_millis(100));
        }
        let output = playing.join().map_err(|_| io::Error::other("the simulator panicked"))??;
        io::Result::Ok((output, resident))
    })?;
    let said = String::from_utf8_lossy(&output.stdout);
    println!("\nA storm of {machines} (load {}):\n\n{said}", load());
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
    Running::start(command, folder)
}

/// A subnet, an installer, and machines that are to be installed.
fn prepare(place: &Place, running: &Running, machines: u32) -> io::Result<()> {
    let installer = running.folder().join("installer");
    std::fs::create_dir(&installer)?;
    for (name, bytes) in FILES {
        std::fs::write(installer.join(name), noise(bytes))?;
    }
    create(place, running, ("subnets", SUBNET))?;
    let (net, installer) = (&place.net, installer.to_string_lossy());
    running.cli(net, &["artifacts", "add", ARTIFACT, "--dir", &installer])?;
    let all: String = (0..machines).map(machine).collect();
    create(place, running, ("machines", &all))?;
    for number in 0..machines {
        running.cli(net, &["machines", "start", &format!("m{number}"), WORKFLOW])?;
    }
    Ok(())
}

fn machine(number: u32) -> String {
    let [_, _, high, low] = number.to_be_bytes();
    format!("---\nname: m{number}\nmacs: ['52:54:00:00:{high:02x}:{low:02x}']\n")
}

fn create(place: &Place, running: &Running, (noun, body): (&str, &str)) -> io::Result<()> {
    let file = running.folder().join(noun);
    std::fs::write(&file, body)?;
    running.cli(&place.net, &[noun, "create", "-f", &path(&file)])
}

fn path(file: &Path) -> String {
    file.to_string_lossy().into_owned()
}
