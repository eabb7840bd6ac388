//! Turns `field=value` of the command line into JSON.

use serde_json::{Map, Value};

use crate::cli::output::UsageError;

/// `name=web*` as the name and value of a filter.
///
/// # Errors
/// Text without `=`, or without a name before it.
pub fn parse_term(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not FIELD=VALUE")),
    }
}

/// A JSON Merge Patch (RFC 7396) of several assignments: `params.rack=a1` is `{"params": {"rack": "a1"}}`. A
/// value that parses as JSON is that JSON, any other is text. `\.` is a dot inside of a name.
///
/// # Errors
/// Text that is not `field=value`, or two assignments that contradict each other.
pub fn merge_patch(sets: &[String]) -> Result<Value, UsageError> {
    let mut patch = Map::new();
    for set in sets {
        let (path, value) = parse_term(set).map_err(UsageError)?;
        let value = serde_json::from_str(&value).unwrap_or(Value::String(value));
        put(&mut patch, &split_path(&path), value).map_err(|why| UsageError(format!("`{set}`: {why}")))?;
    }
    Ok(Value::Object(patch))
}

/// The names in `params.rack`.
pub fn split_path(path: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = path.chars().peekable();
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('\\', Some('.')) => {
                characters.next();
                if let Some(part) = parts.last_mut() {
                    part.push('.');
                }
            }
            ('.', _) => parts.push(String::new()),
            _ => {
                if let Some(part) = parts.last_mut() {
                    part.push(c);
                }
            }
        }
    }
    parts
}

/// The value at a path like `status.state` or `macs.0`.
pub fn value_at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    split_path(path).iter().try_fold(value, |value, name| match value {
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        other => other.get(name),
    })
}

fn put(map: &mut Map<String, Value>, path: &[String], value: Value) -> Result<(), String> {
    match path {
        [] => Ok(()),
        [name, ..] if name.is_empty() => Err("a part of the field's name is empty".to_owned()),
        [name] => match map.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => Err("it is set twice".to_owned()),
        },
        [name, rest @ ..] => match map.entry(name.clone()).or_insert_with(|| Value::Object(Map::new())) {
            Value::Object(inner) => put(inner, rest, value),
            _ => Err(format!("`{name}` is set as a whole as well")),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn patch(sets: &[&str]) -> Result<Value, String> {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        merge_patch(&sets).map_err(|usage| usage.to_string())
    }

    #[test]
    fn dotted_names_nest_and_values_are_json_where_they_read_as_it() {
        let sets =
            ["params.rack=a1", "params.n=3", "locked=true", "serial=null", "macs=[\"52:54:00:aa:00:01\"]"];
        let expected = json!({"params": {"rack": "a1", "n": 3}, "locked": true, "serial": null,
                              "macs": ["52:54:00:aa:00:01"]});
        assert_eq!(patch(&sets).unwrap(), expected);
        assert_eq!(patch(&["a=b=c", "b=", "c=\"12\""]).unwrap(), json!({"a": "b=c", "b": "", "c": "12"}));
        assert_eq!(patch(&[r"params.ntp\.servers=x"]).unwrap(), json!({"params": {"ntp.servers": "x"}}));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for (sets, why) in [
            (&["web1"][..], "not FIELD=VALUE"),
            (&["=x"], "not FIELD=VALUE"),
            (&["a..b=1"], "is empty"),
            (&["a=1", "a=2"], "set twice"),
            (&["a=1", "a.b=2"], "as a whole"),
        ] {
            let error = patch(sets).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_path_reaches_into_objects_and_lists() {
        let value = json!({"status": {"steps": [{"name": "x"}]}, "a.b": 1});
        assert_eq!(value_at(&value, "status.steps.0.name"), Some(&json!("x")));
        assert_eq!(value_at(&value, r"a\.b"), Some(&json!(1)));
        assert_eq!(value_at(&value, "status.steps.1.name"), None);
    }
}
