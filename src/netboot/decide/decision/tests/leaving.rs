//! What a known machine gets that is to boot its disk.

use super::*;

fn leaves<'a>(machine: &'a Stored<Machine>, loaders: &'a BTreeSet<String>) -> DecisionFacts<'a> {
    let facts = DecisionFacts { machine: Some(machine), loaders: Some(loaders), ..DecisionFacts::default() };
    DecisionFacts { leave_by_loader: true, ..facts }
}

#[test]
fn uefi_leaves_for_its_disk_by_a_loader_over_tftp_and_http() {
    let (idle, there) = (machine(), loaders(&USUAL));
    let facts = leaves(&idle, &there);
    let answer = |asked: &BootQuestion| {
        let decision = decide(asked, &facts, NOW);
        assert!(matches!(decision.verdict, Verdict::LocalDisk { .. }), "{asked:?}");
        decision.answer
    };
    let name = || "snponly.efi".to_owned();
    assert_eq!(answer(&firmware()), BootGrant::Loader { name: name() });
    let url = BootGrant::LoaderUrl { name: name(), over: LoaderTransport::Http };
    assert_eq!(answer(&client(BootProgram::HttpFirmware)), url);
    assert_eq!(answer(&BootQuestion::Loader), BootGrant::Serve);
    assert_eq!(answer(&ipxe()), BootGrant::ScriptUrl);
    assert_eq!(answer(&BootQuestion::Script), BootGrant::LocalScript);
    assert_eq!(answer(&bios()), BootGrant::NoBootData, "a BIOS goes on by itself");
}

#[test]
fn a_loader_that_leaves_is_for_known_machines_and_for_the_setting() {
    let (idle, there) = (machine(), loaders(&USUAL));
    let off = DecisionFacts { leave_by_loader: false, ..leaves(&idle, &there) };
    let stranger = DecisionFacts { machine: None, ..leaves(&idle, &there) };
    let none = loaders(&[]);
    for facts in [off.clone(), stranger, leaves(&idle, &none)] {
        assert_eq!(decide(&firmware(), &facts, NOW).answer, BootGrant::NoBootData, "{facts:?}");
    }
    assert_eq!(decide(&BootQuestion::Loader, &off, NOW).answer, BootGrant::Deny);
    let BootQuestion::BootData(mut board) = firmware() else { unreachable!() };
    board.quirks.first_file = FirstFile::Server { menu: None };
    let board = BootQuestion::BootData(board);
    assert_eq!(decide(&board, &leaves(&idle, &there), NOW).answer, BootGrant::NoBootData);
}

#[test]
fn a_machine_that_must_have_signed_loaders_leaves_by_them_whatever_its_bootenv_names() {
    let (mut held, bootenv) = (armed(), install());
    held.status.state = MachineState::Held;
    let there = loaders(&[&USUAL[..], &DEBIAN].concat());
    let signed = DecisionFacts {
        bootenv: Some(&bootenv),
        bootenv_name: Some(&bootenv.spec.name),
        secure_boot: SecureBoot::Required,
        ..leaves(&held, &there)
    };
    let shim = BootGrant::Loader { name: "debian/shimx64.efi".into() };
    assert_eq!(decide(&firmware(), &signed, NOW).answer, shim);
    let preferred = DecisionFacts { secure_boot: SecureBoot::Preferred, ..signed.clone() };
    assert_eq!(decide(&firmware(), &preferred, NOW).answer, shim);
    let usual = loaders(&USUAL);
    let lacking = DecisionFacts { loaders: Some(&usual), ..signed };
    assert_eq!(decide(&firmware(), &lacking, NOW).answer, BootGrant::NoBootData);
}
