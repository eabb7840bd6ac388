//! The disk table: made-up machines, a rule, and the disks that are taken or the reason why none is.
//! `tests/vectors/disks/table.txt` is the table, and says how to read it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::made_up::{MadeUpMachine, STOPPED};

const MACHINES_LEAST: usize = 20;
const SECTORS_PER_GB: u64 = 1_953_125;

/// A machine, and what its rules come to.
struct MadeUpCase {
    what: String,
    machine: MadeUpMachine,
    rules: Vec<RuleCase>,
}

/// A rule, and what is expected of it.
#[derive(Debug)]
struct RuleCase {
    rule: Value,
    takes: Option<String>,
    stops: Option<String>,
    /// A disk, and what the report says of it.
    because: Vec<(String, String)>,
}

fn add_disk(machine: &MadeUpMachine, line: &str) {
    let mut words = line.split(' ');
    let [name, bus, size] = [(); 3].map(|()| words.next().expect("NAME BUS SIZE"));
    let sectors = (size.parse::<u64>().unwrap() * SECTORS_PER_GB).to_string();
    let pairs: BTreeMap<&str, String> = words
        .map(|word| word.split_once('=').expect("attribute=value"))
        .map(|(key, value)| (key, value.replace('_', " ")))
        .collect();
    let (of_udev, mut of_sys): (Vec<_>, Vec<_>) =
        pairs.iter().map(|(key, value)| (*key, value.as_str())).partition(|(key, _)| key.starts_with("ID_"));
    of_sys.push(("size", &sectors));
    machine.add(name, bus, &of_sys);
    // udev has `_` for a space.
    let lines = of_udev.iter().map(|(key, value)| format!("{key}={}\n", value.replace(' ', "_")));
    machine.udev(name, &lines.collect::<String>());
}

fn read_table(text: &str) -> Vec<MadeUpCase> {
    let mut cases: Vec<MadeUpCase> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (word, rest) = line.split_once(' ').expect(line);
        if word == "machine" {
            let (machine, rules) = (MadeUpMachine::new(), Vec::new());
            cases.push(MadeUpCase { what: rest.to_owned(), machine, rules });
            continue;
        }
        let case = cases.last_mut().expect("`machine` comes first");
        match word {
            "disk" => add_disk(&case.machine, rest),
            "part" => case.machine.add_part(rest, ""),
            "link" => {
                let (link, to) = rest.split_once(' ').unwrap();
                case.machine.link(link, to);
            }
            "rule" => {
                let rule = if rest == "none" { Value::Null } else { serde_json::from_str(rest).unwrap() };
                case.rules.push(RuleCase { rule, takes: None, stops: None, because: Vec::new() });
            }
            "takes" => case.rules.last_mut().unwrap().takes = Some(rest.to_owned()),
            "stops" => case.rules.last_mut().unwrap().stops = Some(rest.to_owned()),
            "because" => {
                let (name, why) = rest.split_once(' ').unwrap();
                case.rules.last_mut().unwrap().because.push((name.to_owned(), why.to_owned()));
            }
            other => panic!("`{other}` begins no line of the table"),
        }
    }
    cases
}

fn params(rule: &Value) -> Value {
    if rule.is_null() {
        json!({})
    } else {
        json!({"disk": rule, "partitioning": "custom", "partitioning_recipe": "x"})
    }
}

fn check_case(case: &MadeUpCase) {
    for expected in &case.rules {
        let outcome = case.machine.debian(&params(&expected.rule));
        let what = format!("{}: {}: {outcome:#?}", case.what, expected.rule);
        assert_eq!(outcome.disks(), expected.takes.as_deref(), "{what}");
        let Some(stops) = &expected.stops else {
            assert!(outcome.told.starts_with("log: installing on /dev/"), "{what}");
            continue;
        };
        assert_eq!((outcome.status, &*outcome.answers), (Some(STOPPED), ""), "{what}");
        assert!(outcome.failure().contains(stops.as_str()), "{what}");
        for (name, why) in &expected.because {
            let mut lines = outcome.failure().lines();
            let line = lines.find(|line| line.starts_with(&format!("/dev/{name}: ")));
            assert!(line.is_some_and(|line| line.contains(why.as_str())), "{name}: {line:?}: {what}");
        }
    }
}

#[test]
fn each_machine_of_the_table_gets_the_disks_that_its_rule_asks_for_or_none() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/disks/table.txt");
    let cases = read_table(&fs::read_to_string(path).unwrap());
    assert!(cases.len() >= MACHINES_LEAST, "{}", cases.len());
    let (first, second) = cases.split_at(cases.len() / 2);
    std::thread::scope(|scope| {
        scope.spawn(|| first.iter().for_each(check_case));
        second.iter().for_each(check_case);
    });
}
