//! The first file of a machine that starts with signed loaders.

use super::*;

fn secure<'a>(
    facts: DecisionFacts<'a>,
    loaders: &'a BTreeSet<String>,
    wanted: SecureBoot,
) -> DecisionFacts<'a> {
    DecisionFacts { loaders: Some(loaders), secure_boot: wanted, ..facts }
}

fn signed_install() -> Stored<Bootenv> {
    let mut bootenv = install();
    bootenv.spec.arches.values_mut().for_each(|files| files.secure_boot = Some("debian".into()));
    bootenv
}

#[test]
fn secure_boot_begins_with_the_signed_loaders_of_the_bootenv() {
    let (machine, bootenv) = (armed(), signed_install());
    let there = loaders(&[&USUAL[..], &DEBIAN].concat());
    for wanted in [SecureBoot::Preferred, SecureBoot::Required] {
        let facts = secure(facts(&machine, &bootenv), &there, wanted);
        let answer = |asked: &BootQuestion| decide(asked, &facts, NOW).answer;
        assert_eq!(answer(&firmware()), BootGrant::Loader { name: "debian/shimx64.efi".into() });
        let over_http = BootGrant::LoaderUrl { name: "debian/efi.img".into(), over: LoaderTransport::Http };
        assert_eq!(answer(&client(BootProgram::HttpFirmware)), over_http);
        assert_eq!(
            answer(&bios()),
            BootGrant::Loader { name: "undionly.kpxe".into() },
            "a BIOS checks nothing"
        );
        assert_eq!(answer(&ipxe()), BootGrant::ScriptUrl);
        assert_eq!(answer(&BootQuestion::Script), BootGrant::BootScript);
    }
    let off = secure(facts(&machine, &bootenv), &there, SecureBoot::Off);
    let answer = decide(&firmware(), &off, NOW).answer;
    assert_eq!(answer, BootGrant::Loader { name: "snponly.efi".into() });
}

#[test]
fn another_distributions_loaders_show_a_screen_and_boot_nothing() {
    let (machine, mut bootenv) = (armed(), signed_install());
    bootenv.spec.arches.values_mut().for_each(|files| files.secure_boot = Some("rocky".into()));
    let there = loaders(&[&USUAL[..], &DEBIAN].concat());
    let required = secure(facts(&machine, &bootenv), &there, SecureBoot::Required);
    let decision = decide(&firmware(), &required, NOW);
    assert_eq!(decision.answer, BootGrant::Loader { name: "debian/shimx64.efi".into() });
    let screen = decide(&BootQuestion::Script, &required, NOW);
    assert_eq!(screen.answer, BootGrant::ScreenScript);
    assert!(screen.verdict.reason().contains("loaders/rocky/"), "{:?}", screen.verdict);
    let preferred = secure(facts(&machine, &bootenv), &there, SecureBoot::Preferred);
    let decision = decide(&firmware(), &preferred, NOW);
    assert_eq!(decision.answer, BootGrant::Loader { name: "snponly.efi".into() });
    assert!(decision.trace.iter().any(|rule| rule.detail.contains("refuses the usual loader")));
}

#[test]
fn without_any_signed_loader_a_machine_that_requires_them_gets_none() {
    let (machine, bootenv) = (armed(), signed_install());
    let there = loaders(&USUAL);
    let required = secure(facts(&machine, &bootenv), &there, SecureBoot::Required);
    let decision = decide(&firmware(), &required, NOW);
    assert_eq!(decision.answer, BootGrant::NoBootData);
    let rule = decision.trace.iter().find(|rule| rule.rule == "loader" && rule.matched).unwrap();
    assert!(rule.detail.contains("shimx64.efi and grubx64.efi"), "{}", rule.detail);
}
