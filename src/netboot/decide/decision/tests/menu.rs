//! What a menu gives to an unknown machine, and what it never gives.

use super::*;

#[test]
fn a_menu_boots_what_does_no_harm_and_never_what_erases_disks() {
    let mut rescue = install();
    (rescue.spec.kind, rescue.spec.destructive) = (BootenvKind::Live, Some(false));
    rescue.spec.name = "rescue".into();
    let menu = DecisionFacts { unknown_machine: UnknownMachine::Menu, ..DecisionFacts::default() };
    let answer = |asked: &BootQuestion, facts: &DecisionFacts<'_>| decide(asked, facts, NOW).answer;
    assert_eq!(answer(&BootQuestion::Script, &menu), BootGrant::MenuScript);
    assert_eq!(answer(&ipxe(), &menu), BootGrant::ScriptUrl);
    assert_eq!(
        answer(&client(BootProgram::Firmware), &menu),
        BootGrant::Loader { name: "snponly.efi".into() }
    );
    let chosen = |bootenv| DecisionFacts { bootenv: Some(bootenv), bootenv_name: Some("x"), ..menu.clone() };
    assert_eq!(answer(&BootQuestion::Script, &chosen(&rescue)), BootGrant::BootScript);
    let erases = install();
    let screen = decide(&BootQuestion::Script, &chosen(&erases), NOW);
    assert_eq!(screen.answer, BootGrant::ScreenScript);
    assert!(screen.verdict.reason().contains("machines start"), "{:?}", screen.verdict);
    for asked in every_boot_question() {
        assert_eq!(decide(&asked, &chosen(&erases), NOW).verdict.bootenv(), None, "{asked:?}");
    }
    let broken = DecisionFacts { unusable: Some("its artifact is missing".into()), ..chosen(&rescue) };
    assert_eq!(answer(&BootQuestion::Script, &broken), BootGrant::ScreenScript);
    let gone = DecisionFacts { bootenv_name: Some("gone"), ..menu.clone() };
    assert_eq!(answer(&BootQuestion::Script, &gone), BootGrant::ScreenScript);
    let (machine, bootenv) = (running(), install());
    let known = DecisionFacts { unknown_machine: UnknownMachine::Menu, ..facts(&machine, &bootenv) };
    assert_eq!(answer(&BootQuestion::Script, &known), BootGrant::LocalScript, "a known machine has no menu");
}

#[test]
fn a_kernel_that_several_bootenvs_share_is_for_each_of_them() {
    let menu = DecisionFacts { unknown_machine: UnknownMachine::Menu, ..DecisionFacts::default() };
    let answer = |asked: &BootQuestion, facts: &DecisionFacts<'_>| decide(asked, facts, NOW).answer;
    let files = |owners: &ArtifactOwners| {
        [BootQuestion::InstallKernel(owners.clone()), BootQuestion::InstallInitrd(owners.clone())]
    };
    for asked in files(&owners(&["debian-12-install"], &["rescue"])) {
        assert_eq!(answer(&asked, &menu), BootGrant::Serve, "a rescue system may be chosen: {asked:?}");
        assert_eq!(
            answer(&asked, &DecisionFacts::default()),
            BootGrant::Deny,
            "without a menu nothing can: {asked:?}"
        );
    }
    for asked in files(&owners(&["debian-12-install"], &[])) {
        assert_eq!(answer(&asked, &menu), BootGrant::Deny, "nothing that erases: {asked:?}");
    }
    let (machine, bootenv) = (armed(), install());
    let facts = facts(&machine, &bootenv);
    let asked = BootQuestion::InstallKernel(owners(&["a-site's-own", "debian-12-install"], &[]));
    assert_eq!(answer(&asked, &facts), BootGrant::Serve);
    let asked = BootQuestion::InstallKernel(owners(&["a-site's-own"], &["rescue"]));
    assert_eq!(answer(&asked, &facts), BootGrant::Deny, "it is to boot another bootenv");
}
