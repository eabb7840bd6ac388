//! Disks that show when they are booted: their first code prints a line on the serial port and then ends QEMU
//! through its `isa-debug-exit` device. One for BIOS (a boot sector), one for UEFI (an EFI program).

use std::fs;
use std::path::{Path, PathBuf};

/// The output on the serial port when a machine boots its disk.
pub const MARKER: &str = "metalwright-test: this is the local disk";
/// QEMU's exit code after a boot of the disk: `isa-debug-exit` returns `value << 1 | 1`, and the value is 0.
pub const EXIT_CODE: i32 = 1;
/// The I/O port that the disk's code writes to end QEMU.
pub const EXIT_PORT: u8 = 0xf4;

const SECTOR_BYTES: usize = 512;
const DISK_BYTES: usize = 1024 * 1024;

/// Writes a raw disk image whose boot sector prints [`MARKER`].
pub fn write_bios_disk(path: &Path) {
    #[rustfmt::skip]
    let mut sector = vec![
        0x31, 0xc0,             // xor ax, ax
        0x8e, 0xd8,             // mov ds, ax
        0xbe, 0x1a, 0x7c,       // mov si, 0x7c1a (the text, 0x1a bytes into the sector at 0x7c00)
        0xfc,                   // cld
        0xac,                   // next: lodsb
        0x84, 0xc0,             // test al, al
        0x74, 0x06,             // jz done
        0xba, 0xf8, 0x03,       // mov dx, 0x3f8 (COM1)
        0xee,                   // out dx, al
        0xeb, 0xf5,             // jmp next
        0xb0, 0x00,             // done: mov al, 0
        0xe6, EXIT_PORT,        // out EXIT_PORT, al
        0xf4,                   // halt: hlt
        0xeb, 0xfd,             // jmp halt
    ];
    sector.extend(marker_line());
    sector.resize(SECTOR_BYTES - 2, 0);
    sector.extend([0x55, 0xaa]);
    sector.resize(DISK_BYTES, 0);
    fs::write(path, sector).expect("a disk image");
}

/// Writes the folder that QEMU shows to the machine as a FAT disk, with `EFI/BOOT/BOOTX64.EFI` in it.
pub fn write_uefi_disk(folder: &Path) -> PathBuf {
    let boot = folder.join("EFI/BOOT");
    fs::create_dir_all(&boot).expect("a folder for the disk");
    let program = boot.join("BOOTX64.EFI");
    fs::write(&program, efi_program()).expect("an EFI program");
    program
}

/// Writes the folder of a disk that firmware with Secure Boot starts: the files that Debian installs, with a
/// configuration that prints [`MARKER`].
pub fn write_signed_disk(folder: &Path) {
    let files = [
        ("/usr/lib/shim/shimx64.efi.signed", "EFI/BOOT/BOOTX64.EFI"),
        ("/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "EFI/BOOT/grubx64.efi"),
    ];
    for folder in ["EFI/BOOT", "EFI/debian"].map(|name| folder.join(name)) {
        fs::create_dir_all(folder).expect("a folder for the disk");
    }
    for (from, to) in files {
        fs::copy(from, folder.join(to))
            .expect("a signed loader (packages shim-signed, grub-efi-amd64-signed)");
    }
    let config = format!("echo\necho '{MARKER}'\nhalt\n");
    fs::write(folder.join("EFI/debian/grub.cfg"), config).expect("a configuration");
}

fn marker_line() -> Vec<u8> {
    format!("\r\n{MARKER}\r\n\0").into_bytes()
}

/// A code section with the smallest headers that firmware accepts (PE/COFF specification, section 3).
fn efi_program() -> Vec<u8> {
    #[rustfmt::skip]
    let mut code = vec![
        0x48, 0x8d, 0x35, 0x17, 0, 0, 0, // lea rsi, [rip + 0x17] (the text)
        0xfc,                            // cld
        0xac,                            // next: lodsb
        0x84, 0xc0,                      // test al, al
        0x74, 0x07,                      // jz done
        0x66, 0xba, 0xf8, 0x03,          // mov dx, 0x3f8 (COM1)
        0xee,                            // out dx, al
        0xeb, 0xf4,                      // jmp next
        0xb0, 0x00,                      // done: mov al, 0
        0xe6, EXIT_PORT,                 // out EXIT_PORT, al
        0xf4,                            // halt: hlt
        0xeb, 0xfd,                      // jmp halt
        0, 0, 0,
    ];
    code.extend(marker_line());
    code.resize(SECTOR_BYTES, 0);
    let mut image = pe_headers();
    image.resize(SECTOR_BYTES, 0);
    image.extend(code);
    image
}

fn pe_headers() -> Vec<u8> {
    let mut bytes = b"MZ".to_vec();
    bytes.resize(0x3c, 0);
    word32(&mut bytes, &[0x40]); // where the PE header is
    bytes.extend(b"PE\0\0");
    word16(&mut bytes, &[0x8664, 1]); // x86-64, one section
    word32(&mut bytes, &[0, 0, 0]);
    word16(&mut bytes, &[0xf0, 0x22e]); // size of the optional header; executable, no line numbers or symbols
    word16(&mut bytes, &[0x20b, 0]); // PE32+
    word32(&mut bytes, &[SECTOR_BYTES as u32, 0, 0, 0x1000, 0x1000]); // code size, entry and base of code
    word32(&mut bytes, &[0x40_0000, 0, 0x1000, SECTOR_BYTES as u32]); // image base (64 bits), alignments
    word16(&mut bytes, &[0; 8]);
    word32(&mut bytes, &[0x2000, SECTOR_BYTES as u32, 0]); // image size, header size, checksum
    word16(&mut bytes, &[10, 0]); // an EFI application
    word32(&mut bytes, &[0x1_0000, 0, 0x1_0000, 0, 0x1_0000, 0, 0, 0]); // stack and heap
    word32(&mut bytes, &[0, 16]);
    bytes.extend([0; 16 * 8]);
    bytes.extend(b".text\0\0\0");
    word32(&mut bytes, &[SECTOR_BYTES as u32, 0x1000, SECTOR_BYTES as u32, SECTOR_BYTES as u32]);
    word32(&mut bytes, &[0, 0, 0, 0x6000_0020]); // code, executable, readable
    bytes
}

fn word16(bytes: &mut Vec<u8>, values: &[u16]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}

fn word32(bytes: &mut Vec<u8>, values: &[u32]) {
    values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
}
