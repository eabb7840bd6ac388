//! Reads tar: names of any length (GNU and PAX) and links, but no devices.

use std::io::{self, Read};

use tar::{Archive, EntryType};

use super::tree::{LinkTarget, TreeSink};

/// Most bytes of padding after the last file.
const PADDING_BYTES_MAX: u64 = 64 << 20;

/// Passes everything in a tarball to `sink`. Owners, times and modes are ignored; devices and FIFOs are
/// skipped.
///
/// # Errors
/// The tarball is damaged or truncated, or the sink refuses.
pub fn unpack(input: impl Read, sink: &mut dyn TreeSink) -> io::Result<()> {
    let mut archive = Archive::new(input);
    let mut entries = 0;
    for entry in archive.entries()? {
        let mut entry = entry?;
        entries += 1;
        let path = text(&entry.path_bytes())?;
        let kind = entry.header().entry_type();
        match kind {
            EntryType::Directory => sink.folder(&path)?,
            EntryType::Symlink | EntryType::Link => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = text(&target)?;
                let hard = kind == EntryType::Link;
                sink.link(&path, if hard { LinkTarget::Hard(target) } else { LinkTarget::Symbolic(target) })?;
            }
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let bytes = entry.size();
                sink.file(&path, (bytes, &mut entry))?;
            }
            _ => {}
        }
    }
    if entries == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is a tarball without files, or none"));
    }
    // A compressed file has its checksum after the padding.
    io::copy(&mut archive.into_inner().take(PADDING_BYTES_MAX), &mut io::sink())?;
    Ok(())
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| io::Error::other(format!("{:?} is not named in UTF-8", String::from_utf8_lossy(bytes))))
}
