//! When a power-on begins a new attempt, and what is recorded of it.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::model::{BootAttempt, BootProgress, Mac};
use crate::netboot::decide::Verdict;

/// How long repeated requests of a firmware or loader belong to the same power-on. PXE clients retry for
/// about a minute (PXE 2.1 §2.2.4: 4, 8, 16 and 32 seconds).
const SAME_POWER_ON: SignedDuration = SignedDuration::from_secs(70);

/// What shows that a machine was powered on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerOnEvidence {
    /// A DHCP packet with its MAC address, or a request from an address that is known to be its own.
    Machine,
    /// The name of the machine in a URL. Whoever reaches the server can send it.
    Name,
}

/// The facts of a power-on when it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerOn {
    pub evidence: PowerOnEvidence,
    /// The stage of the boot that sent the request.
    pub progress: BootProgress,
    /// The progress of the attempt after the request was answered.
    pub reached: BootProgress,
    pub mac: Option<Mac>,
    /// DHCP option 93.
    pub client_arch: Option<u16>,
    /// The server's address that faces the machine.
    pub server: Option<IpAddr>,
}

impl PowerOn {
    /// Whether there is something to record: a new attempt, or progress of the latest one, or another
    /// bootenv.
    pub fn is_news(&self, last: Option<&BootAttempt>, verdict: &Verdict, now: Timestamp) -> bool {
        let Some(attempt) = last else { return true };
        is_new(last, self.progress, now)
            || attempt.progress < self.reached
            || attempt.bootenv.as_deref() != verdict.bootenv()
    }
}

/// Whether a request at stage `progress` begins a new attempt, and does not belong to the attempt `last`.
///
/// A stage that was passed does not return without a reset: a request of firmware after its loader ran is a
/// new power-on. Repeated requests of one stage belong to the same power-on for as long as clients retry.
pub fn is_new(last: Option<&BootAttempt>, progress: BootProgress, now: Timestamp) -> bool {
    let Some(last) = last else { return true };
    if last.progress == BootProgress::Ended {
        return true;
    }
    let idle = now.duration_since(last.seen_at);
    match progress {
        BootProgress::Firmware => last.progress > BootProgress::Firmware || idle > SAME_POWER_ON,
        // iPXE asks for an address right before it fetches its script. If iPXE is the network card's own ROM,
        // it does so in place of firmware.
        BootProgress::Loader => {
            last.progress > BootProgress::Loader || (last.progress == progress && idle > SAME_POWER_ON)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn attempt(progress: BootProgress) -> BootAttempt {
        BootAttempt {
            id: Uuid::nil(),
            number: 1,
            started_at: Timestamp::UNIX_EPOCH,
            seen_at: Timestamp::UNIX_EPOCH,
            progress,
            mac: None,
            client_arch: None,
            server: None,
            bootenv: None,
            step: None,
            kernel_fetched_at: None,
            deadline: None,
            expected_by: None,
            asks: None,
            result: None,
        }
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
    }

    #[test]
    fn a_power_on_is_told_from_a_retry_by_what_was_reached_and_by_time() {
        use BootProgress::*;
        let cases = [
            (Firmware, Firmware, 4, false),
            (Firmware, Firmware, 100, true),
            (Firmware, Loader, 4, false),
            (Firmware, Loader, 100, false),
            (Loader, Loader, 4, false),
            (Loader, Loader, 100, true),
            (Loader, Firmware, 4, true),
            (Script, Loader, 4, true),
            (Kernel, Firmware, 4, true),
            (System, Loader, 600, true),
            (Script, Script, 600, false),
            (Ended, Script, 1, true),
        ];
        for (reached, asks, seconds, new) in cases {
            let last = attempt(reached);
            assert_eq!(
                is_new(Some(&last), asks, after(seconds)),
                new,
                "{asks:?} {seconds} s after {reached:?}"
            );
        }
        assert!(is_new(None, Firmware, after(0)));
    }
}
