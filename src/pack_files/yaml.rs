//! Reads YAML, and finds the lines of values by their JSON pointers.

use std::{fmt, thread};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;

use crate::model::Problem;

/// Most levels of a file: an object may have 64, and stand in a list. Each takes room on the stack.
const DEPTH_MAX: usize = 72;
/// The stack for them, in bytes.
const STACK_BYTES: usize = 16 << 20;
/// Most values of a file.
const NODES_MAX: usize = 250_000;

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        strict_booleans: true,
        budget: serde_saphyr::budget! {
            max_depth: DEPTH_MAX,
            max_nodes: NODES_MAX,
            max_events: 4 * NODES_MAX,
        },
    }
}

/// Reads a YAML file. `on` and `yes` are words, as on the command line.
///
/// # Errors
/// It is not YAML, with line and column, or unfolds to too much.
pub fn parse_yaml(text: &str) -> Result<Value, Problem> {
    on_own_stack(|| parse(text)).unwrap_or_else(|| Err(Problem::new("", "no thread to read it: try again")))
}

/// Does work that nests deep on a stack that is large enough; `None` if there is no thread for it.
fn on_own_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let reader = thread::Builder::new().name("yaml".to_owned()).stack_size(STACK_BYTES);
        reader.spawn_scoped(scope, work).ok()?.join().ok()
    })
}

fn parse(text: &str) -> Result<Value, Problem> {
    serde_saphyr::from_str_with_options(text, options()).map_err(|error| {
        let place = error.location();
        let problem = Problem::new("", format!("not readable as YAML: {error}"));
        let number = |number: u64| u32::try_from(number).ok().filter(|number| *number > 0);
        let line = place.and_then(|place| number(place.line()));
        Problem { line, column: place.and_then(|place| number(place.column())), ..problem }
    })
}

/// The same problems of a YAML text, each with the line of its value, or of the nearest one around it.
pub fn with_lines(text: &str, problems: Vec<Problem>) -> Vec<Problem> {
    if problems.is_empty() {
        return problems;
    }
    on_own_stack(|| placed(text, problems.clone())).unwrap_or(problems)
}

fn placed(text: &str, problems: Vec<Problem>) -> Vec<Problem> {
    let Ok(root) = serde_saphyr::from_str_with_options::<Spanned<PlacedValue>>(text, options()) else {
        return problems;
    };
    let placed = problems.into_iter().map(|problem| match problem.line {
        Some(_) => problem,
        None => Problem { line: line_at(&root, &problem.pointer), ..problem },
    });
    placed.collect()
}

/// The line of the value at a pointer, or of the last one on the way to it that is there.
fn line_at(root: &Spanned<PlacedValue>, pointer: &str) -> Option<u32> {
    let mut at = root;
    // Each part of the pointer is followed once.
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let next = match &at.value {
            PlacedValue::Map(fields) => fields.iter().find(|(name, _)| *name == part).map(|(_, value)| value),
            PlacedValue::List(items) => part.parse::<usize>().ok().and_then(|place| items.get(place)),
            PlacedValue::Other => None,
        };
        match next {
            Some(next) => at = next,
            None => break,
        }
    }
    u32::try_from(at.referenced.line()).ok().filter(|line| *line > 0)
}

/// A value whose parts know where they stand.
enum PlacedValue {
    Map(Vec<(String, Spanned<PlacedValue>)>),
    List(Vec<Spanned<PlacedValue>>),
    Other,
}

impl<'de> Deserialize<'de> for PlacedValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlacedVisitor)
    }
}

struct PlacedVisitor;

impl<'de> Visitor<'de> for PlacedVisitor {
    type Value = PlacedValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PlacedValue, A::Error> {
        let mut fields = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            fields.push((name, map.next_value()?));
        }
        Ok(PlacedValue::Map(fields))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<PlacedValue, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(PlacedValue::List(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_i64<E>(self, _: i64) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_i128<E>(self, _: i128) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_u64<E>(self, _: u64) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_u128<E>(self, _: u128) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_none<E>(self) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_unit<E>(self) -> Result<PlacedValue, E> {
        Ok(PlacedValue::Other)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<PlacedValue, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<PlacedValue, D::Error> {
        IgnoredAny::deserialize(inner).map(|_| PlacedValue::Other)
    }
}
