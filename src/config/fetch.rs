//! What operators set of fetches: which places the server connects to besides public ones.

use serde::Deserialize;

use crate::model::AllowedPlace;

/// Every key of the section.
pub(super) const KEYS: &[&str] = &["allow"];

/// Most entries of the list.
const ALLOWED_MAX: usize = 1024;

/// Fetches, as the section was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchConfig {
    /// Places that are connected to although their addresses are private, of this host or of its links.
    pub allow: Vec<AllowedPlace>,
}

#[derive(Clone, Debug, Default, clap::Args)]
pub struct FetchFlags {
    /// A place to fetch from although its address is not public: a network like 10.0.0.0/8, an address or
    /// name like mirror.example.com, or one with a port like 10.0.0.5:3142; repeat for more.
    #[arg(long, env = "METALWRIGHT_FETCH_ALLOW", value_name = "PLACE", value_delimiter = ',')]
    pub fetch_allow: Vec<String>,
    /// What `fetch.allow` was called.
    #[arg(long, env = "METALWRIGHT_ARTIFACTS_FETCH_FROM", value_delimiter = ',', hide = true)]
    pub artifacts_fetch_from: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct FetchSection {
    allow: Option<Vec<String>>,
}

impl FetchConfig {
    /// Puts flags and file together; what is wrong is added to `faults`. `fetch_from` is the list of the
    /// section `artifacts` that earlier versions had: its entries are added to the others.
    pub(super) fn load(
        flags: FetchFlags,
        (file, fetch_from): (FetchSection, Option<Vec<String>>),
        faults: &mut Vec<String>,
    ) -> Self {
        let chosen = |flag: Vec<String>, file: Option<Vec<String>>| match flag.is_empty() {
            true => file.unwrap_or_default(),
            false => flag,
        };
        let lists = [
            ("fetch.allow", chosen(flags.fetch_allow, file.allow)),
            ("artifacts.fetch_from", chosen(flags.artifacts_fetch_from, fetch_from)),
        ];
        let mut allow = Vec::new();
        for (name, entries) in lists {
            if entries.len() > ALLOWED_MAX {
                faults.push(format!("{name}: {} entries, and {ALLOWED_MAX} at most", entries.len()));
            }
            for entry in entries.iter().take(ALLOWED_MAX) {
                match entry.parse() {
                    Ok(place) => allow.push(place),
                    Err(fault) => faults.push(format!("{name}: {fault}")),
                }
            }
        }
        FetchConfig { allow }
    }
}
