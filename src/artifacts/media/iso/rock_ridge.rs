//! Parses the data after the name of a record: entries of the System Use Sharing Protocol (IEEE P1281),
//! including those of Rock Ridge (P1282).

use std::io;
use std::ops::Range;

use super::{damaged, record};

/// Most continuation areas of a record, and most bytes of all its entries.
const AREAS_MAX: usize = 64;
const NAME_BYTES_MAX: usize = 255;
const LINK_BYTES_MAX: usize = 4096;
/// Flag bits of NM and SL, and of the parts of a link (P1282 sections 4.1.3, 4.1.4).
const CONTINUES: u8 = 1;
const CURRENT: u8 = 2;
const PARENT: u8 = 4;
const ROOT: u8 = 8;
/// The file type in a mode (P1282 section 4.1.1).
const MODE_KIND: u32 = 0o170_000;
const MODE_FILE: u32 = 0o100_000;
const MODE_FOLDER: u32 = 0o040_000;
const MODE_LINK: u32 = 0o120_000;

/// The data that was found after a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordExtras {
    pub name: Option<String>,
    /// The target of a symbolic link.
    pub link: Option<String>,
    /// The block of a relocated folder (CL).
    pub child: Option<u32>,
    /// Whether the folder was relocated from a deeper place, where an entry refers to it (RE).
    pub is_relocated: bool,
    /// Whether it is a device, a FIFO or a socket.
    pub is_special: bool,
    pub is_compressed: bool,
    /// Whether there are Rock Ridge entries.
    pub has_posix: bool,
}

/// A continuation area: a range of bytes within one block.
pub struct ContinuationArea {
    pub block: u32,
    pub bytes: Range<usize>,
}

#[derive(Default)]
struct SystemUse {
    extras: RecordExtras,
    name: Vec<u8>,
    link: Vec<u8>,
    has_link: bool,
    /// Whether the last part of a link continues in the next entry.
    part_goes_on: bool,
}

/// The number of bytes to skip in every other record, if the protocol is used (SP, P1281 section 5.3). The
/// entry comes first in the root's own record.
pub fn shared_use(system_use: &[u8]) -> Option<usize> {
    match system_use {
        [b'S', b'P', 7, 1, 0xbe, 0xef, skip, ..] => Some(usize::from(*skip)),
        // CD-ROM XA puts 14 bytes of its own in front.
        _ => match system_use.get(14..)? {
            [b'S', b'P', 7, 1, 0xbe, 0xef, skip, ..] => Some(usize::from(*skip)),
            _ => None,
        },
    }
}

/// Reads all entries; `read` returns a continuation area.
pub fn parse(
    first: &[u8],
    mut read: impl FnMut(&ContinuationArea) -> io::Result<Vec<u8>>,
) -> io::Result<RecordExtras> {
    let mut pieces = SystemUse::default();
    let mut bytes = first.to_vec();
    for _ in 0..AREAS_MAX {
        let Some(area) = pieces.take_all(&bytes)? else { return pieces.finish() };
        bytes = read(&area)?;
    }
    Err(damaged("a name has too many continuations"))
}

impl SystemUse {
    /// Reads the entries of one area; returns the next area.
    fn take_all(&mut self, mut rest: &[u8]) -> io::Result<Option<ContinuationArea>> {
        let mut next = None;
        while let [a, b, length, _version, ..] = rest {
            let length = usize::from(*length);
            let Some(data) = rest.get(4..length) else { break };
            match &[*a, *b] {
                b"ST" => break,
                b"CE" => next = area(data),
                b"RR" | b"TF" | b"PN" => self.extras.has_posix = true,
                b"PX" => self.mode(data),
                b"NM" => self.name(data)?,
                b"SL" => self.link(data)?,
                b"CL" => self.extras.child = number(data, 0),
                b"RE" => self.extras.is_relocated = true,
                b"ZF" => self.extras.is_compressed = true,
                _ => {}
            }
            rest = rest.get(length..).unwrap_or_default();
        }
        Ok(next)
    }

    fn mode(&mut self, data: &[u8]) {
        self.extras.has_posix = true;
        let kind = number(data, 0).unwrap_or_default() & MODE_KIND;
        self.extras.is_special = !matches!(kind, MODE_FILE | MODE_FOLDER | MODE_LINK | 0);
    }

    fn name(&mut self, data: &[u8]) -> io::Result<()> {
        self.extras.has_posix = true;
        let Some((flags, name)) = data.split_first() else { return Ok(()) };
        if flags & (CURRENT | PARENT) == 0 {
            self.name.extend(name);
        }
        if self.name.len() > NAME_BYTES_MAX {
            return Err(damaged("a name is longer than 255 bytes"));
        }
        Ok(())
    }

    fn link(&mut self, data: &[u8]) -> io::Result<()> {
        self.has_link = true;
        let mut rest = data.get(1..).unwrap_or_default();
        while let [flags, length, ..] = rest {
            let end = 2 + usize::from(*length);
            let Some(text) = rest.get(2..end) else { return Err(damaged("a link is cut short")) };
            let starts = !self.part_goes_on;
            if starts && !self.link.is_empty() && !self.link.ends_with(b"/") {
                self.link.push(b'/');
            }
            match flags & (CURRENT | PARENT | ROOT) {
                CURRENT => self.link.push(b'.'),
                PARENT => self.link.extend(b".."),
                ROOT => self.link.push(b'/'),
                _ => self.link.extend(text),
            }
            self.part_goes_on = flags & CONTINUES != 0;
            if self.link.len() > LINK_BYTES_MAX {
                return Err(damaged("a link is longer than 4096 bytes"));
            }
            rest = rest.get(end..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(mut self) -> io::Result<RecordExtras> {
        if !self.name.is_empty() {
            let name = record::part(&utf8_name(self.name)?).map_err(|why| damaged(&why))?;
            self.extras.name = Some(name);
        }
        if self.has_link {
            self.extras.link = Some(utf8_name(self.link)?);
        }
        Ok(self.extras)
    }
}

fn utf8_name(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let name = String::from_utf8_lossy(error.as_bytes()).into_owned();
        damaged(&format!("{name:?} is not named in UTF-8"))
    })
}

/// Block, offset and length of a continuation area (P1281 section 5.1).
fn area(data: &[u8]) -> Option<ContinuationArea> {
    let (block, offset, length) = (number(data, 0)?, number(data, 8)?, number(data, 16)?);
    let start = usize::try_from(offset).ok()?;
    Some(ContinuationArea { block, bytes: start..start.checked_add(usize::try_from(length).ok()?)? })
}

/// A number that is stored in both byte orders; the little-endian one comes first.
fn number(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..at.checked_add(4)?)?.try_into().ok().map(u32::from_le_bytes)
}
