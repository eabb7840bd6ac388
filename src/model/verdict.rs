//! What a machine may boot, as the boot decision says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the machine may boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing of ours: an address at most.
    Ignore { reason: String },
    /// Its local disk.
    LocalDisk { reason: String },
    /// This bootenv.
    Netboot { bootenv: String },
    /// It should boot a bootenv that cannot be carried out: it is told so on its console.
    Screen { reason: String },
    /// What somebody at its console chooses, of what does no harm.
    Menu { reason: String },
}

impl Verdict {
    /// Why, for a person. Empty for a bootenv that is simply booted.
    pub fn reason(&self) -> &str {
        match self {
            Verdict::Ignore { reason }
            | Verdict::LocalDisk { reason }
            | Verdict::Screen { reason }
            | Verdict::Menu { reason } => reason,
            Verdict::Netboot { .. } => "",
        }
    }

    /// The bootenv to boot.
    pub fn bootenv(&self) -> Option<&str> {
        match self {
            Verdict::Netboot { bootenv } => Some(bootenv),
            _ => None,
        }
    }
}
