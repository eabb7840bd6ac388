//! A pack as one file: a tar, plain or compressed with Zstandard.
//!
//! Reading trusts nothing: every bound is on what is unpacked, and whatever is no plain file is refused.

use std::io::{self, BufReader, Read};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use tar::{Archive, Builder, Entry, EntryType, Header};

use super::{
    FAULTS_MAX, FILE_BYTES_MAX, FILES_MAX, FileFault, MANIFEST, PACK_BYTES_MAX, PackFile, accept,
    fault_of_all,
};
use crate::model::Problem;
use crate::zstd_frames::ZstdFrames;

/// Largest archive of a pack, in bytes.
pub const ARCHIVE_BYTES_MAX: usize = 16 << 20;
/// Size of the unpacked tar, in bytes: all files with their headers.
const TAR_BYTES_MAX: u64 = (PACK_BYTES_MAX + FILES_MAX * 2048) as u64;
/// Files, folders and other entries.
const ENTRIES_MAX: usize = 2 * FILES_MAX;
/// Memory for the window of the decompressor, in bytes.
const WINDOW_BYTES_MAX: u64 = 8 << 20;
/// The beginning of a Zstandard frame (RFC 8878 section 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BUFFER_BYTES: usize = 64 << 10;
/// Everybody may read the files.
const FILE_MODE: u32 = 0o644;

/// The files of a pack in an archive. A folder around all of them is left out: `site-1.2.0/pack.yaml`.
///
/// # Errors
/// Every fault, each with the path of its file: it is no tar, has links, leaves its root or exceeds a bound.
pub fn read_archive(bytes: &[u8]) -> Result<Vec<PackFile>, Vec<FileFault>> {
    if bytes.len() > ARCHIVE_BYTES_MAX {
        return Err(fault_of_all(format!("the archive is longer than {ARCHIVE_BYTES_MAX} bytes")));
    }
    let found = match bytes.starts_with(&ZSTD_MAGIC) {
        true => {
            let frames = ZstdFrames::new(BufReader::with_capacity(BUFFER_BYTES, bytes), WINDOW_BYTES_MAX);
            read_tar(frames)
        }
        false => read_tar(bytes),
    };
    accept(without_outer_folder(found?))
}

fn read_tar(input: impl Read) -> Result<Vec<PackFile>, Vec<FileFault>> {
    let mut archive = Archive::new(input.take(TAR_BYTES_MAX));
    let unreadable = |error: io::Error| fault_of_all(format!("not readable as .tar or .tar.zst: {error}"));
    let (mut files, mut faults, mut bytes) = (Vec::new(), Vec::new(), 0);
    for (place, entry) in archive.entries().map_err(unreadable)?.enumerate() {
        if place >= ENTRIES_MAX {
            return Err(fault_of_all(format!("the archive has more than {ENTRIES_MAX} entries")));
        }
        match read_entry(entry.map_err(unreadable)?, PACK_BYTES_MAX - bytes).map_err(unreadable)? {
            ArchiveEntry::File(file) => {
                bytes += file.body.len();
                files.push(file);
            }
            ArchiveEntry::Nothing => {}
            ArchiveEntry::Fault(fault) => faults.push(fault),
            ArchiveEntry::TooMuch => {
                let what = format!("the pack unpacks to more than {PACK_BYTES_MAX} bytes");
                return Err(fault_of_all(what));
            }
        }
        if faults.len() >= FAULTS_MAX {
            break;
        }
    }
    match (faults.is_empty(), files.is_empty()) {
        (true, true) => Err(fault_of_all("the archive has no files")),
        (true, false) => Ok(files),
        (false, _) => Err(faults),
    }
}

/// What an entry of an archive is.
enum ArchiveEntry {
    File(PackFile),
    /// A folder, or a header that says something of the archive.
    Nothing,
    Fault(FileFault),
    TooMuch,
}

/// Reads an entry of which at most so many bytes are left.
fn read_entry(entry: Entry<'_, impl Read>, left: usize) -> io::Result<ArchiveEntry> {
    let kind = entry.header().entry_type();
    let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    let path = path.strip_prefix("./").unwrap_or(&path).to_owned();
    match kind {
        EntryType::Directory | EntryType::XGlobalHeader => return Ok(ArchiveEntry::Nothing),
        EntryType::Regular | EntryType::Continuous => {}
        EntryType::Link | EntryType::Symlink => {
            let what = "a link: a pack has plain files only";
            return Ok(ArchiveEntry::Fault((path, Problem::new("", what))));
        }
        _ => {
            let what = "neither a file nor a folder: a pack has plain files only";
            return Ok(ArchiveEntry::Fault((path, Problem::new("", what))));
        }
    }
    let most = FILE_BYTES_MAX.min(left);
    if entry.size() > FILE_BYTES_MAX as u64 {
        let what = format!("longer than {FILE_BYTES_MAX} bytes");
        return Ok(ArchiveEntry::Fault((path, Problem::new("", what))));
    }
    let (size, mut body) = (entry.size(), Vec::new());
    let read = entry.take(most as u64 + 1).read_to_end(&mut body)?;
    match read {
        _ if read > most => Ok(ArchiveEntry::TooMuch),
        _ if (read as u64) < size => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut short")),
        _ => Ok(ArchiveEntry::File(PackFile { path, body })),
    }
}

/// The files without the folder around all of them, where `pack.yaml` is in one.
fn without_outer_folder(files: Vec<PackFile>) -> Vec<PackFile> {
    let outer = match files.iter().any(|file| file.path == MANIFEST) {
        true => None,
        false => files.iter().find_map(|file| {
            let folder = file.path.strip_suffix(MANIFEST)?;
            let is_one = folder.ends_with('/') && folder.matches('/').count() == 1;
            (is_one && files.iter().all(|file| file.path.starts_with(folder))).then(|| folder.to_owned())
        }),
    };
    let Some(outer) = outer else { return files };
    let inner = files.into_iter().map(|file| {
        let path = file.path.strip_prefix(&outer).unwrap_or(&file.path).to_owned();
        PackFile { path, ..file }
    });
    inner.collect()
}

/// The archive of a pack, `.tar.zst`. The same files always have the same bytes: they are sorted, and belong
/// to nobody and to no time.
///
/// # Errors
/// A path is too long for a tar.
pub fn write_archive(files: &[PackFile]) -> io::Result<Vec<u8>> {
    let mut sorted: Vec<&PackFile> = files.iter().collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut tar = Builder::new(Vec::new());
    for file in sorted {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::Regular);
        header.set_size(file.body.len() as u64);
        header.set_mode(FILE_MODE);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        tar.append_data(&mut header, &file.path, file.body.as_slice())?;
    }
    let tar = tar.into_inner()?;
    Ok(compress_to_vec(tar.as_slice(), CompressionLevel::Fastest))
}
