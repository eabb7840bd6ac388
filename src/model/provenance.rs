//! What a rendered document was made from.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the value of a param came from.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ParamLevel {
    Machine,
    Profile(String),
    Stage(String),
    /// A profile of the machine's current stage.
    StageProfile(String),
    Global,
    /// The default of the param's declaration.
    Default,
}

impl fmt::Display for ParamLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParamLevel::Machine => f.write_str("machine"),
            ParamLevel::Profile(name) => write!(f, "profile `{name}`"),
            ParamLevel::Stage(name) => write!(f, "stage `{name}`"),
            ParamLevel::StageProfile(name) => write!(f, "stage profile `{name}`"),
            ParamLevel::Global => f.write_str("profile `global`"),
            ParamLevel::Default => f.write_str("defaults"),
        }
    }
}

/// A param some template read. `level` is absent where no level had a value and the template's own
/// fallback was used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct ParamRead {
    pub name: String,
    pub level: Option<ParamLevel>,
}

/// A template as it was when it was compiled.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct TemplateUse {
    pub name: String,
    /// Of its body, in lower-case hex.
    pub sha256: String,
}

/// What a document was made from, beside the variables of its input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provenance {
    /// The template and all it can include, by name.
    pub templates: Vec<TemplateUse>,
    /// The params it read, by name; a composed one once for each level it was made from.
    pub params: Vec<ParamRead>,
    /// Whether a secret was read: the text is for the machine it was made for and no one else.
    pub secret: bool,
}
