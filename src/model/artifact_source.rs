//! Where the server gets the files of an artifact from: a URL, or a path on its own disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact::ArtifactKind;
use super::name::check_file_path;
use super::{Checksum, MirrorTerms, Problem, RefusalCode, sha256_hex};

/// Most entries of `files` of a source.
const SOURCE_FILES_MAX: usize = 256;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// Longest path, in bytes (Linux' PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;
/// The beginning of URLs that earlier versions accepted for files on the server.
const FILE_SCHEME: &str = "file://";
/// The message that says what to write in place of a `file:` URL.
pub const FILE_URL: &str = "`file:` is not a scheme of this server: give `fetch.path` instead, a path below \
                            a directory of `artifacts.roots`";

/// Where the server gets an artifact's files from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSource {
    /// `https://…` or `http://…`. For a tree: an ISO image or a tarball (plain, gzip, xz, zstd). For a file:
    /// any file. With `files`: the folder that holds them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Instead of `url`, an absolute path on the server, below a directory of `artifacts.roots`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// The digest that the file at `url` must have. Required for files that come over the network, unless
    /// `unverified` is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// Whether files without a checksum are accepted.
    #[serde(default)]
    pub unverified: bool,
    /// The HTTP proxy to fetch through, `http://HOST:PORT`. By default the setting `artifact_proxy` counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Single files below `url`, instead of an image or a tarball: a distribution's netboot files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub files: Vec<SourceFile>,
    /// Mirrors the tree below `url`: the server passes on single files as machines ask for them, and keeps
    /// what it fetched within a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorTerms>,
}

/// A file below the `url` of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// The file's path below the URL, and in the artifact: `images/pxeboot/vmlinuz`.
    pub path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
}

impl ArtifactSource {
    pub(super) fn origin(&self) -> String {
        if let Some(mirror) = &self.mirror {
            let declared = mirror.repositories.iter().map(|it| format!("{} {}\n", it.path, it.distribution));
            let declared: String = declared.collect();
            let sum = if declared.is_empty() { declared } else { format!("#{}", sha256_hex(declared)) };
            return format!("{}{sum}", self.url);
        }
        if !self.files.is_empty() {
            let list: Vec<String> = self.files.iter().map(SourceFile::line).collect();
            return format!("{}#sha256:{}", self.place(), sha256_hex(list.concat()));
        }
        match &self.checksum {
            Some(checksum) => format!("{}#{checksum}", self.place()),
            None => self.place().to_owned(),
        }
    }

    /// The path on the server, or else the URL.
    pub fn place(&self) -> &str {
        if self.path.is_empty() { &self.url } else { &self.path }
    }

    /// The URL and the checksum of each file to fetch over the network.
    pub fn downloads(&self) -> impl Iterator<Item = (String, Option<&Checksum>)> {
        let base = self.url.trim_end_matches('/');
        let whole = self.files.is_empty().then(|| (self.url.clone(), self.checksum.as_ref()));
        let listed = self.files.iter().map(move |file| {
            let path = file.path.replace('+', "%2B");
            (format!("{base}/{path}"), file.checksum.as_ref())
        });
        whole.into_iter().chain(listed)
    }

    /// The files on the server that the source consists of: their paths relative to the folder at `path`,
    /// with their checksums. `None` as the path is the file at `path` itself.
    pub fn local_files(&self) -> impl Iterator<Item = (Option<&str>, Option<&Checksum>)> {
        let whole = self.files.is_empty().then_some((None, self.checksum.as_ref()));
        let listed = self.files.iter().map(|file| (Some(file.path.as_str()), file.checksum.as_ref()));
        whole.into_iter().chain(listed)
    }

    /// The source's path on the server, if it has one.
    pub fn local_path(&self) -> Option<String> {
        if !self.path.is_empty() {
            return Some(self.path.clone());
        }
        let encoded = self.url.strip_prefix(FILE_SCHEME)?;
        Some(percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned())
    }

    /// Whether the URL has the scheme `file:`, which earlier versions accepted.
    pub fn is_file_url(&self) -> bool {
        self.url.starts_with(FILE_SCHEME)
    }

    pub(super) fn problems(&self, kind: ArtifactKind) -> Vec<Problem> {
        let mut problems: Vec<Problem> = self
            .place_fault()
            .into_iter()
            .chain(self.proxy.iter().filter(|proxy| !is_proxy(proxy)).map(|_| {
                Problem::new("/fetch/proxy", "a proxy is written like http://10.0.0.4:3128")
                    .coded(RefusalCode::Malformed)
            }))
            .collect();
        if self.files.len() > SOURCE_FILES_MAX {
            problems.push(
                Problem::new("/fetch/files", format!("more than {SOURCE_FILES_MAX} files"))
                    .coded(RefusalCode::TooLarge),
            );
        }
        if !self.files.is_empty() && kind == ArtifactKind::File {
            problems.push(
                Problem::new("/fetch/files", "an artifact of kind `file` has one file: the one at `url`")
                    .coded(RefusalCode::Exclusive),
            );
        }
        for (i, file) in self.files.iter().enumerate() {
            problems.extend(check_file_path(&file.path, &format!("/fetch/files/{i}/path")));
            if self.files.iter().take(i).any(|earlier| earlier.path == file.path) {
                let what = format!("`{}` is listed twice", file.path);
                problems
                    .push(Problem::new(format!("/fetch/files/{i}/path"), what).coded(RefusalCode::Duplicate));
            }
        }
        problems.extend(self.mirror.iter().flat_map(|mirror| mirror.problems(self)));
        if self.mirror.is_some() && kind == ArtifactKind::File {
            problems.push(
                Problem::new("/fetch/mirror", "`mirror` is for artifacts of kind `tree` only")
                    .coded(RefusalCode::Exclusive),
            );
        }
        problems.extend(self.without_checksum());
        problems
    }

    fn place_fault(&self) -> Option<Problem> {
        match (self.url.is_empty(), self.path.is_empty()) {
            (true, true) => Some(url_problem("say where it is: `url`, or `path` for what is on the server")),
            (false, false) => Some(path_problem("give `url` or `path`, not both")),
            (false, true) => url_fault(&self.url).map(url_problem),
            (true, false) => path_fault(&self.path).map(path_problem),
        }
    }

    fn without_checksum(&self) -> Vec<Problem> {
        if self.unverified || self.mirror.is_some() || self.local_path().is_some() {
            return Vec::new();
        }
        let listed = self.files.iter().enumerate().filter(|(_, file)| file.checksum.is_none());
        let listed = listed.map(|(i, _)| checksum_needed(format!("/fetch/files/{i}/checksum")));
        let whole = self.files.is_empty() && self.checksum.is_none();
        listed.chain(whole.then(|| checksum_needed("/fetch/checksum".to_owned()))).collect()
    }
}

fn checksum_needed(pointer: String) -> Problem {
    let what = "a file that comes over the network needs a checksum, `sha256:HEX` or `sha512:HEX`, \
                        unless `unverified: true` is set";
    Problem::new(pointer, what).coded(RefusalCode::Missing)
}

fn path_problem(fault: &str) -> Problem {
    Problem::new("/fetch/path", fault).coded(RefusalCode::Malformed)
}

fn url_problem(fault: &str) -> Problem {
    Problem::new("/fetch/url", fault).coded(RefusalCode::Malformed)
}

impl SourceFile {
    fn line(&self) -> String {
        let checksum = self.checksum.as_ref().map(ToString::to_string).unwrap_or_default();
        format!("{} {checksum}\n", self.path)
    }
}

/// Why a text cannot be the URL of a source; none if it can.
fn url_fault(url: &str) -> Option<&'static str> {
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    if url.len() > URL_BYTES_MAX || !printable {
        return Some("a URL is printable ASCII without blanks, of at most 2048 bytes: write others as %20");
    }
    // A stored `file:` URL stays valid. `objects::rules` refuses a new one, because it knows what is stored.
    if let Some(path) = url.strip_prefix(FILE_SCHEME) {
        return path_fault(path).map(|_| FILE_URL);
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Some("must begin with https:// or http://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Some("there is no host in it");
    }
    host.contains('@')
        .then_some("a URL carries no user and password: everybody who may read artifacts sees it")
}

/// Why a text cannot be the path of a file or folder on the server; none if it can.
pub(super) fn path_fault(path: &str) -> Option<&'static str> {
    if path.len() > PATH_BYTES_MAX || path.contains('\0') {
        return Some("a path has at most 4096 bytes, and no NUL");
    }
    let absolute = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    (!absolute).then_some("an absolute path on the server, without `..`")
}

fn is_proxy(text: &str) -> bool {
    let host = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    host.is_some_and(|host| !host.is_empty()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
