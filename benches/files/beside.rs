//! The boot storm compared with dnsmasq (DHCP, TFTP) and nginx (files, and 204 for reports): the machines of
//! [`crate::storm_client`], switched on within a second or two. Our server decides and renders for each
//! machine, and has every report on disk before it answers; theirs serve one script and one answer file to
//! all, and discard the reports.
//!
//! Each machine has an address of its own, from its lease: the client's namespace owns every address of
//! [`MACHINES`], so it can bind them. Ours and theirs alternate.

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::net::{INTERFACE, NETWORK, PREFIX, SERVER};
use crate::running::{Running, empty_folder, program};
use crate::servers::{DNSMASQ, HTTP_PORT, INITRD, KERNEL, LOADER, NGINX, dnsmasq, nginx};
use crate::storm::{Scene, arm};
use crate::storm_client::{Figures, Load, STEPS};
use crate::{HTTP_CLIENT, Place, STORM_CLIENT, TFTP_CLIENT, client, load, spread, tftp_client, with_memory};

/// Addresses of machines and relays, and among them those of the relays and the pool.
const MACHINES: &str = "10.77.8.0/21";
pub const RELAYS: Ipv4Addr = Ipv4Addr::new(10, 77, 8, 1);
const POOL: [&str; 2] = ["10.77.9.0", "10.77.15.254"];
/// How long the others may take until they answer.
const READY_MAX: Duration = Duration::from_secs(20);
/// The loader that ours gives a UEFI computer; the site's own takes precedence over the distribution's.
const OUR_LOADER: &str = "loaders/snponly.efi";
/// Their script and answer file, as long as those that ours renders for `install-debian-12`.
const SCRIPT_BYTES: usize = 1300;
const ANSWER_FILE_BYTES: usize = 2800;

struct Row {
    name: &'static str,
    load: Load,
}

const ROWS: [Row; 2] = [
    Row { name: "storm of 64 beside", load: Load { machines: 64, within: Duration::from_secs(1) } },
    Row { name: "storm of 200 beside", load: Load { machines: 200, within: Duration::from_secs(2) } },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Ours,
    Theirs,
}

struct Run {
    figures: Figures,
    cpu_us: u64,
    resident_kib: u64,
}

/// Runs each row, ours and theirs alternating, and prints its tables.
///
/// # Errors
/// A server does not start, a machine did not boot, or an address was given twice.
pub fn measure(place: &Place) -> io::Result<()> {
    for row in ROWS.iter().filter(|row| place.wants(row.name)) {
        let sides = [Side::Ours, Side::Theirs].into_iter().filter(|side| side.is_installed());
        let mut runs: Vec<(Side, Vec<Run>)> = sides.map(|side| (side, Vec::new())).collect();
        for _ in 0..place.rounds {
            for (side, runs) in &mut runs {
                runs.push(run(place, *side, row)?);
            }
        }
        print(row, &mut runs);
        let is_whole = |run: &Run| run.figures.failed == 0 && run.figures.duplicates == 0;
        if !runs.iter().flat_map(|(_, runs)| runs).all(is_whole) {
            return Err(io::Error::other(format!("{}: not every machine booted as it has to", row.name)));
        }
    }
    Ok(())
}

/// One side from start to end.
fn run(place: &Place, side: Side, row: &Row) -> io::Result<Run> {
    let servers = match side {
        Side::Ours => vec![ours(place, row.load.machines)?],
        Side::Theirs => theirs(place)?,
    };
    let sum = |figure: fn(&Running) -> io::Result<u64>| servers.iter().map(figure).sum::<io::Result<u64>>();
    let mut route = place.net.in_client(Path::new("ip"));
    let output = route.args(["route", "replace", "local", MACHINES, "dev", "lo"]).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let before = sum(Running::cpu_us)?;
    let (figures, resident_kib) = with_memory(|| sum(Running::resident_kib), || play(place, side, row.load))?;
    Ok(Run { figures, cpu_us: sum(Running::cpu_us)? - before, resident_kib })
}

fn play(place: &Place, side: Side, load: Load) -> io::Result<Figures> {
    let output = client(place, STORM_CLIENT)?.args(load.to_words()).arg(&place.files).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(io::Error::other(said.into_owned()));
    }
    for reason in said.lines() {
        eprintln!("{}: {reason}", side.name());
    }
    Figures::from_words(&String::from_utf8_lossy(&output.stdout))
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Ours => "Metalwright",
            Side::Theirs => "dnsmasq and nginx",
        }
    }

    fn is_installed(self) -> bool {
        self == Side::Ours || [DNSMASQ, NGINX].iter().all(|program| Path::new(program).exists())
    }
}

/// Ours, with so many armed machines.
fn ours(place: &Place, machines: u32) -> io::Result<Running> {
    let folder = empty_folder("storm")?;
    let data = folder.join("data");
    let (loader, installer) = (data.join(OUR_LOADER), folder.join("installer"));
    fs::create_dir_all(loader.parent().unwrap_or(&data))?;
    fs::create_dir(&installer)?;
    for (file, link) in
        [(LOADER, loader), (KERNEL, installer.join("linux")), (INITRD, installer.join("initrd.gz"))]
    {
        fs::hard_link(place.file(file), link)?;
    }
    let mut command = place.net.in_server(&program());
    command.arg("serve").arg("--data").arg(data).args(["--log-level", "warn"]);
    command.args(["--api-listen", "127.0.0.1:0", "--boot-http", &format!("{SERVER}:{HTTP_PORT}")]);
    command.args(["--dhcp-interface", INTERFACE]).arg("--artifacts-root").arg(&installer);
    let running = Running::start(command, folder)?;
    let [start, end] = POOL;
    let subnet = format!(
        "name: storm\ncidr: {NETWORK}{PREFIX}\npools: [{{start: {start}, end: {end}}}]\n\
         options: {{routers: [{SERVER}]}}\nlease_seconds: 3600\nprobe: none\n"
    );
    arm(place, &running, Scene { subnet: &subnet, installer: &installer, machines })?;
    Ok(running)
}

/// dnsmasq and nginx, when both answer.
fn theirs(place: &Place) -> io::Result<Vec<Running>> {
    let site = format!("http://{SERVER}:{HTTP_PORT}");
    let script = format!(
        "#!ipxe\nimgfree\nkernel --name linux {site}/{KERNEL} initrd=initrd.gz auto=true \
         url={site}/m/preseed.cfg --- || goto failed\ninitrd --name initrd.gz {site}/{INITRD} || goto failed\n\
         boot || goto failed\n:failed\n"
    );
    let long = |text: &str, bytes: usize| format!("{text:#<bytes$}");
    fs::write(place.file("boot.ipxe"), long(&script, SCRIPT_BYTES))?;
    fs::create_dir_all(place.file("m"))?;
    fs::write(place.file("m/preseed.cfg"), long("d-i ", ANSWER_FILE_BYTES))?;
    let folder = empty_folder("dnsmasq")?;
    let mut command = place.net.in_server(DNSMASQ.as_ref());
    dnsmasq(&mut command, &place.files.to_string_lossy());
    let [start, end] = POOL;
    command.args(["--dhcp-lease-max=100000", "--no-ping", "--dhcp-authoritative", "--quiet-dhcp"]);
    command.arg(format!("--interface={INTERFACE}")).arg(format!("--dhcp-boot={LOADER}"));
    command.arg(format!("--dhcp-range={start},{end},255.255.0.0,1h"));
    command.arg(format!("--dhcp-leasefile={}", folder.join("leases").display()));
    let reports = "location = /m/log { return 204; } location = /m/done { return 204; }";
    let servers = vec![Running::start(command, folder)?, nginx(place, reports)?];
    let begun = Instant::now();
    while !do_answer(place)? {
        if begun.elapsed() > READY_MAX {
            return Err(io::Error::other("dnsmasq or nginx does not answer"));
        }
    }
    Ok(servers)
}

fn do_answer(place: &Place) -> io::Result<bool> {
    let loader =
        tftp_client::Load { path: LOADER.into(), window: 1, sessions: 1, seconds: 0, delay_us: 0, lost: 0 };
    let read = client(place, TFTP_CLIENT)?.args(loader.to_words()).arg(place.file(LOADER)).output()?;
    let read = tftp_client::Figures::from_words(&String::from_utf8_lossy(&read.stdout))?;
    let got = client(place, HTTP_CLIENT)?.args(["get", "/boot.ipxe"]).output()?;
    Ok(read.done > 0 && got.status.success())
}

fn print(row: &Row, sides: &mut [(Side, Vec<Run>)]) {
    println!(
        "\n| {} | boots/s | failed | duplicate addresses | CPU ms a boot | the client's | RSS | load |",
        row.name
    );
    println!("|---|---|---|---|---|---|---|---|");
    let ratio = ratio(sides);
    let mut medians = Vec::new();
    for (side, runs) in sides {
        runs.sort_by(|a, b| a.figures.per_second().total_cmp(&b.figures.per_second()));
        let mut rates: Vec<f64> = runs.iter().map(|run| run.figures.per_second()).collect();
        let (rate, least, most) = spread(&mut rates);
        let Some(median) = runs.get(runs.len() / 2) else { continue };
        let each = |us: u64| us as f64 / 1000.0 / median.figures.booted.max(1) as f64;
        println!(
            "| {} | {rate:.1} ({least:.1}-{most:.1}) | {} | {} | {:.1} | {:.1} | {} MiB | {} |",
            side.name(),
            runs.iter().map(|run| run.figures.failed).sum::<u64>(),
            runs.iter().map(|run| run.figures.duplicates).sum::<u64>(),
            each(median.cpu_us),
            each(median.figures.cpu_us),
            runs.iter().map(|run| run.resident_kib).max().unwrap_or_default() / 1024,
            load(),
        );
        medians.push((side.name(), &median.figures.steps));
    }
    if let Some((ratio, least, most)) = ratio {
        println!("\nOurs to theirs, round by round: {ratio:.2} ({least:.2}-{most:.2})");
    }
    println!(
        "\n| p50, p95, p99 ms | {} |",
        medians.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" | ")
    );
    println!("|---{}|", "|---".repeat(medians.len()));
    for (index, step) in STEPS.iter().enumerate() {
        let cell =
            |steps: &Vec<[u64; 3]>| steps[index].map(|us| format!("{:.1}", us as f64 / 1000.0)).join(", ");
        let cells: Vec<String> = medians.iter().map(|(_, steps)| cell(steps)).collect();
        println!("| {step} | {} |", cells.join(" | "));
    }
}

/// The boots per second compared, each run of ours with the run of theirs after it.
fn ratio(sides: &[(Side, Vec<Run>)]) -> Option<(f64, f64, f64)> {
    let [(_, ours), (_, theirs)] = sides else { return None };
    let both = ours.iter().zip(theirs);
    let mut ratios: Vec<f64> =
        both.map(|(ours, theirs)| ours.figures.per_second() / theirs.figures.per_second()).collect();
    Some(spread(&mut ratios))
}
