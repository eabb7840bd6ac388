//! What is excused, and by how much. An entry goes when its reason goes: one that is no longer needed, or
//! that allows more than is there, fails the test.

use super::Fault;

pub struct Exception {
    pub rule: &'static str,
    pub place: &'static str,
    pub measure: usize,
}

pub const EXCEPTIONS: &[Exception] = &[
    // The signature is that of rustls' trait.
    Exception { rule: "parameters", place: "src/client/pin.rs::verify_server_cert", measure: 5 },
];

/// The entries that could go or be lowered.
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
