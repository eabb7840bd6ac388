//! The lists of all questions that the installers can ask (`tests/vectors/questions`), held against the
//! answers that are rendered for every kind of params.
//!
//! `METALWRIGHT_BLESS=1` writes `docs/operating/installer-questions.md` from the lists.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::content::Case;
use super::questions::{answers_in, unpacked_installer};

const PAGE: &str = "docs/operating/installer-questions.md";
const INTRODUCTION: &str = "\
# Questions of the installers

<!-- Made by METALWRIGHT_BLESS=1 from tests/vectors/questions. Change those instead. -->

An installation is unattended when every question has an answer before it comes. These are all
that the installers can ask; a test holds them against the answers for every kind of params.
What still comes is an error, and is reported as `boot.installer_asks` (Debian) or `boot.failed`
(Rocky). A preseed or kickstart of your own has to answer what this page says is answered.

| rule | meaning |
|---|---|
| `cmdline` | answered on the kernel's command line |
| `preseed`, `kickstart` | answered in the file of answers; `where`: only asked then |
| `script` | a script of the bootenv sees to it |
| `error` | comes when something failed |
| `silent` | comes before anything can be reported: the run is overdue |
| `menu` | comes only after somebody chose it at the console |
| `never` | does not come |
";

/// A question of a list.
struct Question {
    name: String,
    part: String,
    step: String,
    rule: String,
    note: String,
}

/// The list of an installer: `debian-12`.
fn questions(installer: &str) -> Vec<Question> {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/questions");
    let text = fs::read_to_string(list.join(format!("{installer}.txt"))).unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<String> = line.split('|').map(|field| field.trim().to_owned()).collect();
        let [name, part, step, rule, note]: [String; 5] =
            fields.try_into().unwrap_or_else(|_| panic!("{line}"));
        Question { name, part, step, rule, note }
    })
    .collect()
}

/// What a machine is given, as far as the rules look at it.
struct Answers {
    cmdline: BTreeMap<String, String>,
    preseed: BTreeMap<String, String>,
    lines: Vec<String>,
    /// The script that chooses the disk.
    script: String,
    rehearses: bool,
}

impl Answers {
    fn of(case: &Case) -> Self {
        let cmdline = case.cmdline();
        let words = cmdline.split(" --- ").next().unwrap_or_default().split_whitespace();
        let words = words.map(|word| word.split_once('=').unwrap_or((word, "true")));
        let (_, file) = case.answer_file();
        Answers {
            cmdline: words.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            preseed: answers_in(&file),
            lines: file.lines().map(str::to_owned).collect(),
            script: case.rendered_file("disk.sh").unwrap_or_default(),
            rehearses: case.rehearses(),
        }
    }

    /// Why the question is not answered; none if it is.
    fn fault(&self, question: &Question) -> Option<String> {
        if self.rehearses && !["start", "answers", "mirror"].contains(&question.step.as_str()) {
            return None;
        }
        let (rule, argument) = question.rule.split_once(' ').unwrap_or((&question.rule, ""));
        let (wanted, only_where) = argument.split_once(" where ").unwrap_or((argument, ""));
        if !only_where.is_empty() && holds(&self.preseed, only_where).is_some() {
            return None;
        }
        match rule {
            "cmdline" => holds(&self.cmdline, wanted),
            "preseed" => holds(&self.preseed, wanted),
            "kickstart" => {
                let found = self.lines.iter().any(|line| line.starts_with(wanted));
                (!found).then(|| format!("no line begins with `{wanted}`"))
            }
            "script" => (!self.script.contains(wanted)).then(|| format!("no script has `{wanted}`")),
            "never" | "error" | "silent" | "menu" => None,
            other => Some(format!("there is no rule `{other}`")),
        }
    }
}

/// Why `NAME`, `NAME=VALUE` or `NAME!VALUE` does not hold; none if it does.
fn holds(answers: &BTreeMap<String, String>, wanted: &str) -> Option<String> {
    let name = wanted.split(['=', '!']).next().unwrap_or_default();
    let condition = &wanted[name.len()..];
    let Some(answer) = answers.get(name) else { return Some(format!("`{name}` has no answer")) };
    let right = match condition.split_at_checked(1) {
        Some(("=", value)) => answer == value,
        Some((_, value)) => !answer.is_empty() && answer != value,
        None => !answer.is_empty(),
    };
    (!right).then(|| format!("`{name}` is `{answer}`"))
}

/// Kinds of params, each with its name.
fn combinations() -> Vec<(&'static str, Value)> {
    let recipe = "boot-root :: 4096 1 -1 $primary{ } method{ format } format{ } use_filesystem{ } \
        filesystem{ ext4 } mountpoint{ / } .";
    let in_lvm = recipe.replace("$primary{ }", "$lvmok{ }");
    let part = "part / --grow";
    let repository = json!([{"tag": "base", "url": "http://10.0.0.4/base", "install_source": true,
        "components": ["main"], "unsigned": true}]);
    let custom = |recipe: &str| json!({"partitioning": "custom", "partitioning_recipe": recipe});
    let mut in_arrays = custom("boot-root :: 4096 1 -1 raid $primary{ } method{ raid } .");
    in_arrays["debian_raid_recipe"] = json!("1 2 0 ext4 / part1 .");
    vec![
        ("minimal", json!({})),
        ("rehearse", json!({"rehearse": true})),
        ("static", json!({"network": {"mode": "static", "address": "10.0.0.50", "prefix_length": 24}})),
        ("nameservers", json!({"dns_servers": ["10.0.0.2"], "dns_search": ["example.org"]})),
        ("mirror", json!({"debian_mirror": {"host": "mirror.example.org"}})),
        ("https", json!({"debian_mirror": {"host": "mirror.example.org", "protocol": "https"}})),
        ("rocky-mirror", json!({"rocky_mirror": "http://mirror.example.org/rocky"})),
        ("source", json!({"repositories": repository})),
        ("source-tree", json!({})),
        ("proxy", json!({"proxy": "http://10.0.0.4:3128/"})),
        ("no-services", json!({"debian_services": []})),
        ("atomic", json!({"partitioning": "atomic"})),
        ("lvm", json!({"partitioning": "lvm", "filesystem": "xfs"})),
        ("multi", json!({"partitioning": "multi"})),
        ("custom", custom(recipe)),
        ("custom-lvm", custom(&in_lvm)),
        ("custom-raid", in_arrays),
        ("custom-kickstart", custom(part)),
        ("no-users", json!({"users": []})),
        ("root", json!({"root_password": "secret"})),
        ("root-locked", json!({"root_password": "!"})),
        ("serial", json!({"kernel_console": "ttyS0,115200n8"})),
        ("secure-boot", json!({"secure_boot": true})),
        ("locale", json!({"locale": "de_DE.UTF-8", "keyboard": "de", "timezone": "Europe/Berlin"})),
    ]
}

/// What a machine with each kind of params is given by an installer's bootenv, and one under UEFI.
fn all_answers(installer: &str) -> Vec<(String, Answers)> {
    let bootenv = format!("{installer}-install");
    let of_bios = combinations().into_iter().map(|(name, params)| ("bios", name, params));
    let kinds = of_bios.chain([("uefi", "minimal", json!({}))]);
    let cases = kinds.map(|(firmware, name, params)| Case::booted_by(&bootenv, (firmware, name), &params));
    cases.map(|case| (case.variant.clone(), Answers::of(&case))).collect()
}

#[test]
fn every_question_is_answered_for_every_kind_of_params() {
    for installer in ["debian-12", "rocky-9"] {
        let list = questions(installer);
        let mut faults = Vec::new();
        for (variant, answers) in all_answers(installer) {
            for question in &list {
                if let Some(fault) = answers.fault(question) {
                    faults.push(format!("{installer} {variant}: {}: {fault}", question.name));
                }
            }
        }
        assert!(
            faults.is_empty(),
            "{} questions would stop an installation:\n{}",
            faults.len(),
            faults.join("\n")
        );
    }
}

#[test]
fn an_answer_that_is_left_out_is_missed() {
    let list = questions("debian-12");
    let whole = all_answers("debian-12");
    let missed = |without: &dyn Fn(&mut Answers)| {
        whole.iter().any(|(_, answers)| {
            let mut less = Answers {
                cmdline: answers.cmdline.clone(),
                preseed: answers.preseed.clone(),
                lines: Vec::new(),
                script: answers.script.clone(),
                rehearses: answers.rehearses,
            };
            without(&mut less);
            list.iter().any(|question| less.fault(question).is_some())
        })
    };
    assert!(!missed(&|_| {}));
    let needed = |rule: &str| -> BTreeSet<&str> {
        let rules = list.iter().filter_map(|question| question.rule.strip_prefix(rule));
        rules.map(|argument| argument.split([' ', '=', '!']).next().unwrap_or_default()).collect()
    };
    assert!(needed("preseed ").contains("mirror/http/hostname"));
    for name in needed("preseed ") {
        assert!(
            missed(&|answers| drop(answers.preseed.remove(name))),
            "{name} can be left out of the preseed"
        );
    }
    for name in needed("cmdline ") {
        assert!(missed(&|answers| drop(answers.cmdline.remove(name))), "{name} can be left out");
    }
}

/// The questions that a script names where it asks at the priority `critical`.
fn asked_in(script: &str) -> impl Iterator<Item = &str> {
    let asks = script.split("db_input critical ").skip(1);
    let names = asks.map(|rest| rest.split([' ', '\n', '\t', ';']).next().unwrap_or_default());
    names.filter(|name| name.contains('/') && !name.contains('$'))
}

/// The scripts below a folder.
fn scripts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| !path.is_symlink())
        .flat_map(|path| match path.is_dir() {
            true => scripts(&path),
            false => fs::read_to_string(&path).into_iter().collect(),
        })
        .collect()
}

#[test]
fn the_list_has_every_question_that_the_scripts_of_the_real_installer_ask() {
    let root = unpacked_installer();
    let known: BTreeSet<String> = questions("debian-12").into_iter().map(|question| question.name).collect();
    let folders = ["bin", "sbin", "lib", "usr", "var/lib/dpkg/info"];
    let scripts: Vec<String> = folders.iter().flat_map(|folder| scripts(&root.path().join(folder))).collect();
    let asked: BTreeSet<&str> = scripts.iter().flat_map(|script| asked_in(script)).collect();
    assert!(asked.len() > 10 && asked.contains("preseed/command_failed"), "{asked:?}");
    let unknown: Vec<&&str> = asked.iter().filter(|name| !known.contains(**name)).collect();
    assert!(unknown.is_empty(), "the list lacks {unknown:?}");
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for (installer, title) in [("debian-12", "Debian 12"), ("rocky-9", "Rocky Linux 9")] {
        let of = if installer == "debian-12" { "udeb" } else { "part" };
        writeln!(page, "\n## {title}\n\n| question | {of} | step | answer | note |\n|---|---|---|---|---|")
            .unwrap();
        for Question { name, part, step, rule, note } in questions(installer) {
            writeln!(page, "| `{name}` | {part} | {step} | `{rule}` | {note} |").unwrap();
        }
    }
    page
}

#[test]
fn the_page_of_questions_is_made_from_the_lists() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("METALWRIGHT_BLESS").is_some() {
        fs::write(&path, page()).unwrap();
    }
    assert!(fs::read_to_string(&path).unwrap() == page(), "{PAGE}: make it with METALWRIGHT_BLESS=1");
}
