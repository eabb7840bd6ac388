//! The health of the store, as the store itself observes it: its status, and the event at the end of an
//! outage.

use jiff::Timestamp;

use crate::durations::DurationCounts;
use crate::kernel::Kernel;
use crate::model::event::ServerStoreRecovered;
use crate::model::{NewEvent, StoreStatus};
use crate::store::Changeset;

impl Kernel {
    /// The status of the store: whether it takes writes, and its free space.
    pub fn store_status(&self) -> StoreStatus {
        self.monitor.status()
    }

    /// Number of writes to the database that failed since the start.
    pub fn store_failures(&self) -> u64 {
        self.monitor.failures()
    }

    /// How long commits take until they are on the disk.
    pub fn commit_durations(&self) -> DurationCounts {
        self.monitor.commit_durations()
    }

    /// Checks whether the database takes writes, and whether its disk is almost full. Writes an event at the
    /// end of an outage.
    pub async fn check_store(&self, now: Timestamp) {
        self.monitor.check(now).await;
        let Some(outage) = self.monitor.unreported_outage() else { return };
        let event = NewEvent::new(now, ServerStoreRecovered { reason: outage.reason, since: outage.since });
        match self.commit(Changeset::default().event(event)).await {
            Ok(_) => self.monitor.reported(),
            Err(error) => tracing::debug!(%error, "the database still takes no writes"),
        }
    }
}
