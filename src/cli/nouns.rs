//! Facts about each kind of object: its name, its key, the fields that a writer sets.

use std::net::IpAddr;

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::client::{ClientError, ObjectPath};
use crate::model::{Kind, Mac, Noun, NounVerb, Problem, READ_ONLY_FIELDS, parse_input, with_noun};

/// Whether clients may write objects of a kind.
pub fn is_writable(kind: Kind) -> bool {
    kind.row().allows(NounVerb::Create) || kind.row().allows(NounVerb::Replace)
}

/// The object that a person means: a key; `name:web1`, `mac:52:54:…`, `address:10.0.0.5`; for machines also a
/// bare name, MAC or address.
///
/// # Errors
/// Text that cannot be a reference.
/// Text that no reference can be.
pub fn object_path(kind: Kind, text: &str) -> Result<ObjectPath, ClientError> {
    match text {
        "" => ObjectPath::new(kind, text),
        text => ObjectPath::new(kind, &reference(kind, text)),
    }
}

/// What a person wrote, in the form of the API.
pub fn reference(kind: Kind, text: &str) -> String {
    let index = text.split_once(':').map(|(index, _)| index);
    let names_an_index = index.is_some_and(|index| with_noun!(kind, T => T::INDEXES.contains(&index)));
    if kind != Kind::Machine || names_an_index || text.parse::<Uuid>().is_ok() {
        text.to_owned()
    } else if let Ok(mac) = text.parse::<Mac>() {
        format!("mac:{mac}")
    } else if let Ok(address) = text.parse::<IpAddr>() {
        format!("address:{address}")
    } else {
        format!("name:{text}")
    }
}

/// The name by which people know an object that was read or will be written; `?` if it has none.
pub fn name_of(kind: Kind, body: &Value) -> &str {
    body.get(kind.row().name_field)
        .and_then(Value::as_str)
        .or_else(|| body.get("id").and_then(Value::as_str))
        .unwrap_or("?")
}

/// The object's name in events: `machine:0192…`.
pub fn subject_of(kind: Kind, view: &Value) -> String {
    let id = view.get("id").and_then(Value::as_str);
    format!("{kind}:{}", id.unwrap_or_else(|| name_of(kind, view)))
}

/// The fields that a writer sets, of an object that was read.
pub fn written_fields(view: &Value) -> Value {
    let mut fields = view.as_object().cloned().unwrap_or_default();
    for field in READ_ONLY_FIELDS {
        fields.remove(field);
    }
    Value::Object(fields)
}

/// A document with the defaults filled in, as the server will show it.
///
/// # Errors
/// The faults that can be found without the server.
pub fn normalize(kind: Kind, body: &Value) -> Result<Value, Vec<Problem>> {
    with_noun!(kind, T => {
        let input = parse_input::<T>(body.clone())?;
        let fields = serde_json::to_value(&input.spec);
        let fields = fields.map_err(|error| vec![Problem::new("", error.to_string())])?;
        let mut fields = match fields {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        fields.insert("labels".to_owned(), serde_json::json!(input.labels));
        Ok(Value::Object(fields))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_bare_reference_to_a_machine_is_what_it_looks_like() {
        let same = |text: &str, full: &str| {
            assert_eq!(
                object_path(Kind::Machine, text).unwrap(),
                ObjectPath::new(Kind::Machine, full).unwrap()
            );
        };
        same("web1", "name:web1");
        same("name:web1", "name:web1");
        same("52:54:00:AA:00:01", "mac:52:54:00:aa:00:01");
        same("10.0.0.5", "address:10.0.0.5");
        same("fd00::5", "address:fd00::5");
        same("0192d4a0-0000-7000-8000-000000000001", "0192d4a0-0000-7000-8000-000000000001");
        assert!(object_path(Kind::Machine, "").is_err());
        let subnet = object_path(Kind::Subnet, "lan").unwrap();
        assert_eq!(subnet, ObjectPath::new(Kind::Subnet, "lan").unwrap());
    }

    #[test]
    fn a_document_gets_the_defaults_that_the_server_gives_it() {
        let normal =
            normalize(Kind::Machine, &json!({"name": "web1", "macs": ["52-54-00-AA-00-01"]})).unwrap();
        assert_eq!(normal["macs"], json!(["52:54:00:aa:00:01"]));
        assert_eq!(normal["arch"], "amd64");
        assert_eq!(normal["labels"], json!({}));
        assert!(normalize(Kind::Machine, &json!({"nmae": "web1"})).is_err());
    }
}
