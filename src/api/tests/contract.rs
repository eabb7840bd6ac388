//! Checks responses of the API against `openapi.yaml`: a status that it does not list, or a body that does
//! not fit its schema, is a fault.
//!
//! The integration tests do the same with the real program.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jsonschema::Validator;
use serde_json::{Value, json};

/// One answer.
#[derive(Debug, Clone, Copy)]
pub struct Answer<'a> {
    pub status: u16,
    /// The response's `Content-Type`; empty if there is none.
    pub media: &'a str,
    pub body: &'a [u8],
}

/// The document, prepared for checks.
pub struct Contract {
    document: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Contract {
    pub fn load(yaml: &str) -> Self {
        let document: Value = serde_saphyr::from_str(yaml).expect("openapi.yaml is YAML");
        Contract { document, validators: Mutex::default() }
    }

    /// Method, path and entry of every operation.
    pub fn operations(&self) -> Vec<(String, String, Value)> {
        let paths = self.document["paths"].as_object().expect("paths");
        let of_path = |(path, methods): (&String, &Value)| {
            let methods = methods.as_object().expect("methods").clone();
            let path = path.clone();
            methods.into_iter().map(move |(method, entry)| (method.to_uppercase(), path.clone(), entry))
        };
        paths.iter().flat_map(of_path).collect()
    }

    /// What a response has that the document lacks.
    pub fn check(&self, method: &str, path: &str, answer: Answer<'_>) -> Result<(), String> {
        let method = if method == "HEAD" { "GET" } else { method };
        let path = path.split('?').next().unwrap_or_default();
        let Some((template, entry)) = self.entry(method, path) else {
            let outside = [401, 404, 405].contains(&answer.status) || method == "OPTIONS";
            return if outside || is_of_console(path) {
                Ok(())
            } else {
                Err(format!("{method} {path} is not in the document"))
            };
        };
        let here = format!("{method} {template} -> {}", answer.status);
        let reply = entry["responses"].get(answer.status.to_string());
        let reply = reply.ok_or_else(|| format!("{here} is not in the document"))?;
        let reply = match reply["$ref"].as_str() {
            Some(reference) => {
                self.document.pointer(reference.trim_start_matches('#')).expect("a $ref that leads somewhere")
            }
            None => reply,
        };
        let media = answer.media.split(';').next().unwrap_or_default().trim();
        let Some(content) = reply.get("content") else {
            return if answer.body.is_empty() { Ok(()) } else { Err(format!("{here} has a body")) };
        };
        let schema = content.get(media).and_then(|content| content.get("schema"));
        let schema = schema.ok_or_else(|| format!("{here} has the type `{media}`"))?;
        if answer.body.is_empty() || !media.ends_with("json") {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(answer.body).map_err(|error| format!("{here}: {error}"))?;
        let validator = self.validator(&here, schema);
        let faults: Vec<String> =
            validator.iter_errors(&body).map(|error| format!("{}: {error}", error.instance_path())).collect();
        if faults.is_empty() { Ok(()) } else { Err(format!("{here}: {} in {body}", faults.join("; "))) }
    }

    /// The operation for a path: the template that has most words in common with it.
    fn entry(&self, method: &str, path: &str) -> Option<(String, Value)> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let names: Vec<&str> = template.split('/').collect();
            let fits = names.len() == parts.len()
                && names.iter().zip(&parts).all(|(name, part)| name.starts_with('{') || name == part);
            fits.then(|| names.iter().filter(|name| name.starts_with('{')).count())
        };
        let operations = self.operations().into_iter().filter(|(known, ..)| known == method);
        let fitting = operations.filter_map(|(_, template, entry)| Some((fits(&template)?, template, entry)));
        fitting.min_by_key(|(open, ..)| *open).map(|(_, template, entry)| (template, entry))
    }

    fn validator(&self, name: &str, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().expect("no test panics in here");
        let build = || {
            let whole = json!({"allOf": [schema], "components": self.document["components"]});
            let validator = jsonschema::options().should_validate_formats(true).build(&whole);
            Arc::new(validator.unwrap_or_else(|error| panic!("{name}: {error}")))
        };
        Arc::clone(validators.entry(name.to_owned()).or_insert_with(build))
    }
}

/// Whether a path is one of the console's, whose files are no operations.
fn is_of_console(path: &str) -> bool {
    path == "/" || path == "/console" || path.starts_with("/console/")
}
