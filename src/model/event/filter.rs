//! Filters of events: a kind, or a prefix of kinds.

use super::EventKind;
use crate::model::nearest;

/// Most kinds that an error message names.
const NAMED_MAX: usize = 12;

/// Checks a filter of kinds: a kind (`machine.updated`) or a prefix of kinds (`machine.*`). At least one
/// existing kind must match.
///
/// # Errors
/// No event can match the filter; the message names similar kinds.
pub fn check_kind_filter(filter: &str) -> Result<(), String> {
    let names: Vec<String> = EventKind::all().map(|kind| kind.to_string()).collect();
    let known = match filter.strip_suffix('*') {
        Some(start) => names.iter().any(|name| name.starts_with(start)),
        None => names.iter().any(|name| name == filter),
    };
    match known {
        true => Ok(()),
        false => Err(format!("there is no kind of event `{filter}`; {}", hint(filter, &names))),
    }
}

fn hint(filter: &str, names: &[String]) -> String {
    if let Some(near) = nearest(filter, names.iter().map(String::as_str)) {
        return format!("did you mean `{near}`?");
    }
    let area = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    let of_area = names.iter().filter(|name| area(name) == area(filter));
    let of_area: Vec<&str> = of_area.map(String::as_str).take(NAMED_MAX).collect();
    if !of_area.is_empty() {
        return format!("there are: {}", of_area.join(", "));
    }
    let mut areas: Vec<String> = names.iter().map(|name| format!("{}.*", area(name))).collect();
    areas.sort();
    areas.dedup();
    match nearest(filter, areas.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", areas.join(", ")),
    }
}
