//! The packs that are loaded: several versions of each, with their files. Start at [`Catalog::pack`] and
//! [`Catalog::packs_of`].

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::catalog::Catalog;
use crate::catalog::content::{ContentPack, core_files, read_checked_pack, read_pack};
use crate::kernel::{Caller, Changeset, ChangesetRead, Error, STALE_RETRIES_MAX, StoreError};
use crate::model::event::ObjectSnapshot;
use crate::model::{
    CORE_PACK, Content, EventBody, Kind, Noun, Pack, PackManifest, PackText, Problem, RefusalCode, Stored,
    World, pack_key,
};
use crate::pack_files::{self, FileFault, PackFile, digest, read_archive, signed_by};

/// Most packs that are kept parsed.
const PARSED_MAX: usize = 16;
/// Most packs that are loaded, and the size of all their files in bytes. They are kept in memory.
const PACKS_MAX: usize = 256;
const PACKS_BYTES_MAX: u64 = 128 << 20;
/// Most archives that are unpacked and checked at once, and how long one waits for its turn.
const LOADS_AT_ONCE_MAX: usize = 2;
const LOAD_WAIT: Duration = Duration::from_secs(30);
/// Digits of a digest that tell two builds of one version apart.
const BUILD_DIGITS: usize = 8;

/// Parsed packs, and the turns of those who load some.
#[derive(Debug)]
pub(super) struct PackStore {
    /// By key and digest; the oldest is dropped first.
    parsed: Mutex<VecDeque<ParsedPack>>,
    turns: Semaphore,
}

/// A pack that was parsed.
#[derive(Debug)]
struct ParsedPack {
    key: String,
    digest: String,
    pack: Arc<ContentPack>,
}

impl Default for PackStore {
    fn default() -> Self {
        PackStore { parsed: Mutex::default(), turns: Semaphore::new(LOADS_AT_ONCE_MAX) }
    }
}

/// What became of a pack that was sent.
#[derive(Debug, Clone, PartialEq)]
pub enum AddedPack {
    New(Arc<Stored<Pack>>),
    /// The same files were loaded before.
    Known(Arc<Stored<Pack>>),
}

impl AddedPack {
    pub fn stored(&self) -> &Arc<Stored<Pack>> {
        match self {
            AddedPack::New(stored) | AddedPack::Known(stored) => stored,
        }
    }
}

/// A pack that was read, and may be stored.
struct ReadyPack {
    spec: Pack,
    files: BTreeMap<String, PackText>,
    parsed: Arc<ContentPack>,
}

impl Catalog {
    /// A version of a pack with its objects; none if it is not loaded, or this program cannot read it. Blocks
    /// when it was not read before; the world is not held for that.
    pub fn pack(&self, name: &str, version: impl Display) -> Option<Arc<ContentPack>> {
        let key = pack_key(name, version);
        let stored = self.kernel.read(|world| world.packs.get(&key).cloned())?;
        if let Some(known) = self.parsed(&stored) {
            return Some(known);
        }
        match read_checked_pack(&self.pack_files(&stored).ok()?, stored.created_at) {
            Ok((_, pack)) => Some(self.remember(&stored.spec, Arc::new(pack))),
            Err(faults) => {
                let first = pack_files::problems(faults).into_iter().next();
                let why = first.map(|problem| problem.to_string()).unwrap_or_default();
                tracing::error!(pack = stored.key, why, "this version of the program cannot read a pack");
                None
            }
        }
    }

    /// The packs of these versions, by their names: `core` first, then by rising priority. The last one that
    /// has an object wins. Blocks like [`Catalog::pack`].
    ///
    /// # Errors
    /// [`Error::Invalid`] with every pack that is not loaded or cannot be read, and everything that one
    /// requires and is not among them.
    pub fn packs_of(&self, versions: &BTreeMap<String, String>) -> Result<Vec<Arc<ContentPack>>, Error> {
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for (name, version) in versions {
            let stored = self.kernel.read(|world| world.packs.get(&pack_key(name, version)).cloned());
            let Some((stored, pack)) = stored.and_then(|row| Some((row, self.pack(name, version)?))) else {
                let what = format!("there is no pack {} that can be read", pack_key(name, version));
                let problem = Problem::new(format!("/packs/{name}"), what);
                problems.push(problem.coded(RefusalCode::NotFound));
                continue;
            };
            problems.extend(stored.spec.unmet(versions));
            found.push(((name != CORE_PACK, stored.spec.priority, name.clone()), pack));
        }
        if !problems.is_empty() {
            return Err(Error::Invalid(problems));
        }
        found.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(found.into_iter().map(|(_, pack)| pack).collect())
    }

    /// The files of a pack.
    ///
    /// # Errors
    /// [`Error::Failed`] if they are not stored any more, which `metalwright check` reports.
    pub fn pack_files(&self, stored: &Stored<Pack>) -> Result<Vec<PackFile>, Error> {
        let piece = self.kernel.read(|world| world.contents.get(&stored.spec.files).cloned());
        match piece.as_ref().map(|piece| &piece.spec) {
            Some(Content::PackFiles(files)) => Ok(files
                .iter()
                .map(|(path, text)| PackFile { path: path.clone(), body: text.0.clone().into_bytes() })
                .collect()),
            _ => Err(Error::Failed(format!("the files of pack {} are not stored", stored.key))),
        }
    }

    /// Loads a pack from its archive, `.tar` or `.tar.zst`: whole or not at all.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every fault of every file; [`Error::Conflict`] if this version is loaded with
    /// other files, or no more packs are kept; [`Error::Busy`].
    pub async fn add_pack(self: &Arc<Self>, caller: &Caller, archive: Vec<u8>) -> Result<AddedPack, Error> {
        let turn = tokio::time::timeout(LOAD_WAIT, self.known.packs.turns.acquire()).await;
        let _turn = turn.map_err(|_| Error::Busy("other packs are being loaded; try again".to_owned()))?;
        let (now, trust) = (caller.now, Arc::clone(&self.kernel.endpoints.pack_trust));
        let reading = tokio::task::spawn_blocking(move || {
            let files = read_archive(&archive)?;
            let signer = signed_by(&files, &trust)
                .map_err(|problem| vec![(pack_files::SIGNATURE.to_owned(), problem)])?;
            let ready = ready(&files, read_pack(&files, now)?);
            Ok::<_, Vec<FileFault>>(ReadyPack { spec: Pack { signed_by: signer, ..ready.spec }, ..ready })
        });
        let read = reading.await.map_err(|error| Error::Failed(format!("the pack was not read: {error}")))?;
        let ready = read.map_err(|faults| Error::Invalid(pack_files::problems(faults)))?;
        self.store_pack(caller, ready).await
    }

    /// Loads the pack of the program, unless it is loaded already, and returns it. If its version is loaded
    /// with other files, its own version gets the beginning of its digest: `0.1.0+1f0c22aa`.
    ///
    /// # Errors
    /// Those of the store. Faults of the pack are faults of the build.
    pub async fn load_core(&self, caller: &Caller) -> Result<Arc<ContentPack>, Error> {
        let files = core_files(None);
        let (ours, version) = (digest(&files), env!("CARGO_PKG_VERSION"));
        let present = self.kernel.read(|world| {
            world.packs.get(&pack_key(CORE_PACK, version)).map(|stored| stored.spec.digest.clone())
        });
        let files = match present {
            Some(digest) if digest != ours => {
                let build: String = ours.chars().take(BUILD_DIGITS).collect();
                core_files(Some(&format!("{version}+{build}")))
            }
            _ => files,
        };
        let read = read_checked_pack(&files, caller.now).map_err(|faults| {
            let faults: Vec<String> = pack_files::problems(faults).iter().map(ToString::to_string).collect();
            Error::Failed(format!("the built-in content is faulty: {}", faults.join("; ")))
        })?;
        let ready = ready(&files, read);
        let pack = Arc::clone(&ready.parsed);
        self.store_pack(caller, ready).await?;
        Ok(pack)
    }

    async fn store_pack(&self, caller: &Caller, ready: ReadyPack) -> Result<AddedPack, Error> {
        let ReadyPack { spec, files, parsed } = ready;
        let key = spec.name.clone();
        let piece = Content::PackFiles(files).stored(caller.now);
        let stored = Arc::new(Stored::new(key, Pack { files: piece.key.clone(), ..spec }, caller.now));
        for attempt in 0..STALE_RETRIES_MAX {
            let hold = self.kernel.hold_for(attempt).await?;
            let changeset = match self.kernel.read(|world| decide(world, caller, (&stored, &piece)))? {
                StoreDecision::Known(known) => return Ok(AddedPack::Known(known)),
                StoreDecision::Write(changeset) => changeset,
            };
            match self.kernel.commit_with(hold, changeset).await {
                Ok(_) => {
                    self.remember(&stored.spec, parsed);
                    return Ok(AddedPack::New(stored));
                }
                Err(StoreError::Stale { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        Err(Error::Busy("packs are being loaded and deleted by many at once; try again".to_owned()))
    }

    fn parsed(&self, stored: &Stored<Pack>) -> Option<Arc<ContentPack>> {
        let parsed = self.known.packs.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = parsed.iter().find(|known| known.key == stored.key && known.digest == stored.spec.digest);
        known.map(|known| Arc::clone(&known.pack))
    }

    fn remember(&self, spec: &Pack, pack: Arc<ContentPack>) -> Arc<ContentPack> {
        let mut parsed = self.known.packs.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        if parsed.len() >= PARSED_MAX {
            parsed.pop_front();
        }
        let (key, digest) = (spec.name.clone(), spec.digest.clone());
        parsed.push_back(ParsedPack { key, digest, pack: Arc::clone(&pack) });
        pack
    }
}

/// A pack that was read, with its files.
fn ready(files: &[PackFile], (manifest, parsed): (PackManifest, ContentPack)) -> ReadyPack {
    let bytes: usize = files.iter().map(|file| file.body.len()).sum();
    let spec = Pack {
        name: manifest.key(),
        pack: manifest.name,
        version: manifest.version,
        requires: manifest.requires,
        description: manifest.description,
        licence: manifest.licence,
        priority: manifest.priority,
        digest: digest(files),
        files: String::new(),
        file_count: files.len() as u64,
        bytes: bytes as u64,
        signed_by: None,
    };
    // Every file is UTF-8: whoever read them refuses others.
    let texts = files
        .iter()
        .map(|file| (file.path.clone(), PackText(String::from_utf8_lossy(&file.body).into_owned())));
    ReadyPack { spec, files: texts.collect(), parsed: Arc::new(parsed) }
}

/// What is done with a pack that may be stored.
enum StoreDecision {
    Known(Arc<Stored<Pack>>),
    Write(Changeset),
}

fn decide(
    world: &World,
    caller: &Caller,
    (stored, piece): (&Arc<Stored<Pack>>, &Arc<Stored<Content>>),
) -> Result<StoreDecision, Error> {
    if let Some(present) = world.packs.get(&stored.key) {
        if present.spec.digest == stored.spec.digest {
            return Ok(StoreDecision::Known(Arc::clone(present)));
        }
        let why = format!(
            "pack {} is loaded with other files (digest {}), and a pack never changes: give it another \
             version",
            present.key, present.spec.digest
        );
        return Err(Error::Conflict(RefusalCode::Taken, why));
    }
    let bytes: u64 = world.packs.iter().map(|row| row.spec.bytes).sum();
    if world.packs.len() >= PACKS_MAX || bytes.saturating_add(stored.spec.bytes) > PACKS_BYTES_MAX {
        let why = format!(
            "{} packs with {bytes} bytes are loaded, at most {PACKS_MAX} with {PACKS_BYTES_MAX} are kept: \
             delete versions that no channel names with metalwright packs delete",
            world.packs.len()
        );
        return Err(Error::Conflict(RefusalCode::NotUsable, why));
    }
    let table = ChangesetRead::Table { kind: Pack::KIND, generation: world.generation(Pack::KIND) };
    let mut changeset = Changeset::default().with_reads([table]).create(Pack::object(Arc::clone(stored)));
    match world.contents.get(&piece.key) {
        // It is not deleted meanwhile.
        Some(kept) => {
            let (kind, version) = (Content::KIND, Some(kept.version()));
            changeset.reads.push(ChangesetRead::Row { kind, key: kept.key.as_str().into(), version });
        }
        None => changeset = changeset.create(Content::object(Arc::clone(piece))),
    }
    let snapshot = ObjectSnapshot {
        name: stored.key.clone(),
        revision: stored.revision,
        object: serde_json::to_value(&stored.spec).unwrap_or_default(),
    };
    let event = caller.event_about(stored.as_ref(), EventBody::Created(Kind::Pack, snapshot));
    Ok(StoreDecision::Write(changeset.event(event)))
}
