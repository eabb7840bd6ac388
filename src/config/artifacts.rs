//! The configuration of artifacts: directories of local files, and networks to fetch from.

use std::path::PathBuf;

use serde::Deserialize;

use crate::model::IpNetwork;

/// Every key of the section.
pub(super) const KEYS: &[&str] = &["roots", "fetch_from"];

/// Most entries of either list.
const LISTED_MAX: usize = 256;

/// The checked configuration of artifacts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArtifactsConfig {
    /// The directories below which local files of artifacts must be; none for the defaults.
    pub roots: Option<Vec<PathBuf>>,
    /// Networks to fetch from, besides public and private ones.
    pub fetch_from: Vec<IpNetwork>,
}

#[derive(Clone, Debug, Default, clap::Args)]
pub struct ArtifactFlags {
    /// A directory below which local files of artifacts must be; repeat for more [default:
    /// /usr/lib/debian-installer, /srv, and `import` in the data directory].
    #[arg(
        long = "artifacts-root",
        env = "METALWRIGHT_ARTIFACTS_ROOTS",
        value_name = "DIR",
        value_delimiter = ','
    )]
    pub artifacts_roots: Vec<PathBuf>,
    /// A network to fetch artifacts from although it is loopback, link-local or multicast, like 127.0.0.1 for
    /// a mirror on this host; repeat for more.
    #[arg(long, env = "METALWRIGHT_ARTIFACTS_FETCH_FROM", value_name = "NETWORK", value_delimiter = ',')]
    pub artifacts_fetch_from: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ArtifactSection {
    roots: Option<Vec<PathBuf>>,
    fetch_from: Option<Vec<String>>,
}

impl ArtifactsConfig {
    /// Combines flags and file; adds faults to `faults`.
    pub(super) fn load(flags: ArtifactFlags, file: ArtifactSection, faults: &mut Vec<String>) -> Self {
        let roots = (!flags.artifacts_roots.is_empty()).then_some(flags.artifacts_roots).or(file.roots);
        for root in roots.iter().flatten().filter(|root| !root.is_absolute()) {
            let root = root.display();
            faults.push(format!("artifacts.roots: `{root}` is not an absolute path, like /srv"));
        }
        let listed = (!flags.artifacts_fetch_from.is_empty()).then_some(flags.artifacts_fetch_from);
        let listed = listed.or(file.fetch_from).unwrap_or_default();
        let fetch_from = listed.iter().filter_map(|network| {
            let read = network.parse::<IpNetwork>();
            read.map_err(|fault| faults.push(format!("artifacts.fetch_from: {fault}"))).ok()
        });
        let fetch_from: Vec<IpNetwork> = fetch_from.collect();
        for (name, count) in [("roots", roots.as_ref().map_or(0, Vec::len)), ("fetch_from", listed.len())] {
            if count > LISTED_MAX {
                faults.push(format!("artifacts.{name}: {count} entries, and {LISTED_MAX} at most"));
            }
        }
        ArtifactsConfig { roots, fetch_from }
    }
}
