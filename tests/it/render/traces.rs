//! The recorded documents, rendered with the origins of their lines: not one byte differs, and each line has
//! an origin.

use super::content::{as_preview, cases};
use super::{recorded, vectors};

#[test]
fn a_trace_changes_no_byte_of_any_recorded_document_and_tells_of_each_line() {
    let recorded = recorded(&vectors());
    let (mut compared, mut with_params) = (0, 0);
    for case in cases() {
        for (name, traced) in case.traced_documents() {
            let place = format!("{}/{}/{name}", case.bootenv, case.variant);
            let plain = recorded.get(&place).unwrap_or_else(|| panic!("{place} is recorded"));
            assert_eq!(traced.text, as_preview(plain), "{place}");
            assert_eq!(traced.lines.len(), traced.text.lines().count(), "{place}");
            let unknown = traced.lines.iter().find(|line| line.place.template.is_empty());
            assert_eq!(unknown, None, "{place}");
            compared += 1;
            with_params += usize::from(traced.lines.iter().any(|line| !line.params.is_empty()));
        }
    }
    assert!(compared > 20 && with_params > 5, "{compared} documents, {with_params} with params");
}
