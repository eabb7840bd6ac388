//! The commands of the documents are run against a server that has what the README sets up. Start at
//! [`NOT_RUN`], which says what is only parsed, and [`ENDS_OTHERWISE`].

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use serde_json::json;

use super::commands::{CommandPlace, PageCommand, of_all_pages};
use crate::api::Api;
use crate::scene::{self, KEY, MAC};
use crate::world::{World, program};

/// Commands that are parsed and not run here, by their beginning, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("serve ", "it is the server"),
    ("agent --", "tests/it/agent.rs runs it"),
    ("simulate", "tests/it/simulate runs it"),
    ("backup", "tests/it/backup.rs runs that page"),
    ("restore", "tests/it/backup.rs runs that page"),
    ("check", "tests/it/backup.rs runs that page"),
    ("tokens recover", "tests/it/process.rs runs it on a server that is stopped"),
    ("server rotate-key", "tests/it/secrets.rs runs it on a server that is stopped"),
    ("boot-certificate", "it needs HTTPS boot"),
    ("context set lab", "there is no server elsewhere"),
    ("doctor dhcp eth1 --probe", "it needs an interface"),
];
/// Words of commands that wait or go on for ever, or fetch from places that are not there.
const NOT_RUN_WITH: [&str; 8] = ["--follow", "-f", "watch", "wait", "--url", "--mirror", "--iso", "--wait"];
/// Commands in which `-f` names a file.
const FILE_VERBS: [&str; 2] = ["create", "apply"];

/// What else may come of a command that the server takes: nothing is wrong with it, and the machine, the
/// lease or the name is in another state than where the page is read.
const STATES: [&str; 6] = ["taken", "run_under_way", "no_run", "ended", "wrong_state", "read_again"];

/// Commands that end otherwise here, by their beginning, and what they say then.
const ENDS_OTHERWISE: &[(&str, &str)] = &[
    ("artifacts fetch rocky-9-amd64", "there is no artifact `rocky-9-amd64`"),
    ("artifacts verify rocky-9-amd64", "there is no artifact `rocky-9-amd64`"),
    ("doctor dhcp", "is broken|are broken|has no IPv4 address"),
    ("doctor artifacts", "is broken|are broken"),
    ("doctor machines", "waits|wait"),
    ("render web1 preseed.cfg", "there is no file `preseed.cfg`"),
    ("logs web1", "has had no job yet"),
    ("runs show", "was served no such document"),
    // That of one machine has the code `run_under_way`.
    ("machines start web1 web2 web3", "is under way"),
    ("unknown register", "no unregistered client"),
    ("sessions delete", "there is no session"),
    ("tokens delete anna", "there is no token"),
];

/// What stands for something of the site's own, and what is there.
struct OperatorSite {
    world: World,
    api: Api,
    home: PathBuf,
}

impl OperatorSite {
    fn new() -> OperatorSite {
        let world = World::on_loopback();
        let (api, home) = (world.api(), world.scratch().join("operator"));
        let folders = ["srv", "site/templates/site", "site/tasks", "site/stages", "site/workflows"];
        for folder in folders {
            fs::create_dir_all(home.join(folder)).expect("a folder");
        }
        let files = [
            ("srv/firmware.bin", "firmware"),
            ("srv/nic-firmware/debian.cpio.gz", "firmware"),
            ("srv/pi-firmware/config.txt", "arm_64bit=1\n"),
            ("srv/pi-worker/config.txt", "arm_64bit=1\n"),
            ("srv/openbsd/boot.conf", "boot bsd.rd\n"),
            ("dhcpd.leases", LEASES),
            ("capture.txt", "chaddr 52:54:00:aa:00:01\nmessage_type discover\n"),
            ("kea-leases4.csv", KEA_LEASES),
            ("overrides.yaml", OVERRIDES),
            ("raspberry-pi-lab.yaml", "name: raspberry-pi-lab\nmatch: {mac_prefixes: [\"b8:27:eb\"]}\n"),
            ("site-pack/pack.yaml", "name: site-pack\nversion: 1.0.0\nrequires: {core: \">=0.1\"}\n"),
            ("site-pack/templates/site-pack/motd.sh", "#!/bin/sh\necho {{ machine.name | sh }} >/etc/motd\n"),
            (
                "site-pack/workflows/tasks/pack-motd.yaml",
                "name: pack-motd\ntemplates: [{name: motd, template: site-pack/motd.sh}]\n",
            ),
            ("site-pack/workflows/stages/pack-motd.yaml", "name: pack-motd\ntasks: [pack-motd]\n"),
            ("site-pack/workflows/workflows/look.yaml", "name: pack-look\nstages: [pack-motd]\n"),
            (
                "site-pack/tests/machines/web1.yaml",
                "name: web1\nmacs: [\"52:54:00:aa:00:01\"]\nworkflow: pack-look\n",
            ),
            ("site/templates/site/motd.sh", "echo {{ machine.name }} >/etc/motd\n"),
            ("site/tasks/motd.yaml", "name: motd\ntemplates: [{name: motd, template: site/motd.sh}]\n"),
            ("site/stages/site-finish.yaml", "name: site-finish\nbootenv: local\ntasks: [motd]\n"),
            (
                "site/workflows/site-debian.yaml",
                "name: site-debian\nstages: [install-debian-12, site-finish]\n",
            ),
        ];
        for (name, text) in files {
            let path = home.join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, text).expect("a file");
        }
        scene::add_installer(&api, &scene::small_installer(world.scratch()));
        OperatorSite { world, api, home }
    }

    /// The state in which each page begins: the README's subnet, machine and lease, two machines more, and no
    /// values but those.
    fn begin_page(&self) {
        let machines = MACHINES.map(|(name, _)| format!("/machines/name:{name}?force=true"));
        let others = ["/profiles/global", "/subnets/lan?force=true"].map(str::to_owned);
        for path in machines.iter().chain(&others) {
            self.api.delete(path);
        }
        let pools = json!([{"start": "10.0.0.100", "end": "10.0.0.199"}]);
        self.api.post("/subnets", json!({"name": "lan", "cidr": "10.0.0.0/24", "pools": pools})).expect(201);
        self.api.post("/profiles", json!({"name": "global"})).expect(201);
        for (name, mac) in MACHINES {
            let labels = json!({"rack": "r1"});
            let machine =
                json!({"name": name, "macs": [mac], "labels": labels, "params": {"rehearse": true}});
            self.api.post("/machines", machine).expect(201);
        }
        self.run(&["leases", "import", "--format", "isc", "dhcpd.leases"].map(str::to_owned), None);
    }

    /// The id of the last run of web1, or of none.
    fn last_run(&self) -> String {
        let machine = self.api.get("/machines/name:web1");
        let id = machine.body["status"]["run"]["id"].as_str().map(str::to_owned);
        id.unwrap_or_else(|| "0192d4a0-0000-7000-8000-000000000001".to_owned())
    }

    /// The words as they are typed here.
    fn typed(&self, command: &PageCommand) -> Vec<String> {
        let scratch = self.home.join("srv").display().to_string() + "/";
        let data = self.world.data().display().to_string();
        let swaps = [
            ("/var/lib/metalwright", data.as_str()),
            ("/var/lib/dhcp/dhcpd.leases", "dhcpd.leases"),
            ("/var/lib/kea/kea-leases4.csv", "kea-leases4.csv"),
            ("/srv/", &scratch),
        ];
        let id = self.last_run();
        // At a terminal these ask, and here nobody is asked.
        let has = |word: &str| command.words.iter().any(|other| other == word);
        let is_asked = has("--filter") && !["list", "--dry-run", "--yes"].into_iter().any(has);
        let words = command.words.iter().map(|word| {
            let word = swaps.iter().fold(word.clone(), |word, (from, to)| word.replace(from, to));
            if ["RUN", "0192d4a0-0000-7000-8000-000000000001"].contains(&word.as_str()) {
                id.clone()
            } else {
                word
            }
        });
        words.chain(is_asked.then(|| "--yes".to_owned())).collect()
    }

    fn run(&self, words: &[String], stdin: Option<&str>) -> Output {
        let mut command = program();
        command.args(words).current_dir(&self.home).env("XDG_CONFIG_HOME", &self.home);
        command.env("METALWRIGHT_DATA", self.world.data()).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let mut input = child.stdin.take().expect("its input");
        // A real key where the page shows that one has to be there.
        let text = stdin.unwrap_or_default().replace("ssh-ed25519 AAAA...", KEY);
        drop(input.write_all(text.as_bytes()));
        drop(input);
        child.wait_with_output().expect("the program ends")
    }
}

/// The machines of the pages.
const MACHINES: [(&str, &str); 3] =
    [("web1", MAC), ("web2", "52:54:00:aa:00:02"), ("web3", "52:54:00:aa:00:03")];

/// A lease of the address that the pages name, in the file of ISC dhcpd.
const LEASES: &str = "lease 10.0.0.105 {\n  starts 0 2026/01/04 00:00:00;\n  ends 0 2036/01/06 00:00:00;\n  \
                      binding state active;\n  hardware ethernet 52:54:00:aa:00:77;\n}\n";

/// The file of the page about overrides.
const OVERRIDES: &str = "\
noun: override
name: site-preseed
target: {kind: template, name: preseed/debian.cfg}
blocks:
  after_packages: |
    d-i pkgsel/include string etckeeper
---
noun: override
name: site-install
target: {kind: stage, name: install-debian-12}
fields: {timeout_seconds: 10800}
---
noun: override
name: site-timezone
target: {kind: param, name: timezone}
fields: {default: Europe/Berlin}
";

/// The file of Kea, with no lease.
const KEA_LEASES: &str =
    "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,state\n";

fn is_run(command: &PageCommand) -> bool {
    let line = command.words.join(" ");
    let takes_file = command.words.iter().any(|word| FILE_VERBS.contains(&word.as_str()));
    command.place == CommandPlace::Block
        && !NOT_RUN.iter().any(|(beginning, _)| line.starts_with(beginning))
        && !command
            .words
            .iter()
            .any(|word| NOT_RUN_WITH.contains(&word.as_str()) && !(takes_file && word == "-f"))
}

/// What is wrong with how a command ended, if anything.
fn fault(command: &PageCommand, output: &Output) -> Option<String> {
    let [said, printed] = [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text));
    let (line, said) = (command.words.join(" "), format!("{said}{printed}"));
    let has_code = |code: &&str| said.contains(&format!("[{code}]"));
    let is_as_said = |(beginning, words): &&(&str, &str)| {
        line.starts_with(beginning) && words.split('|').any(|words| said.contains(words))
    };
    let is_well = output.status.success()
        || output.status.code() == Some(1)
            && (STATES.iter().any(has_code) || ENDS_OTHERWISE.iter().any(|row| is_as_said(&row)));
    (!is_well).then(|| format!("{}\n  {}: {}", command.shown(), output.status, said.trim()))
}

#[test]
fn the_commands_of_the_documents_do_what_their_pages_say() {
    let site = OperatorSite::new();
    let (mut done, mut page, mut faults) = (BTreeSet::new(), String::new(), Vec::new());
    for command in of_all_pages().iter().filter(|command| is_run(command)) {
        if !done.insert((command.words.clone(), command.stdin.clone())) {
            continue;
        }
        if page != command.page {
            page.clone_from(&command.page);
            site.begin_page();
        }
        let output = site.run(&site.typed(command), command.stdin.as_deref());
        faults.extend(fault(command, &output));
    }
    assert!(done.len() > 80, "{} commands were run", done.len());
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), done.len(), faults.join("\n"));
}
