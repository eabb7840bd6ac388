//! Tests of every rule of the decision, as a table of small worlds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::*;
use crate::model::{BootFiles, PresentRun};
use crate::netboot::decide::client::{ClientQuirks, FirstFile, IpxeFeatures};

mod leaving;
mod menu;
mod secure_boot;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn machine() -> Stored<Machine> {
    let spec = Machine {
        channel: None,
        name: "web1".into(),
        macs: vec![],
        smbios_uuid: None,
        serial: None,
        arch: Arch::Amd64,
        workflow: None,
        profiles: vec![],
        params: BTreeMap::new(),
        options: Default::default(),
        locked: false,
    };
    Stored::new("id".into(), spec, NOW)
}

fn running() -> Stored<Machine> {
    let mut machine = machine();
    machine.status.run = Some(PresentRun {
        id: Uuid::nil(),
        workflow: "install-debian-12".into(),
        started_at: NOW,
        ended_at: None,
        paused: false,
        pause_reason: String::new(),
        stop_before: None,
        rehearse: false,
        from_step: None,
    });
    machine.status.state = MachineState::Waiting;
    machine.status.bootenv = Some("debian-12-install".into());
    machine
}

fn armed() -> Stored<Machine> {
    let mut machine = running();
    machine.status.armed_until = Some(NOW + SignedDuration::from_secs(60));
    machine
}

fn install() -> Stored<Bootenv> {
    let files = BootFiles {
        artifact: "a".into(),
        kernel: "linux".into(),
        initrds: vec![],
        loader: None,
        secure_boot: None,
    };
    let spec = Bootenv {
        name: "debian-12-install".into(),
        kind: BootenvKind::Install,
        destructive: None,
        not_destructive_reason: String::new(),
        os: None,
        arches: BTreeMap::from([(Arch::Amd64, files)]),
        boot_params: String::new(),
        templates: vec![],
        required_params: vec![],
        description: String::new(),
    };
    Stored::new("debian-12-install".into(), spec, NOW)
}

fn facts<'a>(machine: &'a Stored<Machine>, bootenv: &'a Stored<Bootenv>) -> DecisionFacts<'a> {
    DecisionFacts {
        machine: Some(machine),
        bootenv: Some(bootenv),
        bootenv_name: Some(&bootenv.spec.name),
        ..DecisionFacts::default()
    }
}

fn client(stage: BootProgram) -> BootQuestion {
    let code = if stage == BootProgram::HttpFirmware { 16 } else { 7 };
    BootQuestion::BootData(NetbootClient {
        stage,
        arches: vec![code],
        uuid: None,
        vendor: None,
        quirks: ClientQuirks::default(),
    })
}

fn firmware() -> BootQuestion {
    client(BootProgram::Firmware)
}

fn ipxe() -> BootQuestion {
    client(BootProgram::Ipxe(IpxeFeatures { http: true, ..IpxeFeatures::default() }))
}

fn every_boot_question() -> Vec<BootQuestion> {
    let file = |file| BootQuestion::MachineFile { attempt: Uuid::nil(), file };
    vec![
        firmware(),
        client(BootProgram::HttpFirmware),
        ipxe(),
        BootQuestion::Loader,
        BootQuestion::Script,
        file(MachineFile::Script),
        file(MachineFile::Kernel),
        file(MachineFile::Answer),
        BootQuestion::InstallKernel(owners(&["debian-12-install"], &[])),
    ]
}

fn owners(destructive: &[&str], harmless: &[&str]) -> ArtifactOwners {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    ArtifactOwners { destructive: names(destructive), harmless: names(harmless) }
}

fn attempt(progress: BootProgress, kernel_fetched: Option<Timestamp>) -> BootAttempt {
    BootAttempt {
        id: Uuid::nil(),
        number: 3,
        started_at: NOW,
        seen_at: NOW,
        progress,
        mac: None,
        client_arch: None,
        other_arch: None,
        server: None,
        bootenv: Some("debian-12-install".into()),
        step: Some(0),
        kernel_fetched_at: kernel_fetched,
        deadline: None,
        expected_by: None,
        asks: None,
        result: None,
    }
}

#[test]
fn a_machine_that_is_not_armed_never_gets_an_install_bootenv() {
    let (mut machine, bootenv) = (running(), install());
    for attempt in
        [None, Some(attempt(BootProgress::Loader, None)), Some(attempt(BootProgress::Ended, Some(NOW)))]
    {
        machine.status.boot_attempt = attempt;
        for asked in every_boot_question() {
            let decision = decide(&asked, &facts(&machine, &bootenv), NOW);
            assert_eq!(decision.verdict.bootenv(), None, "{asked:?}");
            assert!(
                matches!(decision.answer, BootGrant::NoBootData | BootGrant::LocalScript | BootGrant::Deny),
                "{asked:?} got {:?}",
                decision.answer
            );
        }
    }
}

#[test]
fn an_arming_that_has_expired_is_none() {
    let (mut machine, bootenv) = (armed(), install());
    machine.status.armed_until = Some(NOW);
    let decision = decide(&firmware(), &facts(&machine, &bootenv), NOW);
    assert!(matches!(decision.verdict, Verdict::LocalDisk { .. }));
}

#[test]
fn an_armed_machine_gets_what_fits_its_stage() {
    let (mut machine, bootenv) = (armed(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Firmware, None));
    let expected = [
        BootGrant::Loader { name: "snponly.efi".into() },
        BootGrant::LoaderUrl { name: "snponly.efi".into(), over: LoaderTransport::Http },
        BootGrant::ScriptUrl,
        BootGrant::Serve,
        BootGrant::BootScript,
        BootGrant::BootScript,
        BootGrant::Serve,
        BootGrant::Serve,
        BootGrant::Serve,
    ];
    for (asked, expected) in every_boot_question().iter().zip(expected) {
        assert_eq!(decide(asked, &facts(&machine, &bootenv), NOW).answer, expected, "{asked:?}");
    }
}

#[test]
fn an_armed_machine_that_does_not_say_that_it_boots_gets_the_boot_servers_address() {
    let bootenv = install();
    let answer = |machine: &Stored<Machine>| {
        decide(&client(BootProgram::Other), &facts(machine, &bootenv), NOW).answer
    };
    assert_eq!(answer(&armed()), BootGrant::BootServer { menu: None });
    assert_eq!(answer(&running()), BootGrant::NoBootData, "it is not armed");
    let unknown = DecisionFacts { unknown_machine: UnknownMachine::Menu, ..DecisionFacts::default() };
    assert_eq!(decide(&client(BootProgram::Other), &unknown, NOW).answer, BootGrant::NoBootData);
}

#[test]
fn the_attempt_that_used_the_arming_keeps_its_files_and_a_new_power_on_gets_the_disk() {
    let (mut machine, bootenv) = (running(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Kernel, Some(NOW)));
    let facts = facts(&machine, &bootenv);
    let own = BootQuestion::MachineFile { attempt: Uuid::nil(), file: MachineFile::Answer };
    assert_eq!(decide(&own, &facts, NOW).answer, BootGrant::Serve);
    let other = BootQuestion::MachineFile { attempt: Uuid::max(), file: MachineFile::Answer };
    assert_eq!(decide(&other, &facts, NOW).answer, BootGrant::Deny);
    let power_on = decide(&firmware(), &facts, NOW);
    assert_eq!(power_on.answer, BootGrant::NoBootData);
    assert!(power_on.verdict.reason().contains("attempt 3"), "{}", power_on.verdict.reason());
}

#[test]
fn a_loader_whose_download_broke_off_may_ask_again_until_the_answer_file_was_read() {
    let (mut machine, bootenv) = (running(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Kernel, Some(NOW)));
    assert_eq!(decide(&BootQuestion::Script, &facts(&machine, &bootenv), NOW).answer, BootGrant::BootScript);
    machine.status.boot_attempt = Some(attempt(BootProgress::System, Some(NOW)));
    assert_eq!(decide(&BootQuestion::Script, &facts(&machine, &bootenv), NOW).answer, BootGrant::LocalScript);
}

#[test]
fn held_failed_and_paused_machines_boot_their_disk() {
    let bootenv = install();
    let mut held = armed();
    held.status.state = MachineState::Held;
    let mut failed = armed();
    failed.status.state = MachineState::Failed;
    let mut paused = armed();
    paused.status.run.as_mut().unwrap().paused = true;
    for machine in [held, failed, paused] {
        let decision = decide(&ipxe(), &facts(&machine, &bootenv), NOW);
        assert_eq!(decision.answer, BootGrant::NoBootData, "{:?}", decision.verdict);
    }
}

#[test]
fn a_pause_lets_the_installer_that_is_under_way_go_on() {
    let (mut machine, bootenv) = (running(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Kernel, Some(NOW)));
    machine.status.run.as_mut().unwrap().paused = true;
    let own = BootQuestion::MachineFile { attempt: Uuid::nil(), file: MachineFile::Answer };
    assert_eq!(decide(&own, &facts(&machine, &bootenv), NOW).answer, BootGrant::Serve);
    machine.status.state = MachineState::Held;
    assert_eq!(
        decide(&own, &facts(&machine, &bootenv), NOW).answer,
        BootGrant::Serve,
        "paused at one of its tasks"
    );
    machine.status.run.as_mut().unwrap().paused = false;
    assert_ne!(
        decide(&own, &facts(&machine, &bootenv), NOW).answer,
        BootGrant::Serve,
        "held for another reason"
    );
}

#[test]
fn what_cannot_be_carried_out_is_a_screen_that_says_why() {
    let machine = armed();
    let mut bootenv = install();
    let mut unusable = facts(&machine, &bootenv);
    unusable.unusable = Some("artifact debian-12-amd64 is missing".into());
    let decision = decide(&BootQuestion::Script, &unusable, NOW);
    assert_eq!(decision.answer, BootGrant::ScreenScript);
    assert!(decision.verdict.reason().contains("debian-12-amd64"));
    bootenv.spec.arches.clear();
    assert_eq!(
        decide(&BootQuestion::Script, &facts(&machine, &bootenv), NOW).answer,
        BootGrant::ScreenScript
    );
    let gone = DecisionFacts { bootenv_name: Some("x"), machine: Some(&machine), ..DecisionFacts::default() };
    assert_eq!(decide(&BootQuestion::Script, &gone, NOW).answer, BootGrant::ScreenScript);
}

#[test]
fn firmware_of_another_architecture_is_told_so() {
    let (machine, bootenv) = (armed(), install());
    let mut facts = facts(&machine, &bootenv);
    facts.client_arch = Some(Arch::Arm64);
    assert_eq!(decide(&BootQuestion::Script, &facts, NOW).answer, BootGrant::ScreenScript);
    facts.client_arch = Some(Arch::I386);
    assert_eq!(decide(&BootQuestion::Script, &facts, NOW).answer, BootGrant::BootScript);
}

#[test]
fn a_loader_that_is_not_installed_is_not_offered_and_the_trace_names_it() {
    let (machine, bootenv) = (armed(), install());
    let mut facts = facts(&machine, &bootenv);
    let none = BTreeSet::new();
    facts.loaders = Some(&none);
    let decision = decide(&firmware(), &facts, NOW);
    assert_eq!(decision.answer, BootGrant::NoBootData);
    assert!(decision.trace.iter().any(|rule| rule.detail.contains("snponly.efi is not installed")));
}

#[test]
fn an_architecture_nobody_knows_gets_an_address_only() {
    let (machine, bootenv) = (armed(), install());
    let BootQuestion::BootData(known) = firmware() else { unreachable!() };
    let asked = BootQuestion::BootData(NetbootClient { arches: vec![0x7777], ..known });
    let decision = decide(&asked, &facts(&machine, &bootenv), NOW);
    assert_eq!(decision.answer, BootGrant::NoBootData);
    assert!(decision.trace.iter().any(|rule| rule.detail.contains("0x7777")), "{:?}", decision.trace);
}

#[test]
fn unknown_machines_get_what_the_setting_says() {
    let ask = |setting, asked: &BootQuestion| {
        let facts = DecisionFacts { unknown_machine: setting, ..DecisionFacts::default() };
        decide(asked, &facts, NOW).answer
    };
    use UnknownMachine::*;
    assert_eq!(ask(Ignore, &ipxe()), BootGrant::NoBootData);
    assert_eq!(ask(Ignore, &BootQuestion::Script), BootGrant::Deny);
    assert_eq!(ask(Local, &firmware()), BootGrant::NoBootData);
    assert_eq!(ask(Local, &ipxe()), BootGrant::ScriptUrl);
    assert_eq!(ask(Local, &BootQuestion::Script), BootGrant::LocalScript);
    assert_eq!(ask(Discover, &firmware()), BootGrant::NoBootData);
}

#[test]
fn a_subnet_for_addresses_only_gives_no_boot_data_even_to_an_armed_machine() {
    let (machine, bootenv) = (armed(), install());
    let mut facts = facts(&machine, &bootenv);
    facts.subnet_mode = Some(SubnetMode::AddressOnly);
    assert_eq!(decide(&firmware(), &facts, NOW).answer, BootGrant::NoBootData);
}

#[test]
fn the_trace_ends_with_what_settled_it() {
    let (machine, bootenv) = (armed(), install());
    let decision = decide(&BootQuestion::Script, &facts(&machine, &bootenv), NOW);
    let rules: Vec<_> = decision.trace.iter().map(|rule| (rule.rule, rule.matched)).collect();
    assert_eq!(
        rules,
        [
            ("subnet_mode", false),
            ("known_machine", false),
            ("bootenv", false),
            ("armed", false),
            ("arch", false),
            ("usable", false),
            ("netboot", true)
        ]
    );
}

#[test]
fn vector_56_a_loader_that_leads_nowhere_is_not_given_for_ever_and_explain_says_so() {
    let (machine, bootenv) = (armed(), install());
    let ask = |xid| LoaderRequest {
        xid,
        loader: "ipxe.efi".into(),
        over: LoaderTransport::Tftp,
        at: NOW,
        served: true,
    };
    let incomplete = client(BootProgram::Ipxe(IpxeFeatures::default()));
    for (asks, stops) in [(0, false), (2, false), (3, true)] {
        let asks: Vec<LoaderRequest> = (0..asks).map(ask).collect();
        let decision = decide(&incomplete, &DecisionFacts { asks: &asks, ..facts(&machine, &bootenv) }, NOW);
        assert_eq!(decision.answer == BootGrant::NoBootData, stops, "{decision:#?}");
        let rule = decision.trace.iter().find(|rule| rule.rule == "chainload");
        assert_eq!(rule.is_some_and(|rule| rule.detail.contains("ipxe.efi")), stops);
        // Other requests, and the script, are not affected.
        let facts = DecisionFacts { asks: &asks, ..facts(&machine, &bootenv) };
        assert_eq!(decide(&ipxe(), &facts, NOW).answer, BootGrant::ScriptUrl);
        let firmware = decide(&firmware(), &facts, NOW).answer;
        assert_eq!(firmware, BootGrant::Loader { name: "snponly.efi".into() });
    }
}

#[test]
fn in_a_proxy_subnet_an_unknown_machine_hears_nothing_of_us() {
    let proxy = DecisionFacts { subnet_mode: Some(SubnetMode::Proxy), ..DecisionFacts::default() };
    for asked in [firmware(), client(BootProgram::HttpFirmware), ipxe()] {
        assert_eq!(decide(&asked, &proxy, NOW).answer, BootGrant::NoBootData);
    }
    assert_eq!(decide(&ipxe(), &DecisionFacts::default(), NOW).answer, BootGrant::ScriptUrl);
}

/// The facts of a machine whose bootenv names the chain `debian`, on a server with these loaders.
fn loaders(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const USUAL: [&str; 2] = ["snponly.efi", "undionly.kpxe"];
const DEBIAN: [&str; 3] = ["debian/shimx64.efi", "debian/grubx64.efi", "debian/efi.img"];

fn bios() -> BootQuestion {
    let BootQuestion::BootData(known) = firmware() else { unreachable!() };
    BootQuestion::BootData(NetbootClient { arches: vec![0], ..known })
}

#[test]
fn a_loader_that_the_bootenv_names_and_that_is_not_there_is_a_screen_of_the_usual_one() {
    let (machine, mut bootenv) = (armed(), install());
    let chosen = |bootenv: &mut Stored<Bootenv>, name: &str| {
        bootenv.spec.arches.values_mut().for_each(|files| files.loader = Some(name.into()));
    };
    let there = loaders(&[&USUAL[..], &["pxelinux.0", "grubx64.efi"]].concat());
    let answer = |bootenv: &Stored<Bootenv>, asked: &BootQuestion| {
        decide(asked, &DecisionFacts { loaders: Some(&there), ..facts(&machine, bootenv) }, NOW).answer
    };
    chosen(&mut bootenv, "syslinux.efi");
    assert_eq!(answer(&bootenv, &BootQuestion::Script), BootGrant::ScreenScript);
    let usual = BootGrant::Loader { name: "snponly.efi".into() };
    assert_eq!(answer(&bootenv, &firmware()), usual);
    chosen(&mut bootenv, "grubx64.efi");
    assert_eq!(answer(&bootenv, &firmware()), BootGrant::Loader { name: "grubx64.efi".into() });
    assert_eq!(answer(&bootenv, &bios()), BootGrant::Loader { name: "undionly.kpxe".into() });
    let with_disk = loaders(&[&USUAL[..], &DEBIAN, &["grubx64.efi"]].concat());
    let facts = DecisionFacts { loaders: Some(&with_disk), ..facts(&machine, &bootenv) };
    let over_http = decide(&client(BootProgram::HttpFirmware), &facts, NOW).answer;
    assert_eq!(
        over_http,
        BootGrant::LoaderUrl { name: "debian/efi.img".into(), over: LoaderTransport::Http }
    );
    chosen(&mut bootenv, "pxelinux.0");
    assert_eq!(answer(&bootenv, &bios()), BootGrant::Loader { name: "pxelinux.0".into() });
    assert_eq!(answer(&bootenv, &firmware()), usual, "UEFI does not start it");
}

#[test]
fn a_class_that_wants_https_gets_it_or_nothing_and_is_named() {
    let (machine, bootenv) = (armed(), install());
    let loaders = BTreeSet::from(["snponly.efi".to_owned()]);
    let on = DecisionFacts { serves_https: true, loaders: Some(&loaders), ..facts(&machine, &bootenv) };
    let off = DecisionFacts { serves_https: false, ..on.clone() };
    let asked = |stage, file: Option<&str>| {
        let BootQuestion::BootData(mut client) = client(stage) else { panic!("a client") };
        client.quirks.https = Some("tls-only".to_owned());
        if let Some(file) = file {
            client.quirks.first_file = FirstFile::File(file.to_owned());
        }
        BootQuestion::BootData(client)
    };
    let answer = |asked: &BootQuestion, facts: &DecisionFacts<'_>| decide(asked, facts, NOW).answer;
    let (loader, file) =
        (asked(BootProgram::HttpFirmware, None), asked(BootProgram::HttpFirmware, Some("own/x.efi")));
    let url = BootGrant::LoaderUrl { name: "snponly.efi".into(), over: LoaderTransport::Https };
    assert_eq!(answer(&loader, &on), url);
    let over = LoaderTransport::Https;
    assert_eq!(answer(&file, &on), BootGrant::BootFile { file: "own/x.efi".into(), over });
    for asked in [&loader, &file] {
        let decision = decide(asked, &off, NOW);
        assert_eq!(decision.answer, BootGrant::NoBootData, "never plain HTTP in its place");
        let told = &decision.trace.last().unwrap().detail;
        assert!(told.contains("class tls-only") && told.contains("--boot-https"), "{told}");
    }
    // A URL of another server needs no listener here, and neither does a client that does not boot over HTTP.
    let other = asked(BootProgram::HttpFirmware, Some("https://h/x.efi"));
    assert!(matches!(answer(&other, &off), BootGrant::BootFile { .. }));
    assert_eq!(
        answer(&asked(BootProgram::Firmware, None), &off),
        BootGrant::Loader { name: "snponly.efi".into() }
    );
}
