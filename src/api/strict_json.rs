//! Parses JSON from clients, with two rules more than `serde_json`: an object must not repeat a name (RFC
//! 8259 section 4 leaves open which value counts), and the number of values is bounded, because they take
//! many times the room of their text. Start with [`read`].

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::model::bounds::{escape, quoted};
use crate::model::{Problem, RefusalCode};

/// Most values of one body: as many as the largest object could have.
pub const VALUES_MAX: usize = 2 << 20;

/// Why a text was refused.
#[derive(Debug)]
pub enum JsonFault {
    /// It is not JSON; the message ends in line and column.
    Syntax(serde_json::Error),
    /// An object repeats a name.
    Twice(Problem),
    /// It has more than [`VALUES_MAX`] values.
    TooMany,
}

/// Reads one JSON value.
///
/// # Errors
/// The first fault.
pub fn read(bytes: &[u8]) -> Result<Value, JsonFault> {
    let walk = JsonWalk::default();
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = WalkPosition(&walk).deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| match walk.twice.take() {
        Some(problem) => JsonFault::Twice(problem),
        None if walk.values.get() > VALUES_MAX => JsonFault::TooMany,
        None => JsonFault::Syntax(error),
    })
}

/// The place of the walk, and the repeated name.
#[derive(Default)]
struct JsonWalk {
    path: RefCell<Vec<String>>,
    twice: RefCell<Option<Problem>>,
    values: Cell<usize>,
}

impl JsonWalk {
    fn enter(&self, step: String) {
        self.path.borrow_mut().push(step);
    }

    fn leave(&self) {
        self.path.borrow_mut().pop();
    }

    fn note(&self, name: &str) {
        let steps = self.path.borrow();
        let pointer = steps.iter().chain([&escape(name)]).map(|step| format!("/{step}")).collect::<String>();
        let what = format!("{} stands twice in this object: say which one counts", quoted(name));
        *self.twice.borrow_mut() = Some(Problem::new(pointer, what).coded(RefusalCode::Duplicate));
    }
}

#[derive(Clone, Copy)]
struct WalkPosition<'w>(&'w JsonWalk);

impl<'de> DeserializeSeed<'de> for WalkPosition<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        self.0.values.set(self.0.values.get() + 1);
        if self.0.values.get() > VALUES_MAX {
            return Err(D::Error::custom("too many values"));
        }
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for WalkPosition<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            self.0.enter(list.len().to_string());
            let item = items.next_element_seed(self)?;
            self.0.leave();
            match item {
                Some(item) => list.push(item),
                None => return Ok(Value::Array(list)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if map.contains_key(&name) {
                self.0.note(&name);
                return Err(A::Error::custom("a name stands twice in an object"));
            }
            self.0.enter(escape(&name));
            let value = fields.next_value_seed(self)?;
            self.0.leave();
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_refused_with_its_place() {
        let fault = read(br#"{"params": [{"a/b": {"x": 1, "y": 2, "x": 3}}]}"#);
        let Err(JsonFault::Twice(problem)) = fault else { panic!("{fault:?}") };
        assert_eq!(problem.pointer, "/params/0/a~1b/x");
        assert!(read(br#"{"a": {"x": 1}, "b": {"x": 1}}"#).is_ok());
    }

    #[test]
    fn a_text_of_more_values_than_are_admitted_is_refused() {
        let list = |values: usize| format!("[{}0]", "0,".repeat(values - 2));
        assert!(read(list(VALUES_MAX).as_bytes()).is_ok());
        assert!(matches!(read(list(VALUES_MAX + 1).as_bytes()), Err(JsonFault::TooMany)));
    }

    #[test]
    fn everything_else_reads_as_it_does_without_the_rule() {
        let text =
            r#"{"a": [null, true, -1, 18446744073709551615, 1.5, "x\u00e9\n", [], {}], "b": {"c": ""}}"#;
        assert_eq!(read(text.as_bytes()).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert_eq!(read(b" 1 ").unwrap(), json!(1));
        let deep = "[".repeat(1000);
        for bad in ["", "{", "[1,]", "1 2", "nul", "{\"a\" 1}", "\"\\ud800\"", "NaN", "1e400", &deep] {
            let (ours, theirs) = (read(bad.as_bytes()), serde_json::from_str::<Value>(bad));
            let Err(JsonFault::Syntax(error)) = ours else { panic!("{bad}: {ours:?}") };
            assert_eq!(error.to_string(), theirs.unwrap_err().to_string(), "{bad}");
        }
    }
}
