//! A virtual computer with firmware, one NIC and one disk. The NIC comes first in its boot order, the disk
//! last; an added disk with a `bootindex` from 2 to 8 comes between them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::disk;
use crate::net::Lan;
use crate::program::Program;

const MEMORY_MEBIBYTES: u32 = 1024;
const OVMF_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.fd";
const OVMF_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.fd";
/// The same firmware with Secure Boot and Microsoft's keys, as computers are delivered.
const SECURE_CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
const SECURE_VARS: &str = "/usr/share/OVMF/OVMF_VARS_4M.ms.fd";

/// What starts the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// SeaBIOS with QEMU's iPXE option ROM.
    Bios,
    /// OVMF, PXE over TFTP.
    UefiPxe,
    /// OVMF, HTTP boot; PXE is switched off in the firmware.
    UefiHttp,
    /// OVMF with Secure Boot on, PXE over TFTP.
    SecurePxe,
    /// OVMF with Secure Boot on, HTTP boot.
    SecureHttp,
    /// AAVMF on 64-bit ARM, PXE over TFTP.
    ArmPxe,
}

impl Firmware {
    fn is_secure(self) -> bool {
        matches!(self, Firmware::SecurePxe | Firmware::SecureHttp)
    }

    fn is_arm(self) -> bool {
        self == Firmware::ArmPxe
    }

    /// The files of a package that is installed.
    fn build(self) -> FirmwareBuild {
        let (code, variables) = match self {
            Firmware::SecurePxe | Firmware::SecureHttp => (SECURE_CODE, SECURE_VARS),
            _ => (OVMF_CODE, OVMF_VARS),
        };
        FirmwareBuild { code: code.into(), variables: variables.into() }
    }

    /// The program and its arguments for a computer with this processor. Some firmware may write its
    /// variables only in system management mode.
    fn computer(self) -> Command {
        if self.is_arm() {
            let mut qemu = Command::new("qemu-system-aarch64");
            // Its UEFI has no network without random numbers, which this processor has.
            qemu.args(["-machine", "virt", "-cpu", "max,pauth-impdef=on"]);
            return qemu;
        }
        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args(["-machine", if self.is_secure() { "q35,smm=on,graphics=off" } else { "pc,graphics=off" }]);
        qemu.args(["-vga", "none"]);
        qemu.args(["-device", &format!("isa-debug-exit,iobase={},iosize=1", disk::EXIT_PORT)]);
        qemu
    }
}

/// The files of one build of UEFI firmware.
#[derive(Clone, Debug)]
pub struct FirmwareBuild {
    pub code: PathBuf,
    /// A machine has a copy of its own.
    pub variables: PathBuf,
}

/// A computer that can be powered on again and again with the same disk.
pub struct Vm {
    firmware: Firmware,
    build: FirmwareBuild,
    mac: String,
    tap: String,
    folder: TempDir,
    /// An EFI signature list of the certificates that its HTTPS boot trusts.
    trusts: Option<PathBuf>,
    /// Arguments for disks beside its own.
    disks: Vec<String>,
    has_network: bool,
}

impl Vm {
    /// Connects a machine to the bridge, powered off, with a disk that prints on the serial port when it is
    /// booted.
    pub fn plug(lan: &Lan, firmware: Firmware, mac: &str) -> Vm {
        Vm::plug_with(lan, (firmware, firmware.build()), mac)
    }

    /// The same with another build of that firmware.
    pub fn plug_with(lan: &Lan, (firmware, build): (Firmware, FirmwareBuild), mac: &str) -> Vm {
        let tap = format!("tap{}", mac.replace(':', "").split_off(6));
        lan.plug_tap(&tap);
        let folder = TempDir::new().expect("a temporary folder");
        let mac = mac.to_owned();
        let vm = Vm { firmware, build, mac, tap, folder, trusts: None, disks: Vec::new(), has_network: true };
        match firmware {
            Firmware::Bios => disk::write_bios_disk(&vm.disk()),
            Firmware::SecurePxe | Firmware::SecureHttp => disk::write_signed_disk(&vm.disk()),
            _ => drop(disk::write_uefi_disk(&vm.disk())),
        }
        if firmware != Firmware::Bios {
            fs::copy(&vm.build.variables, vm.variables()).expect("the firmware's variables (package ovmf)");
        }
        vm
    }

    /// Takes the network card out.
    pub fn remove_network(&mut self) {
        self.has_network = false;
    }

    /// Enrols the certificates of an EFI signature list in place of others, as an operator does in the setup.
    pub fn trust(&mut self, list: PathBuf) {
        self.trusts = Some(list);
    }

    /// Adds an empty disk; returns its file. `device` is QEMU's device with its bus, serial number and place
    /// in the boot order: `ide-hd,bus=ahci.0,serial=a,bootindex=2`.
    pub fn add_disk(&mut self, device: &str, bytes: u64) -> PathBuf {
        let name = format!("more{}", self.disks.len());
        let path = self.folder.path().join(&name);
        if self.disks.is_empty() {
            self.disks.extend(["-device", "ich9-ahci,id=ahci"].map(str::to_owned));
        }
        fs::File::create(&path).and_then(|file| file.set_len(bytes)).expect("a disk image");
        let file = path.display();
        let drive = format!("if=none,id={name},format=raw,cache=unsafe,file={file}");
        self.disks.extend(["-drive".to_owned(), drive]);
        self.disks.extend(["-device".to_owned(), format!("{device},drive={name}")]);
        path
    }

    /// Powers the machine on. The program's output is the serial console, and keys go there too.
    pub fn power_on(&self) -> Program {
        let mut qemu = self.firmware.computer();
        qemu.args(["-accel", "tcg", "-m"]).arg(MEMORY_MEBIBYTES.to_string());
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio"]);
        let mut nic = format!("virtio-net-pci,netdev=n0,mac={},bootindex=1", self.mac);
        if self.firmware != Firmware::Bios {
            // Without a ROM the firmware's own virtio driver and network stack are used.
            nic.push_str(",romfile=");
            // UEFI of 2024 and later has no network without random numbers.
            qemu.args(["-device", "virtio-rng-pci"]);
            let code = self.build.code.display();
            qemu.args(["-drive", &format!("if=pflash,unit=0,format=raw,readonly=on,file={code}")]);
            if self.firmware.is_secure() {
                qemu.args(["-global", "driver=cfi.pflash01,property=secure,value=on"]);
            }
            let variables = self.variables().display().to_string();
            qemu.args(["-drive", &format!("if=pflash,unit=1,format=raw,file={variables}")]);
            self.leave_one_way_to_boot(&mut qemu);
        }
        if let Some(list) = &self.trusts {
            qemu.args(["-fw_cfg", &format!("name=etc/edk2/https/cacerts,file={}", list.display())]);
        }
        let disk = self.disk().display().to_string();
        let file = if self.firmware == Firmware::Bios { disk } else { format!("fat:rw:{disk}") };
        if self.has_network {
            qemu.args(["-netdev", &format!("tap,id=n0,ifname={},script=no,downscript=no", self.tap)]);
            qemu.args(["-device", &nic]);
        }
        qemu.args(["-drive", &format!("if=none,id=d0,format=raw,file={file}")]);
        qemu.args(["-device", "virtio-blk-pci,drive=d0,bootindex=9"]).args(&self.disks);
        Program::spawn_with_keyboard("qemu", qemu)
    }

    /// Waits until the machine has booted its disk and therefore ended. After PXE, OVMF tries HTTP boot over
    /// both IP versions, a minute and more for each.
    pub fn expect_disk(&self, mut console: Program, within: Duration) {
        console.wait_for_line(disk::MARKER, within);
        if self.firmware.is_secure() {
            // The disk's own loader printed it: signed loaders do not end QEMU.
            return;
        }
        let status = console.wait_for_end(within);
        assert_eq!(status.code(), Some(disk::EXIT_CODE), "QEMU ends when the disk's code says so");
    }

    /// The bytes of a BIOS machine's disk, to check that nothing wrote to it.
    pub fn disk_bytes(&self) -> Vec<u8> {
        let file = self.disk();
        let file = if file.is_dir() { file.join("EFI/BOOT/BOOTX64.EFI") } else { file };
        fs::read(file).expect("the disk")
    }

    fn leave_one_way_to_boot(&self, qemu: &mut Command) {
        let mut off = vec!["IPv6PXESupport"];
        if matches!(self.firmware, Firmware::UefiHttp | Firmware::SecureHttp) {
            off.push("IPv4PXESupport");
        }
        for name in off {
            qemu.args(["-fw_cfg", &format!("name=opt/org.tianocore/{name},string=n")]);
        }
    }

    fn disk(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn variables(&self) -> PathBuf {
        self.folder.path().join("variables.fd")
    }
}
