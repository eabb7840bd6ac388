//! One filter of a list: `status.state=failed`, `updated_at[gt]=2026-01-01T00:00:00Z`.

use std::cmp::Ordering;
use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::Value;

use crate::kernel::Error;
use crate::model::nearest;
use crate::objects::field_values::FieldValues;
use crate::objects::fields::{Field, FieldReader};
use crate::objects::rules::NounRules;

/// Most values of one `in` operator.
const CHOICES_MAX: usize = 1000;
const OPERATORS: [&str; 9] = ["eq", "ne", "in", "nin", "gt", "gte", "lt", "lte", "like"];
const EXISTS: &str = "exists";

/// A field and the condition on it.
#[derive(Debug, Clone)]
pub struct Filter {
    pub(super) field: Field,
    test: FilterTest,
}

#[derive(Debug, Clone)]
pub(super) enum FilterTest {
    /// Equal to one of these patterns, in which `*` stands for any text.
    OneOf(Vec<String>),
    NoneOf(Vec<String>),
    Order(OrderedValue, &'static [Ordering]),
    Exists(bool),
}

impl Filter {
    /// Parses `field` or `field[operator]` with its value. Relative times count from `now`.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the existing fields or operators, or the values that the field has.
    pub fn parse<T: NounRules>((name, value): (&str, &str), now: Timestamp) -> Result<Self, Error> {
        let (field, operator) = field_and_operator(name);
        let (field, test) = (Field::parse::<T>(field)?, FilterTest::parse(operator, value)?);
        let test = test.of_values((&field, value), now)?;
        Ok(Filter { field, test })
    }

    /// The values that the field is compared with for equality.
    pub(super) fn values_mut(&mut self) -> &mut [String] {
        match &mut self.test {
            FilterTest::OneOf(values) | FilterTest::NoneOf(values) => values,
            FilterTest::Order(..) | FilterTest::Exists(_) => &mut [],
        }
    }

    /// Whether an object matches. A list matches if one of its values does.
    pub fn passes<T: NounRules>(&self, reader: &FieldReader<'_, T>) -> bool {
        self.test.passes(&reader.values(&self.field))
    }
}

/// `field` or `field[operator]`.
pub(super) fn field_and_operator(name: &str) -> (&str, &str) {
    name.strip_suffix(']').and_then(|name| name.split_once('[')).unwrap_or((name, "eq"))
}

impl FilterTest {
    /// Whether the values of a field fit.
    pub(super) fn passes(&self, values: &[Value]) -> bool {
        match self {
            FilterTest::OneOf(patterns) => values.iter().any(|value| is_one_of(value, patterns)),
            FilterTest::NoneOf(patterns) => !values.iter().any(|value| is_one_of(value, patterns)),
            FilterTest::Order(bound, wanted) => values
                .iter()
                .filter_map(OrderedValue::of)
                .any(|value| value.same_kind(bound) && wanted.contains(&value.compare(bound))),
            FilterTest::Exists(wanted) => values.is_empty() != *wanted,
        }
    }

    pub(super) fn parse(operator: &str, value: &str) -> Result<Self, Error> {
        const GT: &[Ordering] = &[Ordering::Greater];
        const GTE: &[Ordering] = &[Ordering::Greater, Ordering::Equal];
        const LT: &[Ordering] = &[Ordering::Less];
        const LTE: &[Ordering] = &[Ordering::Less, Ordering::Equal];
        match operator {
            "eq" | "like" => Ok(FilterTest::OneOf(vec![value.to_owned()])),
            "ne" => Ok(FilterTest::NoneOf(vec![value.to_owned()])),
            "in" => choices(value).map(FilterTest::OneOf),
            "nin" => choices(value).map(FilterTest::NoneOf),
            "gt" => Ok(FilterTest::Order(OrderedValue::of_text(value), GT)),
            "gte" => Ok(FilterTest::Order(OrderedValue::of_text(value), GTE)),
            "lt" => Ok(FilterTest::Order(OrderedValue::of_text(value), LT)),
            "lte" => Ok(FilterTest::Order(OrderedValue::of_text(value), LTE)),
            EXISTS => match value {
                "true" | "" => Ok(FilterTest::Exists(true)),
                "false" => Ok(FilterTest::Exists(false)),
                _ => Err(Error::BadRequest("`[exists]` is `true` or `false`".to_owned())),
            },
            _ => Err(unknown(operator)),
        }
    }

    /// The test on a field with these values: a time can be relative, and a value that no object can have is
    /// refused.
    fn of_values(self, (field, value): (&Field, &str), now: Timestamp) -> Result<Self, Error> {
        match self {
            // The values are names.
            FilterTest::OneOf(_) | FilterTest::NoneOf(_) if field.names.is_some() => Ok(self),
            test => test.fitted(&field.values, (&field.text, value), now),
        }
    }

    /// The same, of a field that names no object.
    pub(super) fn fitted(
        self,
        known: &FieldValues,
        (field, value): (&str, &str),
        now: Timestamp,
    ) -> Result<Self, Error> {
        match self {
            FilterTest::Order(bound, wanted) => {
                let time = known.time((field, value), now)?;
                Ok(FilterTest::Order(time.map_or(bound, OrderedValue::Time), wanted))
            }
            test => {
                test.values().iter().try_for_each(|value| known.check((field, value), now))?;
                Ok(test)
            }
        }
    }

    fn values(&self) -> &[String] {
        match self {
            FilterTest::OneOf(values) | FilterTest::NoneOf(values) => values,
            FilterTest::Order(..) | FilterTest::Exists(_) => &[],
        }
    }
}

fn unknown(operator: &str) -> Error {
    let known = OPERATORS.into_iter().chain([EXISTS]);
    let near = nearest(operator, known.clone());
    let near = near.map(|near| format!("did you mean `{near}`? ")).unwrap_or_default();
    let known: Vec<&str> = known.collect();
    Error::BadRequest(format!("there is no operator `{operator}`; {near}there are: {}", known.join(", ")))
}

fn choices(value: &str) -> Result<Vec<String>, Error> {
    if value.split(',').count() > CHOICES_MAX {
        return Err(Error::BadRequest(format!("at most {CHOICES_MAX} values")));
    }
    Ok(value.split(',').map(|choice| choice.trim().to_owned()).collect())
}

fn is_one_of(value: &Value, patterns: &[String]) -> bool {
    match value {
        Value::String(text) => is_like_any(patterns, text),
        Value::Bool(value) => is_like_any(patterns, if *value { "true" } else { "false" }),
        Value::Number(number) => patterns
            .iter()
            .any(|pattern| pattern.parse::<f64>().ok().is_some_and(|wanted| number.as_f64() == Some(wanted))),
        _ => false,
    }
}

fn is_like_any(patterns: &[String], text: &str) -> bool {
    patterns.iter().any(|pattern| is_like(text, pattern))
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn is_like(text: &str, pattern: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return text == pattern };
    let Some(mut text) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = text.split_once(part) else { return false };
        text = after;
    }
    text.ends_with(last)
}

/// A value that can be compared with others of its type.
#[derive(Debug, Clone, PartialEq)]
pub enum OrderedValue {
    Bool(bool),
    Number(f64),
    Time(Timestamp),
    Address(IpAddr),
    Text(String),
}

impl OrderedValue {
    /// `None` for lists and objects.
    pub fn of(value: &Value) -> Option<Self> {
        match value {
            Value::Bool(value) => Some(OrderedValue::Bool(*value)),
            Value::Number(number) => number.as_f64().map(OrderedValue::Number),
            Value::String(text) => {
                Some(time_or_address(text).unwrap_or_else(|| OrderedValue::Text(text.clone())))
            }
            _ => None,
        }
    }

    /// The value of a client's text, which does not say whether it is a number.
    fn of_text(text: &str) -> Self {
        let special = time_or_address(text).or_else(|| text.parse().ok().map(OrderedValue::Number));
        special.unwrap_or_else(|| OrderedValue::Text(text.to_owned()))
    }

    fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// A total order: the types follow one another.
    pub fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (OrderedValue::Bool(a), OrderedValue::Bool(b)) => a.cmp(b),
            (OrderedValue::Number(a), OrderedValue::Number(b)) => a.total_cmp(b),
            (OrderedValue::Time(a), OrderedValue::Time(b)) => a.cmp(b),
            (OrderedValue::Address(a), OrderedValue::Address(b)) => a.cmp(b),
            (OrderedValue::Text(a), OrderedValue::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            OrderedValue::Bool(_) => 0,
            OrderedValue::Number(_) => 1,
            OrderedValue::Time(_) => 2,
            OrderedValue::Address(_) => 3,
            OrderedValue::Text(_) => 4,
        }
    }
}

fn time_or_address(text: &str) -> Option<OrderedValue> {
    let bytes = text.as_bytes();
    if bytes.first().is_none_or(|first| !first.is_ascii_digit()) {
        return None;
    }
    if bytes.get(4) == Some(&b'-') && bytes.get(10) == Some(&b'T') {
        return text.parse().ok().map(OrderedValue::Time);
    }
    text.parse().ok().map(OrderedValue::Address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Machine;

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        assert!(is_like("web1", "web*") && is_like("web1", "*1") && is_like("a-web-b", "a*web*b"));
        assert!(is_like("web1", "*") && !is_like("web1", "web") && !is_like("web", "web?"));
        assert!(!is_like("ab", "ab*b") && is_like("abb", "ab*b"));
    }

    #[test]
    fn addresses_and_times_are_ordered_as_what_they_are() {
        let less = |a: Value, b: Value| {
            OrderedValue::of(&a).unwrap().compare(&OrderedValue::of(&b).unwrap()).is_lt()
        };
        assert!(less(json!("10.0.0.9"), json!("10.0.0.10")));
        assert!(less(json!("2026-01-01T00:00:00Z"), json!("2026-01-01T00:00:00.5Z")));
        assert!(less(json!(9), json!(10)) && less(json!("a"), json!("b")));
    }

    #[test]
    fn a_filter_that_nothing_can_match_is_refused_with_the_nearest() {
        let now: Timestamp = "2026-11-30T20:06:00Z".parse().unwrap();
        let parse = |name: &str, value: &str| Filter::parse::<Machine>((name, value), now);
        for (name, value, why) in [
            ("status.state", "completed", "did you mean `complete`?"),
            ("status.state[in]", "failed,heldd", "did you mean `held`?"),
            ("updated_at[gt]", "yesterday", "write it like -1h"),
            ("locked", "yes", "`true` or `false`"),
            ("status.cursor", "two", "not a number"),
            ("status.run.id", "web1", "not an id"),
        ] {
            let refused = parse(name, value).unwrap_err().to_string();
            assert!(refused.contains(why) && refused.starts_with('`'), "{name}={value}: {refused}");
        }
        for (name, value) in [
            ("status.state", "comp*"),
            ("status.state[ne]", "complete"),
            ("status.stage", ""),
            ("updated_at", "2026-11-*"),
            ("profiles", "anything"),
            ("param.rack", "a1"),
        ] {
            parse(name, value).unwrap();
        }
        let recent = parse("updated_at[gte]", "-1h").unwrap();
        let FilterTest::Order(OrderedValue::Time(bound), _) = recent.test else { panic!("{recent:?}") };
        assert_eq!(bound.to_string(), "2026-11-30T19:06:00Z");
    }

    #[test]
    fn an_unknown_operator_is_told_the_ones_there_are() {
        let error = FilterTest::parse("gtt", "1").unwrap_err().to_string();
        assert!(error.contains("did you mean `gt`") && error.contains("exists"), "{error}");
    }
}
