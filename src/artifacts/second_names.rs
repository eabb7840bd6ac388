//! Hard links: whether a file that is served in place is one of the server's own under a second name. Such a
//! link is made by root or by the server's own user, by mistake as a rule.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::artifacts::roots::{FileIdentity, IMPORT};
use crate::rate_limit::warn_limited;

/// The folder of files for machines, which are no secrets.
const MEDIA: &str = "media";
/// Most entries of the data directory that are looked at, and how deep.
const LOOKED_AT_MAX: usize = 4096;
const DEPTH_MAX: usize = 4;

/// Whether a file is one of the data directory outside of `import` and `media`. A file with one name is not.
pub fn is_second_name(data: &Path, file: &Metadata) -> bool {
    if file.nlink() < 2 {
        return false;
    }
    let mut left = LOOKED_AT_MAX;
    let found = has_file((data, DEPTH_MAX), (file.dev(), file.ino()), &mut left);
    if found {
        warn_limited!(
            inode = file.ino(),
            "a file that an artifact would serve is one of the data directory under a second name: remove it"
        );
    }
    found
}

fn has_file((folder, depth): (&Path, usize), wanted: FileIdentity, left: &mut usize) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    for entry in entries.flatten() {
        let Some(less) = left.checked_sub(1) else { return false };
        *left = less;
        let is_open = depth == DEPTH_MAX && (entry.file_name() == IMPORT || entry.file_name() == MEDIA);
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() && depth > 0 && !is_open {
            if has_file((&entry.path(), depth - 1), wanted, left) {
                return true;
            }
        } else if (about.dev(), about.ino()) == wanted {
            return true;
        }
    }
    false
}
