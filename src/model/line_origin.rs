//! Where the lines of a rendered document come from: for each line the template and its line, and the params
//! and variables whose values it shows. No value is in here, so no secret is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ParamLevel;

/// Most lines of a document whose origin is told.
pub const LINES_MAX: usize = 20_000;

/// A param whose value stands in a line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ParamOrigin {
    pub name: String,
    /// The level that the value came from; absent if the template used a fallback of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<ParamLevel>,
    /// The levels that have a value too and are hidden by it, highest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hides: Vec<ParamLevel>,
    /// The other levels whose values were merged with it (`compose`), highest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merges: Vec<ParamLevel>,
}

/// A line of a template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TemplatePlace {
    /// The template; of a text that is not stored as one, the object that it is in and its field.
    pub template: String,
    /// 1-based.
    pub line: u32,
}

/// The origin of one line of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LineOrigin {
    /// The place that the first text of the line comes from.
    #[serde(flatten)]
    pub place: TemplatePlace,
    /// The block of the template that the place is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// The override that put the text there.
    #[serde(default, rename = "override", skip_serializing_if = "Option::is_none")]
    pub override_name: Option<String>,
    /// The params whose values the line shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamOrigin>,
    /// The variables whose values the line shows: `machine.name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<String>,
    /// The places that further parts of the line come from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<TemplatePlace>,
}

impl LineOrigin {
    /// A line that is the text of a place alone.
    pub fn of(place: TemplatePlace) -> Self {
        LineOrigin {
            place,
            block: None,
            override_name: None,
            params: Vec::new(),
            variables: Vec::new(),
            also: Vec::new(),
        }
    }
}
