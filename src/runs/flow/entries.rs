//! What happens to a run, in the run's record.

use jiff::Timestamp;

use crate::model::{EventBody, Run, RunEntry};

/// Records an event in its run: when and by whom, at which step. Ends of steps are left out, because the
/// steps have their times.
pub fn note_entry(run: &mut Run, (at, by): (Timestamp, &str), (step, body): (u32, &EventBody)) {
    let (Some(kind), Some(text)) = (body.kind(), entry_text(body)) else { return };
    let (what, by, text) = (kind.name().into_owned(), by.to_owned(), text.to_owned());
    run.add_entry(RunEntry { at, what, by, step, text });
}

/// The text of an event in the record of its run; none for an event that is left out.
fn entry_text(body: &EventBody) -> Option<&str> {
    Some(match body {
        EventBody::RunStarted(it) => it.reason.as_deref().unwrap_or_default(),
        EventBody::RunPaused(it) => &it.reason,
        EventBody::RunFailed(it) => &it.reason,
        EventBody::RunHeld(it) => &it.reason,
        EventBody::RunInstallationConfirmed(it) => &it.reason,
        EventBody::RunRefreshed(it) => &it.reason,
        EventBody::RunLiveSystemLost(it) => &it.reason,
        EventBody::MachineDisarmed(it) => &it.reason,
        EventBody::MachineArmed(it) => &it.bootenv,
        EventBody::RunStepSkipped(it) | EventBody::RunStepMarkedDone(it) | EventBody::RunPausePlanned(it) => {
            &it.reason
        }
        EventBody::RunEnded(it) => it.result.as_str(),
        EventBody::RunResumed(_)
        | EventBody::RunRetried(_)
        | EventBody::RunCancelled(_)
        | EventBody::RunCompleted(_) => "",
        _ => return None,
    })
}
