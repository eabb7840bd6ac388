//! Processor architectures, in the words that bootenvs use.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A processor architecture as distributions name it. `netboot::decide::loader` maps DHCP's numeric client
/// architectures to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    I386,
    Amd64,
    Arm,
    Arm64,
    Riscv64,
    Ppc64el,
    S390x,
    Loong64,
}

impl Arch {
    pub const ALL: [Arch; 8] = [
        Arch::I386,
        Arch::Amd64,
        Arch::Arm,
        Arch::Arm64,
        Arch::Riscv64,
        Arch::Ppc64el,
        Arch::S390x,
        Arch::Loong64,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Arch::I386 => "i386",
            Arch::Amd64 => "amd64",
            Arch::Arm => "arm",
            Arch::Arm64 => "arm64",
            Arch::Riscv64 => "riscv64",
            Arch::Ppc64el => "ppc64el",
            Arch::S390x => "s390x",
            Arch::Loong64 => "loong64",
        }
    }

    /// The kernel's name for the architecture (`uname -m`), which the Red Hat family of distributions uses.
    pub fn kernel_name(self) -> &'static str {
        match self {
            Arch::I386 => "i686",
            Arch::Amd64 => "x86_64",
            Arch::Arm => "armv7l",
            Arch::Arm64 => "aarch64",
            Arch::Riscv64 => "riscv64",
            Arch::Ppc64el => "ppc64le",
            Arch::S390x => "s390x",
            Arch::Loong64 => "loongarch64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Arch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Arch::ALL
            .into_iter()
            .find(|arch| arch.as_str() == text || arch.kernel_name() == text)
            .ok_or_else(|| format!("`{text}` is not an architecture: amd64, arm64 and so on"))
    }
}
