//! The result of the boot decision: what a machine may boot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the machine may boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing from this server, except an address.
    Ignore { reason: String },
    /// The local disk.
    LocalDisk { reason: String },
    /// This bootenv.
    Netboot { bootenv: String },
    /// A message on the console: the machine should boot a bootenv, but that is not possible.
    Screen { reason: String },
    /// A menu on the console, from which a person chooses. It offers only what does no harm.
    Menu { reason: String },
}

impl Verdict {
    /// The reason, for a person. Empty for a bootenv that is booted as usual.
    pub fn reason(&self) -> &str {
        match self {
            Verdict::Ignore { reason }
            | Verdict::LocalDisk { reason }
            | Verdict::Screen { reason }
            | Verdict::Menu { reason } => reason,
            Verdict::Netboot { .. } => "",
        }
    }

    /// The bootenv to boot, if there is one.
    pub fn bootenv(&self) -> Option<&str> {
        match self {
            Verdict::Netboot { bootenv } => Some(bootenv),
            _ => None,
        }
    }
}
