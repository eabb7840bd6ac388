//! Reads ISO 9660 images (ECMA-119) with the names of Rock Ridge (IEEE P1282 over SUSP, P1281) or Joliet.
//!
//! A pure function over `Read + Seek`: every read is bounded, every folder is visited once, and a damaged
//! image gives an error with the place. Start at [`IsoImage::open`], then [`IsoImage::walk`]. `record` parses
//! one entry of a folder, `rock_ridge` the data after its name.

mod record;
mod rock_ridge;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read, Seek, SeekFrom};

use crate::artifacts::media::tree::{LinkTarget, TreeSink};
use record::{FolderRecord, IsoExtent, RecordName};
use rock_ridge::RecordExtras;

/// Bytes of a sector; nobody makes blocks of another size.
const SECTOR_BYTES: u64 = 2048;
/// First sector of the descriptors (section 6.2.1), and their largest number.
const DESCRIPTORS_AT: u64 = 16;
const DESCRIPTORS_MAX: u64 = 64;
/// Largest folder, in bytes: a hundred thousand entries, which are held in memory.
const FOLDER_BYTES_MAX: u64 = 16 << 20;
/// Deepest folder.
const DEPTH_MAX: usize = 64;
/// Most folders.
const FOLDERS_MAX: usize = 500_000;
/// Most parts of a file that is larger than 4 GiB.
const EXTENTS_MAX: usize = 4096;

/// The source of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameSource {
    /// With the number of bytes to skip in front (the SP entry, P1281 section 5.3).
    RockRidge {
        skip: usize,
    },
    Joliet,
    Plain,
}

/// An opened image.
#[derive(Debug)]
pub struct IsoImage<R> {
    source: R,
    bytes: u64,
    names: NameSource,
    root: IsoExtent,
}

/// A folder that has not been read yet.
struct IsoFolder {
    path: String,
    extent: IsoExtent,
    depth: usize,
}

impl<R: Read + Seek> IsoImage<R> {
    /// Finds the root folder and the source of names.
    ///
    /// # Errors
    /// The file is not a readable image, or its descriptors are damaged.
    pub fn open(mut source: R) -> io::Result<Self> {
        let bytes = source.seek(SeekFrom::End(0))?;
        let plain = IsoExtent { block: 0, bytes: 0 };
        let mut image = IsoImage { source, bytes, names: NameSource::Plain, root: plain };
        let found = image.descriptors()?;
        let Some(primary) = found.primary else {
            let why = if found.udf { "it is a UDF image without ISO 9660" } else { "it has no volume" };
            return Err(damaged(why));
        };
        image.root = primary;
        if let Some(skip) = image.rock_ridge()? {
            image.names = NameSource::RockRidge { skip };
        } else if let Some(joliet) = found.joliet {
            (image.names, image.root) = (NameSource::Joliet, joliet);
        } else if found.udf {
            let why = "it is a UDF image: its files are not in the ISO 9660 part, the only one that is read";
            return Err(damaged(why));
        }
        Ok(image)
    }

    /// Passes every file, folder and link to `sink`, folders before their content.
    ///
    /// # Errors
    /// The image is damaged, with the place; or the sink refused an entry.
    pub fn walk(mut self, sink: &mut dyn TreeSink) -> io::Result<()> {
        let mut seen = HashSet::from([self.root.block]);
        let mut open = vec![IsoFolder { path: String::new(), extent: self.root, depth: 0 }];
        while let Some(folder) = open.pop() {
            for (name, entry) in self.entries(&folder)? {
                let path = if folder.path.is_empty() { name } else { format!("{}/{name}", folder.path) };
                let deeper = self.take(&path, entry, sink)?;
                let Some(extent) = deeper else { continue };
                if !seen.insert(extent.block) || seen.len() > FOLDERS_MAX || folder.depth == DEPTH_MAX {
                    return Err(damaged(&format!("its folders go round in circles at {path:?}")));
                }
                open.push(IsoFolder { path, extent, depth: folder.depth + 1 });
            }
        }
        Ok(())
    }

    /// Passes one entry to the sink; returns the extent of a folder.
    fn take(
        &mut self,
        path: &str,
        entry: IsoEntry,
        sink: &mut dyn TreeSink,
    ) -> io::Result<Option<IsoExtent>> {
        match entry {
            IsoEntry::Link(target) => sink.link(path, LinkTarget::Symbolic(target))?,
            IsoEntry::Folder(extent) => {
                sink.folder(path)?;
                return Ok(Some(extent));
            }
            IsoEntry::Moved(block) => {
                sink.folder(path)?;
                // Its length is in its own first record.
                let first = self.read(IsoExtent { block, bytes: SECTOR_BYTES }, SECTOR_BYTES)?;
                let own = FolderRecord::parse(&first).map_err(|why| damaged(&why))?;
                return Ok(own.map(|own| IsoExtent { block, bytes: own.extent.bytes }));
            }
            IsoEntry::File(extents) => {
                let bytes = extents.iter().map(|extent| extent.bytes).sum();
                extents.iter().try_for_each(|extent| self.check(*extent))?;
                let mut content = IsoContent { image: self, extents: extents.into(), at: 0 };
                sink.file(path, (bytes, &mut content))?;
            }
        }
        Ok(None)
    }

    fn descriptors(&mut self) -> io::Result<VolumeRoots> {
        let mut found = VolumeRoots::default();
        let mut ended = false;
        for sector in DESCRIPTORS_AT..DESCRIPTORS_AT + DESCRIPTORS_MAX {
            if (sector + 1) * SECTOR_BYTES > self.bytes {
                break;
            }
            let block = u32::try_from(sector).unwrap_or_default();
            let bytes = self.read(IsoExtent { block, bytes: SECTOR_BYTES }, SECTOR_BYTES)?;
            match (bytes.first(), bytes.get(1..6)) {
                (Some(1), Some(b"CD001")) if !ended && found.primary.is_none() => {
                    found.primary = Some(root_of(&bytes)?);
                }
                (Some(2), Some(b"CD001")) if !ended && is_joliet(&bytes) => {
                    found.joliet = Some(root_of(&bytes)?);
                }
                (Some(255), Some(b"CD001")) => ended = true,
                (_, Some(b"NSR02" | b"NSR03")) => found.udf = true,
                (_, Some(b"CD001" | b"BEA01" | b"TEA01" | b"BOOT2")) => {}
                _ => break,
            }
        }
        Ok(found)
    }

    /// Bytes to skip before the Rock Ridge entries, if there are such entries.
    fn rock_ridge(&mut self) -> io::Result<Option<usize>> {
        let first = self.read(self.root, SECTOR_BYTES)?;
        let Some(own) = FolderRecord::parse(&first).map_err(|why| damaged(&why))? else { return Ok(None) };
        let Some(skip) = rock_ridge::shared_use(&own.system_use) else { return Ok(None) };
        let extras = self.extras(&own.system_use, 0)?;
        Ok(extras.has_posix.then_some(skip))
    }

    fn extras(&mut self, system_use: &[u8], skip: usize) -> io::Result<RecordExtras> {
        rock_ridge::parse(system_use.get(skip..).unwrap_or_default(), |area| {
            let extent = IsoExtent { block: area.block, bytes: SECTOR_BYTES };
            let whole = self.read(extent, SECTOR_BYTES)?;
            Ok(whole.get(area.bytes.clone()).unwrap_or_default().to_vec())
        })
    }

    /// The entries of a folder, in the order of names.
    fn entries(&mut self, folder: &IsoFolder) -> io::Result<BTreeMap<String, IsoEntry>> {
        let here = |why: &str| damaged(&format!("the folder {:?}: {why}", folder.path));
        if folder.extent.bytes > FOLDER_BYTES_MAX {
            return Err(here("it is larger than a folder can be"));
        }
        let bytes = self.read(folder.extent, FOLDER_BYTES_MAX)?;
        let mut entries = BTreeMap::new();
        let mut parts: Vec<IsoExtent> = Vec::new();
        for sector in bytes.chunks(SECTOR_BYTES as usize) {
            let mut rest = sector;
            while let Some(record) = FolderRecord::parse(rest).map_err(|why| here(&why))? {
                rest = rest.get(record.length..).unwrap_or_default();
                let Some((name, entry)) = self.entry(&record).map_err(|error| here(&error.to_string()))?
                else {
                    continue;
                };
                if let IsoEntry::File(extents) = &entry {
                    parts.extend(extents);
                    if record.goes_on && parts.len() < EXTENTS_MAX {
                        continue;
                    }
                }
                let whole = match entry {
                    IsoEntry::File(_) => IsoEntry::File(std::mem::take(&mut parts)),
                    other => other,
                };
                entries.insert(name, whole);
            }
        }
        Ok(entries)
    }

    /// An entry with its name; none for records that are not files.
    fn entry(&mut self, record: &FolderRecord) -> io::Result<Option<(String, IsoEntry)>> {
        if record.name == RecordName::Own || record.name == RecordName::Parent || record.is_associated {
            return Ok(None);
        }
        let NameSource::RockRidge { skip } = self.names else {
            let name = record.name.text(self.names).map_err(|why| damaged(&why))?;
            return Ok(Some((name, IsoEntry::plain(record))));
        };
        let extras = self.extras(&record.system_use, skip)?;
        if extras.is_relocated {
            return Ok(None);
        }
        let name = match extras.name {
            Some(name) => name,
            None => record.name.text(NameSource::Plain).map_err(|why| damaged(&why))?,
        };
        if extras.is_compressed {
            return Err(damaged(&format!("{name:?} is compressed (zisofs), which is not read")));
        }
        let entry = match (extras.link, extras.child) {
            (Some(target), _) => IsoEntry::Link(target),
            (None, Some(block)) => IsoEntry::Moved(block),
            (None, None) if extras.is_special => return Ok(None),
            (None, None) => IsoEntry::plain(record),
        };
        Ok(Some((name, entry)))
    }

    fn check(&self, extent: IsoExtent) -> io::Result<()> {
        let end = u64::from(extent.block).saturating_mul(SECTOR_BYTES).saturating_add(extent.bytes);
        if end > self.bytes {
            return Err(damaged(&format!("block {} is beyond its end: it is cut short", extent.block)));
        }
        Ok(())
    }

    /// The bytes of an extent, at most `most`.
    fn read(&mut self, extent: IsoExtent, most: u64) -> io::Result<Vec<u8>> {
        let extent = IsoExtent { bytes: extent.bytes.min(most), ..extent };
        self.check(extent)?;
        self.source.seek(SeekFrom::Start(u64::from(extent.block) * SECTOR_BYTES))?;
        let mut bytes = Vec::new();
        self.source.by_ref().take(extent.bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// The root folders of the volumes.
#[derive(Debug, Default)]
struct VolumeRoots {
    primary: Option<IsoExtent>,
    joliet: Option<IsoExtent>,
    udf: bool,
}

#[derive(Debug)]
enum IsoEntry {
    File(Vec<IsoExtent>),
    Folder(IsoExtent),
    /// A folder that was relocated because it is too deep for ISO 9660.
    Moved(u32),
    Link(String),
}

impl IsoEntry {
    fn plain(record: &FolderRecord) -> Self {
        if record.is_folder { IsoEntry::Folder(record.extent) } else { IsoEntry::File(vec![record.extent]) }
    }
}

/// Reads the content of a file, part after part.
struct IsoContent<'a, R> {
    image: &'a mut IsoImage<R>,
    extents: std::collections::VecDeque<IsoExtent>,
    at: u64,
}

impl<R: Read + Seek> Read for IsoContent<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(extent) = self.extents.front() {
            let left = extent.bytes.saturating_sub(self.at);
            if left == 0 {
                self.extents.pop_front();
                self.at = 0;
                continue;
            }
            let source = &mut self.image.source;
            source.seek(SeekFrom::Start(u64::from(extent.block) * SECTOR_BYTES + self.at))?;
            let read = source.by_ref().take(left).read(buffer)?;
            self.at += read as u64;
            return Ok(read);
        }
        Ok(0)
    }
}

/// The root folder of a volume (section 8.4.18) whose blocks are as large as sectors.
fn root_of(descriptor: &[u8]) -> io::Result<IsoExtent> {
    let block_bytes =
        descriptor.get(128..130).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes);
    if block_bytes.map(u64::from) != Some(SECTOR_BYTES) {
        return Err(damaged("its blocks are not of 2048 bytes"));
    }
    let root =
        FolderRecord::parse(descriptor.get(156..190).unwrap_or_default()).map_err(|why| damaged(&why))?;
    root.filter(|root| root.is_folder).map(|root| root.extent).ok_or_else(|| damaged("it has no root folder"))
}

/// UCS-2 in one of its three levels (the Joliet specification, section "Joliet Escape Sequences").
fn is_joliet(descriptor: &[u8]) -> bool {
    let levels: [&[u8]; 3] = [b"%/@", b"%/C", b"%/E"];
    descriptor.get(88..91).is_some_and(|escape| levels.contains(&escape))
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the ISO image cannot be read: {why}"))
}
