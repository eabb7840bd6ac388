//! The rendered texts that a pack keeps in `tests/golden`: compared with what is rendered now, or replaced.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::rendered::RenderedFile;
use crate::cli::output;
use crate::cli::pack_diff::unified;
use crate::pack_files::PackFile;

const GOLDEN: &str = "golden/";

/// What is done with texts that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GoldenMode {
    Compare,
    /// They are written, and those that nobody gets any more are deleted.
    Write,
}

/// Compares the rendered texts with the kept ones, prints the differences, and writes them if told so. The
/// number of those that still differ.
///
/// # Errors
/// The disk refuses, or the output is closed.
pub(super) fn settle(
    pack: &Path,
    (rendered, tests): (&[RenderedFile], &[PackFile]),
    mode: GoldenMode,
) -> Result<usize> {
    let kept: BTreeMap<&str, &PackFile> =
        tests.iter().filter_map(|file| Some((file.path.strip_prefix(GOLDEN)?, file))).collect();
    let mut differing = 0;
    for RenderedFile { path, text } in rendered {
        let before = kept.get(path.as_str()).map(|file| String::from_utf8_lossy(&file.body));
        if before.as_deref() == Some(text) {
            continue;
        }
        differing += 1;
        let name = format!("tests/{GOLDEN}{path}");
        match mode {
            GoldenMode::Write => write(&pack.join(&name), text)?,
            GoldenMode::Compare => {
                let shown = match before {
                    Some(before) => unified(&name, (&before, text)),
                    None => format!("{name}: error: it is not there: `packs test --bless` writes it\n"),
                };
                output::print_foreign(shown.as_bytes())?;
            }
        }
    }
    let gone = kept.keys().filter(|path| !rendered.iter().any(|file| file.path == **path));
    for path in gone {
        differing += 1;
        let name = format!("tests/{GOLDEN}{path}");
        match mode {
            GoldenMode::Write => fs::remove_file(pack.join(&name)).with_context(|| name.clone())?,
            GoldenMode::Compare => {
                let what = "no machine gets it any more: `packs test --bless` deletes it";
                output::print(&output::plain(&format!("{name}: error: {what}")))?;
                output::print("\n")?;
            }
        }
    }
    if mode == GoldenMode::Write {
        output::note(&format!("{differing} files of tests/{GOLDEN} were written or deleted"));
        return Ok(0);
    }
    Ok(differing)
}

fn write(place: &Path, text: &str) -> Result<()> {
    let folder = place.parent().map_or(Ok(()), fs::create_dir_all);
    folder.and_then(|()| fs::write(place, text)).with_context(|| place.display().to_string())
}
