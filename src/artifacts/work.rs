//! The work on artifacts: local ones are read, the others are fetched, checked and unpacked. Each is a task
//! of its own, a few at a time. After a restart the tasks continue.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::artifacts::Artifacts;
use crate::artifacts::media::{
    self, FetchedTree, JobPhase, MediaError, MediaJob, MediaOrder, TreeManifest, repositories,
};
use crate::artifacts::roots::RootsRefusal;
use crate::artifacts::work_status::{phase_reason, set_damaged, set_failed, show_progress};
use crate::artifacts::{boot_files, boot_path, contained_path};
use crate::background::{WorkDescription, WorkHandle};
use crate::kernel::Error;
use crate::model::{
    Artifact, ArtifactKind, ArtifactSource, ArtifactState, ArtifactStatus, ArtifactWork, FILES_LISTED_MAX,
    RootsCheck, Stored,
};
use crate::rate_limit::warn_limited;

/// The work in the list of background work. Results are in the artifacts' own statuses.
pub const WORK: WorkDescription = WorkDescription {
    name: "artifacts",
    about: "Finds artifacts that have to be read, fetched or checked, and starts that work.",
    period: Duration::from_secs(10),
    nudged_by: "changes of artifacts and bootenvs",
};
/// Commits within this time are handled together.
const MOMENT: Duration = Duration::from_millis(50);
/// How often the status is updated with the progress.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// Most artifacts that are worked on at a time.
const AT_ONCE_MAX: usize = 4;

/// Why artifacts are examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WorkTrigger {
    /// Something was written.
    Change,
    /// Time has passed: a failed path is tried again.
    Tick,
}

/// An artifact that is being worked on.
struct ArtifactTask {
    origin: String,
    stop: CancellationToken,
    task: tokio::task::Id,
}

/// All running tasks.
struct ArtifactTasks {
    artifacts: Arc<Artifacts>,
    tasks: JoinSet<bool>,
    under_way: BTreeMap<String, ArtifactTask>,
    shutdown: CancellationToken,
}

/// Works on artifacts when they change, when their directories appear or disappear, and when an operator asks
/// for it.
///
/// # Errors
/// The store was closed.
pub async fn run(
    artifacts: Arc<Artifacts>,
    handle: WorkHandle,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let media = artifacts.media.clone();
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || media.sweep()).await {
        tracing::warn!(%error, "leftovers of unpacking could not be deleted");
    }
    let mut committed = artifacts.kernel.committed();
    let mut tick = tokio::time::interval(WORK.period);
    let mut works = ArtifactTasks { artifacts, tasks: JoinSet::new(), under_way: BTreeMap::new(), shutdown };
    let mut seen = None;
    loop {
        let now = works.generations();
        if seen != Some(now) {
            handle.watch(works.look(WorkTrigger::Change)).await?;
            seen = Some(now);
        }
        tokio::select! {
            changed = news(&mut committed) => {
                changed.map_err(|_| Error::Failed("the store has gone".to_owned()))?;
            }
            _ = tick.tick() => handle.watch(works.look(WorkTrigger::Tick)).await?,
            Some(done) = works.tasks.join_next_with_id(), if !works.tasks.is_empty() => {
                // A failed write is tried again at the next tick, not at once.
                if works.ended(done) {
                    seen = None;
                }
            }
            () = works.shutdown.cancelled() => return works.stop().await,
        }
    }
}

/// Waits for commits. Commits within a moment count as one: there may be thousands a second about other
/// things.
async fn news(committed: &mut watch::Receiver<u64>) -> Result<(), watch::error::RecvError> {
    tokio::time::sleep(MOMENT).await;
    committed.changed().await
}

impl ArtifactTasks {
    /// The generations of the tables; while they do not change, earlier results are valid.
    fn generations(&self) -> (u64, u64) {
        self.artifacts.kernel.read(|world| (world.artifacts.generation(), world.bootenvs.generation()))
    }

    async fn look(&mut self, occasion: WorkTrigger) -> Result<(), Error> {
        let all: Vec<Arc<Stored<Artifact>>> =
            self.artifacts.kernel.read(|world| world.artifacts.iter().cloned().collect());
        for (name, work) in &self.under_way {
            let present = all.iter().find(|artifact| artifact.key == *name);
            if present.is_none_or(|present| present.spec.origin() != work.origin) {
                work.stop.cancel();
            }
        }
        self.artifacts.mirrors.keep_only(&all.iter().map(|artifact| artifact.key.as_str()).collect());
        for artifact in &all {
            if self.under_way.contains_key(&artifact.key) {
                continue;
            }
            if !self.artifacts.needs_work(artifact, occasion) {
                self.artifacts.look_for_boot_files(artifact).await;
            } else if self.under_way.len() < AT_ONCE_MAX {
                self.begin(artifact);
            }
        }
        Ok(())
    }

    fn begin(&mut self, artifact: &Arc<Stored<Artifact>>) {
        let stop = self.shutdown.child_token();
        let (artifacts, artifact, job) =
            (Arc::clone(&self.artifacts), Arc::clone(artifact), MediaJob::new(stop.clone()));
        let (name, origin) = (artifact.key.clone(), artifact.spec.origin());
        let handle = self.tasks.spawn(async move {
            let worked = artifacts.work_on(&artifact, &job).await;
            if let Err(error) = &worked {
                let name = &artifact.key;
                warn_limited!(name, %error, "an artifact's state could not be written; it is tried again");
            }
            worked.is_ok()
        });
        self.under_way.insert(name, ArtifactTask { origin, stop, task: handle.id() });
    }

    /// Whether the next task may begin at once.
    fn ended(&mut self, done: Result<(tokio::task::Id, bool), tokio::task::JoinError>) -> bool {
        let (task, worked) = done.unwrap_or_else(|error| {
            tracing::error!(%error, "work on an artifact ended by a fault in the server");
            (error.id(), false)
        });
        self.under_way.retain(|_, work| work.task != task);
        worked
    }

    async fn stop(mut self) -> Result<(), Error> {
        self.artifacts.mirrors.stop().await;
        while self.tasks.join_next().await.is_some() {}
        Ok(())
    }
}

impl Artifacts {
    fn needs_work(&self, artifact: &Stored<Artifact>, occasion: WorkTrigger) -> bool {
        if artifact.spec.is_mirror() {
            return self.is_from_before(artifact)
                || self.mirror_needs_work(artifact, occasion == WorkTrigger::Tick);
        }
        let status = &artifact.status;
        let in_place = artifact.spec.source.is_none();
        let again = occasion == WorkTrigger::Tick;
        self.roots_news(artifact).is_some()
            || self.is_from_before(artifact)
            || status.origin != artifact.spec.origin()
            || status.asked.is_some()
            || match status.state {
                ArtifactState::Fetching | ArtifactState::Extracting => true,
                ArtifactState::Ready => (in_place || again) && self.place_of(artifact).is_err(),
                ArtifactState::Missing => !in_place || !self.place_of(artifact).is_err_and(is_absent),
                // A failed download waits for an operator, and so do files that have changed.
                ArtifactState::Failed => in_place && again && status.damaged.is_empty(),
            }
    }

    async fn work_on(self: &Arc<Self>, artifact: &Stored<Artifact>, job: &MediaJob) -> Result<(), Error> {
        if let Some(checked) = self.roots_news(artifact) {
            return self.note_roots(artifact, checked).await;
        }
        if self.is_from_before(artifact) {
            return self.note_source_of_before(artifact).await;
        }
        let known = artifact.status.origin == artifact.spec.origin() && artifact.status.sha256.is_some();
        match &artifact.spec.source {
            Some(source) if source.mirror.is_some() => self.tend_mirror(artifact, source, job).await,
            _ if artifact.status.asked == Some(ArtifactWork::Verify) && known => {
                self.verify(artifact, job).await
            }
            None => self.read_in_place(artifact, job).await,
            Some(source) => self.bring(artifact, source, job).await,
        }
    }

    async fn read_in_place(
        self: &Arc<Self>,
        artifact: &Stored<Artifact>,
        job: &MediaJob,
    ) -> Result<(), Error> {
        let (status, origin) = (&artifact.status, artifact.spec.origin());
        let target = (artifact.key.as_str(), origin.as_str());
        let base = ArtifactStatus {
            origin: origin.clone(),
            boot_path: boot_path(&artifact.spec),
            roots: self.checked_against_roots(artifact),
            ..ArtifactStatus::default()
        };
        // A path that failed before is tried again without log lines, until the result changes.
        let quiet =
            status.state == ArtifactState::Failed && status.origin == origin && status.asked.is_none();
        if !quiet {
            let state = ArtifactState::Extracting;
            let reason = "its files are being read".to_owned();
            let begun = ArtifactStatus { state, reason, percent: Some(0), ..base.clone() };
            self.set_status(target, |status| *status = begun.clone()).await?;
        }
        let fault = match self.place_of(artifact) {
            Err(RootsRefusal::Failed(error)) if error.kind() == ErrorKind::NotFound => {
                Some((ArtifactState::Missing, format!("{origin} does not exist on the server")))
            }
            Err(RootsRefusal::Failed(error)) => Some((ArtifactState::Failed, format!("{origin}: {error}"))),
            Err(refusal) => Some((ArtifactState::Failed, refusal.to_string())),
            Ok(_) => None,
        };
        if let Some((state, reason)) = fault {
            let faulty = ArtifactStatus { state, reason, ..base };
            return self.set_status(target, |status| *status = faulty.clone()).await;
        }
        let read = self.watched((target, None), job, self.manifest_of(artifact, job)).await;
        let done = match read {
            Ok(manifest) => self.ready(base, &manifest),
            Err(MediaError::Stopped) => return Ok(()),
            Err(MediaError::Failed(why)) => {
                let reason = format!("{origin}: {why}");
                ArtifactStatus { state: ArtifactState::Failed, reason, ..base }
            }
        };
        self.set_status(target, |status| *status = done.clone()).await
    }

    /// Reads and hashes the served files, and stores their manifest.
    async fn manifest_of(
        &self,
        artifact: &Stored<Artifact>,
        job: &MediaJob,
    ) -> Result<TreeManifest, MediaError> {
        let (manifest, media) = (self.read_files(artifact, job).await?, self.media.clone());
        let remembering = tokio::task::spawn_blocking(move || {
            media.remember(&manifest)?;
            Ok(manifest)
        });
        let remembered: std::io::Result<TreeManifest> =
            remembering.await.map_err(|error| MediaError::Failed(error.to_string()))?;
        remembered.map_err(|error| MediaError::Failed(error.to_string()))
    }

    /// Reads and hashes the files that are served.
    pub async fn read_files(
        &self,
        artifact: &Stored<Artifact>,
        job: &MediaJob,
    ) -> Result<TreeManifest, MediaError> {
        let place = self.place_of(artifact).map_err(|refusal| MediaError::Failed(refusal.to_string()))?;
        let job = job.clone();
        let reading = tokio::task::spawn_blocking(move || match place.file_name() {
            None => TreeManifest::of(&place.folder_path(), ArtifactKind::Tree, &job),
            Some(name) => {
                let file = place.only_file()?;
                TreeManifest::of_file((name, &contained_path::path_of(file.file.as_fd())), &job)
            }
        });
        let read: std::io::Result<TreeManifest> =
            reading.await.map_err(|error| MediaError::Failed(error.to_string()))?;
        read.map_err(|error| MediaError::Failed(error.to_string()))
    }

    fn ready(&self, base: ArtifactStatus, manifest: &TreeManifest) -> ArtifactStatus {
        ArtifactStatus {
            state: ArtifactState::Ready,
            served_origin: base.origin.clone(),
            sha256: Some(manifest.sha256.clone()),
            size: manifest.size,
            files: manifest.files(),
            repositories: repositories::found(manifest),
            verified_at: Some(self.kernel.now()),
            percent: None,
            reason: String::new(),
            damaged: Vec::new(),
            asked: None,
            ..base
        }
    }

    async fn bring(
        self: &Arc<Self>,
        artifact: &Stored<Artifact>,
        source: &ArtifactSource,
        job: &MediaJob,
    ) -> Result<(), Error> {
        let origin = artifact.spec.origin();
        let target = (artifact.key.as_str(), origin.as_str());
        let begun = |status: &mut ArtifactStatus| {
            status.state = ArtifactState::Fetching;
            if status.origin != origin {
                // The artifact was written by now, and its path was checked against the roots.
                status.roots = RootsCheck::Within;
                (status.fetched_before, status.unlisted) = (Some(String::new()), Vec::new());
            }
            (status.origin, status.boot_path) = (origin.clone(), boot_path(&artifact.spec));
            (status.percent, status.asked) = (status.percent.or(Some(0)), None);
            status.reason = phase_reason(JobPhase::Fetching).to_owned();
        };
        self.set_status(target, begun).await?;
        let local = match self.open_local(artifact, source).await {
            Ok(local) => local,
            Err(why) => return self.set_status(target, |status| set_failed(status, &why)).await,
        };
        let order = MediaOrder {
            name: artifact.key.clone(),
            source: source.clone(),
            kind: artifact.spec.kind,
            file_name: artifact.spec.file_name().unwrap_or_default().to_owned(),
            reach: self.reach(artifact, source),
            local,
        };
        let brought = media::bring(&self.media, &order, job);
        let brought = self.watched((target, Some(&artifact.status)), job, brought).await;
        let unlisted = order.reach.unlisted();
        if !matches!(brought, Err(MediaError::Stopped)) && unlisted != artifact.status.unlisted {
            self.set_status(target, |status| status.unlisted.clone_from(&unlisted)).await?;
        }
        match brought {
            Ok(brought) => self.install(target, brought).await,
            Err(MediaError::Stopped) => Ok(()),
            Err(MediaError::Failed(why)) => self.set_status(target, |status| set_failed(status, &why)).await,
        }
    }

    /// Installs a tree and updates the status. Until that is on disk, no unreferenced files are deleted.
    async fn install(&self, target: (&str, &str), brought: FetchedTree) -> Result<(), Error> {
        let _kept = self.media_in_use.read().await;
        let media = self.media.clone();
        let installing = tokio::task::spawn_blocking(move || {
            media.install(&brought)?;
            Ok(brought.manifest)
        });
        let installed: std::io::Result<TreeManifest> =
            installing.await.map_err(|error| Error::Failed(error.to_string()))?;
        match installed {
            Ok(manifest) => {
                let done = |status: &mut ArtifactStatus| *status = self.ready(status.clone(), &manifest);
                self.set_status(target, done).await
            }
            Err(error) => {
                let why = format!("the unpacked tree cannot be put in its place: {error}");
                self.set_status(target, |status| set_failed(status, &why)).await
            }
        }
    }

    /// Hashes all files again and compares them with the manifest.
    async fn verify(self: &Arc<Self>, artifact: &Stored<Artifact>, job: &MediaJob) -> Result<(), Error> {
        let origin = artifact.spec.origin();
        let target = (artifact.key.as_str(), origin.as_str());
        let media = self.media.clone();
        let sha256 = artifact.status.sha256.clone().unwrap_or_default();
        let before = tokio::task::spawn_blocking(move || media.recall(&sha256)).await.ok().flatten();
        let read = self.watched((target, Some(&artifact.status)), job, self.manifest_of(artifact, job)).await;
        let now = match read {
            Ok(now) => now,
            Err(MediaError::Stopped) => return Ok(()),
            Err(MediaError::Failed(why)) => {
                return self.set_status(target, |status| set_damaged(status, vec![why.clone()])).await;
            }
        };
        let verified_at = Some(self.kernel.now());
        let differ: Vec<String> = match &before {
            Some(before) => before.differences(&now).into_iter().map(str::to_owned).collect(),
            None if Some(&now.sha256) == artifact.status.sha256.as_ref() => Vec::new(),
            None => vec!["(which of its files is not known)".to_owned()],
        };
        self.set_status(target, |status| {
            status.verified_at = verified_at;
            if differ.is_empty() {
                let state = if artifact.status.state == ArtifactState::Failed {
                    ArtifactState::Ready
                } else {
                    artifact.status.state
                };
                (status.state, status.reason, status.percent) = (state, String::new(), None);
                (status.asked, status.damaged) = (None, Vec::new());
            } else {
                set_damaged(status, differ.clone());
            }
        })
        .await
    }

    /// Updates the status with the progress, until the work is done.
    pub async fn watched<T>(
        &self,
        (target, before): ((&str, &str), Option<&ArtifactStatus>),
        job: &MediaJob,
        work: impl Future<Output = T>,
    ) -> T {
        let progress = job.watch();
        let mut tick = tokio::time::interval(TELL_EVERY);
        tick.tick().await;
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return done,
                _ = tick.tick() => {
                    let now = *progress.borrow();
                    let verifies = before.is_some_and(|before| before.asked == Some(ArtifactWork::Verify));
                    let tell = |status: &mut ArtifactStatus| show_progress(status, now, verifies);
                    if let Err(error) = self.set_status(target, tell).await {
                        tracing::debug!(%error, "how far an artifact is could not be written");
                    }
                }
            }
        }
    }

    /// Records which kernels and initrds of bootenvs a ready artifact lacks.
    async fn look_for_boot_files(&self, artifact: &Stored<Artifact>) {
        if artifact.status.state != ArtifactState::Ready {
            return;
        }
        let wanted = self.kernel.read(|world| boot_files(world, &artifact.key));
        let Ok(place) = self.place_of(artifact) else { return };
        let looking = tokio::task::spawn_blocking(move || {
            let absent = wanted.into_iter().filter(|path| place.open_file(path).is_err());
            absent.take(FILES_LISTED_MAX).collect::<Vec<String>>()
        });
        let Ok(absent) = looking.await else { return };
        if absent != artifact.status.absent {
            let origin = artifact.spec.origin();
            let set = |status: &mut ArtifactStatus| status.absent.clone_from(&absent);
            if let Err(error) = self.set_status((&artifact.key, &origin), set).await {
                tracing::debug!(%error, "absent boot files could not be written");
            }
        }
    }
}

fn is_absent(refusal: RootsRefusal) -> bool {
    match refusal {
        RootsRefusal::Failed(error) => error.kind() == ErrorKind::NotFound,
        _ => false,
    }
}
