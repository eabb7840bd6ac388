//! Every rule of the decision, as a table of small worlds.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use super::*;
use crate::model::{BootFiles, PresentRun};
use crate::netboot::decide::client::{Features, FirstFile, Quirks};

mod menu;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn machine() -> Stored<Machine> {
    let spec = Machine {
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
        os: None,
        arches: BTreeMap::from([(Arch::Amd64, files)]),
        boot_params: String::new(),
        templates: vec![],
        required_params: vec![],
        description: String::new(),
    };
    Stored::new("debian-12-install".into(), spec, NOW)
}

fn facts<'a>(machine: &'a Stored<Machine>, bootenv: &'a Stored<Bootenv>) -> Facts<'a> {
    Facts {
        machine: Some(machine),
        bootenv: Some(bootenv),
        bootenv_name: Some(&bootenv.spec.name),
        ..Facts::default()
    }
}

fn client(stage: Stage) -> Asked {
    let code = if stage == Stage::HttpFirmware { 16 } else { 7 };
    Asked::BootData(Client { stage, arches: vec![code], uuid: None, vendor: None, quirks: Quirks::default() })
}

fn ipxe() -> Asked {
    client(Stage::Ipxe(Features { http: true, ..Features::default() }))
}

fn every_boot_question() -> Vec<Asked> {
    let file = |file| Asked::MachineFile { attempt: Uuid::nil(), file };
    vec![
        client(Stage::Firmware),
        client(Stage::HttpFirmware),
        ipxe(),
        Asked::Loader,
        Asked::Script,
        file(MachineFile::Script),
        file(MachineFile::Kernel),
        file(MachineFile::Answer),
        Asked::InstallKernel(owners(&["debian-12-install"], &[])),
    ]
}

fn owners(destructive: &[&str], harmless: &[&str]) -> Owners {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    Owners { destructive: names(destructive), harmless: names(harmless) }
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
        server: None,
        bootenv: Some("debian-12-install".into()),
        step: Some(0),
        kernel_fetched_at: kernel_fetched,
        deadline: None,
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
                matches!(decision.answer, Answer::NoBootData | Answer::LocalScript | Answer::Deny),
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
    let decision = decide(&client(Stage::Firmware), &facts(&machine, &bootenv), NOW);
    assert!(matches!(decision.verdict, Verdict::LocalDisk { .. }));
}

#[test]
fn an_armed_machine_gets_what_fits_its_stage() {
    let (mut machine, bootenv) = (armed(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Firmware, None));
    let expected = [
        Answer::Loader { name: "snponly.efi".into() },
        Answer::LoaderUrl { name: "snponly.efi".into(), over: Transport::Http },
        Answer::ScriptUrl,
        Answer::Serve,
        Answer::BootScript,
        Answer::BootScript,
        Answer::Serve,
        Answer::Serve,
        Answer::Serve,
    ];
    for (asked, expected) in every_boot_question().iter().zip(expected) {
        assert_eq!(decide(asked, &facts(&machine, &bootenv), NOW).answer, expected, "{asked:?}");
    }
    let system = decide(&client(Stage::Other), &facts(&machine, &bootenv), NOW);
    assert_eq!(system.answer, Answer::NoBootData);
}

#[test]
fn the_attempt_that_used_the_arming_keeps_its_files_and_a_new_power_on_gets_the_disk() {
    let (mut machine, bootenv) = (running(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Kernel, Some(NOW)));
    let facts = facts(&machine, &bootenv);
    let own = Asked::MachineFile { attempt: Uuid::nil(), file: MachineFile::Answer };
    assert_eq!(decide(&own, &facts, NOW).answer, Answer::Serve);
    let other = Asked::MachineFile { attempt: Uuid::max(), file: MachineFile::Answer };
    assert_eq!(decide(&other, &facts, NOW).answer, Answer::Deny);
    let power_on = decide(&client(Stage::Firmware), &facts, NOW);
    assert_eq!(power_on.answer, Answer::NoBootData);
    assert!(power_on.verdict.reason().contains("attempt 3"), "{}", power_on.verdict.reason());
}

#[test]
fn a_loader_whose_download_broke_off_may_ask_again_until_the_answer_file_was_read() {
    let (mut machine, bootenv) = (running(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Kernel, Some(NOW)));
    assert_eq!(decide(&Asked::Script, &facts(&machine, &bootenv), NOW).answer, Answer::BootScript);
    machine.status.boot_attempt = Some(attempt(BootProgress::System, Some(NOW)));
    assert_eq!(decide(&Asked::Script, &facts(&machine, &bootenv), NOW).answer, Answer::LocalScript);
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
        assert_eq!(decision.answer, Answer::NoBootData, "{:?}", decision.verdict);
    }
}

#[test]
fn a_pause_lets_the_installer_that_is_under_way_go_on() {
    let (mut machine, bootenv) = (running(), install());
    machine.status.boot_attempt = Some(attempt(BootProgress::Kernel, Some(NOW)));
    machine.status.run.as_mut().unwrap().paused = true;
    let own = Asked::MachineFile { attempt: Uuid::nil(), file: MachineFile::Answer };
    assert_eq!(decide(&own, &facts(&machine, &bootenv), NOW).answer, Answer::Serve);
    machine.status.state = MachineState::Held;
    assert_eq!(
        decide(&own, &facts(&machine, &bootenv), NOW).answer,
        Answer::Serve,
        "paused at one of its tasks"
    );
    machine.status.run.as_mut().unwrap().paused = false;
    assert_ne!(
        decide(&own, &facts(&machine, &bootenv), NOW).answer,
        Answer::Serve,
        "held for another reason"
    );
}

#[test]
fn what_cannot_be_carried_out_is_a_screen_that_says_why() {
    let machine = armed();
    let mut bootenv = install();
    let mut unusable = facts(&machine, &bootenv);
    unusable.unusable = Some("artifact debian-12-amd64 is missing".into());
    let decision = decide(&Asked::Script, &unusable, NOW);
    assert_eq!(decision.answer, Answer::ScreenScript);
    assert!(decision.verdict.reason().contains("debian-12-amd64"));
    bootenv.spec.arches.clear();
    assert_eq!(decide(&Asked::Script, &facts(&machine, &bootenv), NOW).answer, Answer::ScreenScript);
    let gone = Facts { bootenv_name: Some("x"), machine: Some(&machine), ..Facts::default() };
    assert_eq!(decide(&Asked::Script, &gone, NOW).answer, Answer::ScreenScript);
}

#[test]
fn firmware_of_another_architecture_is_told_so() {
    let (machine, bootenv) = (armed(), install());
    let mut facts = facts(&machine, &bootenv);
    facts.client_arch = Some(Arch::Arm64);
    assert_eq!(decide(&Asked::Script, &facts, NOW).answer, Answer::ScreenScript);
    facts.client_arch = Some(Arch::I386);
    assert_eq!(decide(&Asked::Script, &facts, NOW).answer, Answer::BootScript);
}

#[test]
fn a_loader_that_is_not_installed_is_not_offered_and_the_trace_names_it() {
    let (machine, bootenv) = (armed(), install());
    let mut facts = facts(&machine, &bootenv);
    let none = BTreeSet::new();
    facts.loaders = Some(&none);
    let decision = decide(&client(Stage::Firmware), &facts, NOW);
    assert_eq!(decision.answer, Answer::NoBootData);
    assert!(decision.trace.iter().any(|rule| rule.detail.contains("snponly.efi is not installed")));
}

#[test]
fn an_architecture_nobody_knows_gets_an_address_only() {
    let (machine, bootenv) = (armed(), install());
    let Asked::BootData(known) = client(Stage::Firmware) else { unreachable!() };
    let asked = Asked::BootData(Client { arches: vec![0x7777], ..known });
    let decision = decide(&asked, &facts(&machine, &bootenv), NOW);
    assert_eq!(decision.answer, Answer::NoBootData);
    assert!(decision.trace.iter().any(|rule| rule.detail.contains("0x7777")), "{:?}", decision.trace);
}

#[test]
fn unknown_machines_get_what_the_setting_says() {
    let ask = |setting, asked: &Asked| {
        let facts = Facts { unknown_machine: setting, ..Facts::default() };
        decide(asked, &facts, NOW).answer
    };
    use UnknownMachine::*;
    assert_eq!(ask(Ignore, &ipxe()), Answer::NoBootData);
    assert_eq!(ask(Ignore, &Asked::Script), Answer::Deny);
    assert_eq!(ask(Local, &client(Stage::Firmware)), Answer::NoBootData);
    assert_eq!(ask(Local, &ipxe()), Answer::ScriptUrl);
    assert_eq!(ask(Local, &Asked::Script), Answer::LocalScript);
    assert_eq!(ask(Discover, &client(Stage::Firmware)), Answer::NoBootData);
}

#[test]
fn a_subnet_for_addresses_only_gives_no_boot_data_even_to_an_armed_machine() {
    let (machine, bootenv) = (armed(), install());
    let mut facts = facts(&machine, &bootenv);
    facts.subnet_mode = Some(SubnetMode::AddressOnly);
    assert_eq!(decide(&client(Stage::Firmware), &facts, NOW).answer, Answer::NoBootData);
}

#[test]
fn the_trace_ends_with_what_settled_it() {
    let (machine, bootenv) = (armed(), install());
    let decision = decide(&Asked::Script, &facts(&machine, &bootenv), NOW);
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
    let ask = |xid| Ask { xid, loader: "ipxe.efi".into(), at: NOW, served: true };
    let incomplete = client(Stage::Ipxe(Features::default()));
    for (asks, stops) in [(0, false), (2, false), (3, true)] {
        let asks: Vec<Ask> = (0..asks).map(ask).collect();
        let decision = decide(&incomplete, &Facts { asks: &asks, ..facts(&machine, &bootenv) }, NOW);
        assert_eq!(decision.answer == Answer::NoBootData, stops, "{decision:#?}");
        let rule = decision.trace.iter().find(|rule| rule.rule == "chainload");
        assert_eq!(rule.is_some_and(|rule| rule.detail.contains("ipxe.efi")), stops);
        // Others, and the script, are none of it.
        let facts = Facts { asks: &asks, ..facts(&machine, &bootenv) };
        assert_eq!(decide(&ipxe(), &facts, NOW).answer, Answer::ScriptUrl);
        let firmware = decide(&client(Stage::Firmware), &facts, NOW).answer;
        assert_eq!(firmware, Answer::Loader { name: "snponly.efi".into() });
    }
}

#[test]
fn in_a_proxy_subnet_an_unknown_machine_hears_nothing_of_us() {
    let proxy = Facts { subnet_mode: Some(SubnetMode::Proxy), ..Facts::default() };
    for asked in [client(Stage::Firmware), client(Stage::HttpFirmware), ipxe()] {
        assert_eq!(decide(&asked, &proxy, NOW).answer, Answer::NoBootData);
    }
    assert_eq!(decide(&ipxe(), &Facts::default(), NOW).answer, Answer::ScriptUrl);
}

/// Facts of a machine whose bootenv names the chain `debian`, on a server with these loaders.
fn secure<'a>(facts: Facts<'a>, loaders: &'a BTreeSet<String>, wanted: SecureBoot) -> Facts<'a> {
    Facts { loaders: Some(loaders), secure_boot: wanted, ..facts }
}

fn loaders(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

const USUAL: [&str; 2] = ["snponly.efi", "undionly.kpxe"];
const DEBIAN: [&str; 3] = ["debian/shimx64.efi", "debian/grubx64.efi", "debian/efi.img"];

fn signed_install() -> Stored<Bootenv> {
    let mut bootenv = install();
    bootenv.spec.arches.values_mut().for_each(|files| files.secure_boot = Some("debian".into()));
    bootenv
}

fn bios() -> Asked {
    let Asked::BootData(known) = client(Stage::Firmware) else { unreachable!() };
    Asked::BootData(Client { arches: vec![0], ..known })
}

#[test]
fn secure_boot_begins_with_the_signed_loaders_of_the_bootenv() {
    let (machine, bootenv) = (armed(), signed_install());
    let there = loaders(&[&USUAL[..], &DEBIAN].concat());
    for wanted in [SecureBoot::Preferred, SecureBoot::Required] {
        let facts = secure(facts(&machine, &bootenv), &there, wanted);
        let answer = |asked: &Asked| decide(asked, &facts, NOW).answer;
        assert_eq!(answer(&client(Stage::Firmware)), Answer::Loader { name: "debian/shimx64.efi".into() });
        let over_http = Answer::LoaderUrl { name: "debian/efi.img".into(), over: Transport::Http };
        assert_eq!(answer(&client(Stage::HttpFirmware)), over_http);
        assert_eq!(answer(&bios()), Answer::Loader { name: "undionly.kpxe".into() }, "a BIOS checks nothing");
        assert_eq!(answer(&ipxe()), Answer::ScriptUrl);
        assert_eq!(answer(&Asked::Script), Answer::BootScript);
    }
    let off = secure(facts(&machine, &bootenv), &there, SecureBoot::Off);
    let answer = decide(&client(Stage::Firmware), &off, NOW).answer;
    assert_eq!(answer, Answer::Loader { name: "snponly.efi".into() });
}

#[test]
fn another_distributions_loaders_show_a_screen_and_boot_nothing() {
    let (machine, mut bootenv) = (armed(), signed_install());
    bootenv.spec.arches.values_mut().for_each(|files| files.secure_boot = Some("rocky".into()));
    let there = loaders(&[&USUAL[..], &DEBIAN].concat());
    let required = secure(facts(&machine, &bootenv), &there, SecureBoot::Required);
    let decision = decide(&client(Stage::Firmware), &required, NOW);
    assert_eq!(decision.answer, Answer::Loader { name: "debian/shimx64.efi".into() });
    let screen = decide(&Asked::Script, &required, NOW);
    assert_eq!(screen.answer, Answer::ScreenScript);
    assert!(screen.verdict.reason().contains("loaders/rocky/"), "{:?}", screen.verdict);
    let preferred = secure(facts(&machine, &bootenv), &there, SecureBoot::Preferred);
    let decision = decide(&client(Stage::Firmware), &preferred, NOW);
    assert_eq!(decision.answer, Answer::Loader { name: "snponly.efi".into() });
    assert!(decision.trace.iter().any(|rule| rule.detail.contains("refuses the usual loader")));
}

#[test]
fn without_any_signed_loader_a_machine_that_requires_them_gets_none() {
    let (machine, bootenv) = (armed(), signed_install());
    let there = loaders(&USUAL);
    let required = secure(facts(&machine, &bootenv), &there, SecureBoot::Required);
    let decision = decide(&client(Stage::Firmware), &required, NOW);
    assert_eq!(decision.answer, Answer::NoBootData);
    let rule = decision.trace.iter().find(|rule| rule.rule == "loader" && rule.matched).unwrap();
    assert!(rule.detail.contains("shimx64.efi and grubx64.efi"), "{}", rule.detail);
}

#[test]
fn a_loader_that_the_bootenv_names_and_that_is_not_there_is_a_screen_of_the_usual_one() {
    let (machine, mut bootenv) = (armed(), install());
    let chosen = |bootenv: &mut Stored<Bootenv>, name: &str| {
        bootenv.spec.arches.values_mut().for_each(|files| files.loader = Some(name.into()));
    };
    let there = loaders(&[&USUAL[..], &["pxelinux.0", "grubx64.efi"]].concat());
    let answer = |bootenv: &Stored<Bootenv>, asked: &Asked| {
        decide(asked, &Facts { loaders: Some(&there), ..facts(&machine, bootenv) }, NOW).answer
    };
    chosen(&mut bootenv, "syslinux.efi");
    assert_eq!(answer(&bootenv, &Asked::Script), Answer::ScreenScript);
    let usual = Answer::Loader { name: "snponly.efi".into() };
    assert_eq!(answer(&bootenv, &client(Stage::Firmware)), usual);
    chosen(&mut bootenv, "grubx64.efi");
    assert_eq!(answer(&bootenv, &client(Stage::Firmware)), Answer::Loader { name: "grubx64.efi".into() });
    assert_eq!(answer(&bootenv, &bios()), Answer::Loader { name: "undionly.kpxe".into() });
    let with_disk = loaders(&[&USUAL[..], &DEBIAN, &["grubx64.efi"]].concat());
    let facts = Facts { loaders: Some(&with_disk), ..facts(&machine, &bootenv) };
    let over_http = decide(&client(Stage::HttpFirmware), &facts, NOW).answer;
    assert_eq!(over_http, Answer::LoaderUrl { name: "debian/efi.img".into(), over: Transport::Http });
    chosen(&mut bootenv, "pxelinux.0");
    assert_eq!(answer(&bootenv, &bios()), Answer::Loader { name: "pxelinux.0".into() });
    assert_eq!(answer(&bootenv, &client(Stage::Firmware)), usual, "UEFI does not start it");
}

#[test]
fn a_class_that_wants_https_gets_it_or_nothing_and_is_named() {
    let (machine, bootenv) = (armed(), install());
    let loaders = BTreeSet::from(["snponly.efi".to_owned()]);
    let on = Facts { serves_https: true, loaders: Some(&loaders), ..facts(&machine, &bootenv) };
    let off = Facts { serves_https: false, ..on.clone() };
    let asked = |stage, file: Option<&str>| {
        let Asked::BootData(mut client) = client(stage) else { panic!("a client") };
        client.quirks.https = Some("tls-only".to_owned());
        if let Some(file) = file {
            client.quirks.first_file = FirstFile::File(file.to_owned());
        }
        Asked::BootData(client)
    };
    let answer = |asked: &Asked, facts: &Facts<'_>| decide(asked, facts, NOW).answer;
    let (loader, file) = (asked(Stage::HttpFirmware, None), asked(Stage::HttpFirmware, Some("own/x.efi")));
    let url = Answer::LoaderUrl { name: "snponly.efi".into(), over: Transport::Https };
    assert_eq!(answer(&loader, &on), url);
    let over = Transport::Https;
    assert_eq!(answer(&file, &on), Answer::BootFile { file: "own/x.efi".into(), over });
    for asked in [&loader, &file] {
        let decision = decide(asked, &off, NOW);
        assert_eq!(decision.answer, Answer::NoBootData, "never plain HTTP in its place");
        let told = &decision.trace.last().unwrap().detail;
        assert!(told.contains("class tls-only") && told.contains("--boot-https"), "{told}");
    }
    // A URL of somebody else's needs no listener of ours, nor does what does not boot over HTTP.
    let other = asked(Stage::HttpFirmware, Some("https://h/x.efi"));
    assert!(matches!(answer(&other, &off), Answer::BootFile { .. }));
    assert_eq!(answer(&asked(Stage::Firmware, None), &off), Answer::Loader { name: "snponly.efi".into() });
}
