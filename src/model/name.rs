//! Rules for names.

use super::{Problem, RefusalCode};

/// Longest name of an object, in bytes.
pub const NAME_BYTES_MAX: usize = 128;

/// Names of content: letters, digits, `.`, `_`, `-`, and `/` between parts, as in `kickstart/base.ks`.
pub fn check_name(name: &str, pointer: &str) -> Vec<Problem> {
    let fits = !name.is_empty()
        && name.len() <= NAME_BYTES_MAX
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
        && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    if fits {
        return Vec::new();
    }
    vec![
        Problem::new(
            pointer,
            format!(
                "`{name}` cannot be a name: use letters, digits, `.`, `_`, `-` and single `/`, begin with a \
             letter \
             or digit, at most {NAME_BYTES_MAX} bytes"
            ),
        )
        .coded(RefusalCode::Malformed),
    ]
}

/// Names of machines are host names: labels of letters, digits and `-`, joined by dots (RFC 1123 §2.1).
pub fn check_host_name(name: &str, pointer: &str) -> Vec<Problem> {
    if name.len() <= NAME_BYTES_MAX && name.split('.').all(is_host_label) {
        return Vec::new();
    }
    vec![
        Problem::new(
            pointer,
            format!(
                "`{name}` cannot be a machine's name: it must be a host name, like web1 or web1.example.org"
            ),
        )
        .coded(RefusalCode::Malformed),
    ]
}

fn is_host_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Paths of files that belong to one machine: relative, without `..`, in plain characters.
pub fn check_file_path(path: &str, pointer: &str) -> Vec<Problem> {
    let fits = !path.is_empty()
        && path.len() <= 256
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
        && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/+".contains(&b));
    if fits {
        return Vec::new();
    }
    vec![Problem::new(
        pointer,
        format!(
            "`{path}` cannot be a file's path: it is relative, like `preseed.cfg` or `autoinstall/user-data`"
        ),
    ).coded(RefusalCode::Malformed)]
}
