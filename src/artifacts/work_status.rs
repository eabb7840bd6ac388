//! The status of an artifact during work: progress, failure, damaged files. `work` decides when it is set.

use crate::artifacts::media::{JobPhase, JobProgress};
use crate::model::{ArtifactState, ArtifactStatus, FILES_LISTED_MAX};

/// Most damaged files that a reason names.
const NAMED_MAX: usize = 3;

/// Records the progress of the work.
pub(super) fn show_progress(status: &mut ArtifactStatus, now: JobProgress, verifies: bool) {
    status.percent = now.percent();
    if !verifies {
        status.state = match now.phase {
            JobPhase::Fetching | JobPhase::Checking => ArtifactState::Fetching,
            JobPhase::Unpacking | JobPhase::Reading => ArtifactState::Extracting,
        };
        status.reason = phase_reason(now.phase).to_owned();
    }
}

/// The reason in the status during a phase.
pub(super) fn phase_reason(phase: JobPhase) -> &'static str {
    match phase {
        JobPhase::Fetching => "it is being fetched",
        JobPhase::Checking => "its checksum is being computed",
        JobPhase::Unpacking => "it is being unpacked",
        JobPhase::Reading => "its files are being read",
    }
}

/// Records a failure. Files of an earlier fetch from the same source stay available.
pub(super) fn set_failed(status: &mut ArtifactStatus, why: &str) {
    (status.percent, status.asked) = (None, None);
    if status.sha256.is_some() && status.served_origin == status.origin && status.damaged.is_empty() {
        status.state = ArtifactState::Ready;
        status.reason = format!("fetching it again failed, and the earlier files are served: {why}");
    } else {
        status.state = ArtifactState::Failed;
        status.reason = format!("{why}; `metalwright artifacts fetch` tries again");
    }
}

/// Records which files have changed.
pub(super) fn set_damaged(status: &mut ArtifactStatus, mut files: Vec<String>) {
    let named = files.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = match files.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    files.truncate(FILES_LISTED_MAX);
    status.state = ArtifactState::Failed;
    status.reason = format!(
        "its files are not what they were: {named}{more}; `metalwright artifacts fetch` brings them again"
    );
    (status.percent, status.asked, status.damaged) = (None, None, files);
}
