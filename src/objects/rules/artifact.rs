//! Rules for artifacts. Bootenvs name artifacts that a site may create and delete, so a missing artifact is a
//! problem of the bootenv. Paths on the server must be below `artifacts.roots`, and URLs must not lead to an
//! address of this host. Artifacts that are older than these rules may stay, and have a problem.

use std::path::Path;

use jiff::Timestamp;

use crate::artifacts::path_kind;
use crate::artifacts::roots::RootsRefusal;
use crate::kernel::{ServerEndpoints, TrackedWorld};
use crate::model::{Artifact, FILE_URL, FetchPolicy, Problem, RefusalCode, RootsCheck, Stored, World};
use crate::objects::rules::{DependentObject, HostLimits, NounRules, in_use};

impl NounRules for Artifact {
    const ASKS_THE_HOST: bool = true;

    fn used_now(stored: &Stored<Self>, world: &TrackedWorld<'_>, _now: Timestamp) -> Vec<DependentObject> {
        in_use::of_artifact(stored, world)
    }

    fn refused_here(&self, old: Option<&Self>, host: &HostLimits) -> Vec<Problem> {
        let mut problems = Vec::new();
        let source = self.source.as_ref();
        let old_source = old.and_then(|old| old.source.as_ref());
        let same_url = source.map(|source| &source.url) == old_source.map(|old| &old.url);
        if source.is_some_and(|source| source.is_file_url()) && !same_url {
            problems.push(Problem::new("/fetch/url", FILE_URL).coded(RefusalCode::NotAdmitted));
        } else if self.local_path() != old.and_then(Artifact::local_path) {
            problems.extend(path_problem(self, host));
        }
        let same_proxy = source.map(|source| &source.proxy) == old_source.map(|old| &old.proxy);
        let addresses = address_problems(self, &host.policy);
        problems.extend(addresses.into_iter().filter(|problem| match problem.pointer.as_str() {
            "/fetch/proxy" => !same_proxy,
            _ => !same_url,
        }));
        problems
    }

    fn problems(stored: &Stored<Self>, _world: &World) -> Vec<Problem> {
        let Some((pointer, path)) = stored.spec.local_path() else { return Vec::new() };
        let mut problems = Vec::new();
        if stored.status.roots == RootsCheck::Outside && stored.status.origin == stored.spec.origin() {
            let what = format!(
                "`{path}` is not below a directory of `artifacts.roots`. It is served because it was \
                 configured before there was that setting: add its directory to the setting, or move \
                 the files"
            );
            problems.push(Problem::new(pointer, what).coded(RefusalCode::NotAdmitted));
        }
        if stored.spec.source.as_ref().is_some_and(|source| source.is_file_url()) {
            problems.push(Problem::new("/fetch/url", FILE_URL).coded(RefusalCode::NotAdmitted));
        }
        problems
    }

    fn unserved(stored: &Stored<Self>, endpoints: &ServerEndpoints) -> Vec<Problem> {
        let policy = &endpoints.fetch_policy;
        let unlisted = stored.status.unlisted.iter().filter_map(|place| policy.advice(place));
        let unlisted = unlisted.map(|advice| Problem::new("/fetch", advice).coded(RefusalCode::NotAdmitted));
        let told: Vec<Problem> = unlisted.collect();
        if told.is_empty() { address_problems(&stored.spec, policy) } else { told }
    }
}

fn path_problem(artifact: &Artifact, host: &HostLimits) -> Option<Problem> {
    let (pointer, path) = artifact.local_path()?;
    match host.roots.check(Path::new(&path), path_kind(artifact)) {
        Ok(()) | Err(RootsRefusal::Failed(_)) => None,
        Err(refusal) => Some(Problem::new(pointer, refusal.to_string()).coded(RefusalCode::NotAdmitted)),
    }
}

/// The addresses in the artifact's URLs that the server does not connect to.
fn address_problems(artifact: &Artifact, policy: &FetchPolicy) -> Vec<Problem> {
    let Some(source) = &artifact.source else { return Vec::new() };
    let places = [("/fetch/url", Some(&source.url)), ("/fetch/proxy", source.proxy.as_ref())];
    let refused = places.into_iter().filter_map(|(pointer, url)| Some((pointer, policy.url_refusal(url?)?)));
    refused
        .map(|(pointer, why)| Problem::new(pointer, why.to_string()).coded(RefusalCode::NotAdmitted))
        .collect()
}
