//! Reads and writes YAML and JSON documents.

use anyhow::{Result, anyhow};
use serde_json::Value;

/// Most documents, and most values, in one text.
const DOCUMENTS_MAX: usize = 100_000;
const NODES_MAX: usize = 5_000_000;

/// A value as one YAML document.
///
/// # Errors
/// A value that YAML cannot hold; all JSON values fit.
pub fn write(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).map_err(|error| anyhow!("not writable as YAML: {error}"))
}

/// All documents of a text of YAML or JSON. A list gives its items; empty documents are skipped.
///
/// # Errors
/// Text that is neither, with line and column.
pub fn read(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = match text.trim_start().starts_with(['{', '[']) {
        true => read_json(text).or_else(|_| read_yaml(text))?,
        false => read_yaml(text)?,
    };
    let items = documents.into_iter().flat_map(|document| match document {
        Value::Array(items) => items,
        Value::Null => Vec::new(),
        item => vec![item],
    });
    Ok(items.collect())
}

/// `on` and `yes` are words, as in YAML 1.2: they are common values of options.
fn read_yaml(text: &str) -> Result<Vec<Value>> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_documents: DOCUMENTS_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
        },
    };
    serde_saphyr::from_multiple_with_options(text, options)
        .map_err(|error| anyhow!("not readable as YAML: {error}"))
}

fn read_json(text: &str) -> Result<Vec<Value>> {
    let documents = serde_json::Deserializer::from_str(text).into_iter().collect::<Result<Vec<Value>, _>>();
    documents.map_err(|error| anyhow!("not readable as JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_documents_lists_and_json_are_all_read() {
        let read = |text: &str| read(text).unwrap();
        assert_eq!(
            read("a: 1\n---\n- b: 2\n- c: 3\n---\n"),
            [json!({"a": 1}), json!({"b": 2}), json!({"c": 3})]
        );
        assert_eq!(read("{\"a\": 1}\n{\"b\": 2}"), [json!({"a": 1}), json!({"b": 2})]);
        assert_eq!(read("{a: 1}"), [json!({"a": 1})]);
        assert!(read("").is_empty());
    }

    #[test]
    fn words_stay_words() {
        let yaml = "a: on\nb: yes\nc: \"1.10\"\nd: 1.5\ne: true\nf: 0755\ng: ~\nh: 52:54:00:aa:00:01\n";
        let read = read(yaml).unwrap();
        let words = json!({"a": "on", "b": "yes", "c": "1.10", "d": 1.5, "e": true, "g": null,
                           "h": "52:54:00:aa:00:01"});
        for (name, value) in words.as_object().unwrap() {
            assert_eq!(&read[0][name], value, "{name}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let value = json!({"name": "web1", "version": "12", "on": "yes", "body": "a\n  b: {{ c }}\n",
                           "n": null,
                           "list": [{"x": 1.5}], "none": [], "empty": {}, "text": "null", "tab": "a\tb"});
        assert_eq!(read(&write(&value).unwrap()).unwrap(), [value]);
    }

    #[test]
    fn aliases_that_unfold_without_end_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", [before.as_str(); 10].join(", ")));
        }
        let error = read(&bomb).unwrap_err().to_string();
        assert!(error.contains("not readable as YAML"), "{error}");
        let deep = format!("a: {}", "[".repeat(100_000));
        assert!(read(&deep).is_err());
        assert_eq!(read("a: &x [1]\nb: *x\n").unwrap(), [json!({"a": [1], "b": [1]})]);
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_its_place() {
        let error = read("a: [1,\nb: 2").unwrap_err().to_string();
        assert!(error.contains("line"), "{error}");
    }
}
