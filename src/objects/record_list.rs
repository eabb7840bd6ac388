//! Lists of what is not stored, with the filters, order and pages of the lists of nouns. Start with
//! [`RecordQuery::parse`], then [`Objects::list_records`].

use std::cmp::Ordering;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

use crate::kernel::Error;
use crate::objects::Objects;
use crate::objects::field_values::FieldValues;
use crate::objects::fields::{collect, names_in, no_field, schema_at, schema_of};
use crate::objects::filter::{FilterTest, OrderedValue, field_and_operator};
use crate::objects::list::{
    LIMIT_DEFAULT, ListPage, PAGE_BYTES_MAX, PageCursor, TERMS_MAX, in_order, in_sort_order, parse_limit,
    terms, trimmed,
};

/// A kind of record: its plural, and the text by which each of its records is told from the others.
pub trait ListedRecord: Serialize + JsonSchema {
    const PLURAL: &'static str;

    fn key(&self) -> String;
}

/// A path of names in a record.
type FieldPath = Vec<String>;

/// A client's query for a list of records.
#[derive(Debug, Clone)]
pub struct RecordQuery {
    filters: Vec<(FieldPath, FilterTest)>,
    /// The fields to sort by; `true` for a descending order.
    sort: Vec<(FieldPath, bool)>,
    sort_text: String,
    /// The fields to return; all if empty.
    fields: Vec<String>,
    limit: usize,
    after: Option<PageCursor>,
}

impl RecordQuery {
    /// Parses filters, `sort`, `fields`, `limit` and `cursor`. Relative times count from `now`.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the existing fields and operators, or the values that a field has.
    pub fn parse<R: ListedRecord>(pairs: &[(String, String)], now: Timestamp) -> Result<Self, Error> {
        let schema = schema_of::<R>();
        let mut query = RecordQuery {
            filters: Vec::new(),
            sort: Vec::new(),
            sort_text: String::new(),
            fields: Vec::new(),
            limit: LIMIT_DEFAULT,
            after: None,
        };
        let mut cursor = None;
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => query.limit = parse_limit(value)?,
                "cursor" => cursor = Some(value.as_str()),
                "sort" => query.sort_by::<R>(&schema, value)?,
                "fields" => {
                    let fields = terms(value)?.map(|term| field::<R>(&schema, term).map(|_| term.to_owned()));
                    query.fields = fields.collect::<Result<_, _>>()?;
                }
                _ => {
                    let (name, operator) = field_and_operator(name);
                    let (path, said) = field::<R>(&schema, name)?;
                    let known = FieldValues::of(said);
                    let test = FilterTest::parse(operator, value)?.fitted(&known, (name, value), now)?;
                    query.filters.push((path, test));
                }
            }
        }
        if query.filters.len() > TERMS_MAX {
            return Err(Error::BadRequest(format!("at most {TERMS_MAX} filters")));
        }
        query.after = cursor.map(|text| PageCursor::read(text, &query.sort_text)).transpose()?;
        Ok(query)
    }

    fn sort_by<R: ListedRecord>(&mut self, schema: &Value, text: &str) -> Result<(), Error> {
        self.sort.clear();
        for term in terms(text)? {
            let (name, descends) = term.strip_prefix('-').map_or((term, false), |name| (name, true));
            self.sort.push((field::<R>(schema, name)?.0, descends));
        }
        self.sort_text = terms(text)?.collect::<Vec<_>>().join(",");
        Ok(())
    }

    fn cursor(&self, row: &RecordRow) -> String {
        let values = row.sorted_by.clone();
        PageCursor { sort: self.sort_text.clone(), values, key: row.key.clone() }.encode()
    }

    fn compare(&self, a: &RecordRow, b: &RecordRow) -> Ordering {
        let descending = self.sort.iter().map(|(_, descends)| *descends);
        in_sort_order(descending, [(&a.order, &a.key), (&b.order, &b.key)])
    }
}

/// A record that passes the filters, with its sort values.
struct RecordRow {
    key: String,
    body: Value,
    sorted_by: Vec<Option<Value>>,
    order: Vec<Option<OrderedValue>>,
}

impl RecordRow {
    fn new(key: String, body: Value, sorted_by: Vec<Option<Value>>) -> Self {
        let order = in_order(&sorted_by);
        RecordRow { key, body, sorted_by, order }
    }
}

impl Objects {
    /// One page of a list of records, made on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Busy`] if it takes too long.
    pub async fn list_records<R: ListedRecord + Send + 'static>(
        &self,
        records: Vec<R>,
        query: RecordQuery,
    ) -> Result<ListPage, Error> {
        let read_at = self.position();
        let listing = self.lanes.lists.run(move || {
            let mut rows: Vec<RecordRow> = records.iter().filter_map(|record| row(record, &query)).collect();
            let total = rows.len();
            rows.sort_by(|a, b| query.compare(a, b));
            if let Some(cursor) = &query.after {
                let end = RecordRow::new(cursor.key.clone(), Value::Null, cursor.values.clone());
                rows.retain(|row| query.compare(row, &end).is_gt());
            }
            let (mut items, mut bytes) = (Vec::new(), 0);
            for row in rows.iter().take(query.limit) {
                if bytes >= PAGE_BYTES_MAX {
                    break;
                }
                let is_whole = query.fields.is_empty();
                let body = if is_whole { row.body.clone() } else { trimmed(&row.body, &query.fields) };
                let item = to_raw_value(&body)?;
                bytes += item.get().len();
                items.push(item);
            }
            let last = items.len().checked_sub(1).filter(|_| items.len() < rows.len());
            let next = last.and_then(|last| rows.get(last)).map(|last| query.cursor(last));
            Ok::<_, serde_json::Error>(ListPage { items, next, total, read_at })
        });
        listing.await?.map_err(|error| Error::Failed(format!("the list failed: {error}")))
    }
}

/// The row of a record; none if it does not pass the filters.
fn row<R: ListedRecord>(record: &R, query: &RecordQuery) -> Option<RecordRow> {
    let body = json!(record);
    let values = |path: &FieldPath| {
        let mut found = Vec::new();
        collect(&body, path, &mut found);
        found
    };
    if !query.filters.iter().all(|(path, test)| test.passes(&values(path))) {
        return None;
    }
    let sorted_by = query.sort.iter().map(|(path, _)| values(path).into_iter().next()).collect();
    Some(RecordRow::new(record.key(), body, sorted_by))
}

/// The path of a field that the records have, and what the schema says about it.
fn field<'s, R: ListedRecord>(schema: &'s Value, text: &str) -> Result<(FieldPath, &'s Value), Error> {
    let steps: Vec<&str> = text.split('.').collect();
    let said = schema_at(schema, &steps).filter(|_| !text.is_empty());
    let said = said.ok_or_else(|| no_field(R::PLURAL, text, &names_in(schema, "")))?;
    Ok((steps.into_iter().map(str::to_owned).collect(), said))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::houses::testing;

    #[derive(Clone, Serialize, Deserialize, JsonSchema)]
    struct FruitRecord {
        name: String,
        weight: Option<u32>,
    }

    impl ListedRecord for FruitRecord {
        const PLURAL: &'static str = "fruits";

        fn key(&self) -> String {
            self.name.clone()
        }
    }

    fn parse(query: &[(&str, &str)]) -> Result<RecordQuery, Error> {
        let pairs: Vec<_> = query.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        RecordQuery::parse::<FruitRecord>(&pairs, Timestamp::UNIX_EPOCH)
    }

    #[tokio::test]
    async fn records_are_filtered_sorted_and_paged_as_objects_are() {
        let houses = testing::houses();
        let weights = [("fig", Some(50)), ("apple", Some(150)), ("plum", None), ("pear", Some(150))];
        let fruits = weights.map(|(name, weight)| FruitRecord { name: name.into(), weight }).to_vec();
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut query = vec![("sort", "-weight"), ("limit", "1"), ("fields", "name")];
            if !cursor.is_empty() {
                query.push(("cursor", cursor.as_str()));
            }
            let page = houses.objects.list_records(fruits.clone(), parse(&query).unwrap()).await.unwrap();
            assert_eq!(page.total, 4);
            seen.extend(page.items.iter().map(|item| item.get().to_owned()));
            match page.next {
                Some(next) => cursor = next,
                None => break,
            }
        }
        let expected = ["apple", "pear", "fig", "plum"].map(|name| format!("{{\"name\":\"{name}\"}}"));
        assert_eq!(seen, expected);
        let heavy = parse(&[("weight[gt]", "60"), ("name", "p*")]).unwrap();
        let page = houses.objects.list_records(fruits, heavy).await.unwrap();
        assert_eq!((page.total, page.items.len()), (1, 1));
    }

    #[test]
    fn an_unknown_field_of_records_is_told_the_nearest() {
        let error = parse(&[("weigth", "1")]).unwrap_err().to_string();
        assert!(error.contains("fruits have no field `weigth`; did you mean `weight`?"), "{error}");
        let error = parse(&[("weight[gt]", "60"), ("weight", "much")]).unwrap_err().to_string();
        assert!(error.contains("not a number"), "{error}");
        assert!(parse(&[("sort", "colour")]).is_err() && parse(&[("fields", "x")]).is_err());
    }
}
