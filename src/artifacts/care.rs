//! Work that operators ask for: fetch an artifact again, hash its files again, delete files that nothing
//! refers to.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Artifacts;
use crate::artifacts::media::garbage::{self, FOUND_MAX, GarbageItem, LeftoverKind, UsedItems};
use crate::artifacts::media::{MediaFolder, MediaJob};
use crate::kernel::{Caller, Changeset, Error};
use crate::model::event::{ArtifactAsked, ArtifactPruned};
use crate::model::{Artifact, ArtifactState, ArtifactWork, PruneMode, RefusalCode, Stored, World};

/// The files that can be deleted, or were deleted.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ArtifactPruneReport {
    /// Whether nothing was deleted.
    pub dry_run: bool,
    pub items: Vec<GarbageItem>,
    /// Size of all of them, in bytes.
    pub bytes: u64,
    /// Whether there are more: prune again.
    pub more: bool,
}

impl Artifacts {
    /// Records what to do with an artifact. The work begins soon, and the status shows its progress.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::Conflict`] if there are no files to hash yet.
    pub async fn ask_of_artifact(
        &self,
        caller: &Caller,
        name: &str,
        work: ArtifactWork,
    ) -> Result<(), Error> {
        let key = self.kernel.find::<Artifact>(caller, name)?.key.clone();
        self.kernel
            .change::<Artifact>(&key, caller.now, |next| {
                if work == ArtifactWork::Verify && next.status.sha256.is_none() && !next.spec.is_mirror() {
                    let reason = &next.status.reason;
                    let why = format!("artifact `{key}` has no files yet: {reason}");
                    return Err(Error::Conflict(RefusalCode::WrongState, why));
                }
                next.status.asked = Some(work);
                if work == ArtifactWork::Fetch {
                    // Files that are fetched again are accepted as they are.
                    next.status.damaged.clear();
                }
                Ok(vec![caller.event_about(next, ArtifactAsked { work })])
            })
            .await
            .map(drop)
    }

    /// Finds files that no artifact refers to, and deletes them. Each is checked again before it is deleted,
    /// and nothing is deleted while a tree is being installed.
    ///
    /// # Errors
    /// The directory cannot be read, or something in it cannot be deleted.
    pub async fn prune_artifacts(
        &self,
        caller: &Caller,
        prune: PruneMode,
    ) -> Result<ArtifactPruneReport, Error> {
        let (media, used) = (self.media.clone(), self.kernel.read(in_use));
        let finding = tokio::task::spawn_blocking(move || garbage::find(&media, &used));
        let found = finding.await.map_err(|error| Error::Failed(error.to_string()))?;
        let found = found.map_err(|error| Error::Failed(format!("looking for leftovers: {error}")))?;
        let more = found.len() == FOUND_MAX;
        let mut items = Vec::new();
        for garbage in found {
            if prune == PruneMode::DryRun || self.throw_away(&garbage).await? {
                items.push(garbage);
            }
        }
        let bytes = items.iter().map(|garbage| garbage.bytes).sum();
        let report = ArtifactPruneReport { dry_run: prune == PruneMode::DryRun, items, bytes, more };
        if prune == PruneMode::Delete && !report.items.is_empty() {
            let pruned = ArtifactPruned { items: report.items.len() as u64, bytes: report.bytes };
            self.kernel.commit(Changeset::default().event(caller.event(pruned))).await?;
        }
        Ok(report)
    }

    /// Hashes the files of an artifact, and says what is wrong with them; nothing where they are what they
    /// were, and where there are none that are known.
    pub async fn file_fault(&self, artifact: &Stored<Artifact>) -> Option<String> {
        let sha256 = artifact.status.sha256.as_deref().filter(|_| artifact.status.is_served())?;
        if artifact.spec.is_mirror() {
            return None;
        }
        let now = match self.read_files(artifact, &MediaJob::new(CancellationToken::new())).await {
            Ok(now) if now.sha256 == sha256 => return None,
            Ok(now) => now,
            Err(error) => return Some(format!("its files cannot be read: {error}")),
        };
        let differ = self.media.recall(sha256).map(|before| {
            let differ: Vec<_> = before.differences(&now).into_iter().map(str::to_owned).collect();
            format!(": {} files differ, the first is {}", differ.len(), differ.first().map_or("", |it| it))
        });
        Some(format!("its files are not what they were{}", differ.unwrap_or_default()))
    }

    async fn throw_away(&self, garbage: &GarbageItem) -> Result<bool, Error> {
        let _alone = self.media_in_use.write().await;
        if self.kernel.read(in_use).has(garbage) {
            return Ok(false);
        }
        if garbage.kind == LeftoverKind::Mirror {
            self.mirrors.forget(&garbage.id);
        }
        let path = garbage.path.display().to_string();
        let garbage = garbage.clone();
        let deleting = tokio::task::spawn_blocking(move || garbage::delete(&garbage)).await;
        let deleted = deleting.map_err(|error| Error::Failed(error.to_string()))?;
        match deleted {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Error::Failed(format!("{path} cannot be deleted: {error}"))),
        }
    }
}

/// The trees that artifacts serve, and the downloads that they would resume.
fn in_use(world: &World) -> UsedItems {
    let digests = world.artifacts.iter().filter_map(|artifact| artifact.status.sha256.clone());
    let mut downloads = BTreeSet::new();
    for artifact in world.artifacts.iter().filter(|artifact| artifact.status.state != ArtifactState::Ready) {
        let Some(source) = &artifact.spec.source else { continue };
        downloads.extend(
            source
                .downloads()
                .map(|(url, checksum)| MediaFolder::fetched_id((&artifact.key, &url), checksum)),
        );
    }
    let sources = world.artifacts.iter().filter_map(|it| Some((&it.key, it.spec.source.as_ref()?)));
    let mirrors = sources.filter(|(_, source)| source.mirror.is_some());
    let mirrors = mirrors.map(|(name, source)| MediaFolder::mirror_id((name, &source.url))).collect();
    UsedItems { digests: digests.collect(), downloads, mirrors }
}
