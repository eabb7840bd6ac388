//! All initrds of a boot as one file, for readers of a menu that take only one: U-Boot, petitboot, the
//! firmware of s390x and POWER.
//!
//! The kernel unpacks one archive after the other, and passes over zero bytes between them. Each archive
//! begins on a boundary of four bytes, which one that is not compressed needs
//! (`Documentation/driver-api/early-userspace/ buffer-format.rst` of Linux). The file has no name on the disk
//! and is kept for the next boots.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::artifacts::opened::{FetchRefusal, FileBody, FileVersion, OpenedFile, Protocol};
use crate::catalog::extra_initrds::extra_initrds;
use crate::catalog::params::SecretMode;
use crate::catalog::rendering::BootContext;
use crate::model::sha256_hex;
use crate::netboot::Netboot;
use crate::netboot::boot_facts::BootFacts;
use crate::netboot::files::Fetch;
use crate::netboot::identify::about;

/// The name of the file below the capability.
pub const JOINED_INITRDS: &str = "joined-initrds.img";
/// Most joined files that are kept; their bytes are on the disk until the server ends.
const JOINED_MAX: usize = 8;
/// Each archive begins at a multiple of this.
const BOUNDARY: u64 = 4;

/// The joined files that were asked for, by the versions of their parts; the newest last.
#[derive(Debug, Default)]
pub struct JoinedInitrds(Vec<JoinedFile>);

#[derive(Debug, Clone)]
struct JoinedFile {
    tag: String,
    file: Arc<File>,
    bytes: u64,
}

/// One of the parts.
struct InitrdPart {
    file: File,
    bytes: u64,
}

impl Netboot {
    /// The initrds of a boot in their order: artifact and path of the bootenv's, then those of the param.
    fn all_initrds(&self, boot: &BootContext) -> Result<Vec<(String, String)>, FetchRefusal> {
        let Some(files) = boot.files() else { return Ok(Vec::new()) };
        let own = files.initrds.iter().map(|path| (files.artifact.clone(), path.clone()));
        let input = self.catalog.input(boot, SecretMode::Withheld);
        let input = input.map_err(|problem| FetchRefusal::Failed(problem.to_string()))?;
        let extra = extra_initrds(&input.params).map_err(FetchRefusal::Failed)?;
        Ok(own.chain(extra.into_iter().map(|extra| (extra.artifact, extra.path))).collect())
    }

    /// Opens the initrds of a boot as one file.
    ///
    /// # Errors
    /// One of them cannot be had, or the disk has no room.
    pub(super) async fn open_joined(
        self: &Arc<Self>,
        fetch: &Fetch,
        (boot, gathered): (&BootContext, &BootFacts),
    ) -> Result<OpenedFile, FetchRefusal> {
        // Over TFTP files of mirrors are opened when they are complete.
        let fetch = Fetch { protocol: Protocol::Tftp, has_query: false, ..fetch.clone() };
        let (mut parts, mut tags, mut modified) = (Vec::new(), String::new(), 0);
        for (artifact, path) in self.all_initrds(boot)? {
            let opened = self.static_artifact(&fetch, (&artifact, &path), gathered).await?;
            let FileBody::File { file, bytes, .. } = opened.body else {
                return Err(FetchRefusal::Failed(format!("{path} cannot be joined: it is no file")));
            };
            if let Some(version) = &opened.version {
                tags.push_str(&version.tag);
                modified = modified.max(version.modified);
            }
            parts.push(InitrdPart { file, bytes });
        }
        let tag = format!("\"{}\"", sha256_hex(tags.as_bytes()));
        let joined = self.joined(&tag, parts).await;
        let failed =
            |error: io::Error| FetchRefusal::Failed(format!("the initrds cannot be joined: {error}"));
        let joined = joined.map_err(failed)?;
        Ok(OpenedFile {
            body: FileBody::File {
                file: joined.file.try_clone().map_err(failed)?,
                bytes: joined.bytes,
                coming: None,
            },
            label: format!("joined:{}", boot.bootenv.as_ref().map_or("", |bootenv| &bootenv.spec.name)),
            content_type: "application/octet-stream",
            version: Some(FileVersion { tag, modified }),
            about: about(gathered.machine.as_deref()),
        })
    }

    /// The joined file of these parts, made if it is not kept. One is made at a time.
    async fn joined(&self, tag: &str, parts: Vec<InitrdPart>) -> io::Result<JoinedFile> {
        let mut kept = self.memory.joined_initrds.lock().await;
        if let Some(found) = kept.0.iter().find(|kept| kept.tag == tag) {
            return Ok(found.clone());
        }
        let into = self.artifacts.unnamed_file()?;
        let (file, bytes) = tokio::task::spawn_blocking(move || join(into, parts)).await??;
        let joined = JoinedFile { tag: tag.to_owned(), file: Arc::new(file), bytes };
        if kept.0.len() >= JOINED_MAX {
            kept.0.remove(0);
        }
        kept.0.push(joined.clone());
        Ok(joined)
    }
}

/// Writes the parts one after the other, and returns the file with its length.
fn join(mut into: File, parts: Vec<InitrdPart>) -> io::Result<(File, u64)> {
    let mut length: u64 = 0;
    for InitrdPart { file, bytes } in parts {
        let padding = length.next_multiple_of(BOUNDARY) - length;
        io::copy(&mut io::repeat(0).take(padding), &mut into)?;
        let copied = io::copy(&mut file.take(bytes), &mut into)?;
        if copied < bytes {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += padding + bytes;
    }
    into.flush()?;
    Ok((into, length))
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;

    #[test]
    fn each_initrd_begins_on_a_boundary_of_four_bytes() {
        let part = |text: &str| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.rewind().unwrap();
            InitrdPart { file, bytes: text.len() as u64 }
        };
        let parts = vec![part("first"), part("next"), part("l")];
        let (mut joined, bytes) = join(tempfile::tempfile().unwrap(), parts).unwrap();
        joined.rewind().unwrap();
        let mut text = Vec::new();
        joined.read_to_end(&mut text).unwrap();
        assert_eq!((text.as_slice(), bytes), (&b"first\0\0\0nextl"[..], 13));
        let short = InitrdPart { bytes: 9, ..part("short") };
        assert!(join(tempfile::tempfile().unwrap(), vec![short]).is_err());
    }
}
