//! Reading the file of a backup into a new folder. Nothing in it is trusted before its digests are right, and
//! nothing is written anywhere else: a name leads out of no folder, and links are made when all files are
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::{Archive, Entry, EntryType};

use super::end_digest::EndDigestReader;
use super::{
    BackupFacts, DATABASE, END_DIGEST_SINCE, FACTS, FORMAT, LIST_BYTES_MAX, MEMBERS_MAX, SUMS, is_member,
};
use crate::model::hex;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 16;
/// Most bytes behind the last member: the padding of tar.
const TAIL_BYTES_MAX: u64 = 1 << 20;

/// What a backup has, as far as it was read.
#[derive(Default)]
struct UnpackedMembers {
    facts: Option<BackupFacts>,
    digests: BTreeMap<String, String>,
    links: BTreeMap<String, PathBuf>,
    sums: Option<BTreeMap<String, String>>,
}

/// Unpacks a backup into a folder that is empty, and checks every digest. `newest` is the schema of this
/// program.
///
/// # Errors
/// It is no backup, of a later format or program, damaged or cut short; the disk refuses. What was unpacked
/// by then stays.
pub fn unpack(from: impl Read, folder: &Path, newest: u64) -> io::Result<BackupFacts> {
    let mut archive = Archive::new(GzDecoder::new(EndDigestReader::new(from)));
    let mut members = UnpackedMembers::default();
    for (count, entry) in archive.entries().map_err(damaged)?.enumerate() {
        if count > MEMBERS_MAX || members.sums.is_some() {
            return Err(refused("there is more in it than its list of digests has"));
        }
        members.take(entry.map_err(damaged)?, folder)?;
        if let (0, facts) = (count, &members.facts) {
            let facts = facts.as_ref().ok_or_else(|| refused("it does not begin with backup.json"))?;
            check_version(facts, newest)?;
        }
    }
    // The checksum of gzip is behind all that tar reads, and the digest of the file behind that.
    let mut tail = archive.into_inner().take(TAIL_BYTES_MAX);
    io::copy(&mut tail, &mut io::sink()).map_err(damaged)?;
    let is_whole = tail.into_inner().into_inner().ends_right().map_err(damaged)?;
    if members.sums.as_ref() != Some(&members.digests) {
        return Err(members.difference());
    }
    for needed in [DATABASE, FACTS] {
        if !members.digests.contains_key(needed) {
            return Err(refused(&format!("it has no {needed}")));
        }
    }
    let facts = members.facts.ok_or_else(|| refused("it has no backup.json"))?;
    if facts.format >= END_DIGEST_SINCE && !is_whole {
        return Err(refused("the file is not what the digest at its end says"));
    }
    make_links(folder, &members.links)?;
    Ok(facts)
}

fn check_version(facts: &BackupFacts, newest: u64) -> io::Result<()> {
    let BackupFacts { format, program, schema, .. } = facts;
    if *format > FORMAT {
        let why =
            format!("Metalwright {program} made it in a later format ({format}; this one reads {FORMAT})");
        return Err(io::Error::other(format!("{why}: restore it with that version")));
    }
    if *schema > newest {
        let why =
            format!("a later version made it ({program}; its schema is {schema}, this one knows {newest})");
        return Err(io::Error::other(format!("{why}: restore it with that version")));
    }
    Ok(())
}

impl UnpackedMembers {
    fn take<R: Read>(&mut self, mut entry: Entry<'_, R>, folder: &Path) -> io::Result<()> {
        let name = entry.path_bytes().into_owned();
        let name = String::from_utf8(name).map_err(|_| refused("a name in it is not UTF-8"))?;
        match entry.header().entry_type() {
            EntryType::Regular if name == SUMS => self.sums = Some(read_sums(entry)?),
            EntryType::Regular if is_member(&name) && !self.digests.contains_key(&name) => {
                let path = place(folder, &name)?;
                let digest = write_file(&mut entry, &path)?;
                if name == FACTS {
                    let facts = File::open(&path)?.take(LIST_BYTES_MAX);
                    self.facts = Some(serde_json::from_reader(facts).map_err(damaged)?);
                    fs::remove_file(&path)?;
                }
                self.digests.insert(name, digest);
            }
            EntryType::Symlink if is_member(&name) => {
                let target = entry.link_name().map_err(damaged)?.ok_or_else(|| refused("a link is empty"))?;
                self.links.insert(name, target.into_owned());
            }
            _ => return Err(refused(&format!("`{name}` does not belong into it"))),
        }
        Ok(())
    }

    /// Why the members are not those of the list.
    fn difference(&self) -> io::Error {
        let Some(sums) = &self.sums else {
            return refused("it was cut short: its list of digests is missing");
        };
        let differs = |name: &&String| sums.get(*name) != self.digests.get(*name);
        match self.digests.keys().chain(sums.keys()).find(differs) {
            Some(name) => refused(&format!("`{name}` is not what its digest says")),
            None => refused("its list of digests is damaged"),
        }
    }
}

/// Where a member goes; the folders above it are made.
fn place(folder: &Path, name: &str) -> io::Result<PathBuf> {
    let path = folder.join(name);
    if let Some(above) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(above)?;
    }
    Ok(path)
}

/// Writes a new file, for its owner only, and gives its digest.
fn write_file<R: Read>(entry: &mut Entry<'_, R>, path: &Path) -> io::Result<String> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = entry.read(&mut buffer).map_err(damaged)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else { break };
        digest.update(chunk);
        io::Write::write_all(&mut file, chunk)?;
    }
    let changed_at = SystemTime::UNIX_EPOCH + Duration::from_secs(entry.header().mtime().map_err(damaged)?);
    file.set_times(FileTimes::new().set_modified(changed_at))?;
    file.sync_all()?;
    Ok(hex(&digest.finalize()))
}

fn read_sums<R: Read>(entry: Entry<'_, R>) -> io::Result<BTreeMap<String, String>> {
    let mut text = String::new();
    entry.take(LIST_BYTES_MAX).read_to_string(&mut text).map_err(damaged)?;
    let lines = text.lines().map(|line| line.split_once("  "));
    let sums = lines.map(|line| line.map(|(digest, name)| (name.to_owned(), digest.to_owned())));
    sums.collect::<Option<_>>().ok_or_else(|| refused("its list of digests is damaged"))
}

/// Makes links where no link is on the way to one.
fn make_links(folder: &Path, links: &BTreeMap<String, PathBuf>) -> io::Result<()> {
    let names: BTreeSet<&str> = links.keys().map(String::as_str).collect();
    for (name, target) in links {
        let mut above = name.match_indices('/').filter_map(|(end, _)| name.get(..end));
        if above.any(|above| names.contains(above)) {
            return Err(refused(&format!("`{name}` is behind a link")));
        }
        symlink(target, place(folder, name)?)?;
    }
    Ok(())
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("this is not a whole backup: {why}"))
}

fn damaged(error: impl std::fmt::Display) -> io::Error {
    refused(&error.to_string())
}
