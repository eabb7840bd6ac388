//! Exceptions to the rules, with their size. An entry must go when it is no longer needed; one that is too
//! large fails the test.

use super::Fault;

pub struct Exception {
    pub rule: &'static str,
    pub place: &'static str,
    pub measure: usize,
}

pub const EXCEPTIONS: &[Exception] = &[
    // It waits for nothing: it yields so that other tasks get ready without waking it each.
    Exception { rule: "refused words", place: "src/store/sqlite/writer.rs thread::sleep", measure: 1 },
    // What is looked at, then where it stands: the order of the JSON that becomes of it.
    swapped("src/kernel/scope.rs::check_scope"),
    swapped("src/kernel/error.rs::invalid"),
    swapped("src/model/name.rs::check_name"),
    swapped("src/model/name.rs::check_host_name"),
    swapped("src/model/name.rs::check_file_path"),
    swapped("src/model/problem.rs::new"),
    swapped("src/model/schema.rs::check_schema"),
    // Before, then after.
    swapped("src/objects/view.rs::read_only_changes"),
    swapped("src/objects/view.rs::updated"),
    // Name, then value or body.
    swapped("src/api/error.rs::with_header"),
    // Path, then id; least, then most: a swapped pair breaks the first test of the operation.
    swapped("src/api/operation.rs::new"),
    swapped("src/api/operation.rs::get"),
    swapped("src/api/operation.rs::post"),
    swapped("src/api/operation.rs::number"),
];

/// A function with neighbouring parameters of one type.
const fn swapped(place: &'static str) -> Exception {
    Exception { rule: "parameter types", place, measure: 1 }
}

/// Entries that can be deleted or lowered.
pub fn unneeded(faults: &[Fault]) -> Vec<String> {
    let mut report = Vec::new();
    for exception in EXCEPTIONS {
        let Exception { rule, place, measure } = exception;
        match faults.iter().find(|fault| fault.is_excused_by(exception)) {
            None => report.push(format!("{place}: take its exception from {rule} off the list")),
            Some(fault) if fault.measure < *measure => {
                report.push(format!("{place}: lower its exception from {rule} to {}", fault.measure));
            }
            Some(_) => {}
        }
    }
    report
}
