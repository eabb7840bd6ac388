//! Recognises the format of a file by its first bytes, and chooses the reader.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;

use super::tree::TreeSink;
use super::{MediaJob, iso, tarball};
use crate::zstd_frames::ZstdFrames;

/// Most memory for an xz stream, in KiB: as much as `xz -9` needs.
const XZ_KIB_MAX: u32 = 128 << 10;
/// Largest window of a Zstandard frame, in bytes: as much as `zstd --long` needs.
const ZSTD_WINDOW_BYTES_MAX: u64 = 128 << 20;
const BUFFER_BYTES: usize = 256 << 10;
/// Offsets of `ustar` in a tar header, and of `CD001` in an ISO image (ECMA-119 section 7.1.2).
const TAR_MAGIC_AT: usize = 257;
const ISO_MAGIC_AT: u64 = 0x8001;

/// Unpacks an image or tarball.
///
/// # Errors
/// The file is neither, or is damaged, or its content cannot be written.
pub fn unpack(path: &Path, sink: &mut dyn TreeSink, job: &MediaJob) -> io::Result<()> {
    let mut file = File::open(path)?;
    let head = head(&mut file)?;
    let input = || BufReader::with_capacity(BUFFER_BYTES, CountingReader { file: &file, job });
    if is_iso(&file)? {
        return iso::IsoImage::open(CountingReader { file: &file, job })?.walk(sink);
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        tarball::unpack(MultiGzDecoder::new(input()), sink)
    } else if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        tarball::unpack(XzReader::new_mem_limit(input(), true, XZ_KIB_MAX), sink)
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        tarball::unpack(ZstdFrames::new(input(), ZSTD_WINDOW_BYTES_MAX), sink)
    } else if head.get(TAR_MAGIC_AT..TAR_MAGIC_AT + 5) == Some(b"ustar") {
        tarball::unpack(input(), sink)
    } else {
        let what = "it is neither an ISO image nor a tarball (plain, gzip, xz, zstd); for a single file the \
                    artifact's kind is `file`";
        Err(io::Error::new(io::ErrorKind::InvalidData, what))
    }
}

fn head(file: &mut File) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    file.by_ref().take(512).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(head)
}

fn is_iso(mut file: &File) -> io::Result<bool> {
    let mut magic = Vec::new();
    file.seek(SeekFrom::Start(ISO_MAGIC_AT))?;
    file.take(5).read_to_end(&mut magic)?;
    file.seek(SeekFrom::Start(0))?;
    Ok(magic == b"CD001" || magic == b"BEA01")
}

/// Reports how much was read, and fails when the job was stopped.
struct CountingReader<'a> {
    file: &'a File,
    job: &'a MediaJob,
}

impl Read for CountingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.job.check()?;
        let read = self.file.read(buffer)?;
        self.job.add(read as u64);
        Ok(read)
    }
}

impl Seek for CountingReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

#[cfg(test)]
mod tests;
