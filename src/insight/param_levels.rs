//! What a template can use for a machine, and where it comes from: the params with the values of all levels,
//! and the variables.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::catalog::params::SecretMode;
use crate::catalog::rendering::BootContext;
use crate::insight::Insight;
use crate::insight::preview::ParamRow;
use crate::kernel::{Caller, Error};
use crate::model::{Machine, ParamLevel};
use crate::netboot::boot_facts::BootFacts;
use crate::render::{LayeredParams, RenderInput};

/// Most variables that are told of one machine, each field counted.
const VARIABLES_MAX: usize = 4096;
/// Most levels of maps that are told field by field.
const FIELD_LEVELS_MAX: usize = 4;

/// The value that a level has for a param.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct LevelValue {
    /// `machine`, `profile `base``, `defaults` …
    pub level: String,
    /// `{"sealed": true}` for a secret.
    pub value: Value,
    /// The source of the param's declaration, for its default: `pack core@1.0.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// A variable that a template can use.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct VariableRow {
    /// As a template names it: `machine.name`, `param(name="disk")`.
    pub name: String,
    /// `{"sealed": true}` for a secret.
    pub value: Value,
    /// Where the value comes from: the object that has it, or the level of a param.
    pub from: String,
}

impl Insight {
    /// The params of a machine on all levels, each with the values of all levels that have one. Blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`], or a sealed value is damaged.
    pub fn param_levels(
        &self,
        caller: &Caller,
        reference: &str,
    ) -> Result<BTreeMap<String, ParamRow>, Error> {
        // As in the list of params: the present ones, whatever a run kept.
        let mut gathered = self.facts_of(caller, reference)?;
        gathered.run = None;
        let input = self.input_of(&gathered)?;
        let params = &input.params;
        let names: Vec<&str> = params.names().into_iter().collect();
        Ok(names
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), self.explained(params, name)?)))
            .collect())
    }

    fn explained(&self, params: &LayeredParams, name: &str) -> Option<ParamRow> {
        let secret = params.is_secret(name);
        let levels = params.values_of(name).map(|(level, value)| LevelValue {
            level: level.to_string(),
            value: if secret { json!({"sealed": true}) } else { value.clone() },
            source: (*level == ParamLevel::Default).then(|| self.source_of_param(name)).flatten(),
        });
        let levels: Vec<LevelValue> = levels.collect();
        let first = levels.first()?;
        Some(ParamRow { value: first.value.clone(), level: first.level.clone(), secret, levels })
    }

    fn source_of_param(&self, name: &str) -> Option<String> {
        self.kernel.read(|world| world.params.get(name).map(|row| row.source.clone()))
    }

    /// Everything that a template can use for a machine, in the boot that it is in or would begin. Blocks.
    ///
    /// # Errors
    /// [`Error::NotFound`], or a sealed value is damaged.
    pub fn variables(&self, caller: &Caller, reference: &str) -> Result<Vec<VariableRow>, Error> {
        let gathered = self.facts_of(caller, reference)?;
        let input = self.input_of(&gathered)?;
        let mut rows = Vec::new();
        for (name, value) in &input.variables {
            let from = origin_of(name, &gathered);
            add_fields((name, value), &from, (&mut rows, FIELD_LEVELS_MAX));
        }
        for repository in &input.repositories {
            let name = format!("repos(tag=\"{}\")", repository.tag);
            rows.push(VariableRow {
                name,
                value: json!(repository),
                from: "param `repositories`".to_owned(),
            });
        }
        rows.push(row(
            "now()",
            json!(input.now),
            match &gathered.run {
                Some(run) => format!("the start of run {}", run.key),
                None => "the time of the request".to_owned(),
            },
        ));
        for name in input.params.names() {
            if let Some(param) = self.explained(&input.params, name) {
                rows.push(row(&format!("param(name=\"{name}\")"), param.value, param.level));
            }
        }
        rows.truncate(VARIABLES_MAX);
        Ok(rows)
    }

    fn facts_of(&self, caller: &Caller, reference: &str) -> Result<BootFacts, Error> {
        let machine = self.kernel.find::<Machine>(caller, reference)?;
        Ok(self.kernel.read(|world| BootFacts::of(world, &self.netboot.loaders, Some(&machine))))
    }

    /// The input of the documents of a boot, with secrets covered.
    fn input_of(&self, gathered: &BootFacts) -> Result<RenderInput, Error> {
        let machine = gathered.machine.as_ref().filter(|_| gathered.run.is_none());
        let channel_content = machine.and_then(|machine| self.derived_content(&machine.spec));
        let boot = BootContext { channel_content, ..self.preview_boot(gathered) };
        let input = self.catalog.input(&boot, SecretMode::Redacted);
        input.map_err(|problem| Error::Failed(problem.to_string()))
    }
}

fn row(name: &str, value: Value, from: String) -> VariableRow {
    VariableRow { name: name.to_owned(), value, from }
}

/// The object that a variable is made from.
fn origin_of(name: &str, gathered: &BootFacts) -> String {
    let object = match name {
        "machine" => gathered.machine.as_ref().map(|machine| machine.spec.name.as_str()),
        "bootenv" => gathered.bootenv.as_ref().map(|bootenv| bootenv.key.as_str()),
        "stage" => gathered.stage.as_ref().map(|stage| stage.key.as_str()),
        _ => None,
    };
    if let Some(object) = object {
        return format!("{name} `{object}`");
    }
    match name {
        "server" => "this server, as the machine sees it".to_owned(),
        "boot" => "the boot".to_owned(),
        other => format!("the {other} of the machine"),
    }
}

/// Adds a value, field by field.
fn add_fields((name, value): (&str, &Value), from: &str, (rows, levels): (&mut Vec<VariableRow>, usize)) {
    let fields: Option<&Map<String, Value>> = value.as_object().filter(|fields| !fields.is_empty());
    match fields.filter(|_| levels > 0) {
        Some(fields) => {
            for (field, value) in fields {
                if rows.len() >= VARIABLES_MAX {
                    return;
                }
                add_fields((&format!("{name}.{field}"), value), from, (&mut *rows, levels - 1));
            }
        }
        None => rows.push(row(name, value.clone(), from.to_owned())),
    }
}
