//! What a menu gives to a machine that nobody knows, and what it never gives.

use super::*;

#[test]
fn a_menu_boots_what_does_no_harm_and_never_what_erases_disks() {
    let mut rescue = install();
    (rescue.spec.kind, rescue.spec.destructive) = (BootenvKind::Live, Some(false));
    rescue.spec.name = "rescue".into();
    let menu = Facts { unknown_machine: UnknownMachine::Menu, ..Facts::default() };
    let answer = |asked: &Asked, facts: &Facts<'_>| decide(asked, facts, NOW).answer;
    assert_eq!(answer(&Asked::Script, &menu), Answer::MenuScript);
    assert_eq!(answer(&ipxe(), &menu), Answer::ScriptUrl);
    assert_eq!(answer(&client(Stage::Firmware), &menu), Answer::Loader { name: "snponly.efi".into() });
    let chosen = |bootenv| Facts { bootenv: Some(bootenv), bootenv_name: Some("x"), ..menu.clone() };
    assert_eq!(answer(&Asked::Script, &chosen(&rescue)), Answer::BootScript);
    let erases = install();
    let screen = decide(&Asked::Script, &chosen(&erases), NOW);
    assert_eq!(screen.answer, Answer::ScreenScript);
    assert!(screen.verdict.reason().contains("machines start"), "{:?}", screen.verdict);
    for asked in every_boot_question() {
        assert_eq!(decide(&asked, &chosen(&erases), NOW).verdict.bootenv(), None, "{asked:?}");
    }
    let broken = Facts { unusable: Some("its artifact is missing".into()), ..chosen(&rescue) };
    assert_eq!(answer(&Asked::Script, &broken), Answer::ScreenScript);
    let gone = Facts { bootenv_name: Some("gone"), ..menu.clone() };
    assert_eq!(answer(&Asked::Script, &gone), Answer::ScreenScript);
    let (machine, bootenv) = (running(), install());
    let known = Facts { unknown_machine: UnknownMachine::Menu, ..facts(&machine, &bootenv) };
    assert_eq!(answer(&Asked::Script, &known), Answer::LocalScript, "a known machine has no menu");
}

#[test]
fn a_kernel_that_several_bootenvs_share_is_for_each_of_them() {
    let menu = Facts { unknown_machine: UnknownMachine::Menu, ..Facts::default() };
    let answer = |asked: &Asked, facts: &Facts<'_>| decide(asked, facts, NOW).answer;
    let files =
        |owners: &Owners| [Asked::InstallKernel(owners.clone()), Asked::InstallInitrd(owners.clone())];
    for asked in files(&owners(&["debian-12-install"], &["rescue"])) {
        assert_eq!(answer(&asked, &menu), Answer::Serve, "a rescue system may be chosen: {asked:?}");
        assert_eq!(answer(&asked, &Facts::default()), Answer::Deny, "without a menu nothing can: {asked:?}");
    }
    for asked in files(&owners(&["debian-12-install"], &[])) {
        assert_eq!(answer(&asked, &menu), Answer::Deny, "nothing that erases: {asked:?}");
    }
    let (machine, bootenv) = (armed(), install());
    let facts = facts(&machine, &bootenv);
    let asked = Asked::InstallKernel(owners(&["a-site's-own", "debian-12-install"], &[]));
    assert_eq!(answer(&asked, &facts), Answer::Serve);
    let asked = Asked::InstallKernel(owners(&["a-site's-own"], &["rescue"]));
    assert_eq!(answer(&asked, &facts), Answer::Deny, "it is to boot another bootenv");
}
