//! The API's certificates: who verifies them, who follows when they change, and what SIGHUP does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use metalwright::client::Fingerprint;
use nix::sys::signal::Signal;
use rcgen::CertifiedKey;
use serde_json::{Value, json};

use crate::world::{World, program};

const SOON: Duration = Duration::from_secs(60);
const ON_ALL: [&str; 6] = ["--api-listen", "0.0.0.0:0", "--boot-http", "127.0.0.1:0", "--tftp-listen", "off"];

fn api_port(world: &World) -> &str {
    let api = world.ready()["api"].as_str().expect("the API's address");
    api.rsplit_once(':').expect("a port").1
}

/// What curl says of a URL when it trusts nothing but this certificate; nothing when all is well.
fn curl(trusted: &Path, url: &str, words: &[&str]) -> String {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--fail", "--max-time", "30", "--noproxy", "*", "-o", "/dev/null", "--cacert"]);
    let output = curl.arg(trusted).args(words).arg(url).output().expect("curl");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until the server has logged it. The requests keep it from being waited for in vain.
fn wait_for_log(world: &World, said: &str) {
    let end = Instant::now() + SOON;
    while !world.log().contains(said) {
        assert!(Instant::now() < end, "{said} is not in the log");
        world.api().get("/settings").expect(200);
    }
}

#[test]
fn curl_and_openssl_verify_the_server_at_each_address_and_name_by_the_authority() {
    let world = World::with(&[&ON_ALL[..], &["--api-name", "boot.example,*.lab.example"]].concat());
    let (authority, port) = (world.data().join("tls/ca.pem"), api_port(&world));
    let listed = Command::new("ip").args(["-j", "-4", "address"]).output().expect("ip");
    let links: Value = serde_json::from_slice(&listed.stdout).expect("JSON");
    let infos = links.as_array().expect("links").iter().flat_map(|link| link["addr_info"].as_array());
    let addresses = infos.flatten().filter_map(|address| address["local"].as_str());
    for host in addresses.chain(["localhost"]) {
        assert_eq!(curl(&authority, &format!("https://{host}:{port}/healthz"), &[]), "", "{host}");
    }
    for name in ["boot.example", "a.lab.example"] {
        let at = format!("{name}:{port}:127.0.0.1");
        let said = curl(&authority, &format!("https://{name}:{port}/healthz"), &["--resolve", &at]);
        assert_eq!(said, "", "{name}");
    }
    let other = format!("other.example:{port}:127.0.0.1");
    let said = curl(&authority, &format!("https://other.example:{port}/healthz"), &["--resolve", &other]);
    assert!(said.contains("no alternative certificate subject name matches"), "{said}");

    // As strict as Python is since 3.13, which is what Ansible's `uri` has.
    let mut openssl = Command::new("openssl");
    openssl.args(["verify", "-x509_strict", "-purpose", "sslserver", "-verify_ip", "127.0.0.1", "-CAfile"]);
    let output = openssl.arg(&authority).arg(world.data().join("tls/host.pem")).output().expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_doctor_and_the_metrics_know_when_the_certificate_ends() {
    let world = World::on_loopback();
    let found = world.try_cli(&["doctor", "dhcp"]);
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains("the API's names 127.0.0.1 and ends 20"), "{found}");
    let metrics = world.api().get("//metrics").expect(200);
    for certificate in ["host", "authority"] {
        let name = format!("metalwright_api_certificate_ends_seconds{{certificate=\"{certificate}\"}} ");
        let line = metrics.as_str().expect("text").lines().find_map(|line| line.strip_prefix(&name));
        assert!(line.expect("the metric").parse::<u64>().expect("a number") > 1_700_000_000);
    }
}

/// A server with the certificate that an earlier version made, and clients that pinned it.
struct UpgradedServer {
    world: World,
    url: String,
    agent: PathBuf,
}

impl UpgradedServer {
    fn new() -> UpgradedServer {
        let mut world = World::on_loopback();
        let made = made_by_an_earlier_version();
        assert!(world.stop().success());
        let tls = world.data().join("tls");
        for file in ["ca.pem", "ca-key.pem", "host.pem"] {
            fs::remove_file(tls.join(file)).expect("a file");
        }
        show(&tls, &made);
        world.start();
        let url = world.ready()["api"].as_str().expect("the API's address").to_owned();
        let pin = Fingerprint::of(made.cert.der());
        for home in ["upgraded", "absent"] {
            let home = world.scratch().join(home).join("metalwright");
            fs::create_dir_all(&home).expect("a folder");
            fs::write(home.join("known_servers"), format!("{url} {pin}\n")).expect("a file");
        }
        let agent = configure_agent(&world, (&url, pin));
        UpgradedServer { world, url, agent }
    }

    fn command_line(&self, home: &str) -> Output {
        let token = fs::read_to_string(self.world.data().join("admin.token")).expect("a token");
        let mut list = program();
        list.args(["machines", "list", "--server", &self.url, "--token", token.trim()]);
        list.env("XDG_CONFIG_HOME", self.world.scratch().join(home)).output().expect("the program runs")
    }

    fn known_servers(&self) -> String {
        let file = self.world.scratch().join("upgraded/metalwright/known_servers");
        fs::read_to_string(file).expect("a file")
    }

    fn assert_that_all_are_let_in(&self) {
        let listed = self.command_line("upgraded");
        assert!(listed.status.success(), "{}", String::from_utf8_lossy(&listed.stderr));
        let mut agent = program();
        let ran = agent.args(["agent", "--once", "--config"]).arg(&self.agent).output().expect("it runs");
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    }
}

/// As the versions before the authority made it: self-signed, from 1975 to 4096.
fn made_by_an_earlier_version() -> CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])
        .expect("a certificate")
}

fn show(tls: &Path, made: &CertifiedKey<rcgen::KeyPair>) {
    fs::write(tls.join("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    fs::write(tls.join("cert.pem"), made.cert.pem()).expect("a file");
}

/// The configuration of an agent that knows the server by its certificate.
fn configure_agent(world: &World, (url, pin): (&str, Fingerprint)) -> PathBuf {
    let api = world.api();
    let machine = api.post("/machines", json!({"name": "web1"})).expect(201)["id"].clone();
    let id = machine.as_str().expect("an id");
    let scopes = json!([format!("agent:{id}")]);
    let token = api.post("/tokens", json!({"name": "agent", "scopes": scopes})).expect(201)["token"].clone();
    let (file, state) = (world.scratch().join("agent.toml"), world.scratch().join("agent"));
    let text = format!(
        "server = {url:?}\nfingerprint = {:?}\nmachine = {machine}\ntoken = {token}\nstate_dir = {state:?}\n",
        pin.hex()
    );
    fs::write(&file, text).expect("the agent's configuration");
    file
}

#[test]
fn agents_and_command_lines_of_an_earlier_version_follow_each_renewal() {
    let site = UpgradedServer::new();
    let (tls, health) = (site.world.data().join("tls"), format!("{}/healthz", site.url));
    let before = site.known_servers();
    site.assert_that_all_are_let_in();
    // The certificate that was there is still shown to everybody else.
    assert_eq!(curl(&tls.join("cert.pem"), &health, &[]), "");
    // What was pinned stays, and the authority stands beside it.
    let after = site.known_servers();
    assert!(after.starts_with(&before) && after.lines().count() == 2, "{after}");
    assert!(site.world.scratch().join("agent/authority").exists());

    for file in ["cert.pem", "key.pem"] {
        fs::remove_file(tls.join(file)).expect("a file");
    }
    site.world.signal(Signal::SIGHUP);
    wait_for_log(&site.world, "instead of tls/cert.pem, which is gone");
    site.assert_that_all_are_let_in();
    assert_eq!(curl(&tls.join("ca.pem"), &health, &[]), "");
    // Who was not there meanwhile has to be told.
    let refused = site.command_line("absent");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("is not the one that is trusted"));

    // One that the operator brings, again and again: those who know the authority do not mind.
    for _ in 0..2 {
        show(&tls, &made_by_an_earlier_version());
        site.world.signal(Signal::SIGHUP);
        let end = Instant::now() + SOON;
        while !curl(&tls.join("cert.pem"), &health, &[]).is_empty() {
            assert!(Instant::now() < end, "the certificate is not shown");
        }
        site.assert_that_all_are_let_in();
    }
    assert_eq!(site.known_servers(), after);
}

#[test]
fn a_server_that_was_never_seen_is_known_by_its_authority() {
    let world = World::on_loopback();
    let url = world.ready()["api"].as_str().expect("the API's address");
    let endpoint = fs::read_to_string(world.data().join("endpoint.json")).expect("the endpoint");
    let endpoint: Value = serde_json::from_str(&endpoint).expect("JSON");
    let home = world.scratch().join("home");
    let token = fs::read_to_string(world.data().join("admin.token")).expect("a token");
    let list = || {
        let mut list = program();
        list.args(["machines", "list", "--server", url, "--token", token.trim()]);
        list.env("XDG_CONFIG_HOME", &home).output().expect("the program runs")
    };
    assert!(list().status.success());
    let known = fs::read_to_string(home.join("metalwright/known_servers")).expect("a file");
    assert_eq!(known, format!("{url} sha256:{}\n", endpoint["fingerprint"].as_str().expect("hex")));
    // Its certificate is made anew.
    let host = world.data().join("tls/host.pem");
    let before = fs::read(&host).expect("the certificate");
    fs::remove_file(&host).expect("the certificate");
    world.signal(Signal::SIGHUP);
    wait_for_log(&world, "tls/host.pem, which ends");
    assert_ne!(fs::read(&host).expect("the certificate"), before);
    assert!(list().status.success());
}

#[test]
fn sighup_reloads_what_it_can_and_says_what_needs_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("metalwright.toml");
    fs::write(&config, "[log]\nlevel = \"info\"\n").expect("a file");
    let flags = [&ON_ALL[..], &["--config", config.to_str().expect("a path in UTF-8")]].concat();
    let mut world = World::with(&flags);
    world.signal(Signal::SIGHUP);
    wait_for_log(&world, "nothing changed");

    fs::write(&config, "[log]\nlevel = \"verbos\"\n[api]\nnames = [\"boot.example\"]\n").expect("a file");
    world.signal(Signal::SIGHUP);
    wait_for_log(&world, "the configuration is at fault, so nothing was reloaded");
    assert!(world.log().contains("log.level: there is no "), "{}", world.log());

    let text = "[log]\nlevel = \"debug\"\n[api]\nnames = [\"boot.example\"]\n[boot]\nignore_case = true\n";
    fs::write(&config, text).expect("a file");
    world.signal(Signal::SIGHUP);
    wait_for_log(&world, "needs_restart=\"boot.ignore_case\"");
    let log = world.log();
    assert!(log.contains("log.level, which is debug; api.names; tls/host.pem, which ends"), "{log}");
    wait_for_log(&world, "DEBUG");
    let port = api_port(&world);
    let at = format!("boot.example:{port}:127.0.0.1");
    let url = format!("https://boot.example:{port}/healthz");
    assert_eq!(curl(&world.data().join("tls/ca.pem"), &url, &["--resolve", &at]), "");
    assert!(world.stop().success());
}

#[test]
fn no_real_time_signal_ends_the_server() {
    let mut world = World::on_loopback();
    for number in 34..=64 {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{number}")).arg(world.server_id().to_string());
        assert!(kill.status().expect("kill").success(), "{number}");
        world.api().get("/settings").expect(200);
    }
    assert!(world.stop().success());
    assert!(world.log().contains("SIGRTMIN+0") && world.log().contains("SIGRTMIN+30"), "{}", world.log());
}
