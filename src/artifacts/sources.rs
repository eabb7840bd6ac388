//! How the sources of artifacts are reached, and what was stored before there was `fetch.allow`: it goes on
//! being fetched from private addresses, as it was, until its source or its proxy is another.
//!
//! The record is `status.fetched_before`. Its absence in what an earlier version wrote is looked for at the
//! start and with every change, and filled in before anything is fetched.

use std::sync::Arc;

use crate::artifacts::Artifacts;
use crate::artifacts::media::FetchReach;
use crate::kernel::Error;
use crate::model::{Artifact, ArtifactSource, ArtifactStatus, Stored};
use crate::outbound::FetchScope;

impl Artifacts {
    /// Whether an earlier version wrote it, and nothing has looked at that yet.
    pub(super) fn is_from_before(&self, artifact: &Stored<Artifact>) -> bool {
        let status = &artifact.status;
        let is_fetched = artifact.spec.source.as_ref().is_some_and(|source| source.local_path().is_none());
        is_fetched && status.fetched_before.is_none() && status.origin == artifact.spec.origin()
    }

    /// Records what it was fetched from.
    pub(super) async fn note_source_of_before(&self, artifact: &Stored<Artifact>) -> Result<(), Error> {
        let Some(source) = &artifact.spec.source else { return Ok(()) };
        let proxy = self.proxy_of(source);
        let (origin, route) = (artifact.spec.origin(), Some(route(source, proxy.as_deref())));
        self.set_status((&artifact.key, &origin), |status: &mut ArtifactStatus| {
            status.fetched_before.clone_from(&route);
        })
        .await
    }

    /// How a source is fetched: through its own proxy, or the one that all downloads go through.
    pub(super) fn reach(&self, artifact: &Stored<Artifact>, source: &ArtifactSource) -> FetchReach {
        let proxy = self.proxy_of(source);
        let is_as_before = artifact.status.origin == artifact.spec.origin()
            && match artifact.status.fetched_before.as_deref() {
                None => true,
                Some("") => false,
                Some(before) => before == route(source, proxy.as_deref()),
            };
        let scope = if is_as_before { FetchScope::Before } else { FetchScope::Listed };
        FetchReach::new(proxy, Arc::clone(&self.kernel.endpoints.fetch_policy), scope)
    }

    fn proxy_of(&self, source: &ArtifactSource) -> Option<String> {
        let site = || self.kernel.read(|world| world.setting("artifact_proxy").as_str().map(str::to_owned));
        source.proxy.clone().or_else(site)
    }
}

/// The URL and the proxy as one text.
fn route(source: &ArtifactSource, proxy: Option<&str>) -> String {
    match proxy {
        None => source.url.clone(),
        Some(proxy) => format!("{} through {proxy}", source.url),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::artifacts::roots::ArtifactRoots;
    use crate::houses::testing;
    use crate::model::{FetchPolicy, Noun};

    /// An artifact that was worked on, as a version wrote it that knew no list.
    fn of_before(fetch: Value) -> Stored<Artifact> {
        let spec: Artifact = serde_json::from_value(json!({"name": "a", "fetch": fetch})).unwrap();
        let mut stored = Stored::new("a".to_owned(), spec, testing::caller().now);
        stored.status.origin = stored.spec.origin();
        stored
    }

    #[tokio::test]
    async fn what_was_stored_before_is_fetched_as_before_until_its_source_or_proxy_is_another() {
        let houses = testing::app_with(ArtifactRoots::default(), FetchPolicy::default());
        let artifacts = &houses.artifacts;
        let scope =
            |stored: &Stored<Artifact>| artifacts.reach(stored, stored.spec.source.as_ref().unwrap()).scope;
        let mirror = json!({"url": "http://10.0.0.5:3142/debian", "mirror": {}});
        let stored = Arc::new(of_before(mirror.clone()));
        testing::put(&houses, Artifact::object(Arc::clone(&stored))).await;
        assert!(artifacts.is_from_before(&stored) && scope(&stored) == FetchScope::Before);
        artifacts.note_source_of_before(&stored).await.unwrap();
        let noted = houses.kernel.get::<Artifact>("a").unwrap();
        assert_eq!(noted.status.fetched_before.as_deref(), Some("http://10.0.0.5:3142/debian"));
        assert!(!artifacts.is_from_before(&noted) && scope(&noted) == FetchScope::Before);

        let mut proxied = (*noted).clone();
        proxied.spec.source.as_mut().unwrap().proxy = Some("http://proxy.corp:3128".to_owned());
        assert_eq!(scope(&proxied), FetchScope::Listed);
        let mut moved = (*noted).clone();
        moved.spec.source.as_mut().unwrap().url = "http://10.0.0.6/debian".to_owned();
        assert_eq!(scope(&moved), FetchScope::Listed);
        let mut fresh = of_before(mirror);
        fresh.status.origin = String::new();
        assert!(!artifacts.is_from_before(&fresh) && scope(&fresh) == FetchScope::Listed);
    }
}
