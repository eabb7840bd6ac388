//! The scripts of the loaders: screens that give the reason, and text that cannot become a command.

use metalwright::catalog::rendering::BootContext;
use metalwright::netboot::decide::namespace::ScriptKind;
use metalwright::netboot::documents::BootDocument;
use serde_json::json;

use super::content::{LOADERS, cases, in_a_run, known, menu, nobody, render};
use super::network::OPENING;

fn screen(boot: &BootContext, kind: ScriptKind, message: &str) -> String {
    render(boot, &BootDocument::Screen { kind, message: message.to_owned() })
}

/// The screen of each loader, with a reason of several lines and with special characters.
pub fn screens() -> Vec<(String, String)> {
    let reason = "the render of preseed.cfg failed:\n  it's \"${net0/mac}\" || $(x) && `y` ; #z \\ {";
    LOADERS.map(|kind| (kind.template("screen"), screen(&known(), kind, reason))).to_vec()
}

/// The scripts of loaders on an unknown machine.
pub fn strangers() -> Vec<(String, String)> {
    let given = [
        ("ipxe/identify.ipxe", BootDocument::Identify),
        ("ipxe/menu.ipxe", BootDocument::Menu(ScriptKind::Ipxe)),
    ];
    let given = given.map(|(name, document)| (name.to_owned(), render(&nobody(), &document)));
    given.into_iter().chain(LOADERS.map(|kind| (kind.template("unknown"), unknown(kind)))).collect()
}

fn unknown(kind: ScriptKind) -> String {
    let reason = "unknown machine, and unknown_machine is `local`".to_owned();
    render(&nobody(), &BootDocument::UnknownScript { kind, reason })
}

#[test]
fn the_console_of_an_unknown_machine_says_its_mac_and_the_reason_and_leaves_to_the_disk() {
    for (kind, mac) in [(ScriptKind::Ipxe, "${netX/mac}"), (ScriptKind::Grub, "$net_default_mac")] {
        let script = unknown(kind);
        assert!(script.contains(&format!("no machine is registered with the MAC {mac}")), "{script}");
    }
    for kind in LOADERS {
        let script = unknown(kind);
        assert!(script.contains("unknown_machine is `local`"), "{script}");
        assert!(script.contains("Metalwright: booting from the disk"), "{script}");
    }
}

#[test]
fn a_screen_says_what_is_wrong_and_where_to_look_and_tries_again() {
    for kind in LOADERS {
        let screen = screen(&known(), kind, "the artifact debian-12-amd64 is missing");
        for said in
            ["debian-12-amd64 is missing", "web1", "52:54:00:aa:00:01", "3", "metalwright timeline web1"]
        {
            assert!(screen.contains(said), "{kind:?} says {said}:\n{screen}");
        }
    }
    let again = |kind| screen(&known(), kind, "x");
    assert!(again(ScriptKind::Ipxe).starts_with("#!ipxe\n"));
    assert!(again(ScriptKind::Ipxe).contains(
        "sleep 30\nisset ${netX/ip} || ifconf ||\nchain --replace --autofree http://10.0.0.1:8080/"
    ));
    let waits = "if sleep 0; then\n  sleep --interruptible 30\n  configfile \"$config_file\"\nfi\nreboot";
    assert!(again(ScriptKind::Grub).trim_end().ends_with(waits));
    assert!(again(ScriptKind::Pxelinux).contains("TIMEOUT 300\n"));
    assert!(again(ScriptKind::Pxelinux).contains("CONFIG /pxelinux.cfg/01-52-54-00-aa-00-01\n"));
}

#[test]
fn a_screen_says_how_a_run_takes_mended_content() {
    for kind in LOADERS {
        let says = |boot: &BootContext| screen(boot, kind, "x").contains("machines retry web1 --refresh");
        assert!(says(&in_a_run()) && !says(&known()) && !says(&nobody()), "{kind:?}");
    }
}

#[test]
fn a_machine_nobody_knows_gets_a_screen_too() {
    for kind in LOADERS {
        let screen = screen(&nobody(), kind, "this network is not served");
        assert!(screen.contains("this network is not served") && screen.contains("not known"), "{screen}");
    }
}

#[test]
fn no_reason_can_become_a_command() {
    let reason =
        "it's \"${net0/mac}\" $(x) `x` \\ \n#!ipxe\nreboot\r\nKERNEL evil || reboot && reboot ; reboot";
    let said = |kind| screen(&known(), kind, reason);
    for kind in LOADERS {
        let calm = screen(&known(), kind, "calm\n2\n3\n4");
        assert_eq!(commands(&said(kind)), commands(&calm), "{kind:?}:\n{}", said(kind));
    }
    for line in said(ScriptKind::Ipxe).lines().filter(|line| line.starts_with("echo ")) {
        let text = line.strip_prefix("echo ").unwrap();
        assert!(text.starts_with("-- ") || !text.starts_with('-'), "iPXE takes it for an option: {line}");
        for word in ["${", " || ", " && ", " ; "] {
            assert!(!line.contains(word), "iPXE acts on {word} in: {line}");
        }
    }
    for line in said(ScriptKind::Grub).lines().filter_map(|line| line.strip_prefix("echo ")) {
        let outside = line.replace(r"'\''", "");
        assert!(outside.starts_with('\'') && outside.ends_with('\''), "one quoted word: {line}");
        assert!(!outside.trim_matches('\'').contains('\''), "one quoted word: {line}");
    }
}

/// The first word of each line.
fn commands(script: &str) -> Vec<&str> {
    script.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

#[test]
fn uefi_finds_its_initrds_by_name_and_nothing_is_left_from_before() {
    for case in cases().into_iter().filter(|case| case.is_install()) {
        let scripts = case.loader_scripts();
        let (_, ipxe) = scripts.iter().find(|(name, _)| name.starts_with("ipxe/")).unwrap();
        let initrds = ipxe.lines().filter_map(|line| line.strip_prefix("initrd --name ")?.split(' ').next());
        let kernel = ipxe.lines().find(|line| line.starts_with("kernel ")).unwrap();
        assert!(kernel.ends_with("|| goto failed"), "{kernel}");
        let mut seen = 0;
        for initrd in initrds {
            assert!(kernel.contains(&format!(" initrd={initrd} ")), "{kernel}");
            seen += 1;
        }
        assert_eq!(seen, 1);
        assert!(ipxe.find("\nimgfree ||\n").unwrap() < ipxe.find("\nkernel ").unwrap());
    }
}

#[test]
fn the_kernel_can_take_every_command_line() {
    for case in cases().into_iter().filter(|case| case.is_install()) {
        let cmdline = case.cmdline();
        assert!(cmdline.len() < 1024, "COMMAND_LINE_SIZE with room for a site's own: {}", cmdline.len());
        // Linux passes unknown words to init's environment; with more than 32 of them it panics.
        let words = cmdline.split(' ').filter(|word| *word != "---").count();
        assert!(words <= 28, "{words} words: {cmdline}");
        assert!(!cmdline.contains("= "), "a value is empty: {cmdline}");
    }
}

#[test]
fn the_disk_is_left_to_in_each_loaders_own_way() {
    let local = |kind| render(&known(), &BootDocument::LocalScript(kind));
    let ipxe = local(ScriptKind::Ipxe);
    assert!(ipxe.contains("sanboot --no-describe --drive 0x80 || exit\n") && ipxe.contains("exit 1\n"));
    let grub = local(ScriptKind::Grub);
    let at = |text: &str| grub.find(text).unwrap_or_else(|| panic!("{text} is not in:\n{grub}"));
    assert!(at("chainloader \"/EFI/$vendor/$name\"") < at("chainloader \"/EFI/$name\""));
    assert!(at("chainloader \"/EFI/$name\"") < at("exit 1\n"), "a disk is looked for first");
    assert!(local(ScriptKind::Pxelinux).contains("LOCALBOOT 0\n"));
}

#[test]
fn an_unknown_client_is_asked_who_it_is() {
    let script = render(&nobody(), &BootDocument::Identify);
    let chain = "chain --replace --autofree http://10.0.0.1:8080/boot.ipxe?mac=${netX/mac}&uuid=${uuid} ||";
    assert!(script.starts_with(&format!("#!ipxe\n{OPENING}\n{chain}\n")), "{script}");
}

#[test]
fn a_menu_begins_with_the_disk_and_leaves_to_it_by_itself() {
    let entries = json!([
        {"name": "rescue", "title": "rescue"},
        {"name": "site/evil", "title": "it's ${net0/mac} || reboot ; }"},
    ]);
    let ipxe = menu(ScriptKind::Ipxe, &entries);
    assert!(ipxe.starts_with(&format!("#!ipxe\n{OPENING}\nmenu ")), "{ipxe}");
    assert!(ipxe.contains("\nitem local Boot from the disk\nitem entry1 rescue\nitem entry2 "), "{ipxe}");
    assert!(ipxe.contains("\nchoose --default local --timeout 30000 chosen || goto local\n"), "{ipxe}");
    let chain = "chain --replace --autofree http://10.0.0.1:8080/menu/rescue/boot.ipxe?mac=${netX/mac}";
    assert!(ipxe.contains(&format!("\n:entry1\n{chain}")), "{ipxe}");
    assert!(ipxe.contains("\n:local\n") && ipxe.contains("sanboot --no-describe --drive 0x80 || exit"));
    let item = ipxe.lines().find(|line| line.starts_with("item entry2 ")).unwrap();
    assert!(!item.contains("${") && !item.contains(" || "), "{item}");

    let grub = menu(ScriptKind::Grub, &entries);
    assert!(grub.starts_with("set timeout=30\nset default=0\nmenuentry 'Boot from the disk' {"), "{grub}");
    assert!(grub.contains("menuentry 'rescue' {\n  configfile '/menu/rescue/grub.cfg'\n}"), "{grub}");
    assert!(grub.contains(r"menuentry 'it'\''s "), "{grub}");
    assert!(menu(ScriptKind::Pxelinux, &entries).contains("LOCALBOOT 0"));
}

#[test]
fn grub_on_a_disk_image_gets_an_address_and_reads_from_the_server() {
    let disk = render(&nobody(), &BootDocument::DiskStart);
    let at = |text: &str| disk.find(text).unwrap_or_else(|| panic!("{text} is not in:\n{disk}"));
    assert!(at("net_bootp") < at("set root=(tftp,10.0.0.1)\n"));
    assert!(at("set root=") < at("configfile \"(tftp,10.0.0.1)/grub/grub.cfg\"\n"));
}
