//! Every rule of the decision, as a table of small worlds.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::*;
use crate::boot::client::{Features, Quirks};
use crate::model::{BootFiles, Run};

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
    machine.status.run = Some(Run {
        id: Uuid::nil(),
        workflow: "install-debian-12".into(),
        started_at: NOW,
        ended_at: None,
        paused: false,
        rehearse: false,
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
    let files = BootFiles { artifact: "a".into(), kernel: "linux".into(), initrds: vec![], loader: None };
    let spec = Bootenv {
        name: "debian-12-install".into(),
        kind: BootenvKind::Install,
        destructive: true,
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
        Asked::InstallKernel { bootenv: "debian-12-install".into() },
    ]
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
        Answer::LoaderUrl { name: "snponly.efi".into(), http: true },
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
