//! The configuration of artifacts: directories of local files, and what unpacking may cost.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Every key of the section.
pub(super) const KEYS: &[&str] = &["roots", "unpack_bytes_max", "unpack_seconds_max", "fetch_from"];

/// Most entries of the list.
const LISTED_MAX: usize = 256;
/// Bytes that an image or tarball may unpack to, and seconds that it may take, if nothing else is configured.
const UNPACK_BYTES_MAX: u64 = 128 << 30;
const UNPACK_SECONDS_MAX: u64 = 6 * 3600;

/// The checked configuration of artifacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtifactsConfig {
    /// The directories below which local files of artifacts must be; none for the defaults.
    pub roots: Option<Vec<PathBuf>>,
    /// Most bytes that an image or tarball unpacks to.
    pub unpack_bytes_max: u64,
    /// How long unpacking one may take.
    pub unpack_within: Duration,
}

impl Default for ArtifactsConfig {
    fn default() -> Self {
        ArtifactsConfig {
            roots: None,
            unpack_bytes_max: UNPACK_BYTES_MAX,
            unpack_within: Duration::from_secs(UNPACK_SECONDS_MAX),
        }
    }
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
    /// Most bytes that an image or tarball may unpack to [default: 137438953472, which are 128 GiB].
    #[arg(long, env = "METALWRIGHT_ARTIFACTS_UNPACK_BYTES_MAX", value_name = "BYTES")]
    pub artifacts_unpack_bytes_max: Option<u64>,
    /// How long unpacking an image or tarball may take [default: 21600, which are six hours].
    #[arg(long, env = "METALWRIGHT_ARTIFACTS_UNPACK_SECONDS_MAX", value_name = "SECONDS")]
    pub artifacts_unpack_seconds_max: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ArtifactSection {
    roots: Option<Vec<PathBuf>>,
    unpack_bytes_max: Option<u64>,
    unpack_seconds_max: Option<u64>,
    /// What `fetch.allow` was called.
    pub(super) fetch_from: Option<Vec<String>>,
}

impl ArtifactsConfig {
    /// Combines flags and file; adds faults to `faults`.
    pub(super) fn load(flags: ArtifactFlags, file: ArtifactSection, faults: &mut Vec<String>) -> Self {
        let roots = (!flags.artifacts_roots.is_empty()).then_some(flags.artifacts_roots).or(file.roots);
        for root in roots.iter().flatten().filter(|root| !root.is_absolute()) {
            let root = root.display();
            faults.push(format!("artifacts.roots: `{root}` is not an absolute path, like /srv"));
        }
        let count = roots.as_ref().map_or(0, Vec::len);
        if count > LISTED_MAX {
            faults.push(format!("artifacts.roots: {count} entries, and {LISTED_MAX} at most"));
        }
        let bytes = flags.artifacts_unpack_bytes_max.or(file.unpack_bytes_max).unwrap_or(UNPACK_BYTES_MAX);
        let seconds = flags.artifacts_unpack_seconds_max.or(file.unpack_seconds_max);
        let seconds = seconds.unwrap_or(UNPACK_SECONDS_MAX);
        for (name, value) in [("unpack_bytes_max", bytes), ("unpack_seconds_max", seconds)] {
            if value == 0 {
                faults.push(format!("artifacts.{name}: 0 lets nothing be unpacked: write 1 or more"));
            }
        }
        ArtifactsConfig { roots, unpack_bytes_max: bytes, unpack_within: Duration::from_secs(seconds) }
    }
}
