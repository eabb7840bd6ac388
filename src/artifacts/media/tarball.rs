//! Reads tar: names of any length (GNU and PAX) and links, but no devices.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use tar::{Archive, Entry, EntryType};

use super::tree::{LinkTarget, TreeSink};

/// Most bytes of padding after the last file.
const PADDING_BYTES_MAX: u64 = 64 << 20;
/// Most bytes between the content of one entry and that of the next: its header, and what GNU and PAX have in
/// front of it, which is held in memory.
const HEADERS_BYTES_MAX: u64 = 1 << 20;

/// Reads on, at most so far; without a bound while it is none.
struct BoundedInput<R> {
    input: R,
    left: Rc<Cell<Option<u64>>>,
}

impl<R: Read> Read for BoundedInput<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(left) = self.left.get() else { return self.input.read(buffer) };
        if left == 0 && !buffer.is_empty() {
            let why = format!("the headers of one entry have more than {HEADERS_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.input.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.left.set(Some(left - read as u64));
        Ok(read)
    }
}

/// Passes everything in a tarball to `sink`. Owners, times and modes are ignored; devices and FIFOs are
/// skipped.
///
/// # Errors
/// The tarball is damaged or truncated, or the sink refuses.
pub fn unpack(input: impl Read, sink: &mut dyn TreeSink) -> io::Result<()> {
    let left = Rc::new(Cell::new(Some(HEADERS_BYTES_MAX)));
    let mut archive = Archive::new(BoundedInput { input, left: Rc::clone(&left) });
    let mut is_empty = true;
    for entry in archive.entries()? {
        is_empty = false;
        left.set(None);
        take(entry?, sink)?;
        left.set(Some(HEADERS_BYTES_MAX));
    }
    if is_empty {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is a tarball without files, or none"));
    }
    left.set(None);
    // A compressed file has its checksum after the padding.
    io::copy(&mut archive.into_inner().take(PADDING_BYTES_MAX), &mut io::sink())?;
    Ok(())
}

/// Hands one entry over, and reads it to its end: the next header is behind it.
fn take(mut entry: Entry<'_, impl Read>, sink: &mut dyn TreeSink) -> io::Result<()> {
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
            return sink.file(&path, (bytes, &mut entry));
        }
        _ => {}
    }
    if entry.size() > 0 { sink.skip(&mut entry) } else { Ok(()) }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    String::from_utf8(bytes.to_vec())
        .map_err(|_| io::Error::other(format!("{:?} is not named in UTF-8", String::from_utf8_lossy(bytes))))
}
