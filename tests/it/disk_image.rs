//! Files that are disks of machines: what is written to them, and their partition tables.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Whence, lseek};

use crate::program::{tail, target_directory};

/// Everything that was ever written to a disk, by its place there. What is a hole in the file never was.
pub fn written(disk: &Path) -> BTreeMap<i64, Vec<u8>> {
    let file = File::open(disk).expect("a disk");
    let mut pieces = BTreeMap::new();
    let mut end = 0;
    while let Ok(start) = lseek(&file, end, Whence::SeekData) {
        end = lseek(&file, start, Whence::SeekHole).expect("the end of the data");
        let mut bytes = vec![0; usize::try_from(end - start).expect("a length")];
        file.read_exact_at(&mut bytes, start.unsigned_abs()).expect("data");
        pieces.insert(start, bytes);
    }
    pieces
}

/// Panics if a disk has other bytes than `before`, which [`written`] has told, and says which. A range that
/// the file system has set aside counts as data as soon as it was read: so bytes are compared, not ranges.
pub fn assert_untouched(disk: &Path, before: &BTreeMap<i64, Vec<u8>>) {
    let now = written(disk);
    let at = |pieces: &BTreeMap<i64, Vec<u8>>, place: i64| {
        let (start, bytes) = pieces.range(..=place).next_back()?;
        bytes.get(usize::try_from(place - start).ok()?).copied()
    };
    let places = |(start, bytes): (&i64, &Vec<u8>)| (*start..).take(bytes.len()).collect::<Vec<_>>();
    let changed: Vec<i64> = now
        .iter()
        .flat_map(places)
        .filter(|place| at(&now, *place) != Some(at(before, *place).unwrap_or(0)))
        .collect();
    let bytes: Vec<u8> = changed.iter().take(CHANGES_SHOWN).filter_map(|place| at(&now, *place)).collect();
    assert!(
        changed.is_empty(),
        "{} bytes of {} were changed, from {:?} to {:?}: {:?} at {:?}",
        changed.len(),
        disk.display(),
        changed.first(),
        changed.last(),
        String::from_utf8_lossy(&bytes),
        &changed[..changed.len().min(CHANGES_SHOWN)],
    );
}

/// How many bytes that were changed a test shows.
const CHANGES_SHOWN: usize = 128;

/// The partition types in the table of a disk of the kind msdos.
pub fn partition_types(disk: &Path) -> Vec<u8> {
    let mut sector = [0; 512];
    File::open(disk).and_then(|file| file.read_exact_at(&mut sector, 0)).expect("a disk");
    assert_eq!(sector[510..], [0x55, 0xaa], "there is a partition table");
    sector[446..510].chunks(16).map(|entry| entry[4]).filter(|kind| *kind != 0).collect()
}

/// Runs `scripts/installer-mirror`; returns the paths that it prints. What it has from before is not made
/// again.
pub fn installer_mirror(words: &[&str]) -> Vec<PathBuf> {
    let target = target_directory();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/installer-mirror");
    let made = Command::new("bash").arg(script).args(words).env("CARGO_TARGET_DIR", target).output();
    let made = made.expect("bash runs");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "scripts/installer-mirror (`make deps` runs it too): {}", tail(&said));
    String::from_utf8_lossy(&made.stdout).lines().map(PathBuf::from).collect()
}
