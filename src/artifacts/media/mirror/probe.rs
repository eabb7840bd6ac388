//! Finds the package repositories of a remote tree: the declared ones, or the tree itself. Their indexes are
//! read through the cache, so that machines find them there. The upstream is asked each time, which shows
//! whether it answers.

use std::sync::Arc;

use super::{Mirror, MirrorMiss};
use crate::model::{MirrorRepository, TreeRepository};

/// Most components that are listed of a suite.
const COMPONENTS_MAX: usize = 32;

/// Reads the indexes of the declared repositories; without any, checks whether the tree is a yum repository.
///
/// # Errors
/// The upstream cannot be asked, or lacks all that was declared.
pub async fn repositories(
    mirror: &Arc<Mirror>,
    declared: &[MirrorRepository],
) -> Result<Vec<TreeRepository>, MirrorMiss> {
    if declared.is_empty() {
        return Ok(yum(mirror, "").await?.into_iter().collect());
    }
    let mut found = Vec::new();
    for repository in declared {
        let read = match repository.distribution.as_str() {
            "" => yum(mirror, &repository.path).await?,
            suite => apt(mirror, (&repository.path, suite)).await?,
        };
        let index = match repository.distribution.as_str() {
            "" => joined(&repository.path, "repodata/repomd.xml"),
            suite => joined(&repository.path, &format!("dists/{suite}/Release")),
        };
        found.push(read.ok_or_else(|| MirrorMiss::Failed(format!("the upstream has no {index}")))?);
    }
    Ok(found)
}

async fn apt(
    mirror: &Arc<Mirror>,
    (path, suite): (&str, &str),
) -> Result<Option<TreeRepository>, MirrorMiss> {
    let dists = joined(path, &format!("dists/{suite}"));
    let signed = text(mirror, &format!("{dists}/InRelease")).await?;
    let release = match &signed {
        Some(release) => Some(release.clone()),
        None => text(mirror, &format!("{dists}/Release")).await?,
    };
    let Some(release) = release else { return Ok(None) };
    let has_signature = signed.is_some() || text(mirror, &format!("{dists}/Release.gpg")).await?.is_some();
    Ok(Some(TreeRepository {
        package_type: "apt".to_owned(),
        path: path.to_owned(),
        distribution: suite.to_owned(),
        components: components(&release),
        install_source: true,
        signed: has_signature,
    }))
}

/// A tree with `.treeinfo` is one that Anaconda installs from, even if only its variants have an index.
async fn yum(mirror: &Arc<Mirror>, path: &str) -> Result<Option<TreeRepository>, MirrorMiss> {
    let index = text(mirror, &joined(path, "repodata/repomd.xml")).await?;
    let install_source = text(mirror, &joined(path, ".treeinfo")).await?.is_some();
    if index.is_none() && !install_source {
        return Ok(None);
    }
    let signature = text(mirror, &joined(path, "repodata/repomd.xml.asc")).await?;
    Ok(Some(TreeRepository {
        package_type: "yum".to_owned(),
        path: path.to_owned(),
        install_source,
        signed: signature.is_some(),
        ..TreeRepository::default()
    }))
}

async fn text(mirror: &Arc<Mirror>, path: &str) -> Result<Option<String>, MirrorMiss> {
    mirror.expire_one(path).await?;
    match mirror.text(path).await {
        Ok(text) => Ok(Some(text)),
        Err(MirrorMiss::Absent) => Ok(None),
        Err(failed) => Err(failed),
    }
}

/// The line `Components:` of a Release file. Some archives write `updates/main` and mean `main`.
fn components(release: &str) -> Vec<String> {
    let line = release.lines().find_map(|line| line.strip_prefix("Components:")).unwrap_or_default();
    let names = line.split_whitespace().filter_map(|name| name.rsplit('/').next());
    names.take(COMPONENTS_MAX).map(str::to_owned).collect()
}

fn joined(folder: &str, rest: &str) -> String {
    if folder.is_empty() { rest.to_owned() } else { format!("{folder}/{rest}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_components_of_a_suite_are_those_its_release_file_lists() {
        let release = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n\
                       Components: main contrib updates/non-free-firmware\nMD5Sum:\n 0 1 main/Packages\n";
        assert_eq!(components(release), ["main", "contrib", "non-free-firmware"]);
        assert!(components("Origin: x\n").is_empty());
    }
}
