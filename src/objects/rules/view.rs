//! Rules for saved views: the list takes the query and has the columns.

use jiff::Timestamp;
use percent_encoding::percent_decode_str;

use crate::model::{Kind, Problem, RefusalCode, View, nearest, with_noun};
use crate::objects::list::ListQuery;
use crate::objects::rules::{NounRules, ProposedWrite};

/// What the list of events can be filtered by.
const EVENT_TERMS: [&str; 9] =
    ["kind", "subject", "machine", "attempt", "actor", "request_id", "since", "until", "order"];
/// What an event has.
const EVENT_FIELDS: [&str; 8] = ["seq", "time", "kind", "subject", "actor", "attempt", "request_id", "data"];
/// What belongs to a page of a list and not to a view of it.
const OF_PAGES: [&str; 5] = ["cursor", "limit", "fields", "after", "before"];

impl NounRules for View {
    const HAS_LINEAR_CHECKS: bool = true;

    /// A view that the list would refuse is refused when it is written.
    fn refused(&self, change: &ProposedWrite<'_, Self>) -> Vec<Problem> {
        let pairs = match query_pairs(&self.query) {
            Ok(pairs) => pairs,
            Err(fault) => return vec![fault],
        };
        let of_page = pairs.iter().find(|(name, _)| OF_PAGES.contains(&name.as_str()));
        if let Some((name, _)) = of_page {
            let what = format!("`{name}` belongs to a page of the list, not to a view: leave it out");
            return vec![Problem::new("/query", what).coded(RefusalCode::NotAdmitted)];
        }
        match self.noun() {
            Some(kind) => list_faults((self, kind), &pairs, change.caller.now),
            None => event_faults(self, &pairs),
        }
    }
}

/// What the list of a noun does not take.
fn list_faults((view, kind): (&View, Kind), pairs: &[(String, String)], now: Timestamp) -> Vec<Problem> {
    let columns = [("fields".to_owned(), view.columns.join(","))];
    let asked = [("/query", pairs), ("/columns", &columns[..])];
    let refused = asked.into_iter().filter_map(|(pointer, pairs)| {
        let parsed = with_noun!(kind, T => ListQuery::parse::<T>(pairs, now).map(drop));
        let error = parsed.err()?;
        Some(Problem::new(pointer, error.to_string()).coded(RefusalCode::Malformed))
    });
    refused.collect()
}

fn event_faults(view: &View, pairs: &[(String, String)]) -> Vec<Problem> {
    let terms = pairs.iter().map(|(name, _)| ("/query", name.as_str(), &EVENT_TERMS[..]));
    let columns = view.columns.iter().map(|name| ("/columns", name.as_str(), &EVENT_FIELDS[..]));
    let unknown = terms.chain(columns).filter(|(_, name, known)| {
        let first = name.split('.').next().unwrap_or_default();
        !known.contains(&first)
    });
    let told = unknown.map(|(pointer, name, known)| {
        let hint = nearest(name, known.iter().copied()).map_or_else(
            || format!("there are: {}", known.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        Problem::new(pointer, format!("events have no `{name}`; {hint}")).coded(RefusalCode::NotFound)
    });
    told.collect()
}

/// The decoded names and values of a query.
fn query_pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    if query.starts_with('?') {
        let what = "begins with `?`: give the part behind it";
        return Err(Problem::new("/query", what).coded(RefusalCode::Malformed));
    }
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name)?, decoded(value)?))
    });
    pairs.collect()
}

fn decoded(text: &str) -> Result<String, Problem> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned());
    decoded.map_err(|_| Problem::new("/query", "is not UTF-8 text").coded(RefusalCode::Malformed))
}
