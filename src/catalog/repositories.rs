//! Package repositories for templates: those of the param `repositories`, by URL or in an artifact, and those
//! that were found in the tree of the bootenv.

use crate::catalog::artifact_faults::served;
use crate::catalog::rendering::{BootContext, problem};
use crate::model::{Artifact, Stored, TreeRepository, World};
use crate::render::{LayeredParams, PackageRepository, RenderProblem};

/// The param that lists package repositories.
const REPOSITORIES: &str = "repositories";
/// The type of repositories in the format of Debian.
const APT: &str = "apt";
/// Most repositories that a message lists.
const SHOWN_MAX: usize = 10;

/// The result of `repos()` in templates: the site's repositories first, then the bootenv's.
///
/// # Errors
/// A param that does not fit, or that names a missing artifact.
pub fn repositories(
    world: &World,
    boot: &BootContext,
    params: &LayeredParams,
) -> Result<Vec<PackageRepository>, RenderProblem> {
    let composed = params.compose(REPOSITORIES).map_err(|sealed| repositories_problem(sealed.to_string()))?;
    let mut repositories: Vec<PackageRepository> = match composed {
        None => Vec::new(),
        Some(composed) => serde_json::from_value(composed.value).map_err(|error| {
            repositories_problem(format!("the param `{REPOSITORIES}` does not fit: {error}"))
        })?,
    };
    for repository in &mut repositories {
        if !repository.artifact.is_empty() {
            locate(world, &boot.facing.http, repository).map_err(repositories_problem)?;
        }
        if repository.package_type.is_empty()
            && !(repository.distribution.is_empty() && repository.components.is_empty())
        {
            // Suites and components are words of apt alone.
            APT.clone_into(&mut repository.package_type);
        }
    }
    repositories.extend(own(world, boot));
    Ok(repositories)
}

fn repositories_problem(message: String) -> RenderProblem {
    problem(REPOSITORIES, message)
}

/// Sets the URL of a repository in an artifact, and what the server found about it if the param does not say.
fn locate(world: &World, http: &str, repository: &mut PackageRepository) -> Result<(), String> {
    let name = &repository.artifact;
    let artifact = served(world, name)
        .map_err(|fault| format!("the param `{REPOSITORIES}` names the artifact {name}: {fault}"))?;
    let found = artifact.status.repositories.iter().find(|found: &&TreeRepository| {
        let suite = &repository.distribution;
        let is_there = found.path.trim_matches('/') == repository.path.trim_matches('/');
        is_there && (suite.is_empty() || *suite == found.distribution)
    });
    // The server has examined every tree that it stores. Of a mirror it only knows what was declared, and
    // must not treat anything else as unsigned.
    if found.is_none() && artifact.spec.is_mirror() {
        return Err(undeclared(artifact, repository));
    }
    let found = found.cloned().unwrap_or_default();
    repository.url = url(http, name, &repository.path);
    if repository.package_type.is_empty() {
        repository.package_type = found.package_type;
    }
    if repository.distribution.is_empty() {
        repository.distribution = found.distribution;
    }
    if repository.components.is_empty() {
        repository.components = found.components;
    }
    let has_key = !(repository.key_url.is_empty() && repository.key.is_empty());
    repository.unsigned |= is_unsigned(found.signed, &repository.package_type) && !has_key;
    Ok(())
}

/// Whether a repository that was found carries no signature. apt checks that of the index, which was looked
/// for; dnf those of the packages, which nobody looked at.
fn is_unsigned(signed: bool, package_type: &str) -> bool {
    package_type == APT && !signed
}

/// The message for a repository of a mirror that nobody declared.
fn undeclared(artifact: &Stored<Artifact>, wanted: &PackageRepository) -> String {
    let name = &artifact.key;
    let wanted = repository_title(&wanted.path, &wanted.distribution);
    let known = artifact.status.repositories.iter().take(SHOWN_MAX);
    let known: Vec<String> = known.map(|found| repository_title(&found.path, &found.distribution)).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!(
        "the param `{REPOSITORIES}` names {wanted} of the artifact {name}, a mirror whose \
         repositories are: {known}. Declare it in `fetch.mirror.repositories` of the artifact \
         (`distribution` for a suite, `path` for a folder)"
    )
}

fn repository_title(path: &str, suite: &str) -> String {
    match (path.trim_matches('/'), suite) {
        ("", "") => "the yum repository at its root".to_owned(),
        ("", suite) => format!("the suite {suite}"),
        (path, "") => format!("the yum repository in {path}"),
        (path, suite) => format!("the suite {suite} in {path}"),
    }
}

/// The repositories in the booted tree. An install source stands for the repositories inside of it.
fn own(world: &World, boot: &BootContext) -> Vec<PackageRepository> {
    let Some(artifact) = boot.files().and_then(|files| world.artifacts.get(&files.artifact)) else {
        return Vec::new();
    };
    let found = &artifact.status.repositories;
    let installs = found.iter().any(|found| found.install_source);
    let shown = found.iter().filter(|found| found.install_source || !installs);
    let shown = shown.map(|found| {
        let name = &artifact.key;
        let folder = found.path.replace('/', "-");
        PackageRepository {
            tag: if folder.is_empty() { name.clone() } else { format!("{name}-{folder}") },
            url: url(&boot.facing.http, name, &found.path),
            artifact: name.clone(),
            path: found.path.clone(),
            package_type: found.package_type.clone(),
            distribution: found.distribution.clone(),
            components: found.components.clone(),
            install_source: found.install_source,
            unsigned: is_unsigned(found.signed, &found.package_type),
            ..PackageRepository::default()
        }
    });
    shown.collect()
}

fn url(http: &str, artifact: &str, path: &str) -> String {
    let path = path.trim_matches('/');
    let slash = if path.is_empty() { "" } else { "/" };
    format!("{http}/artifacts/{artifact}{slash}{path}")
}
