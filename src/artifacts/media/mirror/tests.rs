//! Tests with an upstream on loopback that misbehaves as real ones do.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use super::*;
use crate::model::{MirrorRepository, sha256_hex};

/// One step of the upstream's answer.
enum Step {
    Say(Vec<u8>),
    /// Wait until the test continues.
    Wait(Receiver<()>),
}

type Steps = Vec<Step>;

/// A request: its path, and its whole head in lower case.
struct Request {
    path: String,
    head: String,
}

struct Upstream {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Upstream {
    /// Answers each request, on a connection of its own, as `answer` says.
    fn of(answer: impl Fn(&Request) -> Steps + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/tree/", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (mut stream, answer, seen) = (stream.unwrap(), Arc::clone(&answer), Arc::clone(&seen));
                thread::spawn(move || {
                    let request = read(&stream);
                    lock(&seen).push(request.path.clone());
                    for step in answer(&request) {
                        match step {
                            // A client that has seen enough may have closed the connection.
                            Step::Say(bytes) => drop(stream.write_all(&bytes)),
                            Step::Wait(gate) => drop(gate.recv()),
                        }
                    }
                });
            }
        });
        Upstream { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        lock(&self.asked).clone()
    }
}

fn read(stream: &TcpStream) -> Request {
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
    Request { path: path.trim_start_matches("/tree/").to_owned(), head: head.join("\n").to_lowercase() }
}

fn say(status: &str, headers: &str, body: &[u8]) -> Steps {
    let head = format!("HTTP/1.1 {status}\r\n{headers}Connection: close\r\n\r\n");
    vec![Step::Say([head.as_bytes(), body].concat())]
}

fn ok(body: &[u8]) -> Steps {
    say("200 OK", &format!("ETag: \"v1\"\r\nContent-Length: {}\r\n", body.len()), body)
}

fn absent() -> Steps {
    say("404 Not Found", "Content-Length: 0\r\n", b"")
}

struct Scene {
    folder: tempfile::TempDir,
    mirrors: MirrorSet,
    url: String,
}

impl Scene {
    fn of(upstream: &Upstream) -> Self {
        drop(rustls::crypto::ring::default_provider().install_default());
        let folder = tempfile::tempdir().unwrap();
        let mirrors = MirrorSet::new(MediaFolder::at(folder.path().to_owned()));
        Scene { folder, mirrors, url: upstream.url.clone() }
    }

    fn mirror(&self) -> Arc<Mirror> {
        self.bounded(1 << 20)
    }

    fn bounded(&self, bytes_max: u64) -> Arc<Mirror> {
        let reach = crate::artifacts::media::on_loopback();
        let terms = RemoteTree { name: "a".into(), url: self.url.clone(), reach, bytes_max };
        self.mirrors.of(terms).unwrap()
    }

    /// Number of files on disk that contain bytes, complete or not.
    fn bodies(&self) -> usize {
        let root =
            MediaFolder::at(self.folder.path().to_owned()).mirror(&MediaFolder::mirror_id(("a", &self.url)));
        let count = |place: &str| std::fs::read_dir(root.join(place)).unwrap().count();
        count("bodies") + count("new")
    }
}

/// The whole file, as it arrives.
async fn all(found: CachedFile) -> std::io::Result<Vec<u8>> {
    let CachedFile { file, bytes, coming, .. } = found;
    if let Some(mut coming) = coming {
        coming.whole(bytes).await?;
    }
    let mut all = vec![0; usize::try_from(bytes).unwrap()];
    file.read_exact_at(&mut all, 0)?;
    Ok(all)
}

async fn get(mirror: &Arc<Mirror>, path: &str) -> Vec<u8> {
    all(mirror.open(path).await.unwrap()).await.unwrap()
}

/// Why a file cannot be had, which may be known when it is opened or only while it arrives.
async fn why_not(mirror: &Arc<Mirror>, path: &str) -> String {
    match mirror.open(path).await {
        Ok(found) => all(found).await.unwrap_err().to_string(),
        Err(miss) => miss.to_string(),
    }
}

/// Waits until no fetch of `path` is running.
async fn settled(mirror: &Arc<Mirror>, path: &str) {
    let flight = lock(mirror.state.get().unwrap()).flight(path);
    if let Some(mut flight) = flight {
        drop(flight.wait_for(|stage| matches!(stage, DownloadStage::Kept | DownloadStage::Missed(_))).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_fetched_once_is_kept_also_over_a_restart() {
    let upstream = Upstream::of(|_| ok(b"a package"));
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let path = "pool/main/g++_1.deb";
    assert_eq!(get(&mirror, path).await, b"a package");
    settled(&mirror, path).await;
    let first = mirror.open(path).await.unwrap();
    assert!(first.coming.is_none());
    let status = mirror.status();
    assert_eq!((status.hits, status.misses, status.cached_bytes, status.cached_files), (1, 1, 9, 1));
    assert!(status.upstream_answers);

    let again = MirrorSet::new(MediaFolder::at(scene.folder.path().to_owned()));
    let mirror = again.of(mirror.terms.clone()).unwrap();
    let second = mirror.open(path).await.unwrap();
    assert_eq!(second.id, first.id, "the same bytes have the same tag");
    assert_eq!(all(second).await.unwrap(), b"a package");
    assert_eq!(upstream.asked(), ["pool/main/g%2B%2B_1.deb"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_who_ask_for_one_file_are_one_fetch_and_read_it_before_it_is_whole() {
    let (open, gate) = channel();
    let gate = Mutex::new(Some(gate));
    let upstream = Upstream::of(move |_| {
        let gate = lock(&gate).take().expect("one request");
        let mut steps = say("200 OK", "Content-Length: 10\r\n", b"01234");
        steps.extend([Step::Wait(gate), Step::Say(b"56789".to_vec())]);
        steps
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let mut askers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mirror = Arc::clone(&mirror);
        askers.spawn(async move {
            let mut found = mirror.open("images/install.img").await.unwrap();
            let have = found.coming.as_mut().unwrap().reach(4).await.unwrap();
            let mut half = [0; 5];
            found.file.read_exact_at(&mut half, 0).unwrap();
            (have, half, found)
        });
    }
    let found = askers.join_all().await;
    assert_eq!(upstream.asked().len(), 1);
    open.send(()).unwrap();
    for (have, half, found) in found {
        assert_eq!((have, &half), (5, b"01234"));
        assert_eq!(all(found).await.unwrap(), b"0123456789");
    }
    assert_eq!((mirror.status().hits, mirror.status().misses), (19, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_revalidated_and_given_out_stale_when_the_upstream_fails() {
    let answers = Mutex::new(vec![
        say("200 OK", "ETag: \"v2\"\r\nContent-Length: 3\r\n", b"two"),
        say("503 Service Unavailable", "Content-Length: 0\r\n", b""),
        say("304 Not Modified", "ETag: \"v1\"\r\n", b""),
        ok(b"one"),
    ]);
    let heads: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&heads);
    let upstream = Upstream::of(move |request| {
        lock(&seen).push(request.head.clone());
        lock(&answers).pop().expect("no more than four requests")
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let path = "dists/bookworm/InRelease";
    for expected in ["one", "one", "one", "two"] {
        assert_eq!(get(&mirror, path).await, expected.as_bytes(), "{:?}", mirror.status());
        settled(&mirror, path).await;
        // Within a minute the upstream is not asked again, nor shortly after a fault.
        assert_eq!(get(&mirror, path).await, expected.as_bytes());
        if lock(&heads).len() == 3 && mirror.failing().is_some() {
            let failing = mirror.failing().unwrap();
            assert!(failing.contains("503"), "{failing}");
            assert!(!mirror.status().upstream_answers && mirror.status().stale > 0);
        }
        mirror.expire().await.unwrap();
    }
    let heads = lock(&heads).clone();
    assert_eq!(heads.len(), 4, "{heads:#?}");
    assert!(!heads[0].contains("if-none-match"), "{}", heads[0]);
    assert!(heads[1..].iter().all(|head| head.contains("if-none-match: \"v1\"")), "{heads:#?}");
    assert_eq!(mirror.failing(), None);
    assert_eq!(mirror.status().revalidated, 1);
    assert_eq!(scene.bodies(), 1, "the old index is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_stays_below_the_bound_and_what_is_larger_is_refused() {
    let upstream = Upstream::of(|request| match request.path.as_str() {
        "large.rpm" => ok(&[0; 5000]),
        _ => ok(&[1; 1000]),
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.bounded(3500);
    for i in 0..10 {
        let path = format!("Packages/{i}.rpm");
        assert_eq!(get(&mirror, &path).await.len(), 1000);
        settled(&mirror, &path).await;
        // A file that is used all the time stays.
        assert_eq!(get(&mirror, "Packages/0.rpm").await.len(), 1000);
        let status = mirror.status();
        assert!(status.cached_bytes <= 3500, "{status:?}");
    }
    let status = mirror.status();
    assert_eq!((status.cached_files, status.evicted, status.misses), (3, 7, 10));
    assert_eq!(scene.bodies(), 3);
    let miss = mirror.open("large.rpm").await.unwrap_err();
    assert!(miss.to_string().contains("larger than `bytes_max`"), "{miss}");
    assert_eq!(mirror.failing(), None, "that is no fault of the upstream");
    assert_eq!(mirror.trouble(), Some(miss.to_string()));
    mirror.expire().await.unwrap();
    get(&mirror, "Packages/11.rpm").await;
    settled(&mirror, "Packages/11.rpm").await;
    assert_eq!(mirror.trouble(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_cut_off_is_not_kept_and_fetched_anew() {
    let cut = Mutex::new(true);
    let upstream = Upstream::of(move |_| match std::mem::take(&mut *lock(&cut)) {
        // Without a validator nothing tells whether the rest belongs to the same file.
        true => say("200 OK", "Content-Length: 10\r\n", b"01234"),
        false => say("200 OK", "Content-Length: 10\r\n", b"abcdefghij"),
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let path = "pool/a.deb";
    let error = why_not(&mirror, path).await;
    assert!(error.contains("the connection was lost after 5 bytes"), "{error}");
    settled(&mirror, path).await;
    assert_eq!((scene.bodies(), mirror.status().cached_bytes), (0, 0));
    assert!(mirror.failing().is_some());
    assert!(mirror.open(path).await.is_err(), "it is not asked for again at once");
    mirror.expire().await.unwrap();
    assert_eq!(get(&mirror, path).await, b"abcdefghij");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_taken_up_where_it_was() {
    let upstream = Upstream::of(|request| {
        let from = request.head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        match from {
            None => say("200 OK", "ETag: \"v1\"\r\nContent-Length: 10\r\n", b"01234"),
            Some("5-") => {
                assert!(request.head.contains("if-range: \"v1\""), "{}", request.head);
                let range = "Content-Range: bytes 5-9/10\r\nContent-Length: 5\r\n";
                say("206 Partial Content", range, b"56789")
            }
            Some(other) => panic!("{other}"),
        }
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    assert_eq!(get(&mirror, "images/install.img").await, b"0123456789");
    settled(&mirror, "images/install.img").await;
    assert_eq!(mirror.status().cached_bytes, 10);
    let checked = mirror.verify(&MediaJob::new(CancellationToken::new())).await.unwrap();
    assert_eq!(checked, CacheCheck { files: 1, damaged: Vec::new() });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_another_file_is_not_put_to_what_has_come() {
    let upstream = Upstream::of(|request| match request.head.contains("range: bytes=5-") {
        false => say("200 OK", "ETag: \"v1\"\r\nContent-Length: 10\r\n", b"01234"),
        // This upstream ignores `If-Range`.
        true => {
            let range = "ETag: \"v2\"\r\nContent-Range: bytes 5-9/10\r\nContent-Length: 5\r\n";
            say("206 Partial Content", range, b"fghij")
        }
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let error = why_not(&mirror, "pool/a.deb").await;
    assert!(error.contains("has become another file"), "{error}");
    settled(&mirror, "pool/a.deb").await;
    assert_eq!(scene.bodies(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_has_not_is_absent_and_a_folder_is_no_file() {
    let upstream = Upstream::of(|request| match request.path.as_str() {
        "pool" => say("301 Moved Permanently", "Location: /tree/pool/\r\nContent-Length: 0\r\n", b""),
        "pool/" => ok(b"<html>"),
        "private" => say("401 Unauthorized", "Content-Length: 0\r\n", b""),
        "forbidden" => say("403 Forbidden", "Content-Length: 0\r\n", b""),
        _ => absent(),
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    for path in ["gone", "pool", "../x", "a//b", ""] {
        assert_eq!(mirror.open(path).await.unwrap_err(), MirrorMiss::Absent, "{path}");
    }
    assert_eq!(mirror.open("gone").await.unwrap_err(), MirrorMiss::Absent);
    assert_eq!(upstream.asked(), ["gone", "pool", "pool/"], "it is not asked for again at once");
    assert_eq!(mirror.open("forbidden").await.unwrap_err(), MirrorMiss::Absent);
    let miss = mirror.open("private").await.unwrap_err();
    assert!(miss.to_string().contains("401"), "{miss}");
    assert_eq!(mirror.failing(), None, "it answers");
    assert_eq!(scene.bodies(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_length_is_not_told_is_given_when_it_is_whole() {
    let chunked = "Transfer-Encoding: chunked\r\n";
    let upstream = Upstream::of(move |request| match request.path.as_str() {
        "whole" => say("200 OK", chunked, b"5\r\nhello\r\n0\r\n\r\n"),
        _ => say("200 OK", chunked, b"5\r\nhello\r\n"),
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let found = mirror.open("whole").await.unwrap();
    assert!(found.coming.is_none());
    assert_eq!(all(found).await.unwrap(), b"hello");
    let miss = mirror.open("cut").await.unwrap_err();
    assert!(miss.to_string().contains("lost after 5 bytes"), "{miss}");
    assert_eq!((scene.bodies(), mirror.status().cached_files), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_cannot_be_reached_is_left_alone_for_a_while() {
    let upstream = Upstream::of(|_| absent());
    let mut scene = Scene::of(&upstream);
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scene.url = format!("http://{free}/");
    let mirror = scene.mirror();
    let first = mirror.open("a").await.unwrap_err();
    assert!(matches!(first, MirrorMiss::Failed(_)), "{first}");
    assert_eq!(mirror.open("b").await.unwrap_err(), first, "it was not asked");
    assert_eq!(mirror.failing(), Some(first.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_found_and_kept_no_longer() {
    let upstream = Upstream::of(|_| ok(b"a package"));
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    for path in ["pool/a.deb", "pool/b.deb"] {
        get(&mirror, path).await;
        settled(&mirror, path).await;
    }
    let place = {
        let state = lock(mirror.state.get().unwrap());
        let kept = state.cache.index.get("pool/a.deb").unwrap();
        assert_eq!(kept.sha256, sha256_hex("a package"));
        state.cache.body(kept)
    };
    std::fs::write(place, b"damaged!!").unwrap();
    let checked = mirror.verify(&MediaJob::new(CancellationToken::new())).await.unwrap();
    assert_eq!(checked, CacheCheck { files: 2, damaged: vec!["pool/a.deb".into()] });
    assert_eq!(get(&mirror, "pool/a.deb").await, b"a package");
    assert_eq!(upstream.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repositories_of_a_tree_are_read_from_its_indexes() {
    let upstream = Upstream::of(|request| match request.path.as_str() {
        "dists/bookworm/InRelease" => ok(b"Codename: bookworm\nComponents: main contrib\n"),
        "BaseOS/.treeinfo" | "AppStream/repodata/repomd.xml" | "BaseOS/repodata/repomd.xml" => ok(b"x"),
        "AppStream/repodata/repomd.xml.asc" => ok(b"signature"),
        _ => absent(),
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let of = |path: &str, distribution: &str| MirrorRepository {
        path: path.into(),
        distribution: distribution.into(),
    };
    let found = mirror.repositories(&[of("", "bookworm"), of("BaseOS", ""), of("AppStream", "")]).await;
    let found = found.unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|it| (it.package_type.as_str(), it.path.as_str(), it.install_source, it.signed))
        .collect();
    let expected =
        [("apt", "", true, true), ("yum", "BaseOS", true, false), ("yum", "AppStream", false, true)];
    assert_eq!(told, expected);
    assert_eq!(found[0].components, ["main", "contrib"]);
    assert!(mirror.repositories(&[]).await.unwrap().is_empty());
    let miss = mirror.repositories(&[of("", "trixie")]).await.unwrap_err();
    assert_eq!(miss.to_string(), "the upstream has no dists/trixie/Release");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_fetches_and_leaves_nothing_half() {
    let (_open, gate): (Sender<()>, _) = channel();
    let gate = Mutex::new(Some(gate));
    let upstream = Upstream::of(move |_| {
        let mut steps = say("200 OK", "Content-Length: 10\r\n", b"01234");
        steps.extend(lock(&gate).take().map(Step::Wait));
        steps
    });
    let scene = Scene::of(&upstream);
    let mirror = scene.mirror();
    let found = mirror.open("pool/a.deb").await.unwrap();
    scene.mirrors.stop().await;
    assert!(all(found).await.is_err());
    assert_eq!(scene.bodies(), 0);
}
