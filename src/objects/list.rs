//! Lists: filters, order, paging and trimming, the same for every noun.
//!
//! `?name=web*&status.state[ne]=failed&sort=-updated_at&limit=50&fields=name,status.state`. Start with
//! [`ListQuery::parse`], then [`Objects::list`]. The cursor of a page holds the last object's key and sort
//! values, so that writes between two pages do not repeat or skip objects whose place did not change.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use crate::kernel::{Caller, Error};
use crate::model::{HasTable, ReadPosition, Stored, Table, World};
use crate::objects::Objects;
use crate::objects::fields::{Field, FieldReader};
use crate::objects::filter::{Filter, OrderedValue};
use crate::objects::lanes::WorkFlag;
use crate::objects::named_filters::UnknownName;
use crate::objects::rules::NounRules;
use crate::objects::view::{self, ViewSubject};

/// Objects on a page: the default and the largest number.
pub const LIMIT_DEFAULT: usize = 100;
pub const LIMIT_MAX: usize = 1000;
/// Objects that are shown under one lock of the world.
const SHOWN_AT_ONCE: usize = 64;
/// Bytes of JSON after which a page ends: the object that reaches them is the last. A page of 1,000 objects
/// of the largest size would have a gibibyte.
pub const PAGE_BYTES_MAX: usize = 8 << 20;
/// Most filters, sort keys or fields of one query.
pub(super) const TERMS_MAX: usize = 32;

/// A client's query for a list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    filters: Vec<Filter>,
    /// Names in the filters that no object has.
    unknown: Vec<UnknownName>,
    sort: Vec<SortKey>,
    /// The fields to return; all if empty.
    fields: Vec<String>,
    limit: usize,
    after: Option<PageCursor>,
}

#[derive(Debug, Clone)]
struct SortKey {
    field: Field,
    descending: bool,
}

/// The place where a page ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct PageCursor {
    /// The `sort` of the page.
    pub(super) sort: String,
    pub(super) values: Vec<Option<Value>>,
    pub(super) key: String,
}

/// One page of a list, as JSON values.
#[derive(Debug, serde::Serialize)]
pub struct ListPage {
    pub items: Vec<Box<RawValue>>,
    pub next: Option<String>,
    /// Number of all objects that pass the filters.
    pub total: usize,
    /// The position of a reader that has read this page.
    #[serde(flatten)]
    pub read_at: ReadPosition,
}

/// One page of a list, as text.
#[derive(Debug)]
pub struct ListText {
    pub read_at: ReadPosition,
    pub json: Vec<u8>,
}

impl ListQuery {
    /// Parses a list's query: filters, `sort`, `fields`, `limit`, `cursor`. Relative times count from `now`.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the existing fields and operators.
    pub fn parse<T: NounRules>(pairs: &[(String, String)], now: Timestamp) -> Result<Self, Error> {
        let mut query = ListQuery { limit: LIMIT_DEFAULT, ..ListQuery::default() };
        let mut cursor = None;
        for (name, value) in pairs {
            match name.as_str() {
                "limit" => query.limit = parse_limit(value)?,
                "cursor" => cursor = Some(value.as_str()),
                "sort" => query.sort = parse_sort::<T>(value)?,
                "fields" => query.fields = parse_fields::<T>(value)?,
                _ => query.filters.push(Filter::parse::<T>((name, value), now)?),
            }
        }
        if query.filters.len() > TERMS_MAX {
            return Err(Error::BadRequest(format!("at most {TERMS_MAX} filters")));
        }
        let sort = query.sort_text();
        query.after = cursor.map(|text| PageCursor::read(text, &sort)).transpose()?;
        Ok(query)
    }

    pub(super) fn filters_mut(&mut self) -> &mut [Filter] {
        &mut self.filters
    }

    /// Whether an object passes the filters.
    pub(super) fn passes<T: NounRules>(&self, stored: &Stored<T>) -> bool {
        let reader = FieldReader::new(stored);
        self.filters.iter().all(|filter| filter.passes(&reader))
    }

    fn shows_problems(&self) -> bool {
        self.fields.is_empty() || self.fields.iter().any(|field| field == "problems")
    }

    /// What was asked for of an object.
    fn trim(&self, body: Value) -> Value {
        if self.fields.is_empty() { body } else { trimmed(&body, &self.fields) }
    }

    fn sort_text(&self) -> String {
        self.sort
            .iter()
            .map(|key| format!("{}{}", if key.descending { "-" } else { "" }, key.field.text))
            .collect::<Vec<_>>()
            .join(",")
    }
}

pub(super) fn parse_limit(text: &str) -> Result<usize, Error> {
    let limit = text.parse().ok().filter(|limit| (1..=LIMIT_MAX).contains(limit));
    limit.ok_or_else(|| {
        Error::BadRequest(format!("`limit` must be a number from 1 to {LIMIT_MAX}, not `{text}`"))
    })
}

fn parse_sort<T: NounRules>(text: &str) -> Result<Vec<SortKey>, Error> {
    terms(text)?
        .map(|term| {
            let (descending, name) = term.strip_prefix('-').map_or((false, term), |name| (true, name));
            Ok(SortKey { field: Field::parse::<T>(name)?, descending })
        })
        .collect()
}

fn parse_fields<T: NounRules>(text: &str) -> Result<Vec<String>, Error> {
    terms(text)?
        .map(|term| match term {
            "problems" => Ok(term.to_owned()),
            "status" if T::HAS_STATUS => Ok(term.to_owned()),
            _ => Field::parse::<T>(term).map(|field| field.text),
        })
        .collect()
}

pub(super) fn terms(text: &str) -> Result<impl Iterator<Item = &str>, Error> {
    if text.split(',').count() > TERMS_MAX {
        return Err(Error::BadRequest(format!("at most {TERMS_MAX} fields")));
    }
    Ok(text.split(',').map(str::trim).filter(|term| !term.is_empty()))
}

impl Objects {
    /// One page of a list as JSON, made on a thread of its own.
    ///
    /// # Errors
    /// [`Error::Busy`] if it takes too long; [`Error::BadRequest`] for a filter that names no object.
    pub async fn list_text<T: NounRules>(
        self: &Arc<Self>,
        caller: Caller,
        mut query: ListQuery,
    ) -> Result<ListText, Error>
    where
        World: HasTable<T>,
    {
        query.unknown = self.resolve_names(&caller, &mut query.filters)?;
        let objects = Arc::clone(self);
        let listing = self.lanes.lists.run_in_pieces(move |flag| {
            let page = objects.list::<T>(&caller, &query, flag)?;
            let json = serde_json::to_vec(&page).map_err(failed)?;
            Ok(ListText { read_at: page.read_at, json })
        });
        listing.await?
    }

    /// One page of a list of the objects that the caller may read. It is incomplete when it was given up.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a filter that names no object.
    pub fn list<T: NounRules>(
        &self,
        caller: &Caller,
        query: &ListQuery,
        flag: &WorkFlag,
    ) -> Result<ListPage, Error>
    where
        World: HasTable<T>,
    {
        if query.filters.is_empty() && query.sort.is_empty() && caller.sees_all(T::KIND) {
            return self.list_by_key(query, flag);
        }
        let (rows, read_at): (Vec<Arc<Stored<T>>>, ReadPosition) = self.kernel.read(|world| {
            let table: &Table<T> = world.table();
            let now = self.kernel.now();
            (caller.visible(table).map(|row| seen(row, now)).collect(), world.commits.position())
        });
        self.refuse_unknown_names(caller, (&query.unknown, &rows))?;
        let mut rows = ranked(query, &rows, flag);
        let total = rows.len();
        if !query.sort.is_empty() {
            rows.sort_by(|a, b| compare(query, a, b));
        }
        if let Some(cursor) = &query.after {
            let end = RankedObject::of(cursor);
            let from = rows.partition_point(|row| compare(query, row, &end).is_le());
            rows.drain(..from);
        }
        let page: Vec<&Arc<Stored<T>>> = rows.iter().take(query.limit).filter_map(|row| row.stored).collect();
        let items = self.shown_all(&page, query, flag)?;
        let last = items.len().checked_sub(1).filter(|_| items.len() < rows.len());
        let next = last.and_then(|last| rows.get(last)).map(|last| last.cursor(query));
        Ok(ListPage { items, next, total, read_at })
    }

    /// The page of a caller that may read all objects, without filter or sort: found by its first key, so
    /// that only the page is read.
    fn list_by_key<T: NounRules>(&self, query: &ListQuery, flag: &WorkFlag) -> Result<ListPage, Error>
    where
        World: HasTable<T>,
    {
        let (page, more, mut listed) = self.kernel.read(|world| {
            let table: &Table<T> = world.table();
            let from = query.after.as_ref().map_or("", |cursor| cursor.key.as_str());
            let mut rows = table.after(from);
            let page: Vec<Arc<Stored<T>>> =
                rows.by_ref().take(query.limit).map(|row| seen(row, self.kernel.now())).collect();
            let listed = ListPage {
                items: Vec::new(),
                next: None,
                total: table.len(),
                read_at: world.commits.position(),
            };
            (page, rows.next().is_some(), listed)
        });
        let rows: Vec<&Arc<Stored<T>>> = page.iter().collect();
        listed.items = self.shown_all(&rows, query, flag)?;
        let shown = listed.items.len();
        let last = shown.checked_sub(1).filter(|_| more || shown < rows.len());
        listed.next = last.and_then(|last| rows.get(last)).map(|last| {
            PageCursor { sort: String::new(), values: Vec::new(), key: last.key.clone() }.encode()
        });
        Ok(listed)
    }

    /// Builds the views of the first rows, up to [`PAGE_BYTES_MAX`]. The world is locked only for what a view
    /// needs of it, because commits and packets wait for the lock.
    fn shown_all<T: NounRules>(
        &self,
        rows: &[&Arc<Stored<T>>],
        query: &ListQuery,
        flag: &WorkFlag,
    ) -> Result<Vec<Box<RawValue>>, Error>
    where
        World: HasTable<T>,
    {
        let (mut items, mut bytes) = (Vec::with_capacity(rows.len()), 0);
        for rows in rows.chunks(SHOWN_AT_ONCE) {
            let mut subjects = Vec::new();
            if query.shows_problems() {
                subjects =
                    self.kernel.read(|world| rows.iter().map(|row| self.subject(world, row)).collect());
            }
            let mut subjects = subjects.into_iter();
            for row in rows {
                if bytes >= PAGE_BYTES_MAX || flag.is_given_up() {
                    return Ok(items);
                }
                let body = subjects.next().map_or_else(
                    || view::without_problems(row),
                    |subject: ViewSubject<T>| subject.view().body,
                );
                let item = to_raw_value(&query.trim(body)).map_err(failed)?;
                bytes += item.get().len();
                items.push(item);
            }
        }
        Ok(items)
    }
}

/// A value that JSON cannot hold; none of the nouns has one.
fn failed(error: serde_json::Error) -> Error {
    Error::Failed(format!("the list failed: {error}"))
}

/// A row as readers see it at this time.
pub(super) fn seen<T: NounRules>(row: &Arc<Stored<T>>, now: Timestamp) -> Arc<Stored<T>> {
    T::effective_at(row, now).map_or_else(|| Arc::clone(row), Arc::new)
}

/// An object that matches the filters, with its sort values.
struct RankedObject<'a, T: NounRules> {
    key: &'a str,
    values: Vec<Option<Value>>,
    order: Vec<Option<OrderedValue>>,
    stored: Option<&'a Arc<Stored<T>>>,
}

impl<'a, T: NounRules> RankedObject<'a, T> {
    fn of(cursor: &'a PageCursor) -> Self {
        RankedObject { key: &cursor.key, values: Vec::new(), order: in_order(&cursor.values), stored: None }
    }

    fn cursor(&self, query: &ListQuery) -> String {
        let (values, key) = (self.values.clone(), self.key.to_owned());
        PageCursor { sort: query.sort_text(), values, key }.encode()
    }
}

impl PageCursor {
    /// Reads the cursor of a page with this `sort`.
    pub(super) fn read(text: &str, sort: &String) -> Result<Self, Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok();
        let cursor = bytes.and_then(|bytes| serde_json::from_slice::<PageCursor>(&bytes).ok());
        cursor.filter(|cursor| cursor.sort == *sort).ok_or_else(|| {
            Error::BadRequest("this `cursor` is not from a page of this list with this `sort`".to_owned())
        })
    }

    pub(super) fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).unwrap_or_default())
    }
}

pub(super) fn in_order(values: &[Option<Value>]) -> Vec<Option<OrderedValue>> {
    values.iter().map(|value| value.as_ref().and_then(OrderedValue::of)).collect()
}

fn ranked<'a, T: NounRules>(
    query: &ListQuery,
    rows: &'a [Arc<Stored<T>>],
    flag: &WorkFlag,
) -> Vec<RankedObject<'a, T>> {
    rows.iter()
        .take_while(|_| !flag.is_given_up())
        .filter_map(|stored: &'a Arc<Stored<T>>| {
            let reader = FieldReader::new(stored.as_ref());
            if !query.filters.iter().all(|filter| filter.passes(&reader)) {
                return None;
            }
            let values: Vec<Option<Value>> =
                query.sort.iter().map(|key| reader.values(&key.field).into_iter().next()).collect();
            let order = in_order(&values);
            Some(RankedObject { key: &stored.key, values, order, stored: Some(stored) })
        })
        .collect()
}

fn compare<T: NounRules>(
    query: &ListQuery,
    a: &RankedObject<'_, T>,
    b: &RankedObject<'_, T>,
) -> std::cmp::Ordering {
    in_sort_order(query.sort.iter().map(|key| key.descending), [(&a.order, a.key), (&b.order, b.key)])
}

/// Compares rows by the values that they are sorted by, those without a value last; then by key.
pub(super) fn in_sort_order(
    descending: impl Iterator<Item = bool>,
    [(a, a_key), (b, b_key)]: [(&[Option<OrderedValue>], &str); 2],
) -> std::cmp::Ordering {
    let by_values = descending.zip(a.iter().zip(b)).map(|(descends, pair)| match pair {
        (Some(a), Some(b)) if descends => b.compare(a),
        (Some(a), Some(b)) => a.compare(b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    });
    by_values.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then).then_with(|| a_key.cmp(b_key))
}

/// Keeps the given fields, at their places.
pub(super) fn trimmed(whole: &Value, fields: &[String]) -> Value {
    let mut kept = Value::Object(Map::new());
    for field in fields {
        let map = ["label", "param"].iter().find_map(|map| {
            let name =
                field.strip_prefix(&format!("{map}s.")).or_else(|| field.strip_prefix(&format!("{map}.")));
            Some((format!("{map}s"), name?.to_owned()))
        });
        match map {
            Some((map, name)) => copy(whole, &mut kept, &[&map, &name]),
            None => copy(whole, &mut kept, &field.split('.').collect::<Vec<_>>()),
        }
    }
    kept
}

fn copy(from: &Value, to: &mut Value, path: &[&str]) {
    let Some((first, rest)) = path.split_first() else {
        *to = from.clone();
        return;
    };
    match (from, to) {
        (Value::Array(items), to) => {
            if !to.is_array() {
                *to = Value::Array(vec![Value::Object(Map::new()); items.len()]);
            }
            let places = to.as_array_mut().into_iter().flatten();
            items.iter().zip(places).for_each(|(item, place)| copy(item, place, path));
        }
        (Value::Object(fields), Value::Object(kept)) => {
            if let Some(inner) = fields.get(*first) {
                copy(inner, kept.entry(*first).or_insert_with(|| Value::Object(Map::new())), rest);
            }
        }
        _ => {}
    }
}
