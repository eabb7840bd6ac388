//! Downloads one file over HTTP. After a lost connection or a restart it requests only the rest (RFC 9110
//! section 14, `Range` with `If-Range`). The file is verified with its checksum.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_RANGE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use sha2::{Sha256, Sha512};
use tokio::io::AsyncWriteExt;

use super::manifest::hash;
use super::{JobPhase, MediaError, MediaFolder, MediaJob, folder, space};
use crate::model::{Checksum, ChecksumAlgorithm, sha256_hex};
use crate::outbound::{FetchReach, OutboundClient, OutboundError, TrustBase, innermost};

/// The name of a file while it is fetched.
pub const BODY: &str = "body";
const STATE: &str = "state";
/// Most tries without progress, and most tries.
const FRUITLESS_TRIES_MAX: u32 = 8;
const TRIES_MAX: u32 = 1000;
/// Pause after the first failed try; each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Largest file that is fetched, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 40;

/// A download.
#[derive(Clone, Debug)]
pub struct FetchRequest {
    /// The artifact: two artifacts with the same URL do not write into one file.
    pub artifact: String,
    pub url: String,
    pub checksum: Option<Checksum>,
    pub reach: FetchReach,
    /// How many times the file's size must fit on the disk.
    pub room: u64,
}

/// A partly fetched file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct PartialFile {
    url: String,
    /// A strong entity tag, or else the date: the value for `If-Range`.
    validator: Option<String>,
    /// Whether its parts came in different responses.
    #[serde(default)]
    pieced: bool,
}

/// The result of one try.
enum TryResult {
    Whole,
    /// Another try may succeed.
    Again(String),
    /// No other try can succeed.
    Never(String),
    Stopped,
}

/// The id of an artifact's download of a URL, under which it resumes after a restart.
pub fn id((artifact, url): (&str, &str), checksum: Option<&Checksum>) -> String {
    let checksum = checksum.map(ToString::to_string).unwrap_or_default();
    sha256_hex(format!("{artifact} {url}#{checksum}")).chars().take(32).collect()
}

/// Fetches a file, or resumes its download.
///
/// # Errors
/// The last fault, after every try; a wrong checksum, with both values.
pub async fn fetch(folder: &MediaFolder, get: &FetchRequest, job: &MediaJob) -> Result<PathBuf, MediaError> {
    let place = folder.fetched(&id((&get.artifact, &get.url), get.checksum.as_ref()));
    folder::make(&place).map_err(|error| MediaError::Failed(format!("{}: {error}", place.display())))?;
    let trust = if get.checksum.is_some() { TrustBase::Checksum } else { TrustBase::Tls };
    let client = get.reach.client(&get.url, trust);
    let client = client.map_err(|error| MediaError::Failed(format!("{}: {error}", get.url)))?;
    for round in 0..2 {
        download(&client, (get, &place), job).await?;
        let body = place.join(BODY);
        let Err(why) = verify(&body, get, job).await? else { return Ok(body) };
        // Parts of two different files cannot match; a download in one piece may.
        let pieced = known(&place).pieced;
        drop(fs::remove_dir_all(&place));
        if round == 1 || !pieced {
            return Err(MediaError::Failed(why));
        }
        tracing::warn!(
            url = get.url,
            why,
            "the fetched pieces do not fit together: fetching it again from the beginning"
        );
        folder::make(&place).map_err(|error| MediaError::Failed(error.to_string()))?;
    }
    Err(MediaError::Failed(format!("{} cannot be fetched", get.url)))
}

async fn download(
    client: &OutboundClient,
    (get, place): (&FetchRequest, &Path),
    job: &MediaJob,
) -> Result<(), MediaError> {
    let mut fruitless = 0;
    for _ in 0..TRIES_MAX {
        let before = length(place);
        let why = match attempt(client, (get, place), job).await {
            TryResult::Whole => return Ok(()),
            TryResult::Stopped => return Err(MediaError::Stopped),
            TryResult::Never(why) => return Err(MediaError::Failed(format!("{}: {why}", get.url))),
            TryResult::Again(why) => why,
        };
        fruitless = if length(place) > before { 0 } else { fruitless + 1 };
        if fruitless == FRUITLESS_TRIES_MAX {
            let tries = format!("given up after {FRUITLESS_TRIES_MAX} tries in vain");
            return Err(MediaError::Failed(format!("{}: {why}; {tries}", get.url)));
        }
        tracing::info!(url = get.url, why, have = length(place), "a fetch is tried again");
        let pause = PAUSE.saturating_mul(1 << fruitless.min(16)).min(PAUSE_MAX);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = job.stop.cancelled() => return Err(MediaError::Stopped),
        }
    }
    Err(MediaError::Failed(format!("{}: given up after {TRIES_MAX} tries", get.url)))
}

async fn attempt(client: &OutboundClient, (get, place): (&FetchRequest, &Path), job: &MediaJob) -> TryResult {
    let (have, known) = (length(place), known(place));
    // Without a validator, the checksum tells whether the rest belongs to the same file.
    let resumes = have > 0 && (known.validator.is_some() || get.checksum.is_some());
    let rest = resumes.then(|| (have, known.validator.as_deref()));
    let answer = tokio::select! {
        answer = client.get(&get.url, asked_headers(rest)) => answer,
        () = job.stop.cancelled() => return TryResult::Stopped,
    };
    match answer {
        Ok(answer) => receive(answer, (get, place), (have, job)).await,
        Err(OutboundError::Refused(why)) => TryResult::Never(why),
        Err(OutboundError::Failed(why)) => TryResult::Again(why),
    }
}

/// The headers of a question for a file as it is stored, from a byte on if the part before it is here.
pub(super) fn asked_headers(rest: Option<(u64, Option<&str>)>) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    if let Some((from, validator)) = rest {
        set_header(&mut headers, (RANGE, &format!("bytes={from}-")));
        validator.into_iter().for_each(|validator| set_header(&mut headers, (IF_RANGE, validator)));
    }
    headers
}

/// Sets a header to what came in one, or to text of ours.
pub(super) fn set_header(headers: &mut HeaderMap, (name, value): (HeaderName, &str)) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

async fn receive(
    answer: Response,
    (get, place): (&FetchRequest, &Path),
    (have, job): (u64, &MediaJob),
) -> TryResult {
    let status = answer.status();
    let range = content_range(answer.headers());
    let (from, total) = match status {
        StatusCode::OK => (0, answer.content_length()),
        StatusCode::PARTIAL_CONTENT => match range {
            Some((Some(from), total)) if from == have => {
                if known(place).validator.is_some_and(|known| is_of_another(answer.headers(), &known)) {
                    return anew(place, "it has become another file");
                }
                (from, total)
            }
            _ => return anew(place, "the server sent another part than was asked for"),
        },
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => match range {
            Some((None, Some(total))) if total == have => return TryResult::Whole,
            _ => return anew(place, "the file has become shorter"),
        },
        _ if is_passing(status) => return TryResult::Again(format!("the server answers {status}")),
        _ => return TryResult::Never(format!("the server answers {status}")),
    };
    let validator = validator(answer.headers());
    let pieced = from > 0;
    let now = PartialFile { url: get.url.clone(), validator, pieced };
    if total.is_some_and(|total| total > FILE_BYTES_MAX) {
        return TryResult::Never(format!("it is larger than {FILE_BYTES_MAX} bytes"));
    }
    let left = total.map_or(0, |total| total.saturating_mul(get.room).saturating_sub(from));
    let begun = prepare(place, (from, &now)).and_then(|()| space::check(place, left));
    if let Err(error) = begun {
        return disk_failed(place, &error);
    }
    job.begin(JobPhase::Fetching, total);
    job.at(from);
    write(answer, place, from, total, job).await
}

/// Deletes what was fetched before.
fn anew(place: &Path, why: &str) -> TryResult {
    drop(fs::remove_file(place.join(BODY)));
    drop(fs::remove_file(place.join(STATE)));
    TryResult::Again(why.to_owned())
}

/// Whether an HTTP status may be temporary.
pub(super) fn is_passing(status: StatusCode) -> bool {
    status.is_server_error()
        || matches!(
            status,
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
        )
}

fn prepare(place: &Path, (from, now): (u64, &PartialFile)) -> io::Result<()> {
    let file = fs::OpenOptions::new().create(true).append(true).open(place.join(BODY))?;
    file.set_len(from)?;
    fs::write(place.join(STATE), serde_json::to_vec(now)?)
}

async fn write(answer: Response, place: &Path, from: u64, total: Option<u64>, job: &MediaJob) -> TryResult {
    let opened = tokio::fs::OpenOptions::new().append(true).open(place.join(BODY)).await;
    let mut file = match opened {
        Ok(file) => file,
        Err(error) => return disk_failed(place, &error),
    };
    let mut stream = answer.bytes_stream();
    let (mut have, mut unlooked, mut lost) = (from, 0, None);
    loop {
        let next = tokio::select! {
            next = stream.next() => next,
            () = job.stop.cancelled() => break,
        };
        let chunk = match next {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => {
                lost = Some(innermost(&error));
                break;
            }
            None => break,
        };
        have += chunk.len() as u64;
        unlooked += chunk.len() as u64;
        let mut written = file.write_all(&chunk).await;
        if written.is_ok() && unlooked >= space::LOOK_EVERY_BYTES {
            unlooked = 0;
            written = file.flush().await.and_then(|()| space::check(place, 0));
        }
        if let Err(error) = written {
            return disk_failed(place, &error);
        }
        job.at(have);
        if have > total.unwrap_or(FILE_BYTES_MAX) {
            return TryResult::Never("the server sends more than it said".to_owned());
        }
    }
    let kept = match file.flush().await {
        Ok(()) => file.sync_data().await,
        failed => failed,
    };
    match (kept, lost) {
        (Err(error), _) => disk_failed(place, &error),
        (Ok(()), _) if job.stop.is_cancelled() => TryResult::Stopped,
        (Ok(()), Some(why)) => TryResult::Again(format!("the connection was lost after {have} bytes: {why}")),
        (Ok(()), None) if total.is_some_and(|total| have < total) => {
            TryResult::Again(format!("the connection ended after {have} bytes"))
        }
        (Ok(()), None) => TryResult::Whole,
    }
}

/// A file that does not fit is deleted: the database needs the room.
fn disk_failed(place: &Path, error: &io::Error) -> TryResult {
    if error.kind() == io::ErrorKind::StorageFull {
        drop(fs::remove_dir_all(place));
    }
    TryResult::Never(error.to_string())
}

fn length(place: &Path) -> u64 {
    fs::metadata(place.join(BODY)).map_or(0, |body| body.len())
}

fn known(place: &Path) -> PartialFile {
    let text = fs::read(place.join(STATE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// The value for `If-Range`: a strong tag, or else the date (RFC 9110 section 13.1.5).
pub(super) fn validator(headers: &HeaderMap) -> Option<String> {
    header_text(headers, ETAG)
        .filter(|tag| tag.starts_with('"'))
        .or_else(|| header_text(headers, LAST_MODIFIED))
}

fn header_text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// Whether a part belongs to another file than the one with this validator: some servers ignore `If-Range`
/// and send the present file.
pub(super) fn is_of_another(part: &HeaderMap, validator: &str) -> bool {
    let name = if validator.starts_with('"') { ETAG } else { LAST_MODIFIED };
    part.get(name).is_some_and(|now| now.as_bytes() != validator.as_bytes())
}

/// Parses `bytes 5-9/10` as (5, 10) and `bytes */10` as (none, 10).
pub(super) fn content_range(headers: &HeaderMap) -> Option<(Option<u64>, Option<u64>)> {
    let text = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?;
    let (range, total) = text.split_once('/')?;
    let from = range.split_once('-').and_then(|(from, _)| from.trim().parse().ok());
    Some((from, total.trim().parse().ok()))
}

/// Why a file does not match its checksum; none if it does.
///
/// # Errors
/// The file cannot be read, or the job was stopped.
pub(super) async fn verify(
    path: &Path,
    get: &FetchRequest,
    job: &MediaJob,
) -> Result<Result<(), String>, MediaError> {
    let Some(checksum) = get.checksum.clone() else { return Ok(Ok(())) };
    let (path, job, url) = (path.to_owned(), job.clone(), get.url.clone());
    let hashing = tokio::task::spawn_blocking(move || {
        let found = fs::metadata(&path).and_then(|metadata| {
            job.begin(JobPhase::Checking, Some(metadata.len()));
            let hex = match checksum.algorithm {
                ChecksumAlgorithm::Sha256 => hash::<Sha256>(&path, &job)?,
                ChecksumAlgorithm::Sha512 => hash::<Sha512>(&path, &job)?,
            };
            Ok((hex, metadata.len()))
        });
        let (found, bytes) = found.map_err(|error| match job.failed(&error) {
            MediaError::Failed(why) => MediaError::Failed(format!("{url}: {why}")),
            stopped => stopped,
        })?;
        let name = checksum.algorithm.as_str();
        // A few hundred bytes instead of an image are an error page.
        Ok(if found == checksum.hex {
            Ok(())
        } else {
            Err(format!("{url} has {bytes} bytes with the {name} {found}, and should have {}", checksum.hex))
        })
    });
    hashing.await.map_err(|error| MediaError::Failed(error.to_string()))?
}

#[cfg(test)]
mod tests;
