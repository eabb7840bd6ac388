//! Handles changes of the wall clock while leases run. Leases end by the wall clock, but clients count
//! seconds: a clock that is set forward by a day would end all leases while clients use them, and a clock
//! that is set back would keep the addresses of clients that are gone. So a jump is detected with the
//! monotonic clock. DHCP is silent until the leases have been moved by the jump, and an event reports it.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use crate::dhcp::Dhcp;
use crate::kernel::{Changeset, Error, StoreError};
use crate::model::event::DhcpClockSet;
use crate::model::{Lease, LeaseState, NewEvent, Object, Stored};

/// The least difference that counts as a jump: clocks that are kept in time do not differ that much.
const JUMP_MIN: SignedDuration = SignedDuration::from_mins(5);
/// Most leases that are moved in one changeset.
const MOVED_AT_ONCE_MAX: usize = 256;

/// The wall clock, compared with the monotonic clock.
#[derive(Debug, Default)]
pub struct LeaseClock(Mutex<ClockReadings>);

#[derive(Debug, Default)]
struct ClockReadings {
    last: Option<(Timestamp, Instant)>,
    /// The jump by which leases still have to be moved.
    jump: Option<ClockJump>,
}

/// A jump of the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ClockJump {
    /// The time that it would show without the jump.
    before: Timestamp,
    /// The time that it shows.
    after: Timestamp,
}

impl LeaseClock {
    /// Reads both clocks. Returns the jump by which leases still have to be moved.
    fn look(&self, wall: Timestamp, at: Instant) -> Option<ClockJump> {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((last, then)) = looks.last.replace((wall, at)) {
            let passed = SignedDuration::try_from(at.saturating_duration_since(then)).unwrap_or_default();
            let before = last.saturating_add(passed).unwrap_or(wall);
            if wall.duration_since(before).abs() >= JUMP_MIN {
                let first = looks.jump.map_or(before, |jump| jump.before);
                looks.jump = Some(ClockJump { before: first, after: wall });
            }
        }
        looks.jump
    }

    /// Whether leases end at the times on record.
    pub fn is_steady(&self, wall: Timestamp) -> bool {
        self.look(wall, Instant::now()).is_none()
    }

    fn moved(&self, jump: ClockJump) {
        let mut looks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        looks.jump = looks.jump.filter(|now| *now != jump);
    }

    /// Records that the clock was set back while the server was not running: something on record is in the
    /// future.
    fn was_put_back(&self, jump: ClockJump) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).jump = Some(jump);
    }
}

impl Dhcp {
    /// Checks at the start for leases that were written in the future.
    pub fn look_for_future_leases(&self, wall: Timestamp) {
        let newest = self.kernel.read(|world| world.leases.iter().map(|row| row.updated_at).max());
        if let Some(before) = newest.filter(|newest| newest.duration_since(wall) >= JUMP_MIN) {
            self.lease_clock.was_put_back(ClockJump { before, after: wall });
        }
    }

    /// Detects that the clock was set, and moves the leases. Called about every second.
    ///
    /// # Errors
    /// Those of the store; the remaining leases are moved at the next call.
    pub async fn follow_clock(&self, wall: Timestamp, at: Instant) -> Result<(), Error> {
        let Some(jump) = self.lease_clock.look(wall, at) else { return Ok(()) };
        let seconds = jump.after.duration_since(jump.before).as_secs();
        self.offers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let rows: Vec<_> = self.kernel.read(|world| world.leases.iter().cloned().collect());
        let moved: Vec<Stored<Lease>> = rows.iter().filter_map(|row| moved(row, jump)).collect();
        tracing::warn!(
            seconds,
            leases = moved.len(),
            "the clock was set: the leases are moved by the same time"
        );
        for group in moved.chunks(MOVED_AT_ONCE_MAX) {
            self.move_leases(group).await?;
        }
        let event = NewEvent::new(wall, DhcpClockSet { seconds, leases: moved.len() as u64 });
        self.kernel.commit(Changeset::default().event(event)).await?;
        self.lease_clock.moved(jump);
        Ok(())
    }

    async fn move_leases(&self, group: &[Stored<Lease>]) -> Result<(), Error> {
        match self.kernel.try_commit(group.iter().fold(Changeset::default(), with_lease)).await {
            Ok(_) => Ok(()),
            Err(StoreError::Stale { .. }) => {
                // A lease of the group was changed or deleted meanwhile, and is right as it is.
                for row in group {
                    match self.kernel.try_commit(with_lease(Changeset::default(), row)).await {
                        Ok(_) | Err(StoreError::Stale { .. }) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn with_lease(changeset: Changeset, row: &Stored<Lease>) -> Changeset {
    changeset.update(Object::Lease(row.clone().into()))
}

/// The lease with the end that its client expects: the same seconds from now as before, but at most the
/// seconds that were granted. A lease that had ended stays ended. `None` if nothing changes.
fn moved(row: &Stored<Lease>, jump: ClockJump) -> Option<Stored<Lease>> {
    let lease = &row.spec;
    let runs = matches!(lease.state, LeaseState::Bound | LeaseState::Offered | LeaseState::Declined);
    let is_future = row.updated_at.duration_since(jump.after) >= JUMP_MIN;
    if !runs && !is_future {
        return None;
    }
    let left = lease.expires_at.duration_since(jump.before).max(SignedDuration::ZERO);
    let granted = lease.expires_at.duration_since(row.updated_at).max(SignedDuration::ZERO);
    let expires_at = if left.is_zero() && lease.expires_at <= jump.after {
        lease.expires_at
    } else {
        jump.after.saturating_add(left.min(granted)).unwrap_or(Timestamp::MAX)
    };
    if expires_at == lease.expires_at && !is_future {
        return None;
    }
    let mut next = row.next(jump.after);
    next.spec.expires_at = expires_at;
    Some(next)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::houses::{Houses, testing};

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const DAY: SignedDuration = SignedDuration::from_hours(24);

    fn start() -> Timestamp {
        "2026-11-20T10:00:00Z".parse().unwrap()
    }

    async fn lease(houses: &Houses, last: u8, (written, ends): (Timestamp, Timestamp)) {
        let address = Ipv4Addr::new(10, 0, 0, last);
        let lease = Lease {
            address,
            client: format!("1/02:00:00:00:00:{last:02x}"),
            mac: None,
            state: LeaseState::Bound,
            subnet: "a".into(),
            network: "a".into(),
            bound_at: written,
            expires_at: ends,
            machine: None,
            hostname: None,
        };
        let row = Stored::new(address.to_string(), lease, written);
        testing::put(houses, Object::Lease(row.into())).await;
    }

    fn ends(houses: &Houses, last: u8) -> Timestamp {
        houses.kernel.read(|world| world.leases.get(&format!("10.0.0.{last}")).unwrap().spec.expires_at)
    }

    /// Sets the clock half an hour after a lease of one hour was given, with another lease from two hours
    /// ago.
    async fn set_clock(by: SignedDuration) -> (std::sync::Arc<Houses>, Timestamp) {
        let (houses, at) = (testing::houses(), Instant::now());
        lease(&houses, 1, (start(), start() + HOUR)).await;
        lease(&houses, 2, (start() - HOUR * 2, start() - HOUR)).await;
        houses.dhcp.follow_clock(start(), at).await.unwrap();
        let half = Duration::from_secs(1800);
        let wall = start() + HOUR / 2 + by;
        assert!(houses.dhcp.lease_clock.look(wall, at + half).is_some());
        houses.dhcp.follow_clock(wall, at + half).await.unwrap();
        assert!(houses.dhcp.lease_clock.look(wall, at + half).is_none());
        (houses, wall)
    }

    #[tokio::test]
    async fn a_clock_put_forward_by_a_day_ends_no_lease_under_its_client() {
        let (houses, wall) = set_clock(DAY).await;
        assert_eq!(ends(&houses, 1), wall + HOUR / 2);
        assert_eq!(ends(&houses, 2), start() - HOUR, "what had ended has ended");
    }

    #[tokio::test]
    async fn a_clock_put_back_by_a_day_keeps_no_lease_longer_than_its_client_does() {
        let (houses, wall) = set_clock(-DAY).await;
        assert_eq!(ends(&houses, 1), wall + HOUR / 2);
        assert_eq!(ends(&houses, 2), wall, "it had ended before the clock was set");
    }

    #[tokio::test]
    async fn leases_of_the_future_at_the_start_end_in_their_own_time() {
        let houses = testing::houses();
        lease(&houses, 1, (start() + DAY, start() + DAY + HOUR)).await;
        houses.dhcp.look_for_future_leases(start());
        houses.dhcp.follow_clock(start(), Instant::now()).await.unwrap();
        assert_eq!(ends(&houses, 1), start() + HOUR);
    }

    #[test]
    fn a_clock_that_is_kept_in_time_is_steady() {
        let (clock, at) = (LeaseClock::default(), Instant::now());
        for minutes in 0..100i64 {
            let late = SignedDuration::from_secs(if minutes % 2 == 0 { 0 } else { 200 });
            let wall = start() + SignedDuration::from_mins(minutes) + late;
            let at = at + Duration::from_secs(60 * u64::try_from(minutes).unwrap());
            assert_eq!(clock.look(wall, at), None);
        }
    }
}
