//! The rules for which files stay fresh, and for the URL of a path. Pure.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::cache_index::CachedEntry;

/// How long a file that may change is served without asking the upstream again.
pub const FRESH_SECONDS: i64 = 60;
/// Fewest hexadecimal digits for a name to count as one that is derived from the content.
const DIGEST_DIGITS_MIN: usize = 32;

/// Characters that are not encoded in the path of a URL. `+` is in the names of packages, and some file
/// stores read it as a blank.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Endings of packages and their companion files, whose names contain the version.
const PACKAGES: [&str; 8] = [".deb", ".udeb", ".ddeb", ".dsc", ".rpm", ".drpm", ".diff.gz", ".pkg.tar.zst"];

/// Whether the file at a path may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathLifetime {
    /// Its name determines its bytes.
    Immutable,
    /// Indexes, and every file whose name stays in a new release: kernels too, because a kernel that does not
    /// fit the second stage beside it does not boot.
    Changing,
}

/// Decides by the name whether a file can change.
pub fn lasting(path: &str) -> PathLifetime {
    let parts: Vec<&str> = path.split('/').collect();
    let name = parts.last().copied().unwrap_or_default();
    let pooled = parts.contains(&"pool") && name.contains(".tar.");
    let hex = name.bytes().take_while(u8::is_ascii_hexdigit).count();
    let by_digest = parts.contains(&"by-hash") || hex >= DIGEST_DIGITS_MIN;
    if by_digest || pooled || PACKAGES.iter().any(|end| name.ends_with(end)) {
        return PathLifetime::Immutable;
    }
    PathLifetime::Changing
}

/// Whether a file may be served without asking the upstream.
pub fn is_fresh(kept: &CachedEntry, now: i64) -> bool {
    match (kept.checked_at, lasting(&kept.path)) {
        // The upstream has to be asked.
        (0, _) => false,
        (_, PathLifetime::Immutable) => true,
        // A clock that was set back makes the file older, not younger.
        (at, PathLifetime::Changing) => (0..FRESH_SECONDS).contains(&now.saturating_sub(at)),
    }
}

/// The URL of a path below a folder's URL; none if the path is invalid.
pub fn address((folder, path): (&str, &str)) -> Option<String> {
    let inside = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    let plain = !path.chars().any(|it| it.is_control() || it == '\\');
    let encoded = utf8_percent_encode(path, PATH);
    (inside && plain).then(|| format!("{}/{encoded}", folder.trim_end_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_say_what_they_hold_are_kept_and_all_others_asked_for() {
        for path in [
            "pool/main/a/apt/apt_2.6.1_amd64.deb",
            "debian/pool/main/a/apt/apt_2.6.1.tar.xz",
            "pool/main/g/gcc/libstdc++6-udeb_12.2.0_amd64.udeb",
            "BaseOS/x86_64/os/Packages/b/bash-5.1.8-9.el9.x86_64.rpm",
            "dists/bookworm/main/binary-amd64/by-hash/SHA256/0a0b",
            "repodata/d4888f04f95ac067af4d997d35c6d345cbe398563d777d017a3634c9ed6148cf-primary.xml.gz",
        ] {
            assert_eq!(lasting(path), PathLifetime::Immutable, "{path}");
        }
        for path in [
            "dists/bookworm/InRelease",
            "dists/bookworm/Release.gpg",
            "dists/bookworm/main/binary-amd64/Packages.xz",
            "dists/bookworm/main/installer-amd64/current/images/netboot/netboot.tar.gz",
            "BaseOS/x86_64/os/repodata/repomd.xml",
            "repodata/primary.xml.gz",
            ".treeinfo",
            "images/pxeboot/vmlinuz",
            "images/install.img",
            "pool",
            "pool/main/a",
        ] {
            assert_eq!(lasting(path), PathLifetime::Changing, "{path}");
        }
    }

    #[test]
    fn an_index_is_asked_for_again_after_a_short_time_and_a_package_never() {
        let of =
            |path: &str, checked_at| CachedEntry { path: path.into(), checked_at, ..CachedEntry::default() };
        let index = of("dists/bookworm/InRelease", 1000);
        assert!(is_fresh(&index, 1000) && is_fresh(&index, 1059));
        assert!(!is_fresh(&index, 1060) && !is_fresh(&index, 999));
        assert!(is_fresh(&of("pool/a.deb", 1000), 1_000_000_000));
        assert!(!is_fresh(&of("pool/a.deb", 0), 0));
    }

    #[test]
    fn a_path_is_asked_for_below_the_folder_and_nowhere_else() {
        let of = |path| address(("https://h/debian/", path));
        assert_eq!(of("pool/g++_1%2.deb").as_deref(), Some("https://h/debian/pool/g%2B%2B_1%252.deb"));
        assert_eq!(of("a?b#c d").as_deref(), Some("https://h/debian/a%3Fb%23c%20d"));
        for path in ["", "/x", "../x", "a/../x", "a//b", "a/", "./a", "a\\..\\b", "a\nb"] {
            assert_eq!(of(path), None, "{path:?}");
        }
    }
}
