//! Writing the file of a backup, member by member.

use std::collections::BTreeMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use nix::libc;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use super::end_digest::EndDigestWriter;
use super::{BackupFacts, FACTS, MEMBERS_MAX, SUMS, is_member};
use crate::model::hex;

/// Deepest folder that is looked into.
const DEPTH_MAX: usize = 128;

/// Writes a backup to `W`. Nothing is whole before [`ArchiveWriter::finish`].
pub struct ArchiveWriter<W: Write> {
    tar: Builder<GzEncoder<EndDigestWriter<W>>>,
    digests: BTreeMap<String, String>,
    members: usize,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins with what it is a backup of.
    ///
    /// # Errors
    /// Those of `to`.
    pub fn begin(to: W, facts: &BackupFacts) -> io::Result<Self> {
        let tar = Builder::new(GzEncoder::new(EndDigestWriter::new(to), Compression::fast()));
        let mut writer = ArchiveWriter { tar, digests: BTreeMap::new(), members: 0 };
        let facts = serde_json::to_vec_pretty(facts)?;
        writer.add(FACTS, (facts.as_slice(), facts.len() as u64), 0)?;
        Ok(writer)
    }

    /// Adds a file.
    ///
    /// # Errors
    /// It cannot be read, became shorter meanwhile, or the writer fails.
    pub fn add_file(&mut self, name: &str, path: &Path) -> io::Result<()> {
        let mut options = File::options();
        let file = options.read(true).custom_flags(libc::O_NOFOLLOW).open(path).map_err(at(path))?;
        let about = file.metadata().map_err(at(path))?;
        self.add(name, (file, about.len()), seconds(&about)).map_err(at(path))
    }

    /// Adds everything below a folder: files and links. One that is not there adds nothing.
    ///
    /// # Errors
    /// As [`ArchiveWriter::add_file`]; it is nested too deep.
    pub fn add_folder(&mut self, name: &str, path: &Path) -> io::Result<()> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(at(path)(error)),
            Ok(about) if about.is_dir() => self.add_entries(name, path, DEPTH_MAX),
            Ok(_) => Err(at(path)(io::Error::other("it is not a folder"))),
        }
    }

    fn add_entries(&mut self, name: &str, folder: &Path, depth: usize) -> io::Result<()> {
        if depth == 0 {
            return Err(at(folder)(io::Error::other("more than 128 folders deep")));
        }
        let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>().map_err(at(folder))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, kind) = (entry.path(), entry.file_type()?);
            let file_name = entry.file_name();
            let Some(name) = file_name.to_str().map(|file| format!("{name}/{file}")) else { continue };
            // What has such a name is served over no protocol.
            if !is_member(&name) {
                continue;
            }
            if kind.is_dir() {
                self.add_entries(&name, &path, depth - 1)?;
            } else if kind.is_file() {
                self.add_file(&name, &path)?;
            } else if kind.is_symlink() {
                self.add_link(&name, &path)?;
            }
        }
        Ok(())
    }

    fn add_link(&mut self, name: &str, path: &Path) -> io::Result<()> {
        self.count()?;
        let target = fs::read_link(path).map_err(at(path))?;
        let mut header = header(EntryType::Symlink, (0, 0));
        self.tar.append_link(&mut header, name, target)
    }

    fn add(&mut self, name: &str, (from, bytes): (impl Read, u64), changed_at: u64) -> io::Result<()> {
        self.count()?;
        let mut from = DigestReader { from: from.take(bytes), digest: Sha256::new(), bytes: 0 };
        let mut header = header(EntryType::Regular, (bytes, changed_at));
        self.tar.append_data(&mut header, name, &mut from)?;
        if from.bytes != bytes {
            return Err(io::Error::other("it became shorter while it was read"));
        }
        self.digests.insert(name.to_owned(), hex(&from.digest.finalize()));
        Ok(())
    }

    fn count(&mut self) -> io::Result<()> {
        self.members += 1;
        let few = self.members <= MEMBERS_MAX;
        few.then_some(()).ok_or_else(|| io::Error::other(format!("more than {MEMBERS_MAX} files")))
    }

    /// Adds the digests, the end of the tar and the digest of the whole file. Gives what it was written to,
    /// and how many members it has.
    ///
    /// # Errors
    /// The writer fails.
    pub fn finish(mut self) -> io::Result<(W, usize)> {
        let sums: String = self.digests.iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect();
        let bytes = sums.len() as u64;
        self.add(SUMS, (sums.as_bytes(), bytes), 0)?;
        Ok((self.tar.into_inner()?.finish()?.finish()?, self.members))
    }
}

/// Digests what is read through it.
struct DigestReader<R> {
    from: R,
    digest: Sha256,
    bytes: u64,
}

impl<R: Read> Read for DigestReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.digest.update(buffer.get(..read).unwrap_or_default());
        self.bytes += read as u64;
        Ok(read)
    }
}

fn header(kind: EntryType, (bytes, changed_at): (u64, u64)) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(changed_at);
    header
}

fn seconds(about: &Metadata) -> u64 {
    about.mtime().unsigned_abs()
}

fn at(path: &Path) -> impl Fn(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
