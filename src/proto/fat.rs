//! A FAT16 file system with a few files: the disk image that UEFI firmware fetches and mounts. Names are 8.3
//! names, as on the first such disks; firmware, shim and GRUB compare names without case. Start at [`image`].
//!
//! The layout follows Microsoft's "FAT: General Overview of On-Disk Format" 1.03: boot sector, two tables,
//! root folder, clusters. There are no partitions: UEFI reads a file system on a whole disk (UEFI 13.3.1).

const SECTOR_BYTES: usize = 512;
/// Most entries of the root folder.
const ROOT_ENTRIES: usize = 512;
const ENTRY_BYTES: usize = 32;
/// With fewer clusters it would be FAT12, with more FAT32 ("FAT Type Determination"); both bounds have a
/// margin.
const CLUSTERS_MIN: usize = 4096;
const CLUSTERS_MAX: usize = 65_000;
/// Largest cluster that all firmware can read.
const CLUSTER_SECTORS_MAX: usize = 64;
/// Most files and folders.
pub const NODES_MAX: usize = 256;

/// Why files cannot be put on such a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FatError {
    #[error("`{0}` is not an 8.3 name")]
    Name(String),
    #[error("two files have the path `{0}`")]
    Twice(String),
    #[error("{0} bytes do not fit")]
    TooLarge(usize),
    #[error("more than {NODES_MAX} files and folders")]
    TooMany,
}

/// A file: its path, such as `EFI/BOOT/BOOTX64.EFI`, and its bytes.
pub type FatFile<'a> = (&'a str, &'a [u8]);

/// The image of a disk with these files.
///
/// # Errors
/// See [`FatError`].
pub fn image(files: &[FatFile<'_>]) -> Result<Vec<u8>, FatError> {
    let mut tree = FatTree::of(files)?;
    let disk = FatLayout::for_tree(&tree)?;
    tree.place(disk.cluster_bytes());
    let mut bytes = disk.boot_sector();
    let table = disk.table(&tree);
    bytes.extend_from_slice(&table);
    bytes.extend_from_slice(&table);
    for (index, node) in tree.nodes.iter().enumerate() {
        let start = bytes.len();
        match node.body {
            Some(body) => bytes.extend_from_slice(body),
            None => bytes.extend_from_slice(&tree.folder(index)),
        }
        let written = bytes.len() - start;
        let padded = if index == 0 {
            ROOT_ENTRIES * ENTRY_BYTES
        } else {
            written.div_ceil(disk.cluster_bytes()) * disk.cluster_bytes()
        };
        bytes.resize(start + padded, 0);
    }
    bytes.resize(disk.sectors * SECTOR_BYTES, 0);
    Ok(bytes)
}

/// A file or folder. The root comes first and is its own parent.
struct FatNode<'a> {
    name: [u8; 11],
    parent: usize,
    /// `None` for a folder.
    body: Option<&'a [u8]>,
    /// First cluster and number of clusters; 0 for the root and for an empty file.
    first: usize,
    clusters: usize,
}

struct FatTree<'a> {
    nodes: Vec<FatNode<'a>>,
}

impl<'a> FatTree<'a> {
    fn of(files: &[FatFile<'a>]) -> Result<Self, FatError> {
        let root = FatNode { name: [b' '; 11], parent: 0, body: None, first: 0, clusters: 0 };
        let mut tree = FatTree { nodes: vec![root] };
        for (path, body) in files {
            let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
            let mut parent = 0;
            for folder in folders.split('/').filter(|part| !part.is_empty()) {
                parent = tree.folder_named(parent, short_name(folder)?)?;
            }
            let name = short_name(name)?;
            if tree.find(parent, &name).is_some() {
                return Err(FatError::Twice((*path).to_owned()));
            }
            tree.add(FatNode { name, parent, body: Some(body), first: 0, clusters: 0 })?;
        }
        Ok(tree)
    }

    fn find(&self, parent: usize, name: &[u8; 11]) -> Option<usize> {
        let mut nodes = self.nodes.iter().enumerate().skip(1);
        nodes.find(|(_, node)| node.parent == parent && node.name == *name).map(|(index, _)| index)
    }

    fn folder_named(&mut self, parent: usize, name: [u8; 11]) -> Result<usize, FatError> {
        match self.find(parent, &name) {
            Some(index) => Ok(index),
            None => self.add(FatNode { name, parent, body: None, first: 0, clusters: 0 }),
        }
    }

    fn add(&mut self, node: FatNode<'a>) -> Result<usize, FatError> {
        if self.nodes.len() >= NODES_MAX {
            return Err(FatError::TooMany);
        }
        self.nodes.push(node);
        Ok(self.nodes.len() - 1)
    }

    fn children(&self, folder: usize) -> impl Iterator<Item = &FatNode<'a>> {
        self.nodes.iter().skip(1).filter(move |node| node.parent == folder)
    }

    /// Bytes in a node's clusters. A folder has `.` and `..` besides its children.
    fn bytes(&self, index: usize) -> usize {
        match self.nodes.get(index).and_then(|node| node.body) {
            Some(body) => body.len(),
            None => (self.children(index).count() + 2) * ENTRY_BYTES,
        }
    }

    /// Assigns clusters to every node except the root, one after the other.
    fn place(&mut self, cluster_bytes: usize) {
        let sizes: Vec<usize> = (0..self.nodes.len()).map(|index| self.bytes(index)).collect();
        let mut next = 2;
        for (node, bytes) in self.nodes.iter_mut().zip(sizes).skip(1) {
            node.clusters = bytes.div_ceil(cluster_bytes);
            node.first = if node.clusters == 0 { 0 } else { next };
            next += node.clusters;
        }
    }

    /// The entries of a folder.
    fn folder(&self, index: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Some(node) = self.nodes.get(index).filter(|_| index != 0) {
            let parent = self.nodes.get(node.parent).map_or(0, |parent| parent.first);
            bytes.extend(entry(*b".          ", None, node.first));
            bytes.extend(entry(*b"..         ", None, parent));
        }
        for node in self.children(index) {
            bytes.extend(entry(node.name, node.body, node.first));
        }
        bytes
    }
}

/// `grub.cfg` as `GRUB    CFG`.
fn short_name(name: &str) -> Result<[u8; 11], FatError> {
    let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
    if stem.is_empty() || !name_fits(stem, 8) || !name_fits(ending, 3) {
        return Err(FatError::Name(name.to_owned()));
    }
    let mut short = [b' '; 11];
    let (to_stem, to_ending) = short.split_at_mut(8);
    to_stem.iter_mut().zip(stem.bytes()).for_each(|(to, from)| *to = from.to_ascii_uppercase());
    to_ending.iter_mut().zip(ending.bytes()).for_each(|(to, from)| *to = from.to_ascii_uppercase());
    Ok(short)
}

fn name_fits(part: &str, most: usize) -> bool {
    part.len() <= most && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}

/// One entry of a folder. The date is the earliest possible one, so that the same files give the same bytes.
fn entry(name: [u8; 11], body: Option<&[u8]>, first: usize) -> Vec<u8> {
    const READ_ONLY: u8 = 0x01;
    const FOLDER: u8 = 0x10;
    const FIRST_DAY: u16 = (1 << 5) | 1;
    let mut bytes = name.to_vec();
    bytes.push(if body.is_some() { READ_ONLY } else { FOLDER });
    bytes.extend([0; 4]);
    bytes.extend(FIRST_DAY.to_le_bytes());
    bytes.extend(FIRST_DAY.to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(FIRST_DAY.to_le_bytes());
    bytes.extend(u16::try_from(first).unwrap_or_default().to_le_bytes());
    bytes.extend(u32::try_from(body.map_or(0, <[u8]>::len)).unwrap_or_default().to_le_bytes());
    bytes
}

/// The dimensions of a disk.
struct FatLayout {
    cluster_sectors: usize,
    table_sectors: usize,
    clusters: usize,
    sectors: usize,
}

impl FatLayout {
    /// The smallest disk, with the smallest clusters, on which the files fit.
    fn for_tree(tree: &FatTree<'_>) -> Result<FatLayout, FatError> {
        let needed = |cluster_bytes: usize| -> usize {
            (1..tree.nodes.len()).map(|index| tree.bytes(index).div_ceil(cluster_bytes)).sum()
        };
        let mut cluster_sectors = 1;
        while needed(cluster_sectors * SECTOR_BYTES) > CLUSTERS_MAX {
            cluster_sectors *= 2;
            if cluster_sectors > CLUSTER_SECTORS_MAX {
                return Err(FatError::TooLarge(needed(1)));
            }
        }
        let clusters = needed(cluster_sectors * SECTOR_BYTES).max(CLUSTERS_MIN);
        let table_sectors = ((clusters + 2) * 2).div_ceil(SECTOR_BYTES);
        let before = 1 + 2 * table_sectors + ROOT_ENTRIES * ENTRY_BYTES / SECTOR_BYTES;
        Ok(FatLayout {
            cluster_sectors,
            table_sectors,
            clusters,
            sectors: before + clusters * cluster_sectors,
        })
    }

    fn cluster_bytes(&self) -> usize {
        self.cluster_sectors * SECTOR_BYTES
    }

    /// The boot sector with its parameter block and without code: only UEFI boots the disk.
    fn boot_sector(&self) -> Vec<u8> {
        let mut bytes = vec![0xeb, 0x3c, 0x90];
        bytes.extend(b"METALWRI");
        bytes.extend(le_u16(SECTOR_BYTES));
        bytes.push(u8::try_from(self.cluster_sectors).unwrap_or_default());
        bytes.extend(le_u16(1)); // reserved sectors
        bytes.push(2); // tables
        bytes.extend(le_u16(ROOT_ENTRIES));
        bytes.extend(le_u16(if self.sectors < 0x1_0000 { self.sectors } else { 0 }));
        bytes.push(0xf8); // a fixed disk
        bytes.extend(le_u16(self.table_sectors));
        bytes.extend(le_u16(32)); // sectors per track and heads: without meaning here
        bytes.extend(le_u16(64));
        bytes.extend(le_u32(0)); // hidden sectors
        bytes.extend(le_u32(if self.sectors < 0x1_0000 { 0 } else { self.sectors }));
        bytes.extend([0x80, 0, 0x29]); // first disk; the three fields that follow are present
        bytes.extend(le_u32(0x4d57_4658));
        bytes.extend(b"METALWRIGHTFAT16   ");
        bytes.resize(SECTOR_BYTES - 2, 0);
        bytes.extend([0x55, 0xaa]);
        bytes
    }

    /// One allocation table: every chain of clusters is contiguous.
    fn table(&self, tree: &FatTree<'_>) -> Vec<u8> {
        const END: u16 = 0xffff;
        let mut entries: Vec<u16> = vec![0xfff8, END];
        for node in tree.nodes.iter().skip(1) {
            let last = node.first + node.clusters;
            let run = (node.first..last).map(|cluster| {
                if cluster + 1 == last { END } else { u16::try_from(cluster + 1).unwrap_or(END) }
            });
            entries.extend(run);
        }
        entries.resize(self.clusters + 2, 0);
        let mut bytes: Vec<u8> = entries.into_iter().flat_map(u16::to_le_bytes).collect();
        bytes.resize(self.table_sectors * SECTOR_BYTES, 0);
        bytes
    }
}

fn le_u32(value: usize) -> [u8; 4] {
    u32::try_from(value).unwrap_or_default().to_le_bytes()
}

fn le_u16(value: usize) -> [u8; 2] {
    u16::try_from(value).unwrap_or_default().to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(bytes: &[u8], at: usize) -> usize {
        usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
    }

    /// Reads a file as a driver does: through the parameter block, the folders and the table.
    fn read(image: &[u8], path: &str) -> Option<Vec<u8>> {
        let (cluster_bytes, table_at) = (usize::from(image[13]) * 512, 512);
        let root_at = table_at + 2 * word(image, 22) * 512;
        let data_at = root_at + word(image, 17) * 32;
        let chain = |first: usize| {
            let mut bytes = Vec::new();
            let mut cluster = first;
            while (2..0xfff0).contains(&cluster) {
                let at = data_at + (cluster - 2) * cluster_bytes;
                bytes.extend_from_slice(&image[at..at + cluster_bytes]);
                cluster = word(image, table_at + cluster * 2);
            }
            bytes
        };
        let mut folder = image[root_at..data_at].to_vec();
        for part in path.split('/') {
            let name = short_name(part).unwrap();
            let found = folder.chunks(32).find(|entry| entry[..11] == name)?.to_vec();
            let body = chain(word(&found, 26));
            if found[11] & 0x10 == 0 {
                let size = u32::from_le_bytes(found[28..32].try_into().unwrap()) as usize;
                return Some(body[..size].to_vec());
            }
            folder = body;
        }
        None
    }

    #[test]
    fn what_was_put_on_the_disk_is_read_from_it() {
        let large: Vec<u8> = (0..300_001_u32).flat_map(u32::to_le_bytes).collect();
        let files: [FatFile<'_>; 5] = [
            ("EFI/BOOT/BOOTX64.EFI", &large),
            ("EFI/BOOT/grubx64.efi", b"grub"),
            ("grub/grub.cfg", &[7; 512]),
            ("empty", b""),
            ("EFI/debian/grub.cfg", b"x"),
        ];
        let image = image(&files).unwrap();
        for (path, body) in files {
            assert_eq!(read(&image, path).as_deref(), Some(body), "{path}");
        }
        assert_eq!(read(&image, "EFI/BOOT/grub.cfg"), None);
        assert_eq!(image[510..512], [0x55, 0xaa]);
        assert_eq!(image.len(), word(&image, 19) * 512, "as long as it says");
    }

    #[test]
    fn a_disk_of_more_than_32_mib_has_larger_clusters_and_its_length_in_the_long_field() {
        let large = vec![1_u8; 70 << 20];
        let image = image(&[("a", &large), ("b", b"b")]).unwrap();
        assert_eq!((image[13], word(&image, 19)), (4, 0));
        let sectors = u32::from_le_bytes(image[32..36].try_into().unwrap()) as usize;
        assert_eq!(image.len(), sectors * 512);
        assert_eq!(read(&image, "b").as_deref(), Some(&b"b"[..]));
    }

    #[test]
    fn it_is_a_fat16_however_little_is_on_it() {
        let image = image(&[("a", b"a")]).unwrap();
        let data_at = 1 + 2 * word(&image, 22) + 32;
        let clusters = (word(&image, 19) - data_at) / usize::from(image[13]);
        assert!((4085..65_525).contains(&clusters), "{clusters}");
    }

    #[test]
    fn what_does_not_fit_is_said() {
        for name in ["debian-installer", "a.efis", "", "a.b.c", "grub cfg", "ä"] {
            assert_eq!(image(&[(name, b"")]), Err(FatError::Name(name.into())), "{name}");
        }
        assert_eq!(image(&[("a/b", b""), ("A/B", b"")]), Err(FatError::Twice("A/B".into())));
        let names: Vec<String> = (0..300).map(|n| n.to_string()).collect();
        let files: Vec<FatFile<'_>> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert_eq!(image(&files), Err(FatError::TooMany));
    }
}
