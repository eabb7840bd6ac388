//! Mirrored artifacts: their files for machines, and their status.
//!
//! Nothing is fetched until a machine asks, with two exceptions: the indexes of the package repositories, for
//! `repos()`, and the kernels that bootenvs name, so that a missing one is reported before a machine boots.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::artifacts::media::{self, MediaJob, Mirror, MirrorMiss, RemoteTree};
use crate::artifacts::opened::{FetchRefusal, FileBody, FileSubject, FileVersion, OpenedFile, Protocol};
use crate::artifacts::static_files::content_type;
use crate::artifacts::{Artifacts, boot_files, boot_path};
use crate::kernel::Error;
use crate::model::{
    Artifact, ArtifactSource, ArtifactState, ArtifactStatus, ArtifactWork, FILES_LISTED_MAX, MirrorStatus,
    Stored, TreeRepository,
};

/// How often a failing upstream is asked again.
const ASK_AGAIN_EVERY: Duration = Duration::from_secs(30);
/// How long a TFTP client waits until a file is complete: it cannot wait in the middle of a file.
const TFTP_WAIT_MAX: Duration = Duration::from_secs(60);

/// The upstream's answer about the whole tree.
struct UpstreamAnswer {
    repositories: Result<Vec<TreeRepository>, MirrorMiss>,
    /// Boot files that the upstream lacks; none if it could not tell.
    absent: Option<Vec<String>>,
}

impl Artifacts {
    /// The mirror of an artifact. Do not call it while the world is locked.
    fn mirror(&self, artifact: &Stored<Artifact>) -> Result<Arc<Mirror>, media::MediaError> {
        let none = || media::MediaError::Failed(format!("artifact {} is not a mirror", artifact.key));
        let source = artifact.spec.source.as_ref().ok_or_else(none)?;
        let bytes_max = source.mirror.as_ref().ok_or_else(none)?.bytes_max;
        let reach = self.reach(artifact, source);
        self.mirrors.of(RemoteTree { name: artifact.key.clone(), url: source.url.clone(), reach, bytes_max })
    }

    /// The status of each mirror, by its artifact's name.
    pub fn mirror_statuses(&self) -> Vec<(String, MirrorStatus)> {
        self.mirrors.statuses()
    }

    /// Counts the bytes of a mirror that were sent.
    pub fn count_served(&self, name: &str, bytes: u64) {
        self.mirrors.served(name, bytes);
    }

    /// Opens a file of a mirror.
    ///
    /// # Errors
    /// The upstream has no such file, or it cannot be had now.
    pub async fn open_mirrored(
        &self,
        protocol: Protocol,
        artifact: &Stored<Artifact>,
        file: &str,
    ) -> Result<OpenedFile, FetchRefusal> {
        let mirror = self.mirror(artifact).map_err(|error| FetchRefusal::Failed(error.to_string()))?;
        let mut found = mirror.open(file).await.map_err(|miss| match miss {
            MirrorMiss::Absent => FetchRefusal::Absent,
            MirrorMiss::Failed(why) => FetchRefusal::Failed(why),
        })?;
        if let Some(mut coming) = found.coming.take_if(|_| protocol == Protocol::Tftp) {
            let whole = tokio::time::timeout(TFTP_WAIT_MAX, coming.whole(found.bytes)).await;
            whole
                .map_err(|_| FetchRefusal::Failed(format!("{file} is still being fetched; try again")))?
                .map_err(|error| FetchRefusal::Failed(error.to_string()))?;
        }
        Ok(OpenedFile {
            body: FileBody::File { file: found.file, bytes: found.bytes, coming: found.coming },
            label: format!("artifact:{}/{file}", artifact.key),
            content_type: content_type(file),
            version: Some(FileVersion { tag: format!("\"{}\"", found.id), modified: found.modified }),
            about: FileSubject::default(),
        })
    }

    /// Whether the upstream has to be asked, or the status has to be updated. `tick` is true if time has
    /// passed, and false if something was written.
    pub(super) fn mirror_needs_work(&self, artifact: &Stored<Artifact>, tick: bool) -> bool {
        let status = &artifact.status;
        let begins = !matches!(status.state, ArtifactState::Ready | ArtifactState::Failed);
        if status.origin != artifact.spec.origin() || status.asked.is_some() || begins {
            return true;
        }
        let Ok(mirror) = self.mirror(artifact) else { return tick };
        self.is_to_be_asked(artifact, &mirror) || tick && !(status.mirror.as_ref() == Some(&mirror.status()))
    }

    /// Whether the wanted boot files differ from those that were checked, or a fault may be over.
    fn is_to_be_asked(&self, artifact: &Stored<Artifact>, mirror: &Mirror) -> bool {
        let wanted = self.kernel.read(|world| boot_files(world, &artifact.key));
        let failing = mirror.failing().is_some() || artifact.status.state == ArtifactState::Failed;
        match mirror.last_asked() {
            None => true,
            Some((at, looked_for)) => looked_for != wanted || failing && at.elapsed() >= ASK_AGAIN_EVERY,
        }
    }

    /// Does the work that was asked for, asks the upstream if that is due, and updates the status.
    pub async fn tend_mirror(
        self: &Arc<Self>,
        artifact: &Stored<Artifact>,
        source: &ArtifactSource,
        job: &MediaJob,
    ) -> Result<(), Error> {
        let origin = artifact.spec.origin();
        let target = (artifact.key.as_str(), origin.as_str());
        let known = artifact.status.origin == origin;
        if !known {
            let begun = ArtifactStatus {
                state: ArtifactState::Fetching,
                reason: "its upstream is being asked".to_owned(),
                origin: origin.clone(),
                boot_path: boot_path(&artifact.spec),
                fetched_before: Some(String::new()),
                ..ArtifactStatus::default()
            };
            self.set_status(target, |status| *status = begun.clone()).await?;
        }
        let mirror = match self.mirror(artifact) {
            Ok(mirror) => mirror,
            Err(error) => return self.set_status(target, |status| unusable(status, &error)).await,
        };
        let asked = artifact.status.asked.filter(|_| known);
        if asked == Some(ArtifactWork::Verify) {
            return self.verify_mirror(artifact, &mirror, job).await;
        }
        if asked == Some(ArtifactWork::Fetch)
            && let Err(miss) = mirror.expire().await
        {
            tracing::warn!(artifact = artifact.key, %miss, "the cache of a mirror cannot be checked");
        }
        let begins = artifact.status.state == ArtifactState::Fetching;
        let is_due = !known || begins || asked.is_some() || self.is_to_be_asked(artifact, &mirror);
        let mut said = None;
        if is_due {
            let wanted = self.kernel.read(|world| boot_files(world, &artifact.key));
            said = tokio::select! {
                said = ask(&mirror, source, wanted) => Some(said),
                () = job.stop.cancelled() => return Ok(()),
            };
        }
        self.set_status(target, |status| update_status(status, &mirror, said.as_ref())).await
    }

    /// Hashes the cached files. Files that have changed are deleted, so nothing damaged is served.
    async fn verify_mirror(
        self: &Arc<Self>,
        artifact: &Stored<Artifact>,
        mirror: &Arc<Mirror>,
        job: &MediaJob,
    ) -> Result<(), Error> {
        let origin = artifact.spec.origin();
        let target = (artifact.key.as_str(), origin.as_str());
        let checked = self.watched((target, Some(&artifact.status)), job, mirror.verify(job)).await;
        let verified_at = Some(self.kernel.now());
        match checked {
            Ok(checked) => {
                self.set_status(target, |status: &mut ArtifactStatus| {
                    status.verified_at = verified_at;
                    status.damaged = checked.damaged.iter().take(FILES_LISTED_MAX).cloned().collect();
                    update_status(status, mirror, None);
                })
                .await
            }
            Err(media::MediaError::Stopped) => Ok(()),
            Err(error) => self.set_status(target, |status| unusable(status, &error)).await,
        }
    }
}

/// Asks the upstream about the whole tree. The boot files are cached from now on, as far as there is room.
async fn ask(mirror: &Arc<Mirror>, source: &ArtifactSource, wanted: BTreeSet<String>) -> UpstreamAnswer {
    let declared = source.mirror.as_ref().map(|terms| terms.repositories.as_slice()).unwrap_or_default();
    let repositories = mirror.repositories(declared).await;
    let mut absent = Some(Vec::new());
    for path in &wanted {
        match mirror.open(path).await {
            Ok(_) => {}
            Err(MirrorMiss::Absent) => absent.iter_mut().for_each(|absent| absent.push(path.clone())),
            Err(MirrorMiss::Failed(_)) => absent = None,
        }
    }
    mirror.set_last_asked(wanted);
    let absent = absent.map(|absent| absent.into_iter().take(FILES_LISTED_MAX).collect());
    UpstreamAnswer { repositories, absent }
}

/// Sets the status of a mirror that cannot even be asked.
fn unusable(status: &mut ArtifactStatus, error: &media::MediaError) {
    (status.state, status.reason) = (ArtifactState::Failed, error.to_string());
    (status.percent, status.asked) = (None, None);
}

/// Sets the status and the reason of a fault. A mirror that was ready stays ready: cached files are served.
fn update_status(status: &mut ArtifactStatus, mirror: &Mirror, said: Option<&UpstreamAnswer>) {
    let now = mirror.status();
    (status.percent, status.asked) = (None, None);
    status.unlisted = mirror.unlisted();
    (status.size, status.files) = (now.cached_bytes, now.cached_files);
    let mut wrong = mirror.failing().map(upstream_failure).or_else(|| mirror.trouble());
    if let Some(UpstreamAnswer { repositories, absent }) = said {
        match repositories {
            Ok(found) => {
                status.state = ArtifactState::Ready;
                status.served_origin.clone_from(&status.origin);
                status.repositories.clone_from(found);
                status.damaged.clear();
            }
            Err(miss) => wrong = wrong.or(Some(upstream_failure(miss.to_string()))),
        }
        if let Some(absent) = absent {
            status.absent.clone_from(absent);
        }
    }
    let was_ready = status.served_origin == status.origin && !status.origin.is_empty();
    status.state = if was_ready { ArtifactState::Ready } else { ArtifactState::Failed };
    status.reason = match (wrong, status.damaged.len()) {
        (Some(why), _) if was_ready => format!("cached files are served; {why}"),
        (Some(why), _) => why,
        (None, 0) if was_ready => String::new(),
        (None, 0) => status.reason.clone(),
        (None, damaged) => {
            format!("{damaged} kept files had changed; they are fetched again when needed")
        }
    };
    status.mirror = Some(now);
}

fn upstream_failure(why: String) -> String {
    format!("the upstream fails: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::media::{MediaFolder, MirrorSet};

    fn mirror() -> (tempfile::TempDir, Arc<Mirror>) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let mirrors = MirrorSet::new(MediaFolder::at(folder.path().to_owned()));
        let reach = crate::artifacts::media::FetchReach::default();
        let terms =
            RemoteTree { name: "a".into(), url: "http://192.0.2.1:1/".into(), reach, bytes_max: 1 << 20 };
        let mirror = mirrors.of(terms).unwrap();
        (folder, mirror)
    }

    fn said(
        repositories: Result<Vec<TreeRepository>, MirrorMiss>,
        absent: Option<&[&str]>,
    ) -> UpstreamAnswer {
        let absent = absent.map(|absent| absent.iter().map(|path| (*path).to_owned()).collect());
        UpstreamAnswer { repositories, absent }
    }

    #[test]
    fn a_tree_that_was_ready_stays_ready_and_says_that_its_upstream_fails() {
        let (_folder, mirror) = mirror();
        let mut status = ArtifactStatus { origin: "http://h".into(), ..ArtifactStatus::default() };
        let down = || Err(MirrorMiss::Failed("no route".into()));
        update_status(&mut status, &mirror, Some(&said(down(), None)));
        assert_eq!(
            (status.state, status.reason.as_str()),
            (ArtifactState::Failed, "the upstream fails: no route")
        );

        update_status(
            &mut status,
            &mirror,
            Some(&said(Ok(vec![TreeRepository::default()]), Some(&["linux"]))),
        );
        assert_eq!((status.state, status.reason.as_str()), (ArtifactState::Ready, ""));
        assert_eq!(status.absent, ["linux"]);

        update_status(&mut status, &mirror, Some(&said(down(), None)));
        assert_eq!(status.state, ArtifactState::Ready);
        assert!(status.reason.starts_with("cached files are served"), "{}", status.reason);
        assert_eq!((status.absent.len(), status.repositories.len()), (1, 1), "what was found is still true");

        status.damaged = vec!["pool/a.deb".into()];
        update_status(&mut status, &mirror, None);
        assert!(status.reason.starts_with("1 kept files had changed"), "{}", status.reason);
        update_status(&mut status, &mirror, Some(&said(Ok(Vec::new()), Some(&[]))));
        assert_eq!((status.reason.as_str(), status.damaged.len()), ("", 0));
        assert_eq!(status.mirror.map(|mirror| mirror.bytes_max), Some(1 << 20));
    }
}
