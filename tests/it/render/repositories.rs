//! Package repositories, the proxy and the site's certificates, in the installers and the installed systems.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::accounts::SHELLS;
use super::checkers::{check_kickstart, check_preseed};
use super::content::Case;

const DEBIAN: &str = "debian-12-install";
const ROCKY: &str = "rocky-9-install";
const KEY: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n%end\n-----END PGP PUBLIC KEY BLOCK-----\n";
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
/// The password of the proxy, as it is in a URL.
const PASSWORD_IN_URL: &str = "p%40ss%2Fw%25";

/// The answer file of a bootenv, after the installer's own checker has accepted it.
fn answers(bootenv: &str, params: &Value) -> String {
    let (name, text) = Case::booting(bootenv, params.clone()).answer_file();
    match bootenv {
        DEBIAN => check_preseed(&name, &text),
        _ => check_kickstart(&name, &text),
    }
    text
}

fn repository(own: Value) -> Value {
    let mut repository = json!({"tag": "site", "url": "http://10.0.0.4/site"});
    let fields = repository.as_object_mut().unwrap();
    fields.extend(own.as_object().unwrap().clone());
    json!({ "repositories": [repository] })
}

#[test]
fn a_repository_that_nothing_could_use_is_refused_with_the_way_out() {
    for (bootenv, own, why) in [
        (DEBIAN, json!({}), "`site` has no package_type: say apt or yum"),
        (ROCKY, json!({}), "`site` has no package_type: say apt or yum"),
        (DEBIAN, json!({"package_type": "apt"}), "`site` has no components: name them (main)"),
        (DEBIAN, json!({"distribution": "bookworm"}), "`site` has no components: name them (main)"),
        (DEBIAN, json!({"distribution": "./", "components": ["main"]}), "ends in /, which has none"),
    ] {
        let file = if bootenv == DEBIAN { "preseed.cfg" } else { "rocky.ks" };
        let params = repository(own);
        let refusal = Case::booting(bootenv, params.clone()).refusal(file);
        assert!(refusal.contains(why), "{bootenv} {params}: {refusal}");
    }
    // A repository of apt is nothing to Rocky, whatever it lacks.
    answers(ROCKY, &repository(json!({"package_type": "apt"})));
}

#[test]
fn repositories_of_apt_are_lines_that_apt_can_read() {
    let line = |own: Value| {
        let text = answers(DEBIAN, &repository(own));
        let lines = text.lines().filter_map(|line| line.strip_prefix("d-i apt-setup/local0/"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let main = json!({"package_type": "apt", "components": ["main"]});
    let with = |name: &str, value: Value| {
        let mut own = main.clone();
        own[name] = value;
        line(own)
    };
    let plain = "repository string http://10.0.0.4/site bookworm main";
    assert_eq!(line(main.clone()), [plain, "comment string site"]);
    let trusted = "repository string [trusted=yes] http://10.0.0.4/site bookworm main";
    assert_eq!(with("unsigned", json!(true))[0], trusted);
    assert_eq!(with("key_url", json!("http://k/a.asc"))[2], "key string http://k/a.asc");
    let [first, _, key] = &with("key", json!(KEY))[..] else { panic!("three answers") };
    assert_eq!(first, plain);
    let key = key.strip_prefix("key string base64://").unwrap();
    assert_eq!(decoded(key), KEY);
    let flat = line(json!({"distribution": "./", "unsigned": true}));
    assert_eq!(flat[0], "repository string [trusted=yes] http://10.0.0.4/site ./ ");
}

/// What the installer's `base64 -d` makes of a text.
fn decoded(text: &str) -> String {
    let script = format!("printf %s '{text}' | base64 -d");
    let done = Command::new("busybox").args(["sh", "-c", &script]).output().unwrap();
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn security_updates_come_from_where_the_site_has_them() {
    let table = [
        (json!({}), "security, updates", Some("d-i apt-setup/security_path string /debian-security")),
        (json!({"host": "m"}), "security, updates", Some("d-i apt-setup/security_host string m")),
        (
            json!({"host": "m", "directory": "/sec", "protocol": "https"}),
            "updates",
            Some("local0/repository string https://m/sec bookworm-security main non-free-firmware\n"),
        ),
    ];
    for (mirror, services, line) in table {
        let text = answers(DEBIAN, &json!({"debian_security_mirror": mirror}));
        let asked = format!("d-i apt-setup/services-select multiselect {services}\n");
        assert!(text.contains(&asked), "{mirror}: {text}");
        assert!(line.is_none_or(|line| text.contains(line)), "{mirror}: {text}");
    }
    let own = json!({"package_type": "apt", "components": ["main"], "security_source": true,
        "distribution": "bookworm-security"});
    let text = answers(DEBIAN, &repository(own));
    assert!(text.contains("d-i apt-setup/services-select multiselect updates\n"), "{text}");
}

/// Writes down what is reported and what is run inside of the new system.
const STUBS: &str = r#"
report() { echo "$*" >>"$root/reports"; }
chroot() { shift; echo "$*" >>"$root/ran"; }
"#;

/// Runs a script of an installer on a new system in `$root`, in each of the installers' shells, and reads
/// files of it.
fn on_new_system(script: &str, given: &[(&str, &str)], read: &[&str]) -> Vec<String> {
    let [first, second] = SHELLS.map(|shell| {
        let root = TempDir::new().unwrap();
        for (file, text) in given {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let script = format!("set -eu\n{STUBS}\n{script}");
        let script = script.replace("/target", "$root");
        let done = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", &script])
            .env("root", root.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{shell:?}: {said}\n{script}");
        let text = |file: &&str| fs::read_to_string(root.path().join(file)).unwrap_or_default();
        read.iter().map(text).collect::<Vec<_>>()
    });
    assert_eq!(first, second);
    first
}

const ROCKY_REPOSITORY: &str = "\
[extras]
name=Rocky Linux $releasever - Extras
mirrorlist=https://mirrors.rockylinux.org/mirrorlist?arch=$basearch&repo=extras-$releasever
#baseurl=http://dl.rockylinux.org/$contentdir/$releasever/extras/$basearch/os/
gpgcheck=1
";

fn installed_rocky(params: Value) -> Vec<String> {
    let script = Case::booting(ROCKY, params).template("snippets/shell/dnf-repositories.sh");
    let given = [("etc/yum.repos.d/rocky-extras.repo", ROCKY_REPOSITORY)];
    let read = ["etc/yum.repos.d/site.repo", "etc/pki/rpm-gpg/RPM-GPG-KEY-site", given[0].0];
    on_new_system(&script, &given, &read)
}

#[test]
fn the_installed_rocky_checks_the_repositories_of_the_site_and_uses_its_mirror() {
    let start = "[site]\nname=site\nbaseurl=http://10.0.0.4/site\nenabled=1\ngpgcheck=";
    for (own, rest, key) in [
        (json!({}), "1\n", ""),
        (json!({"unsigned": true}), "0\n", ""),
        (json!({"key_url": "http://k/a.asc", "unsigned": true}), "1\ngpgkey=http://k/a.asc\n", ""),
        (json!({"key": KEY}), "1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-site\n", KEY),
    ] {
        let mut params = repository(own);
        params["repositories"][0]["package_type"] = json!("yum");
        answers(ROCKY, &params);
        let [site, found, rocky] = &installed_rocky(params)[..] else { panic!("three files") };
        assert_eq!((site.as_str(), found.as_str()), (format!("{start}{rest}").as_str(), key));
        assert_eq!(rocky, ROCKY_REPOSITORY, "no mirror is named");
    }
    let mirror = |url: &str| installed_rocky(json!({ "rocky_mirror": url }))[2].clone();
    let changed = mirror("http://m.example.org/rocky/?a&b");
    assert!(
        changed.contains("\nbaseurl=http://m.example.org/rocky/?a&b/$releasever/extras/$basearch/os/\n"),
        "{changed}"
    );
    assert!(
        changed.contains("\n#mirrorlist=") && changed.contains("[extras]\nskip_if_unavailable=1\n"),
        "{changed}"
    );
    assert!(!changed.contains("_none_"), "{changed}");
    assert!(mirror("http://10.0.0.1:8080/artifacts/rocky").contains("/os/\nproxy=_none_\n"));
}

#[test]
fn the_installed_debian_has_what_its_installer_could_not_read() {
    let script = |case: &Case| case.template("snippets/shell/debian-repositories.sh");
    let own = json!({"package_type": "apt", "components": ["main"], "key_url": "http://k/a.asc"});
    let case = Case::booting(DEBIAN, repository(own));
    let list = "deb http://deb.debian.org/debian bookworm main\n#deb http://10.0.0.4/site bookworm main\n";
    let files = ["etc/apt/sources.list", "reports"];
    let given = [(files[0], list), ("etc/apt/keyrings/site.asc", KEY)];
    let [sources, reports] = &on_new_system(&script(&case), &given, &files)[..] else { panic!("two files") };
    let added = "\n## site\ndeb [signed-by=/etc/apt/keyrings/site.asc] http://10.0.0.4/site bookworm main\n";
    assert_eq!(*sources, format!("{list}{added}"));
    assert!(reports.starts_with("log the repository site could not be read"), "{reports}");
    let known = format!("{list}deb http://10.0.0.4/site bookworm main\n");
    assert_eq!(on_new_system(&script(&case), &[(files[0], &known)], &files), [known.as_str(), ""]);
}

#[test]
fn a_tree_without_a_signature_stays_the_only_one_that_is_trusted_without() {
    let case = Case::with_trees(DEBIAN, json!({}));
    let url = "http://10.0.0.1:8080/artifacts/debian-12-amd64";
    let early = case.template("snippets/shell/debian-apt.sh");
    assert!(early.contains("Acquire::AllowInsecureRepositories"), "{early}");
    let list = format!("deb {url} bookworm main\ndeb http://other bookworm main\n");
    let given = [("etc/apt/sources.list", list.as_str()), ("etc/apt/apt.conf.d/90metalwright-unsigned", "x")];
    let script = case.template("snippets/shell/debian-repositories.sh");
    let files = on_new_system(&script, &given, &[given[0].0, given[1].0]);
    let trusted = format!("deb [trusted=yes] {url} bookworm main\ndeb http://other bookworm main\n");
    assert_eq!(files, [trusted.as_str(), ""]);
}

fn behind_a_proxy() -> Value {
    json!({
        "proxy": "http://10.0.0.4:3128/",
        "proxy_credentials": {"user": "web", "password": "p@ss/w%"},
        "ca_certificates": [CERTIFICATE, CERTIFICATE],
        "rocky_mirror": "https://mirror.example.org/rocky",
    })
}

/// The same with repositories of all kinds, time servers and a script that is no shell's.
pub fn closed_site() -> Value {
    let keyed = [("key", json!(KEY)), ("key_url", json!("https://10.0.0.4/key")), ("unsigned", json!(true))];
    let mut repositories = Vec::new();
    for kind in ["apt", "yum"] {
        for (field, value) in &keyed {
            let tag = format!("{kind}-{field}");
            let url = format!("https://10.0.0.4/{tag}");
            let components = json!(["main"]);
            repositories
                .push(json!({"tag": tag, "url": url, "package_type": kind, "components": components}));
            repositories.last_mut().unwrap()[*field] = value.clone();
        }
    }
    let mut site = behind_a_proxy();
    site["repositories"] = json!(repositories);
    site["ntp_servers"] = json!(["10.0.0.2"]);
    site["packages"] = json!(["chrony"]);
    site["late_script"] = json!("#!/usr/bin/env python3\nprint('')\n%end\n");
    site["debian_security_mirror"] = json!({"protocol": "https", "host": "10.0.0.4"});
    site["users"] = json!([{"name": "root", "groups": ["docker"], "ssh_keys": ["ssh-ed25519 AAAA x"]}]);
    site
}

#[test]
fn installers_accept_what_a_closed_site_says() {
    for bootenv in [DEBIAN, ROCKY] {
        answers(bootenv, &closed_site());
    }
}

#[test]
fn all_packages_come_through_the_proxy_and_nothing_of_this_server_does() {
    let params = behind_a_proxy();
    let url = format!("http://web:{PASSWORD_IN_URL}@10.0.0.4:3128/");
    let preseed = answers(DEBIAN, &params);
    for protocol in ["http", "https"] {
        assert!(preseed.contains(&format!("d-i mirror/{protocol}/proxy string {url}\n")), "{preseed}");
    }
    let tree = Case::with_trees(DEBIAN, params.clone());
    assert!(tree.answer_file().1.contains(&format!("d-i mirror/http/proxy string {url}\n")));
    assert!(tree.cmdline().contains(" no_proxy=10.0.0.1 ---"), "{}", tree.cmdline());
    let kickstart = answers(ROCKY, &params);
    for command in ["\nurl --url=", "\nrepo --name=AppStream "] {
        let line = kickstart.split_once(command).unwrap().1.lines().next().unwrap();
        assert!(line.ends_with(&format!(" --proxy='{url}'")), "{line}");
    }
    assert!(kickstart.contains("'proxy=http://10.0.0.4:3128/' >>"), "{kickstart}");
    assert!(kickstart.contains("'proxy_username=web' 'proxy_password=p@ss/w%'"), "{kickstart}");
    let ours = json!({"proxy": params["proxy"], "rocky_mirror": "http://10.0.0.1:8080/artifacts/rocky"});
    assert!(!answers(ROCKY, &ours).contains("--proxy="));
    let cmdline = Case::booting(ROCKY, ours).cmdline();
    assert!(
        cmdline.contains("systemd.setenv=no_proxy=10.0.0.1") && !cmdline.contains("inst.proxy"),
        "{cmdline}"
    );
}

#[test]
fn the_second_stage_comes_through_the_proxy_and_no_secret_is_on_a_command_line() {
    let mut params = behind_a_proxy();
    for bootenv in [DEBIAN, ROCKY] {
        let case = Case::booting(bootenv, params.clone());
        let scripts = case.loader_scripts().into_iter().map(|(_, script)| script);
        let all = case.cmdline() + &scripts.collect::<String>();
        assert!(!all.contains("p%40ss") && !all.contains("inst.proxy"), "{bootenv}: {all}");
    }
    params.as_object_mut().unwrap().remove("proxy_credentials");
    let cmdline = Case::booting(ROCKY, params).cmdline();
    let expected =
        "systemd.setenv=no_proxy=10.0.0.1 proxy=http://10.0.0.4:3128/ inst.proxy=http://10.0.0.4:3128/";
    assert!(cmdline.contains(expected), "{cmdline}");
}

#[test]
fn a_preview_shows_no_credentials() {
    for (bootenv, file) in [(DEBIAN, "preseed.cfg"), (DEBIAN, "early.sh"), (ROCKY, "rocky.ks")] {
        let text = Case::booting(bootenv, behind_a_proxy()).preview(file);
        assert!(
            text.contains("(sealed)@10.0.0.4") && !text.contains("p@ss") && !text.contains("p%40"),
            "{text}"
        );
    }
    let params = json!({"user_passwords": {"admin": "their secret"}});
    let text = Case::booting(DEBIAN, params).preview("late.sh");
    assert!(text.contains("add_user 'admin'") && !text.contains("their secret"), "{text}");
}

#[test]
fn the_certificates_of_the_site_are_trusted_by_installer_and_system() {
    let params = behind_a_proxy();
    let debian = Case::booting(DEBIAN, params.clone()).template("snippets/shell/debian-apt.sh");
    let debian =
        debian.replace("/etc/ssl", "$root/installer").replace("usr/lib/base-installer.d", "$root/hooks");
    let debian = debian.replace("/etc/wgetrc", "$root/wgetrc");
    let debian = format!("{debian}\n/bin/sh $root/hooks/90metalwright\n");
    let folder = "usr/local/share/ca-certificates";
    let copied = [1, 2].map(|number| format!("{folder}/metalwright-{number}.crt"));
    let files =
        ["installer/metalwright.pem", &copied[0], &copied[1], "etc/apt/apt.conf.d/90metalwright-proxy"];
    let found = on_new_system(&debian, &[], &files);
    assert_eq!(found[..3], [CERTIFICATE.repeat(2), CERTIFICATE.to_owned(), CERTIFICATE.to_owned()]);
    let lines: Vec<&str> = found[3].lines().collect();
    let proxy = format!("Proxy \"http://web:{PASSWORD_IN_URL}@10.0.0.4:3128/\";");
    let direct = "Acquire::http::Proxy::10.0.0.1 \"DIRECT\";".to_owned();
    assert_eq!(lines, [format!("Acquire::http::{proxy}"), format!("Acquire::https::{proxy}"), direct]);
    assert!(answers(DEBIAN, &params).contains("d-i base-installer/includes string ca-certificates\n"));
    let rocky = Case::booting(ROCKY, params.clone()).template("snippets/shell/dnf-certificates.sh");
    let anchor = "etc/pki/ca-trust/source/anchors/metalwright-2.pem";
    assert_eq!(on_new_system(&rocky, &[], &[anchor, "ran"]), [CERTIFICATE, "update-ca-trust\n"]);
    let kickstart = answers(ROCKY, &params);
    assert!(
        kickstart.find("\nupdate-ca-trust ||") < kickstart.find("\nurl --url="),
        "before packages are fetched"
    );
}

#[test]
fn debian_has_a_program_for_the_time_servers_that_it_is_given() {
    let servers = json!(["10.0.0.2", "ntp.example.org"]);
    for (packages, daemon, file, text) in [
        (
            json!(["vim"]),
            " systemd-timesyncd",
            "etc/systemd/timesyncd.conf.d/site.conf",
            "[Time]\nNTP=10.0.0.2 ntp.example.org\n",
        ),
        (
            json!(["chrony"]),
            "",
            "etc/chrony/sources.d/site.sources",
            "server 10.0.0.2 iburst\nserver ntp.example.org iburst\n",
        ),
    ] {
        let params = json!({"ntp_servers": servers, "packages": packages});
        let line = format!("d-i pkgsel/include string openssh-server sudo ca-certificates{daemon} ");
        assert!(answers(DEBIAN, &params).contains(&line), "{line}");
        let script = Case::booting(DEBIAN, params).template("snippets/shell/debian-time.sh");
        assert_eq!(on_new_system(&script, &[], &[file]), [text]);
    }
    assert!(!answers(DEBIAN, &json!({})).contains("timesyncd"));
}

#[test]
fn a_keyboard_with_a_variant_is_one_for_each_installer() {
    let params = json!({"keyboard": "ch(fr)"});
    assert!(answers(DEBIAN, &params).contains("keyboard-configuration/xkb-keymap select ch(fr)\n"));
    assert!(answers(ROCKY, &params).contains("\nkeyboard --xlayouts='ch (fr)'\n"));
    assert!(answers(ROCKY, &json!({})).contains("\nkeyboard 'us'\n"));
}

#[test]
fn each_family_has_its_own_file_system_where_nobody_says_one() {
    for (params, debian, rocky) in
        [(json!({}), "ext4", "xfs"), (json!({"filesystem": "ext4"}), "ext4", "ext4")]
    {
        let preseed = answers(DEBIAN, &params);
        assert!(preseed.contains(&format!("d-i partman/default_filesystem string {debian}\n")), "{preseed}");
        assert!(answers(ROCKY, &params).contains(&format!(" --fstype={rocky}")), "{params}");
    }
}
