//! Artifacts made of files on this host: whether the files may be served, and what applies to artifacts that
//! are older than the rule.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::artifacts::hold;
use crate::artifacts::roots::{RootsRefusal, RootsScope};
use crate::kernel::Error;
use crate::model::{
    Artifact, ArtifactKind, ArtifactSource, ArtifactState, ArtifactStatus, RootsCheck, Stored,
};

impl Artifacts {
    /// The new result for a local path that an earlier version may have written, or for which roots were
    /// added; none if the result has not changed.
    pub fn roots_news(&self, artifact: &Stored<Artifact>) -> Option<RootsCheck> {
        (hold(artifact) == RootsScope::DataDirectory).then_some(())?;
        let checked = self.checked_against_roots(artifact);
        (checked != RootsCheck::Unchecked && checked != artifact.status.roots).then_some(checked)
    }

    /// Compares an artifact's local path with the roots. A path into the data directory must be below a root,
    /// so it is refused.
    pub fn checked_against_roots(&self, artifact: &Stored<Artifact>) -> RootsCheck {
        let Some((_, path)) = artifact.spec.local_path() else { return RootsCheck::Unchecked };
        if hold(artifact) == RootsScope::Roots {
            return RootsCheck::Within;
        }
        match self.roots.open(Path::new(&path), path_kind(&artifact.spec), RootsScope::Roots) {
            Ok(_) | Err(RootsRefusal::InData { .. } | RootsRefusal::HasData { .. }) => RootsCheck::Within,
            Err(RootsRefusal::Outside { .. }) => RootsCheck::Outside,
            // The path does not exist at present.
            Err(RootsRefusal::Failed(_)) => artifact.status.roots,
        }
    }

    /// Records the result for a path. If the path leads into the data directory, nothing is served from it
    /// any more, and nothing that was copied from it before.
    pub async fn note_roots(&self, artifact: &Stored<Artifact>, checked: RootsCheck) -> Result<(), Error> {
        let origin = artifact.spec.origin();
        let path = artifact.spec.local_path().map(|(_, path)| path).unwrap_or_default();
        let opened = self.roots.open(Path::new(&path), path_kind(&artifact.spec), RootsScope::DataDirectory);
        let refused = opened.err().filter(|refusal| !matches!(refusal, RootsRefusal::Failed(_)));
        let reason = refused.map(|refusal| refusal.to_string());
        if let Some(reason) = &reason {
            tracing::error!(artifact = artifact.key, reason, "an artifact is not served any more");
        } else if checked == RootsCheck::Outside {
            tracing::warn!(artifact = artifact.key, path, "an artifact is outside of artifacts.roots");
        }
        self.set_status((&artifact.key, &origin), |status| match &reason {
            None => status.roots = checked,
            Some(reason) => {
                *status = ArtifactStatus {
                    state: ArtifactState::Failed,
                    reason: reason.clone(),
                    roots: RootsCheck::Within,
                    origin: status.origin.clone(),
                    boot_path: status.boot_path.clone(),
                    ..ArtifactStatus::default()
                }
            }
        })
        .await
    }

    /// Opens the files of a source on this host; returns none for a source that is fetched.
    pub async fn open_local(
        self: &Arc<Self>,
        artifact: &Stored<Artifact>,
        source: &ArtifactSource,
    ) -> Result<Arc<[File]>, String> {
        let Some(path) = source.local_path() else { return Ok(Arc::default()) };
        let (houses, source, hold) = (Arc::clone(self), source.clone(), hold(artifact));
        let kind = path_kind(&artifact.spec);
        let opening = tokio::task::spawn_blocking(move || {
            let of = |error: io::Error, name: &str| format!("{path}{name}: {error}");
            let place = houses.roots.open(Path::new(&path), kind, hold).map_err(|refusal| match refusal {
                RootsRefusal::Failed(error) => of(error, ""),
                refusal => refusal.to_string(),
            })?;
            source
                .local_files()
                .map(|(name, _)| match name {
                    None => place.only_file().map_err(|error| of(error, "")),
                    Some(name) => place.open_file(name).map_err(|error| of(error, &format!("/{name}"))),
                })
                .map(|opened| opened.map(|opened| opened.file))
                .collect()
        });
        opening.await.map_err(|error| error.to_string())?
    }
}

/// The kind of the local path: an image or tarball is a file, whatever the artifact's kind.
pub fn path_kind(artifact: &Artifact) -> ArtifactKind {
    match &artifact.source {
        Some(source) if source.files.is_empty() => ArtifactKind::File,
        Some(_) => ArtifactKind::Tree,
        None => artifact.kind,
    }
}
