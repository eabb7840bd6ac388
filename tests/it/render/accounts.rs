//! The accounts of a new system: the built-in script, run on a made-up root in the installers' shells.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::content::Case;

/// The shell of Debian's installer (busybox), and a shell that knows only POSIX.
pub const SHELLS: [&[&str]; 2] = [&["/bin/sh"], &["busybox", "sh"]];

/// The programs of the new system. Each fails where the real one does: `useradd` where a group has the name
/// of the account, `usermod` where a group is not there.
const STUBS: &str = r#"
chroot() (
    shift
    program=$1
    shift
    passwd=$root/etc/passwd
    group=$root/etc/group
    case $program in
    getent) grep "^$2:" "$root/etc/$1" ;;
    groupadd) echo "$2:x:900:" >>"$group" ;;
    useradd)
        for name; do :; done
        case " $* " in
        *" --gid $name "*) ;;
        *) ! grep "^$name:" "$group" >&2 || exit 9 ;;
        esac
        echo "$name:x:1000:1000:$5:/home/$name:/bin/bash" >>"$passwd"
        mkdir -p "$root/home/$name"
        ;;
    usermod)
        for name; do :; done
        case $1 in
        --append) grep -q "^$3:" "$group" || exit 6
            sed "s/^\($3:.*:\)\(.*\)/\1\2 $name/" "$group" >"$group.new" && mv "$group.new" "$group" ;;
        --shell) sed "s|^\($name:.*:\).*|\1$2|" "$passwd" >"$passwd.new" && mv "$passwd.new" "$passwd" ;;
        --home) sed "s|^\($name:.*:\).*\(:.*\)|\1$2\2|" "$passwd" >"$passwd.new" &&
            mv "$passwd.new" "$passwd" ;;
        *) exit 2 ;;
        esac
        ;;
    chpasswd) cat >>"$root/etc/shadow" ;;
    chown) echo "$*" >>"$root/owners" ;;
    *) echo "no program $program" >&2 && exit 127 ;;
    esac
)
"#;

const PASSWD: &str = "\
root:x:0:0:root:/root:/bin/bash
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
operator:x:11:0:operator:/root:/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
";
const GROUPS: &str = "root:x:0:\nadm:x:4:\nstaff:x:50:\n";

/// The files of the new system that its accounts are in.
struct NewSystem(TempDir);

impl NewSystem {
    /// The system after the script, which must do the same in each shell.
    fn with(params: &Value) -> NewSystem {
        let script = Case::booting("rocky-9-install", params.clone()).template("snippets/shell/users.sh");
        let [first, second] = SHELLS.map(|shell| NewSystem::made(shell, &script));
        for file in ["etc/passwd", "etc/group", "etc/shadow", "owners"] {
            assert_eq!(first.read(file), second.read(file), "{file}");
        }
        first
    }

    fn made(shell: &[&str], script: &str) -> NewSystem {
        let system = NewSystem(TempDir::new().unwrap());
        for folder in ["etc", "root", "var/backups"] {
            fs::create_dir_all(system.path().join(folder)).unwrap();
        }
        for (file, text) in [("passwd", PASSWD), ("group", GROUPS)] {
            fs::write(system.path().join("etc").join(file), text).unwrap();
        }
        let script = format!("set -eu\n{STUBS}\n{script}");
        let done = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", &script])
            .env("root", system.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{shell:?} {:?}: {said}", done.status.code());
        system
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path().join(file)).unwrap_or_default()
    }

    /// The line of an account or group.
    fn line(&self, file: &str, name: &str) -> String {
        let start = format!("{name}:");
        let text = self.read(file);
        text.lines().find(|line| line.starts_with(&start)).unwrap_or_default().to_owned()
    }
}

#[test]
fn a_group_that_is_not_there_is_made_and_one_that_is_there_is_joined() {
    let users = json!([{"name": "ada", "groups": ["adm", "docker"]}, {"name": "bob", "groups": ["docker"]}]);
    let system = NewSystem::with(&json!({"users": users}));
    assert_eq!(system.line("etc/group", "adm"), "adm:x:4: ada");
    assert_eq!(system.line("etc/group", "docker"), "docker:x:900: ada bob");
}

#[test]
fn a_group_with_the_name_of_an_account_becomes_its_own() {
    let system = NewSystem::with(&json!({"users": [{"name": "staff", "full_name": "It's staff"}]}));
    assert_eq!(system.line("etc/passwd", "staff"), "staff:x:1000:1000:It's staff:/home/staff:/bin/bash");
}

#[test]
fn keys_go_to_the_home_that_the_system_names() {
    let keyed = |name: &str| json!({"name": name, "ssh_keys": [format!("ssh-ed25519 AAAA {name}")]});
    let users: Vec<Value> = ["root", "backup", "operator", "nobody", "ada"].map(keyed).to_vec();
    let system = NewSystem::with(&json!({ "users": users }));
    for (name, home) in [
        ("root", "root"),
        ("backup", "var/backups"),
        // Its home was that of root.
        ("operator", "home/operator"),
        ("nobody", "home/nobody"),
        ("ada", "home/ada"),
    ] {
        let keys = system.read(&format!("{home}/.ssh/authorized_keys"));
        assert_eq!(keys, format!("ssh-ed25519 AAAA {name}\n"), "{name}");
        assert!(system.read("owners").contains(&format!("-R {name}: /{home}/.ssh\n")), "{name}");
        assert!(system.line("etc/passwd", name).ends_with(&format!(":/{home}:/bin/bash")), "{name}");
    }
}

#[test]
fn a_service_that_nobody_logs_in_to_stays_as_the_system_made_it() {
    let system = NewSystem::with(&json!({"users": [{"name": "backup", "groups": ["adm"]}]}));
    assert!(system.read("etc/passwd").starts_with(PASSWD));
    assert_eq!(system.line("etc/group", "adm"), "adm:x:4: backup");
}

#[test]
fn sudo_without_a_password_needs_a_key() {
    let rule = |params: Value, name: &str| {
        NewSystem::with(&params).read(&format!("etc/sudoers.d/{name}")).trim_end().to_owned()
    };
    assert_eq!(rule(json!({}), "admin"), "admin ALL=(ALL:ALL) ALL");
    let keys = json!({"ssh_keys": ["ssh-ed25519 AAAA x"]});
    assert_eq!(rule(keys, "admin"), "admin ALL=(ALL:ALL) NOPASSWD: ALL");
    let both = json!({"ssh_keys": ["ssh-ed25519 AAAA x"], "user_passwords": {"admin": "secret"}});
    assert_eq!(rule(both, "admin"), "admin ALL=(ALL:ALL) ALL");
    let locked = json!({"ssh_keys": ["ssh-ed25519 AAAA x"], "user_passwords": {"admin": "!"}});
    assert_eq!(rule(locked, "admin"), "admin ALL=(ALL:ALL) NOPASSWD: ALL");
}

#[test]
fn a_star_or_exclamation_mark_locks_and_is_never_the_password() {
    let users = json!([{"name": "ada"}, {"name": "bob"}, {"name": "eve"}]);
    let passwords = json!({"ada": "*", "bob": "!", "eve": "!secret"});
    let system = NewSystem::with(&json!({"users": users, "user_passwords": passwords}));
    assert_eq!(system.line("etc/shadow", "ada"), "ada:*");
    assert_eq!(system.line("etc/shadow", "bob"), "bob:!");
    assert!(system.line("etc/shadow", "eve").starts_with("eve:$6$"), "a password may begin with a mark");
    for mark in ["*", "!", "!!"] {
        let params = json!({"root_password": mark});
        let (_, kickstart) = Case::booting("rocky-9-install", params.clone()).answer_file();
        assert!(kickstart.contains("\nrootpw --lock\n"), "{mark}: {kickstart}");
        let (_, preseed) = Case::booting("debian-12-install", params).answer_file();
        // The installer takes a `!` for no answer, and would ask.
        assert!(preseed.contains("d-i passwd/root-password-crypted password *\n"), "{mark}: {preseed}");
    }
}

#[test]
fn a_password_for_nobody_is_refused_by_name() {
    for (bootenv, file) in [("debian-12-install", "preseed.cfg"), ("rocky-9-install", "rocky.ks")] {
        let refused = |name: &str| {
            let params = json!({"user_passwords": {name: "their secret"}, "root_password": "root's secret"});
            Case::booting(bootenv, params).refusal(file)
        };
        let why = refused("bob");
        assert!(why.contains("a password for bob") && why.contains("list it in `users`"), "{why}");
        assert!(!why.contains("secret`") && !why.contains("their secret"), "{why}");
        assert!(refused("root").contains("set `root_password`"), "{}", refused("root"));
    }
}
