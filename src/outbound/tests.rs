//! Names, addresses in every spelling, redirects and proxies, against servers on loopback.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use super::*;

fn reach(allow: &[&str], proxy: Option<&str>) -> FetchReach {
    drop(rustls::crypto::ring::default_provider().install_default());
    let policy = FetchPolicy::new(allow.iter().map(|entry| entry.parse().unwrap()).collect());
    FetchReach::new(proxy.map(str::to_owned), Arc::new(policy), FetchScope::Listed)
}

/// Answers connections at an address with these texts, one each, and hands back the first lines.
fn server(address: &str, answers: &[&str]) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind((address, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, lines) = channel();
    let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
    thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let read = BufReader::new(&stream).lines().map_while(Result::ok);
            let head: Vec<String> = read.take_while(|line| !line.is_empty()).collect();
            sender.send(head.first().cloned().unwrap_or_default()).unwrap();
            stream.write_all(format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        }
    });
    (port, lines)
}

const EMPTY: &str = "200 OK\r\nContent-Length: 0";

async fn get(reach: &FetchReach, url: &str) -> Result<u16, OutboundError> {
    let client = reach.client(url, TrustBase::Checksum)?;
    Ok(client.get(url, HeaderMap::new()).await?.status().as_u16())
}

fn refused(result: Result<u16, OutboundError>) -> String {
    match result {
        Err(OutboundError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn of_the_addresses_of_a_name_only_those_that_may_be_are_connected_to() {
    let reach = reach(&["10.0.0.1"], None);
    let of = |all: &[&str]| {
        let all = all.iter().map(|address| SocketAddr::new(address.parse().unwrap(), 0)).collect();
        let allowed = resolver::allowed(&reach, &UrlPlace::new("mirror", 80), all);
        allowed.map(|allowed| allowed.len()).map_err(|error| error.to_string())
    };
    assert_eq!(of(&["10.0.0.1", "127.0.0.1", "::1", "151.101.2.132"]), Ok(2));
    assert_eq!(of(&["::ffff:10.0.0.1"]), Ok(1));
    let why = of(&["10.0.0.2", "::ffff:169.254.1.1"]).unwrap_err();
    assert!(why.starts_with("mirror is at another place: 10.0.0.2 is a private address"), "{why}");
    assert!(why.contains("add \"mirror:80\" to the list `fetch.allow`"), "{why}");
    assert_eq!(of(&[]), Ok(0));
}

#[tokio::test]
async fn a_name_is_held_by_what_it_resolves_to_and_by_the_port_that_is_meant() {
    let (port, lines) = server("127.0.0.1", &[EMPTY]);
    // The system resolves it without a server of names.
    let url = format!("http://localhost.:{port}/x");
    let why = refused(get(&reach(&["10.0.0.0/8"], None), &url).await);
    assert!(why.contains(&format!("add \"localhost:{port}\"")), "{why}");
    let other = refused(get(&reach(&["localhost:1", "127.0.0.1:1"], None), &url).await);
    assert!(other.contains("a loopback address"), "{other}");
    assert!(lines.try_recv().is_err(), "it was connected to");
    assert_eq!(get(&reach(&[&format!("127.0.0.1:{port}")], None), &url).await, Ok(200));
}

#[test]
fn an_address_is_refused_in_every_spelling_and_as_a_proxy() {
    for url in
        ["http://2130706433/x", "http://0x7f.1/x", "http://127.1/x", "http://[::ffff:7f00:1]/x", "http://0/"]
    {
        let why = reach(&[], None).client(url, TrustBase::Checksum).unwrap_err().to_string();
        assert!(why.contains("`fetch.allow`"), "{url}: {why}");
    }
    for url in ["ftp://mirror/x", "file:///etc/shadow", "gopher://mirror/", "unix:/run/x"] {
        assert!(reach(&["0.0.0.0/0"], None).client(url, TrustBase::Checksum).is_err(), "{url}");
    }
    let through = |proxy| reach(&["10.0.0.4:3128"], Some(proxy)).client("http://mirror/x", TrustBase::Tls);
    assert!(through("http://127.0.0.1:3128").unwrap_err().to_string().contains("the proxy 127.0.0.1:3128"));
    assert!(through("http://10.0.0.4:3129").is_err());
    assert!(through("http://10.0.0.4:3128").is_ok());
}

#[tokio::test]
async fn each_redirect_is_held_like_the_first_url() {
    let (inner, seen) = server("127.0.0.9", &[EMPTY]);
    let to_inner = format!("302 Found\r\nLocation: http://127.0.0.9:{inner}/\r\nContent-Length: 0");
    let odd = "302 Found\r\nLocation: file:///etc/shadow\r\nContent-Length: 0";
    let on = "307 Temporary Redirect\r\nLocation: /next\r\nContent-Length: 0";
    let (port, lines) = server("127.0.0.1", &[&to_inner, odd, on, EMPTY]);
    let (reach, url) = (reach(&["127.0.0.1"], None), format!("http://127.0.0.1:{port}/x"));
    let why = refused(get(&reach, &url).await);
    assert!(
        why.contains("it redirects to another place") && why.contains("127.0.0.9 is a loopback"),
        "{why}"
    );
    assert!(seen.try_recv().is_err(), "it was connected to");
    assert!(refused(get(&reach, &url).await).contains("only http and https"));
    assert_eq!(get(&reach, &url).await, Ok(200));
    assert_eq!(lines.iter().last().as_deref(), Some("GET /next HTTP/1.1"));
    let round: Vec<String> = (0..=REDIRECTS_MAX).map(|_| on.to_owned()).collect();
    let round: Vec<&str> = round.iter().map(String::as_str).collect();
    let (port, _lines) = server("127.0.0.1", &round);
    assert!(refused(get(&reach, &format!("http://127.0.0.1:{port}/")).await).contains("redirects"));
}

#[tokio::test]
async fn without_a_checksum_no_redirect_leads_out_of_tls() {
    let client = reach(&[], None).client("https://mirror/x", TrustBase::Tls).unwrap();
    let out = client.check_url(&Url::parse("http://mirror/x").unwrap()).unwrap_err();
    assert!(out.to_string().contains("not HTTPS"), "{out}");
    assert!(reach(&[], None).client("http://mirror/x", TrustBase::Tls).is_ok());
}

#[tokio::test]
async fn a_proxy_gets_what_this_host_does_not_know_to_be_refused() {
    let (port, lines) = server("127.0.0.1", &[EMPTY]);
    let proxy = format!("http://127.0.0.1:{port}");
    let reach = reach(&["127.0.0.1"], Some(&proxy));
    assert_eq!(get(&reach, "http://mirror.invalid/x").await, Ok(200));
    assert_eq!(lines.iter().next().as_deref(), Some("GET http://mirror.invalid/x HTTP/1.1"));
    let inner = super::tests::reach(&[&format!("127.0.0.1:{port}")], Some(&proxy));
    for url in ["http://169.254.169.254/latest", "http://10.0.0.1/", "http://localhost./"] {
        assert!(refused(get(&inner, url).await).contains("`fetch.allow`"), "{url}");
    }
}

#[tokio::test]
async fn what_was_stored_before_reaches_private_places_which_are_noted_and_no_others() {
    let before = FetchReach::new(None, Arc::default(), FetchScope::Before);
    let private = [SocketAddr::new("10.0.0.5".parse().unwrap(), 0)];
    let place = UrlPlace::new("mirror.corp", 3142);
    assert_eq!(resolver::allowed(&before, &place, private.to_vec()).unwrap(), private);
    let noted = before.unlisted();
    assert_eq!((noted[0].host.as_str(), noted[0].port, noted.len()), ("mirror.corp", 3142, 1));
    let own = vec![SocketAddr::new("127.0.0.1".parse().unwrap(), 0)];
    assert!(resolver::allowed(&before, &place, own).is_err());
    assert!(before.client("http://169.254.169.254/", TrustBase::Checksum).is_err());
    assert_eq!(before.unlisted(), noted);
}
