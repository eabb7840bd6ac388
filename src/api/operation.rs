//! One operation of the API: a row from which its route, its entry in the OpenAPI document and its access
//! check are made.
//!
//! A row reads like a sentence:
//! `Operation::get("/api/v1/machines/{ref}/timeline", "timeline_of_machine").tag("machines")
//! .summary("…").needs(RequiredScope::Read("machines")).answers(200, "…", schema::of::<Timeline>)
//! .runs(handler)`.

use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use schemars::SchemaGenerator;
use serde_json::{Value, json};

use super::ApiState;
use super::body::JSON;
use crate::kernel::scope::RequiredScope;

/// Makes a schema; the schemas that it refers to are added to the generator.
pub type SchemaFn = fn(&mut SchemaGenerator) -> Value;

/// The body of a request or response.
#[derive(Debug, Clone, Copy)]
pub struct BodyContent {
    pub media: &'static str,
    pub schema: SchemaFn,
}

/// A status of a successful answer.
#[derive(Debug, Clone)]
pub struct SuccessReply {
    pub status: u16,
    pub about: &'static str,
    pub content: Option<BodyContent>,
}

/// A query parameter.
#[derive(Debug, Clone)]
pub struct QueryParameter {
    pub name: &'static str,
    pub about: &'static str,
    pub schema: Value,
    pub place: QueryPlace,
}

/// How a parameter stands in a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryPlace {
    Optional,
    Required,
    /// It is an object, whose fields are the parameters of the query.
    Spread,
}

/// One method on one path.
pub struct Operation {
    pub method: Method,
    pub path: String,
    /// Unique in the document: `list_machines`.
    pub id: String,
    pub tag: &'static str,
    pub summary: String,
    /// Details for which the summary has no room; may be empty.
    pub description: &'static str,
    pub need: RequiredScope,
    /// The JSON Schema of `{ref}`, and what it is.
    pub reference: (Value, &'static str),
    pub query: Vec<QueryParameter>,
    /// Whether the handler reads further names as filters.
    pub filters: bool,
    pub takes: Vec<BodyContent>,
    pub replies: Vec<SuccessReply>,
    /// Statuses of refusals, besides those that every operation has.
    pub refusals: Vec<u16>,
    pub handler: MethodRouter<ApiState>,
}

impl Operation {
    pub fn new(method: Method, path: impl Into<String>, id: impl Into<String>) -> Self {
        Operation {
            method,
            path: path.into(),
            id: id.into(),
            tag: "service",
            summary: String::new(),
            description: "",
            need: RequiredScope::Token,
            reference: (text(), "The object's key, or `index:value`."),
            query: Vec::new(),
            filters: false,
            takes: Vec::new(),
            replies: Vec::new(),
            refusals: Vec::new(),
            handler: MethodRouter::new(),
        }
    }

    pub fn get(path: impl Into<String>, id: impl Into<String>) -> Self {
        Operation::new(Method::GET, path, id)
    }

    pub fn post(path: impl Into<String>, id: impl Into<String>) -> Self {
        Operation::new(Method::POST, path, id)
    }

    /// The tag that the operation is listed under.
    pub fn tag(self, tag: &'static str) -> Self {
        Operation { tag, ..self }
    }

    pub fn summary(self, summary: impl Into<String>) -> Self {
        Operation { summary: summary.into(), ..self }
    }

    pub fn description(self, description: &'static str) -> Self {
        Operation { description, ..self }
    }

    pub fn needs(self, need: RequiredScope) -> Self {
        Operation { need, ..self }
    }

    /// Adds a query parameter, with its JSON Schema.
    pub fn query(self, name: &'static str, schema: Value, about: &'static str) -> Self {
        self.query_parameter(QueryParameter { name, about, schema, place: QueryPlace::Optional })
    }

    pub fn query_parameter(mut self, parameter: QueryParameter) -> Self {
        self.query.push(parameter);
        self
    }

    /// What `{ref}` is, where it is no reference to an object.
    pub fn reference(self, schema: Value, about: &'static str) -> Self {
        Operation { reference: (schema, about), ..self }
    }

    /// Names that the query may have.
    pub fn query_names(&self) -> impl Iterator<Item = String> {
        self.query.iter().flat_map(|parameter| match parameter.place {
            QueryPlace::Spread => {
                let fields = parameter.schema.get("properties").and_then(Value::as_object);
                fields.into_iter().flat_map(|fields| fields.keys().cloned()).collect()
            }
            QueryPlace::Optional | QueryPlace::Required => vec![parameter.name.to_owned()],
        })
    }

    pub fn with_filters(self) -> Self {
        Operation { filters: true, ..self }
    }

    /// Adds a JSON body.
    pub fn takes(self, schema: SchemaFn) -> Self {
        self.takes_media(JSON, schema)
    }

    pub fn takes_media(mut self, media: &'static str, schema: SchemaFn) -> Self {
        self.takes.push(BodyContent { media, schema });
        self
    }

    /// Adds a status with a JSON body.
    pub fn answers(self, status: u16, about: &'static str, schema: SchemaFn) -> Self {
        self.answers_media(status, about, BodyContent { media: JSON, schema })
    }

    pub fn answers_media(mut self, status: u16, about: &'static str, content: BodyContent) -> Self {
        self.replies.push(SuccessReply { status, about, content: Some(content) });
        self
    }

    /// Adds a status without a body.
    pub fn answers_empty(mut self, status: u16, about: &'static str) -> Self {
        self.replies.push(SuccessReply { status, about, content: None });
        self
    }

    pub fn refuses(mut self, statuses: &[u16]) -> Self {
        self.refusals.extend(statuses);
        self
    }

    pub fn runs<H, T>(self, handler: H) -> Self
    where
        H: Handler<T, ApiState>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(self.method.clone()).unwrap_or(MethodFilter::GET);
        Operation { handler: on(filter, handler), ..self }
    }

    /// The names in braces in the path: `ref`.
    pub fn path_parameters(&self) -> impl Iterator<Item = &str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// The schema of a whole number in a query.
pub fn number(least: u64, most: u64) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

/// The schema of an event's number in a query.
pub fn event_number() -> Value {
    number(0, u64::MAX)
}

/// The schema of text in a query that fits a pattern.
pub fn text_like(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

/// The schema of a text in a query.
pub fn text() -> Value {
    json!({"type": "string"})
}
