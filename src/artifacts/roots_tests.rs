//! Tests of which paths of the host may be served, and of artifacts that are older than this rule.

use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::artifacts::contained_path::NameCase;
use crate::artifacts::roots::{ArtifactRoots, IMPORT, RootsRefusal, RootsScope};
use crate::houses::{Houses, testing};
use crate::kernel::Error;
use crate::model::{Artifact, ArtifactKind, ArtifactState, FetchPolicy, Noun, RootsCheck, Stored};
use crate::objects::patch::Patch;
use crate::objects::write::{ExpectedRevision, WriteTarget};

/// `srv` is a root, `data` the data directory, `elsewhere` neither.
struct Host {
    outer: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let outer = tempfile::tempdir().unwrap();
        for folder in ["srv/tree", "data/import/tree", "data/tls", "elsewhere/tree"] {
            fs::create_dir_all(outer.path().join(folder)).unwrap();
            fs::write(outer.path().join(folder).join("linux"), "kernel").unwrap();
        }
        fs::write(outer.path().join("data/secret.key"), "secret").unwrap();
        fs::write(outer.path().join("srv/a.iso"), "image").unwrap();
        Host { outer }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.outer.path().canonicalize().unwrap().join(path)
    }

    /// With these roots, besides `import`.
    fn roots(&self, roots: &[&str]) -> ArtifactRoots {
        let listed = roots.iter().map(|root| self.path(root)).chain([self.path("data").join(IMPORT)]);
        ArtifactRoots::new(Some(listed.collect()), &self.path("data"))
    }

    fn houses(&self) -> Arc<Houses> {
        testing::app_with(self.roots(&["srv"]), FetchPolicy::default())
    }
}

fn tree(roots: &ArtifactRoots, path: &Path) -> Result<(), RootsRefusal> {
    roots.open(path, ArtifactKind::Tree, RootsScope::Roots).map(drop)
}

#[test]
fn files_are_below_a_root_also_when_their_links_are_resolved() {
    let host = Host::new();
    let roots = host.roots(&["srv"]);
    assert!(tree(&roots, &host.path("srv/tree")).is_ok());
    assert!(tree(&roots, &host.path("data/import/tree")).is_ok());
    symlink(host.path("srv/tree"), host.path("srv/inside")).unwrap();
    assert!(tree(&roots, &host.path("srv/inside")).is_ok());
    symlink(host.path("elsewhere/tree"), host.path("srv/out")).unwrap();
    for outside in ["elsewhere/tree", "srv/out", "srv/../elsewhere/tree", "elsewhere"] {
        let refused = tree(&roots, &host.path(outside)).unwrap_err();
        assert!(matches!(refused, RootsRefusal::Outside { .. }), "{outside}: {refused}");
        assert!(refused.to_string().contains("artifacts.roots"), "{refused}");
    }
    // Nothing is there, and nothing could be.
    assert!(roots.check(&host.path("srv/not-yet/tree"), ArtifactKind::Tree).is_ok());
    assert!(roots.check(&host.path("elsewhere/not-yet"), ArtifactKind::Tree).is_err());
    assert!(roots.check(&host.path("srv-other"), ArtifactKind::Tree).is_err());
}

#[test]
fn the_data_directory_is_never_served_whatever_is_a_root() {
    let host = Host::new();
    let roots = ArtifactRoots::new(Some(vec!["/".into(), host.path("data")]), &host.path("data"));
    symlink(host.path("data"), host.path("srv/to-data")).unwrap();
    symlink(host.path("data/secret.key"), host.path("srv/to-key")).unwrap();
    symlink(host.path(""), host.path("srv/to-outer")).unwrap();
    for hold in [RootsScope::Roots, RootsScope::DataDirectory] {
        for (path, kind) in [
            ("data", ArtifactKind::Tree),
            ("data/tls", ArtifactKind::Tree),
            ("data/import/../tls", ArtifactKind::Tree),
            ("srv/to-data", ArtifactKind::Tree),
            ("srv/to-data/tls", ArtifactKind::Tree),
            ("", ArtifactKind::Tree),
            ("srv/to-outer", ArtifactKind::Tree),
            ("data/secret.key", ArtifactKind::File),
            ("srv/to-key", ArtifactKind::File),
        ] {
            let refused = roots.open(&host.path(path), kind, hold).unwrap_err();
            assert!(
                matches!(refused, RootsRefusal::InData { .. } | RootsRefusal::HasData { .. }),
                "{path}: {refused}"
            );
        }
        // A file beside it, in the same folder, is served like others.
        assert!(roots.open(&host.path("srv/a.iso"), ArtifactKind::File, hold).is_ok());
        assert!(roots.open(&host.path("data/import/tree"), ArtifactKind::Tree, hold).is_ok());
    }
    assert!(matches!(tree(&roots, Path::new("/")), Err(RootsRefusal::HasData { .. })));
}

#[test]
fn an_import_folder_that_is_a_link_is_no_root() {
    let host = Host::new();
    fs::remove_dir_all(host.path("data/import")).unwrap();
    symlink(host.path("elsewhere"), host.path("data/import")).unwrap();
    let roots = host.roots(&["srv"]);
    assert!(tree(&roots, &host.path("data/import/tree")).is_err());
    fs::remove_file(host.path("data/import")).unwrap();
    symlink("tls", host.path("data/import")).unwrap();
    assert!(tree(&roots, &host.path("data/import")).is_err());
}

#[test]
fn a_second_name_of_a_file_of_the_data_directory_is_not_served_and_one_of_another_file_is() {
    let host = Host::new();
    for (of, link) in [
        ("data/secret.key", "data/import/tree/key"),
        ("data/tls/linux", "srv/tree/pem"),
        ("data/secret.key", "srv/key"),
        ("srv/a.iso", "data/import/tree/a.iso"),
    ] {
        fs::hard_link(host.path(of), host.path(link)).unwrap();
    }
    let roots = host.roots(&["srv"]);
    let open = |path: &str, kind| roots.open(&host.path(path), kind, RootsScope::Roots).unwrap();
    let import = open("data/import/tree", ArtifactKind::Tree);
    assert!(import.open_file("key").is_err() && import.open_file_as("KEY", NameCase::Ignored).is_err());
    assert!(import.open_file("a.iso").is_ok() && import.open_file("linux").is_ok());
    assert!(open("srv/tree", ArtifactKind::Tree).open_file("pem").is_err());
    let single = open("srv/key", ArtifactKind::File);
    assert!(single.open_file("key").is_err() && single.only_file().is_err());
}

#[test]
fn a_refusal_does_not_tell_where_a_link_leads() {
    let host = Host::new();
    symlink(host.path("elsewhere/tree"), host.path("srv/out")).unwrap();
    let refused = tree(&host.roots(&["srv"]), &host.path("srv/out")).unwrap_err().to_string();
    assert!(refused.contains("srv/out") && !refused.contains("elsewhere"), "{refused}");
}

#[test]
fn a_single_file_behind_a_link_is_served_by_the_name_it_was_given() {
    let host = Host::new();
    symlink("a.iso", host.path("srv/newest.iso")).unwrap();
    let place =
        host.roots(&["srv"]).open(&host.path("srv/newest.iso"), ArtifactKind::File, RootsScope::Roots);
    let place = place.unwrap();
    let mut text = String::new();
    place.open_file("newest.iso").unwrap().file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "image");
    assert!(place.open_file("a.iso").is_err() && place.open_file("tree/linux").is_err());
}

fn artifact(fields: Value) -> Stored<Artifact> {
    let spec: Artifact = serde_json::from_value(fields).unwrap();
    Stored::new(spec.name.clone(), spec, testing::caller().now)
}

/// Stores an artifact as a version without roots did.
async fn put_before(houses: &Houses, mut stored: Stored<Artifact>) -> Arc<Stored<Artifact>> {
    stored.status.origin = stored.spec.origin();
    stored.status.state = ArtifactState::Ready;
    stored.status.sha256 = Some("0".repeat(64));
    let stored = Arc::new(stored);
    testing::put(houses, Artifact::object(Arc::clone(&stored))).await;
    stored
}

async fn noted(houses: &Houses, name: &str) -> Arc<Stored<Artifact>> {
    let stored = houses.kernel.get::<Artifact>(name).unwrap();
    let checked = houses.artifacts.roots_news(&stored).expect("something to note");
    houses.artifacts.note_roots(&stored, checked).await.unwrap();
    let stored = houses.kernel.get::<Artifact>(name).unwrap();
    assert_eq!(houses.artifacts.roots_news(&stored), None, "it is noted once");
    stored
}

async fn problems(houses: &Houses, name: &str) -> String {
    houses.objects.get::<Artifact>(&testing::caller(), name).await.unwrap().body["problems"].to_string()
}

#[tokio::test]
async fn what_was_configured_outside_before_is_served_with_a_problem_that_names_the_setting() {
    let (host, caller) = (Host::new(), testing::caller());
    let houses = host.houses();
    let path = host.path("elsewhere/tree");
    put_before(&houses, artifact(json!({"name": "old", "path": path}))).await;
    put_before(&houses, artifact(json!({"name": "fine", "path": host.path("srv/tree")}))).await;
    assert!(houses.artifacts.place_of(&houses.kernel.get("old").unwrap()).is_ok(), "before it was looked at");
    let old = noted(&houses, "old").await;
    assert_eq!((old.status.roots, old.status.state), (RootsCheck::Outside, ArtifactState::Ready));
    assert!(houses.artifacts.place_of(&old).unwrap().open_file("linux").is_ok());
    assert!(problems(&houses, "old").await.contains("artifacts.roots"), "{}", problems(&houses, "old").await);
    assert_eq!(noted(&houses, "fine").await.status.roots, RootsCheck::Within);
    assert_eq!(problems(&houses, "fine").await, "[]");

    // Everything but its path may be changed, and a new artifact may not have this path.
    let target = WriteTarget { reference: "old", expected: ExpectedRevision::Any };
    let patch = |value: Value| Patch::Merge(value);
    houses.objects.patch::<Artifact>(&caller, &target, &patch(json!({"description": "x"}))).await.unwrap();
    let refused =
        houses.objects.create::<Artifact>(&caller, json!({"name": "new", "path": path})).await.unwrap_err();
    assert!(refused.to_string().contains("artifacts.roots"), "{refused}");
    let moved = houses
        .objects
        .patch::<Artifact>(&caller, &target, &patch(json!({"path": host.path("elsewhere")})))
        .await;
    assert!(matches!(moved, Err(Error::Invalid(_))), "{moved:?}");
}

#[tokio::test]
async fn what_was_configured_in_the_data_directory_before_is_served_no_more_and_says_why() {
    let host = Host::new();
    let houses = host.houses();
    put_before(&houses, artifact(json!({"name": "steal", "path": host.path("data")}))).await;
    let url = format!("file://{}", host.path("data/secret.key").display());
    put_before(&houses, artifact(json!({"name": "copy", "kind": "file", "fetch": {"url": url}}))).await;
    assert!(
        houses.artifacts.place_of(&houses.kernel.get("steal").unwrap()).is_err(),
        "not even before it was looked at"
    );
    for name in ["steal", "copy"] {
        let stored = noted(&houses, name).await;
        assert_eq!((stored.status.state, &stored.status.sha256), (ArtifactState::Failed, &None));
        assert!(stored.status.reason.contains("data directory"), "{}", stored.status.reason);
        assert!(houses.artifacts.place_of(&stored).is_err());
    }
}

#[tokio::test]
async fn a_new_path_stays_below_the_roots_also_when_a_link_takes_its_place() {
    let (host, caller) = (Host::new(), testing::caller());
    let houses = host.houses();
    houses
        .objects
        .create::<Artifact>(&caller, json!({"name": "a", "path": host.path("srv/tree")}))
        .await
        .unwrap();
    assert!(houses.artifacts.place_of(&houses.kernel.get("a").unwrap()).is_ok());
    fs::rename(host.path("srv/tree"), host.path("srv/before")).unwrap();
    symlink(host.path("elsewhere/tree"), host.path("srv/tree")).unwrap();
    assert!(matches!(
        houses.artifacts.place_of(&houses.kernel.get("a").unwrap()),
        Err(RootsRefusal::Outside { .. })
    ));
}

#[tokio::test]
async fn a_new_source_is_no_file_url_and_at_no_address_of_this_host() {
    let (host, caller) = (Host::new(), testing::caller());
    let houses = host.houses();
    let fetch = |source: Value| {
        let houses = Arc::clone(&houses);
        let caller = caller.clone();
        async move {
            let made =
                houses.objects.create::<Artifact>(&caller, json!({"name": "a", "fetch": source})).await;
            made.map(drop).map_err(|error| error.to_string())
        }
    };
    let image = host.path("srv/a.iso");
    let file = fetch(json!({"url": format!("file://{}", image.display())})).await.unwrap_err();
    assert!(file.contains("`file:` is not a scheme") && file.contains("fetch.path"), "{file}");
    let loopback = fetch(json!({"url": "http://127.0.0.1:1/x", "unverified": true})).await.unwrap_err();
    assert!(loopback.contains("/fetch/url") && loopback.contains("`fetch.allow`"), "{loopback}");
    let mirror = fetch(json!({"url": "http://[::1]/x", "mirror": {}})).await.unwrap_err();
    assert!(mirror.contains("`fetch.allow`"), "{mirror}");
    let proxied =
        json!({"url": "http://10.0.0.1/x", "unverified": true, "proxy": "http://169.254.169.254:80"});
    assert!(fetch(proxied).await.unwrap_err().contains("/fetch/proxy"));
    let outside = fetch(json!({"path": host.path("data/secret.key")})).await.unwrap_err();
    assert!(outside.contains("/fetch/path") && outside.contains("data directory"), "{outside}");
    fetch(json!({"path": image})).await.unwrap();
}

#[tokio::test]
async fn a_source_of_before_keeps_what_it_is_with_a_problem() {
    let (host, caller) = (Host::new(), testing::caller());
    let houses = host.houses();
    let url = format!("file://{}", host.path("elsewhere/tree/linux").display());
    put_before(&houses, artifact(json!({"name": "image", "kind": "file", "fetch": {"url": url}}))).await;
    let mirror = json!({"name": "mirror", "fetch": {"url": "http://127.0.0.1:3142/debian", "mirror": {}}});
    put_before(&houses, artifact(mirror)).await;
    let stored = noted(&houses, "image").await;
    let source = stored.spec.source.clone().unwrap();
    assert_eq!(houses.artifacts.open_local(&stored, &source).await.unwrap().len(), 1);
    let told = problems(&houses, "image").await;
    assert!(told.contains("`file:` is not a scheme") && told.contains("artifacts.roots"), "{told}");
    assert!(
        problems(&houses, "mirror").await.contains("`fetch.allow`"),
        "{}",
        problems(&houses, "mirror").await
    );
    for name in ["image", "mirror"] {
        let target = WriteTarget { reference: name, expected: ExpectedRevision::Any };
        let patch = Patch::Merge(json!({"description": "x"}));
        houses.objects.patch::<Artifact>(&caller, &target, &patch).await.unwrap();
    }
}
