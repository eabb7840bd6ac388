//! Other DHCP servers with the snippet that `doctor dhcp` prints for them. Parsing it proves nothing yet, so
//! every kind of firmware asks each of them. Servers that are not installed are skipped.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use metalwright::proto::dhcp4::codes;

use super::lan::{Host, ip};
use super::packets::ask;
use super::{BRIDGE, on_a_lan};
use crate::program::Program;
use crate::world::World;

const STARTED_WITHIN: Duration = Duration::from_secs(20);
const HTTP: &str = "http://10.77.0.1:8080";

/// Another server: its name in `--snippet`, the program, the words before its configuration, its output when
/// it serves, and the configuration around the snippet, where `SNIPPET` stands for it.
struct Other {
    dialect: &'static str,
    program: &'static str,
    words: &'static str,
    started: &'static str,
    config: &'static str,
}

const KEA: Other = Other {
    dialect: "kea",
    program: "/usr/sbin/kea-dhcp4",
    words: "-c",
    started: "DHCP4_STARTED",
    config: r#"{"Dhcp4": {
        "interfaces-config": {"interfaces": ["eth0"]},
        "lease-database": {"type": "memfile", "persist": false},
        "loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": "stdout"}]}],
        SNIPPET,
        "subnet4": [{"subnet": "10.77.0.0/24", "pools": [{"pool": "10.77.0.200 - 10.77.0.229"}]}]
    }}"#,
};
const DNSMASQ: Other = Other {
    dialect: "dnsmasq",
    program: "/usr/sbin/dnsmasq",
    words: "-d -C",
    started: "DHCP, IP range",
    config: "SNIPPET\nport=0\nuser=root\nno-ping\nleasefile-ro\ndhcp-range=10.77.0.200,10.77.0.229\n",
};
const ISC: Other = Other {
    dialect: "isc",
    program: "/usr/sbin/dhcpd",
    words: "-d -f --no-pid -lf LEASES -cf",
    started: "Server starting service",
    config: "SNIPPET\nping-check false;\n\
             subnet 10.77.0.0 netmask 255.255.255.0 { range 10.77.0.200 10.77.0.229; }\n",
};

impl Other {
    fn start(&self, world: &World, host: &Host) -> Program {
        let snippet = world.cli(&["doctor", "dhcp", BRIDGE, "--snippet", self.dialect]);
        let [config, leases] = ["config", "leases"].map(|name| world.scratch().join(name));
        fs::write(&config, self.config.replace("SNIPPET", &snippet)).expect("a configuration");
        fs::write(&leases, "").expect("a file for leases");
        let mut command = Command::new(self.program);
        let leases = leases.display().to_string();
        command.args(self.words.split(' ').map(|word| word.replace("LEASES", &leases))).arg(&config);
        command.env("KEA_LOCKFILE_DIR", "none").env("KEA_PIDFILE_DIR", world.scratch());
        let mut running = host.run(|| {
            ip("address add 10.77.0.9/24 dev eth0");
            Program::spawn(self.program, command)
        });
        running.wait_for_line(self.started, STARTED_WITHIN);
        running
    }
}

/// The packet of a firmware, its expected file, and option 60.
fn firmwares() -> [(&'static str, String, Option<&'static [u8]>); 7] {
    let http = |file: &str| format!("{HTTP}/{file}");
    [
        ("PXEClient:Arch:00000:UNDI:002001\"\nclient_architectures 0\n", "undionly.kpxe".into(), None),
        ("PXEClient:Arch:00007:UNDI:003016\"\nclient_architectures 7\n", "snponly.efi".into(), None),
        ("PXEClient:Arch:00009:UNDI:003016\"\nclient_architectures 9\n", "snponly.efi".into(), None),
        ("PXEClient:Arch:00011:UNDI:003016\"\nclient_architectures 11\n", "snponly-arm64.efi".into(), None),
        (
            "HTTPClient:Arch:00016:UNDI:003001\"\nclient_architectures 16\n",
            http("snponly.efi"),
            Some(b"HTTPClient"),
        ),
        (
            "PXEClient:Arch:00007:UNDI:003016\"\nclient_architectures 7\nuser_class \"iPXE\"\n",
            http("boot.ipxe"),
            None,
        ),
        ("android-dhcp-13\"\n", String::new(), None),
    ]
}

fn has_every_firmware_boot_from_us(other: &Other) {
    if !Path::new(other.program).exists() {
        eprintln!("skipped: {} is not installed", other.program);
        return;
    }
    on_a_lan(|lan| {
        // It has no subnet, and sends nothing itself.
        let world = World::on_the_lan();
        let host = lan.plug_host("h1", "02:00:00:00:00:09");
        let _running = other.start(&world, &host);
        for ((firmware, file, vendor), last) in firmwares().into_iter().zip(1..) {
            let mac = format!("02:00:00:00:01:{last:02x}");
            let host = lan.plug_host(&format!("f{last}"), &mac);
            let asked = format!(
                "xid {last}\nchaddr {mac}\nmessage_type discover\nparameter_request_list 1 3 43 60 66 67\n\
                 vendor_class_identifier \"{firmware}"
            );
            let offer = ask(&host, "eth0", asked).dhcp();
            let named = offer.options.get(codes::BOOTFILE_NAME).unwrap_or(&offer.file);
            let named = String::from_utf8_lossy(named).trim_end_matches('\0').to_owned();
            assert_eq!(named, file, "{firmware}");
            let is_ours = file.is_empty() || offer.siaddr.to_string() == super::SERVER_ADDRESS;
            assert!(is_ours, "{firmware}: {}", offer.siaddr);
            assert_eq!(offer.options.get(codes::VENDOR_CLASS), vendor, "{firmware}");
        }
    });
}

#[test]
fn dnsmasq_with_its_snippet_has_every_firmware_boot_from_us() {
    has_every_firmware_boot_from_us(&DNSMASQ);
}

#[test]
fn kea_with_its_snippet_has_every_firmware_boot_from_us() {
    has_every_firmware_boot_from_us(&KEA);
}

#[test]
fn isc_dhcpd_with_its_snippet_has_every_firmware_boot_from_us() {
    has_every_firmware_boot_from_us(&ISC);
}
