//! Where the server brings the files of an artifact from: a URL, or a path of its own disk.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::artifact::ArtifactKind;
use super::name::check_file_path;
use super::{Checksum, MirrorTerms, Problem, RefusalCode, sha256_hex};

/// Most files of a source that lists them.
const SOURCE_FILES_MAX: usize = 256;
/// Longest URL, in bytes.
const URL_BYTES_MAX: usize = 2048;
/// Longest path, in bytes (Linux' PATH_MAX).
const PATH_BYTES_MAX: usize = 4096;
/// How URLs begin that earlier versions took for files of the server.
const FILE_SCHEME: &str = "file://";
/// What to write instead.
pub const FILE_URL: &str = "`file:` is no scheme of this server: give `fetch.path` instead, a path below a \
                            directory of `artifacts.roots`";

/// Where the server brings an artifact's files from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSource {
    /// `https://…` or `http://…`. For a tree it is an ISO image or a tarball (plain, gzip, xz, zstd), for a
    /// file anything; with `files` it is the folder that they are in.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Instead of `url`, an absolute path on the server, below a directory of `artifacts.roots`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
    /// What the file at `url` must hash to. Needed for what comes over the network, unless it is
    /// `unverified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
    /// Whether what has no checksum is taken all the same.
    #[serde(default)]
    pub unverified: bool,
    /// The HTTP proxy to fetch through, `http://HOST:PORT`; without one the setting `artifact_proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Single files below `url`, instead of an image or a tarball: a distribution's netboot files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub files: Vec<SourceFile>,
    /// Nothing is fetched as a whole: the tree below `url` is passed on file by file as machines ask for it,
    /// and what was fetched is kept within a bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<MirrorTerms>,
}

/// A file below the `url` of a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// Where it is below the URL, and in the artifact: `images/pxeboot/vmlinuz`.
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

    /// Its path on the server, else its URL.
    pub fn place(&self) -> &str {
        if self.path.is_empty() { &self.url } else { &self.path }
    }

    /// The URL of everything there is to fetch over the network, with its checksum.
    pub fn downloads(&self) -> impl Iterator<Item = (String, Option<&Checksum>)> {
        let base = self.url.trim_end_matches('/');
        let whole = self.files.is_empty().then(|| (self.url.clone(), self.checksum.as_ref()));
        let listed = self.files.iter().map(move |file| {
            let path = file.path.replace('+', "%2B");
            (format!("{base}/{path}"), file.checksum.as_ref())
        });
        whole.into_iter().chain(listed)
    }

    /// The files of the server that it consists of, relative to the folder at its path, each with its
    /// checksum; none stands for the file at the path itself.
    pub fn local_files(&self) -> impl Iterator<Item = (Option<&str>, Option<&Checksum>)> {
        let whole = self.files.is_empty().then_some((None, self.checksum.as_ref()));
        let listed = self.files.iter().map(|file| (Some(file.path.as_str()), file.checksum.as_ref()));
        whole.into_iter().chain(listed)
    }

    /// The path of a source that is on the server already.
    pub fn local_path(&self) -> Option<String> {
        if !self.path.is_empty() {
            return Some(self.path.clone());
        }
        let encoded = self.url.strip_prefix(FILE_SCHEME)?;
        Some(percent_encoding::percent_decode_str(encoded).decode_utf8_lossy().into_owned())
    }

    /// Whether its URL is one of the scheme `file:`, which earlier versions took.
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
                Problem::new("/fetch/files", "an artifact of kind `file` has one file: its URL's")
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
                Problem::new("/fetch/mirror", "only a tree is passed on file by file")
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
    let what = "what comes over the network needs a checksum, `sha256:HEX` or `sha512:HEX`; \
                        `unverified: true` does without";
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

/// Why a text is not the URL of a source.
fn url_fault(url: &str) -> Option<&'static str> {
    let printable = url.bytes().all(|byte| byte.is_ascii_graphic());
    if url.len() > URL_BYTES_MAX || !printable {
        return Some("a URL is printable ASCII without blanks, of at most 2048 bytes: write others as %20");
    }
    // One that is stored stays; a new one is refused where it is known which are stored (`objects::rules`).
    if let Some(path) = url.strip_prefix(FILE_SCHEME) {
        return path_fault(path).map(|_| FILE_URL);
    }
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(rest) = rest else { return Some("it begins with https:// or http://") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.is_empty() {
        return Some("there is no host in it");
    }
    host.contains('@')
        .then_some("a URL carries no user and password: everybody who may read artifacts sees it")
}

/// Why a text is not the path of a file or folder of the server.
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
