//! Tests with a server on loopback that misbehaves as real servers do.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tokio_util::sync::CancellationToken;

use super::*;

/// A file of 300,000 bytes without repetitions.
fn content() -> Vec<u8> {
    (0..300_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// The head of a response, and the bytes that follow.
type Answer = (String, Vec<u8>);

/// Answers one connection after the other as told, and returns the requests.
fn server(answers: Vec<Answer>) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/file.iso", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    thread::spawn(move || {
        for (head, body) in answers {
            let (stream, _) = listener.accept().unwrap();
            sender.send(request(&stream)).unwrap();
            let mut stream = stream;
            let head = format!("{head}\r\nConnection: close\r\n\r\n");
            // A client that has seen enough may have closed the connection.
            drop(stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body)));
        }
    });
    (url, requests)
}

fn request(stream: &TcpStream) -> String {
    let lines = BufReader::new(stream).lines().map(Result::unwrap);
    lines.take_while(|line| !line.is_empty()).map(|line| line + "\n").collect()
}

fn ok(total: usize, tag: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nETag: \"{tag}\"\r\nContent-Length: {total}")
}

fn part(from: usize, total: usize) -> String {
    let (last, left) = (total - 1, total - from);
    format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {from}-{last}/{total}\r\nContent-Length: {left}"
    )
}

struct Scene {
    folder: tempfile::TempDir,
    get: FetchRequest,
    job: MediaJob,
}

impl Scene {
    fn of(url: &str, sum_of: Option<&[u8]>) -> Self {
        let checksum = sum_of.map(|bytes| format!("sha256:{}", sha256_hex(bytes)).parse().unwrap());
        let reach = crate::artifacts::media::on_loopback();
        let get = FetchRequest { artifact: "a".to_owned(), url: url.to_owned(), checksum, reach, room: 1 };
        Scene { folder: tempfile::tempdir().unwrap(), get, job: MediaJob::new(CancellationToken::new()) }
    }

    fn run(&self) -> Result<Vec<u8>, MediaError> {
        drop(rustls::crypto::ring::default_provider().install_default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = MediaFolder::at(self.folder.path().to_owned());
        runtime.block_on(fetch(&folder, &self.get, &self.job)).map(|path| fs::read(path).unwrap())
    }

    fn why(&self) -> String {
        self.run().unwrap_err().to_string()
    }

    fn have(&self) -> u64 {
        length(
            &MediaFolder::at(self.folder.path().to_owned())
                .fetched(&id(("a", &self.get.url), self.get.checksum.as_ref())),
        )
    }
}

#[test]
fn a_connection_that_is_cut_is_gone_on_with_where_it_was() {
    let whole = content();
    let first = (ok(whole.len(), "v1"), whole[..100_000].to_vec());
    let second = (part(100_000, whole.len()), whole[100_000..150_000].to_vec());
    let third = (part(150_000, whole.len()), whole[150_000..].to_vec());
    let (url, requests) = server(vec![first, second, third]);
    let scene = Scene::of(&url, Some(&whole));
    assert_eq!(scene.run().unwrap(), whole);
    let asked: Vec<String> = requests.iter().collect();
    assert!(!asked[0].contains("range:"), "{}", asked[0]);
    assert!(
        asked[1].contains("range: bytes=100000-") && asked[1].contains("if-range: \"v1\""),
        "{}",
        asked[1]
    );
    // The response with a part had no tag of its own, so the checksum has to tell.
    assert!(asked[2].contains("range: bytes=150000-"), "{}", asked[2]);
}

#[test]
fn a_file_that_is_another_meanwhile_is_fetched_from_its_beginning() {
    let (old, new) = (vec![7; 50_000], content());
    let (url, _requests) = server(vec![(ok(90_000, "old"), old), (ok(new.len(), "new"), new.clone())]);
    assert_eq!(Scene::of(&url, Some(&new)).run().unwrap(), new);
}

#[test]
fn a_part_of_another_file_is_not_put_to_what_is_there() {
    let (old, new) = (vec![7; 50_000], content());
    let rest = format!("{}\r\nETag: \"new\"", part(50_000, new.len()));
    let (url, requests) = server(vec![
        (ok(new.len(), "old"), old),
        (rest, new[50_000..].to_vec()),
        (ok(new.len(), "new"), new.clone()),
    ]);
    // Without a checksum nothing else would tell.
    assert_eq!(Scene::of(&url, None).run().unwrap(), new);
    assert_eq!(requests.iter().count(), 3);
}

#[test]
fn a_wrong_checksum_names_both_and_keeps_nothing() {
    let (url, _requests) = server(vec![(ok(5, "x"), b"wrong".to_vec())]);
    let scene = Scene::of(&url, Some(b"right"));
    let why = scene.why();
    assert!(why.contains(&sha256_hex("wrong")) && why.contains(&sha256_hex("right")), "{why}");
    assert!(why.contains(" has 5 bytes "), "{why}");
    assert_eq!(scene.have(), 0);
}

#[test]
fn pieces_that_do_not_fit_are_fetched_once_more_in_one() {
    let whole = content();
    let cut = (ok(whole.len(), "v1"), vec![0; 1000]);
    let rest = (part(1000, whole.len()), whole[1000..].to_vec());
    let (url, requests) = server(vec![cut, rest, (ok(whole.len(), "v2"), whole.clone())]);
    assert_eq!(Scene::of(&url, Some(&whole)).run().unwrap(), whole);
    assert_eq!(requests.iter().count(), 3);
}

#[test]
fn what_was_fetched_before_the_server_ended_is_not_fetched_again() {
    let whole = content();
    let first = (ok(whole.len(), "v1"), whole[..200_000].to_vec());
    let (url, requests) = server(vec![first, (part(200_000, whole.len()), whole[200_000..].to_vec())]);
    let mut scene = Scene::of(&url, Some(&whole));
    let stop = scene.job.stop.clone();
    let mut progress = scene.job.watch();
    let stopper = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(progress.wait_for(|progress| progress.done == 200_000)).unwrap();
        stop.cancel();
    });
    assert_eq!(scene.run(), Err(MediaError::Stopped));
    stopper.join().unwrap();
    assert_eq!(scene.have(), 200_000);
    scene.job = MediaJob::new(CancellationToken::new());
    assert_eq!(scene.run().unwrap(), whole);
    let last = requests.iter().last().unwrap();
    assert!(last.contains("range: bytes=200000-"), "{last}");
}

#[test]
fn a_file_that_is_not_there_is_not_asked_for_again_and_a_busy_server_is() {
    let (url, requests) = server(vec![("HTTP/1.1 404 Not Found\r\nContent-Length: 0".into(), Vec::new())]);
    let why = Scene::of(&url, None).why();
    assert!(why.contains("404 Not Found") && why.contains(&url), "{why}");
    assert_eq!(requests.iter().count(), 1);
    let busy = ("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0".into(), Vec::new());
    let (url, requests) = server(vec![busy, (ok(2, "x"), b"ok".to_vec())]);
    assert_eq!(Scene::of(&url, None).run().unwrap(), b"ok");
    assert_eq!(requests.iter().count(), 2);
}

#[test]
fn what_cannot_fit_on_the_disk_is_not_begun() {
    let (url, _requests) = server(vec![(ok(1 << 39, "x"), Vec::new())]);
    let scene = Scene { get: FetchRequest { room: 2, ..Scene::of(&url, None).get }, ..Scene::of(&url, None) };
    let why = scene.why();
    assert!(why.contains("too full") && why.contains("1048576 MiB are needed"), "{why}");
    assert_eq!(scene.have(), 0);
}

#[test]
fn a_proxy_is_asked_for_the_whole_url() {
    let (proxy, requests) = server(vec![(ok(2, "x"), b"ok".to_vec())]);
    let mut scene = Scene::of("http://mirror.invalid/x.iso", None);
    scene.get.reach.proxy = Some(proxy.trim_end_matches("/file.iso").to_owned());
    assert_eq!(scene.run().unwrap(), b"ok");
    let asked = requests.iter().next().unwrap();
    assert!(asked.starts_with("GET http://mirror.invalid/x.iso "), "{asked}");
}

#[test]
fn an_address_that_is_not_listed_is_not_connected_to() {
    let (url, requests) = server(vec![(ok(2, "v1"), b"ok".to_vec())]);
    let mut scene = Scene::of(&url, None);
    scene.get.reach = FetchReach::default();
    assert!(scene.why().contains("127.0.0.1 is a loopback address"), "{}", scene.why());
    assert!(requests.try_recv().is_err(), "it was connected to");
}

#[test]
fn a_redirect_to_an_address_that_is_not_listed_is_not_followed() {
    let (inner, seen) = server(vec![(ok(6, "v1"), b"secret".to_vec())]);
    let inner = inner.replace("127.0.0.1", "127.0.0.9");
    let head = format!("HTTP/1.1 302 Found\r\nLocation: {inner}\r\nContent-Length: 0");
    let (url, _requests) = server(vec![(head, Vec::new())]);
    let mut scene = Scene::of(&url, None);
    let policy = crate::model::FetchPolicy::new(vec!["127.0.0.1".parse().unwrap()]);
    scene.get.reach.policy = std::sync::Arc::new(policy);
    let why = scene.why();
    assert!(why.contains("it redirects to another place: 127.0.0.9 is a loopback address"), "{why}");
    assert!(seen.try_recv().is_err());
}
