//! Filters for lists. What the engine's language has itself is not here: `[...a, ...b]`, `a[1:3]` and
//! `[x | upper for x in a if x]`.

use tera::{Kwargs, TeraResult, Value};

use crate::render::filters::wrong;
use crate::render::scope::RenderScope;

fn members<'a>(filter: &str, value: &'a Value) -> TeraResult<&'a [Value]> {
    value.as_array().ok_or_else(|| wrong(format!("`{filter}` takes a list, not {}", value.name())))
}

/// An attribute of each member. A member without it gets `default`, or is a fault.
pub(super) fn map(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let attribute = arguments.must_get::<&str>("attribute")?;
    let default = arguments.get::<&Value>("default")?;
    let mut mapped = Vec::new();
    for (number, member) in members("map", value)?.iter().enumerate() {
        let found = member.get_from_path(attribute).filter(|found| !found.is_undefined()).or(default);
        let Some(found) = found else {
            return Err(wrong(format!("`map`: member {number} has no `{attribute}`, and no `default`")));
        };
        mapped.push(found.clone());
    }
    Ok(Value::from(mapped))
}

/// The members whose attribute has this value; without a value, those whose attribute is true.
pub(super) fn filter(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let attribute = arguments.must_get::<&str>("attribute")?;
    let wanted = arguments.get::<&Value>("value")?;
    let mut kept = Vec::new();
    for member in members("filter", value)? {
        let found = member.get_from_path(attribute);
        if found.is_some_and(|found| wanted.map_or_else(|| found.is_truthy(), |wanted| found == wanted)) {
            kept.push(member.clone());
        }
    }
    Ok(Value::from(kept))
}

/// The members from `start` up to, but without, `end`. Negative places count from the end. Of a text, the
/// characters.
pub(super) fn slice(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let (start, end) = (arguments.get::<i64>("start")?, arguments.get::<i64>("end")?);
    if let Some(text) = value.as_str() {
        let (skipped, kept) = window(text.chars().count(), (start, end));
        return Ok(Value::from(text.chars().skip(skipped).take(kept).collect::<String>()));
    }
    let members = members("slice", value)?;
    let (skipped, kept) = window(members.len(), (start, end));
    Ok(Value::from(members.iter().skip(skipped).take(kept).cloned().collect::<Vec<Value>>()))
}

/// How many of `count` members come before the slice, and how many are in it.
fn window(count: usize, (start, end): (Option<i64>, Option<i64>)) -> (usize, usize) {
    let start = start.map_or(0, |at| place(at, count));
    let end = end.map_or(count, |at| place(at, count));
    (start, end.saturating_sub(start))
}

fn place(at: i64, count: usize) -> usize {
    match usize::try_from(at) {
        Ok(at) => at.min(count),
        Err(_) => count.saturating_sub(usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

/// The list, followed by the members of another one, or by one value.
pub(super) fn concat(value: &Value, arguments: &Kwargs, _: &RenderScope) -> TeraResult<Value> {
    let with = arguments.must_get::<&Value>("with")?;
    let mut joined = members("concat", value)?.to_vec();
    match with.as_array() {
        Some(more) => joined.extend_from_slice(more),
        None => joined.push(with.clone()),
    }
    Ok(Value::from(joined))
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn a_slice_never_reaches_beyond_its_list() {
        for (places, expected) in [
            ((None, None), (0, 5)),
            ((Some(1), Some(3)), (1, 2)),
            ((Some(-2), None), (3, 2)),
            ((None, Some(-1)), (0, 4)),
            ((Some(9), None), (5, 0)),
            ((Some(3), Some(1)), (3, 0)),
            ((Some(i64::MIN), Some(i64::MAX)), (0, 5)),
        ] {
            assert_eq!(window(5, places), expected, "{places:?}");
        }
    }
}
