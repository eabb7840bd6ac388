//! The scripts of the loaders: screens that give the reason, and text that cannot become a command.

use serde_json::{Value, json};

use super::content::{cases, render};
use super::network::OPENING;

const LOADERS: [&str; 3] = ["ipxe/screen.ipxe", "grub/screen.cfg", "pxelinux/screen.cfg"];

fn variables(message: &str) -> Value {
    json!({
        "machine": {"name": "web1", "mac": "52:54:00:aa:00:01"},
        "server": {"address": "10.0.0.1", "http": "http://10.0.0.1:8080"},
        "boot": {"message": message, "attempt": 3, "firmware": "uefi", "loader": "ipxe"},
    })
}

/// The screen of each loader, with a reason of several lines and with special characters.
pub fn screens() -> Vec<(String, String)> {
    let reason = "the render of preseed.cfg failed:\n  it's \"${net0/mac}\" || $(x) && `y` ; #z \\ {";
    LOADERS.iter().map(|name| ((*name).to_owned(), render(name, &variables(reason)))).collect()
}

/// The scripts of iPXE on an unknown machine.
pub fn strangers() -> Vec<(String, String)> {
    let mut variables = variables("");
    variables.as_object_mut().unwrap().remove("machine");
    variables["menu"] = json!({"entries": [{"name": "rescue", "title": "rescue"}]});
    ["ipxe/identify.ipxe", "ipxe/menu.ipxe"].map(|name| (name.to_owned(), render(name, &variables))).to_vec()
}

#[test]
fn a_screen_says_what_is_wrong_and_where_to_look_and_tries_again() {
    for template in LOADERS {
        let screen = render(template, &variables("the artifact debian-12-amd64 is missing"));
        for said in
            ["debian-12-amd64 is missing", "web1", "52:54:00:aa:00:01", "3", "metalwright timeline web1"]
        {
            assert!(screen.contains(said), "{template} says {said}:\n{screen}");
        }
    }
    let again = |template| render(template, &variables("x"));
    assert!(again("ipxe/screen.ipxe").starts_with("#!ipxe\n"));
    assert!(again("ipxe/screen.ipxe").contains(
        "sleep 30\nisset ${netX/ip} || ifconf ||\nchain --replace --autofree http://10.0.0.1:8080/"
    ));
    assert!(again("grub/screen.cfg").contains("sleep --interruptible 30\nconfigfile \"$config_file\"\n"));
    assert!(again("pxelinux/screen.cfg").contains("TIMEOUT 300\n"));
    assert!(again("pxelinux/screen.cfg").contains("CONFIG ::pxelinux.cfg/01-52-54-00-aa-00-01\n"));
}

#[test]
fn a_machine_nobody_knows_gets_a_screen_too() {
    for template in LOADERS {
        let mut variables = variables("this network is not served");
        variables.as_object_mut().unwrap().remove("machine");
        let screen = render(template, &variables);
        assert!(screen.contains("this network is not served") && screen.contains("not known"), "{screen}");
    }
}

#[test]
fn no_reason_can_become_a_command() {
    let reason =
        "it's \"${net0/mac}\" $(x) `x` \\ \n#!ipxe\nreboot\r\nKERNEL evil || reboot && reboot ; reboot";
    let calm = |template: &str| render(template, &variables("calm\n2\n3\n4"));
    for template in LOADERS {
        let screen = render(template, &variables(reason));
        assert_eq!(commands(&screen), commands(&calm(template)), "{template}:\n{screen}");
    }
    let screen = render("ipxe/screen.ipxe", &variables(reason));
    for line in screen.lines().filter(|line| line.starts_with("echo ")) {
        let text = line.strip_prefix("echo ").unwrap();
        assert!(text.starts_with("-- ") || !text.starts_with('-'), "iPXE takes it for an option: {line}");
        for word in ["${", " || ", " && ", " ; "] {
            assert!(!line.contains(word), "iPXE acts on {word} in: {line}");
        }
    }
    let screen = render("grub/screen.cfg", &variables(reason));
    for line in screen.lines().filter_map(|line| line.strip_prefix("echo ")) {
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
        assert!(ipxe.find("\nimgfree\n").unwrap() < ipxe.find("\nkernel ").unwrap());
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
    let variables = variables("");
    let ipxe = render("ipxe/local.ipxe", &variables);
    assert!(ipxe.contains("sanboot --no-describe --drive 0x80 || exit\n") && ipxe.contains("exit 1\n"));
    let grub = render("grub/local.cfg", &variables);
    let at = |text: &str| grub.find(text).unwrap_or_else(|| panic!("{text} is not in:\n{grub}"));
    assert!(at("chainloader \"/EFI/$vendor/$name\"") < at("chainloader \"/EFI/$name\""));
    assert!(at("chainloader \"/EFI/$name\"") < at("exit 1\n"), "a disk is looked for first");
    assert!(render("pxelinux/local.cfg", &variables).contains("LOCALBOOT 0\n"));
}

#[test]
fn an_unknown_client_is_asked_who_it_is() {
    let script = render("ipxe/identify.ipxe", &variables(""));
    let chain = "chain --replace --autofree http://10.0.0.1:8080/boot.ipxe?mac=${netX/mac}&uuid=${uuid} ||";
    assert!(script.starts_with(&format!("#!ipxe\n{OPENING}\n{chain}\n")), "{script}");
}

#[test]
fn a_menu_begins_with_the_disk_and_leaves_to_it_by_itself() {
    let mut variables = variables("");
    variables.as_object_mut().unwrap().remove("machine");
    variables["menu"] = json!({"entries": [
        {"name": "rescue", "title": "rescue"},
        {"name": "site/evil", "title": "it's ${net0/mac} || reboot ; }"},
    ]});
    let ipxe = render("ipxe/menu.ipxe", &variables);
    assert!(ipxe.starts_with(&format!("#!ipxe\n{OPENING}\nmenu ")), "{ipxe}");
    assert!(ipxe.contains("\nitem local Boot from the disk\nitem entry1 rescue\nitem entry2 "), "{ipxe}");
    assert!(ipxe.contains("\nchoose --default local --timeout 30000 chosen || goto local\n"), "{ipxe}");
    let chain = "chain --replace --autofree http://10.0.0.1:8080/menu/rescue/boot.ipxe?mac=${netX/mac}";
    assert!(ipxe.contains(&format!("\n:entry1\n{chain}")), "{ipxe}");
    assert!(ipxe.contains("\n:local\n") && ipxe.contains("sanboot --no-describe --drive 0x80 || exit"));
    let item = ipxe.lines().find(|line| line.starts_with("item entry2 ")).unwrap();
    assert!(!item.contains("${") && !item.contains(" || "), "{item}");

    let grub = render("grub/menu.cfg", &variables);
    assert!(grub.starts_with("set timeout=30\nset default=0\nmenuentry 'Boot from the disk' {"), "{grub}");
    assert!(grub.contains("menuentry 'rescue' {\n  configfile '/menu/rescue/grub.cfg'\n}"), "{grub}");
    assert!(grub.contains(r"menuentry 'it'\''s "), "{grub}");
    assert!(render("pxelinux/menu.cfg", &variables).contains("LOCALBOOT 0"));
}

#[test]
fn grub_on_a_disk_image_gets_an_address_and_reads_from_the_server() {
    let disk = render("grub/disk.cfg", &variables(""));
    let at = |text: &str| disk.find(text).unwrap_or_else(|| panic!("{text} is not in:\n{disk}"));
    assert!(at("net_bootp") < at("set root=(tftp,10.0.0.1)\n"));
    assert!(at("set root=") < at("configfile \"(tftp,10.0.0.1)/grub/grub.cfg\"\n"));
}
