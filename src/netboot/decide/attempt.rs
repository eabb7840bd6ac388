//! When a power-on begins a new attempt, and what is recorded of it.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};

use crate::model::{BootAttempt, BootProgress, Mac};
use crate::netboot::decide::Verdict;
use crate::netboot::decide::loader::{LoaderTransport, client_arch};

/// How long repeated requests of a firmware or loader belong to the same power-on. PXE clients retry for
/// about a minute (PXE 2.1 §2.2.4: 4, 8, 16 and 32 seconds).
const SAME_POWER_ON: SignedDuration = SignedDuration::from_secs(70);

/// How long firmware may take from one way to boot to the next: a minute for IPv4, a minute for IPv6, and
/// what the loader of the first way took.
const NEXT_WAY: SignedDuration = SignedDuration::from_mins(5);

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
    /// When the request came for the first time that this one repeats.
    pub repeated_since: Option<Timestamp>,
}

impl PowerOn {
    /// Whether there is something to record: a new attempt, or progress of the latest one, or another
    /// bootenv.
    pub fn is_news(&self, last: Option<&BootAttempt>, verdict: &Verdict, now: Timestamp) -> bool {
        let Some(attempt) = last else { return true };
        if self.is_copy(attempt) && attempt.progress > self.progress {
            return false;
        }
        self.begins_attempt(last, now)
            || self.is_next_way(last, now)
            || attempt.progress < self.reached
            || attempt.bootenv.as_deref() != verdict.bootenv()
    }

    /// Whether this is a new attempt. PXE and then HTTP boot, or the other way round, is one power-on.
    pub fn begins_attempt(&self, last: Option<&BootAttempt>, now: Timestamp) -> bool {
        let has_tried_all = last.is_some_and(|attempt| {
            let is_first_way = attempt.other_arch.is_some() && attempt.client_arch == self.client_arch;
            is_first_way && attempt.mac == self.mac && self.progress == BootProgress::Firmware
        });
        let is_copy = last.is_some_and(|attempt| self.is_copy(attempt));
        let begins = has_tried_all || is_new(last, self.progress, now) && !self.is_next_way(last, now);
        begins && !is_copy
    }

    /// Whether this is a copy of a request that the attempt has seen: it was repeated while the answer was on
    /// its way, and is no sign of another power-on, however far the boot came meanwhile.
    fn is_copy(&self, attempt: &BootAttempt) -> bool {
        self.repeated_since.is_some_and(|first| attempt.seen_at >= first)
    }

    /// Whether the firmware goes on to its other protocol in the attempt `last`, which came to no kernel.
    pub fn is_next_way(&self, last: Option<&BootAttempt>, now: Timestamp) -> bool {
        let Some(attempt) = last else { return false };
        let is_open = attempt.progress <= BootProgress::Script && attempt.other_arch.is_none();
        let protocol = |code: Option<u16>| client_arch(code?).map(|row| (row.arch, row.transport));
        let other = |transport| match transport {
            LoaderTransport::Tftp => LoaderTransport::Http,
            LoaderTransport::Http | LoaderTransport::Https => LoaderTransport::Tftp,
        };
        let before = protocol(attempt.client_arch).map(|(arch, transport)| (arch, other(transport)));
        is_open
            && !self.is_copy(attempt)
            && self.progress == BootProgress::Firmware
            && before.is_some_and(|before| protocol(self.client_arch) == Some(before))
            && now.duration_since(attempt.seen_at) <= NEXT_WAY
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
            other_arch: None,
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

    fn power_on(client_arch: u16) -> PowerOn {
        PowerOn {
            evidence: PowerOnEvidence::Machine,
            progress: BootProgress::Firmware,
            reached: BootProgress::Firmware,
            mac: None,
            client_arch: Some(client_arch),
            server: None,
            repeated_since: None,
        }
    }

    #[test]
    fn a_copy_of_a_request_that_the_attempt_has_seen_is_no_news_however_far_the_boot_came() {
        let verdict = Verdict::LocalDisk { reason: "not armed".to_owned() };
        for (progress, since, new) in [
            (BootProgress::Kernel, Some(after(0)), false),
            (BootProgress::Ended, Some(after(0)), false),
            (BootProgress::Kernel, Some(after(1)), true),
            (BootProgress::Kernel, None, true),
        ] {
            let last = BootAttempt { bootenv: Some("debian".into()), ..attempt(progress) };
            let copy = PowerOn { repeated_since: since, ..power_on(7) };
            assert_eq!(copy.begins_attempt(Some(&last), after(20)), new, "{progress:?} {since:?}");
            assert_eq!(copy.is_news(Some(&last), &verdict, after(20)), new, "{progress:?} {since:?}");
        }
    }

    #[test]
    fn pxe_and_then_http_boot_is_one_power_on_and_pxe_again_is_the_next() {
        use BootProgress::*;
        let last =
            |progress, other_arch| BootAttempt { client_arch: Some(7), other_arch, ..attempt(progress) };
        for (progress, asks, seconds, new) in [
            (Firmware, 16, 130, false),
            (Loader, 16, 20, false),
            (Script, 16, 20, false),
            (Script, 7, 20, true),
            (Script, 19, 20, true),
            (Script, 16, 400, true),
            (Kernel, 16, 20, true),
            (Ended, 16, 20, true),
        ] {
            let (last, asks) = (last(progress, None), power_on(asks));
            assert_eq!(asks.begins_attempt(Some(&last), after(seconds)), new, "{asks:?} after {progress:?}");
            assert_eq!(asks.is_next_way(Some(&last), after(seconds)), !new, "{asks:?} after {progress:?}");
        }
        let both = last(Firmware, Some(16));
        assert!(!power_on(16).begins_attempt(Some(&both), after(4)), "it asks again");
        assert!(!power_on(16).is_next_way(Some(&both), after(4)));
        assert!(power_on(7).begins_attempt(Some(&both), after(4)));
    }
}
