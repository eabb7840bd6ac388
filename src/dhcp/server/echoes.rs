//! Echo replies whose sender is not known yet. On the server's own wire the kernel knows whom it resolved.
//! Its table is read on another thread, once for all replies that arrived meanwhile, so that a burst delays
//! nothing.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;

use tokio::task::{JoinHandle, spawn_blocking};
use tracing::debug;

use crate::dhcp::decide::probe::parse_neighbours;
use crate::model::Mac;

/// Most replies that wait for the table to be read. Further ones are treated as lost.
pub(super) const ECHOES_MAX: usize = 1024;
/// The kernel's table of neighbours.
const NEIGHBOURS: &str = "/proc/net/arp";

/// Addresses that answered, with the hardware address of those on the server's own wires.
pub(super) type EchoSenders = Vec<(Ipv4Addr, Option<Mac>)>;

/// Reads the kernel's table of neighbours.
type NeighbourReader = fn() -> io::Result<String>;

pub(super) struct EchoReplies {
    read: NeighbourReader,
    heard: Vec<Ipv4Addr>,
    reading: Option<JoinHandle<EchoSenders>>,
}

impl EchoReplies {
    pub fn new() -> Self {
        EchoReplies::reading_by(|| std::fs::read_to_string(NEIGHBOURS))
    }

    fn reading_by(read: NeighbourReader) -> Self {
        EchoReplies { read, heard: Vec::new(), reading: None }
    }

    /// Records that an address answered.
    pub fn hear(&mut self, from: Ipv4Addr) {
        if self.heard.len() < ECHOES_MAX && !self.heard.contains(&from) {
            self.heard.push(from);
        }
        self.begin();
    }

    /// The next replies with known senders. Pending while nothing was heard; cancel safe.
    pub async fn next(&mut self) -> EchoSenders {
        let Some(reading) = &mut self.reading else { return std::future::pending().await };
        let found = reading.await;
        self.reading = None;
        self.begin();
        // If the read panicked, the probes end as if no host had answered.
        found
            .inspect_err(|error| debug!(%error, "the kernel's table of neighbours could not be read"))
            .unwrap_or_default()
    }

    /// Begins to read the table for all waiting replies, unless a read is running: its result may be older
    /// than the latest reply.
    fn begin(&mut self) {
        if self.reading.is_none() && !self.heard.is_empty() {
            let (heard, read) = (std::mem::take(&mut self.heard), self.read);
            self.reading = Some(spawn_blocking(move || {
                let table = read()
                    .inspect_err(|error| debug!(%error, "the kernel's table of neighbours cannot be read"));
                let table = table.unwrap_or_default();
                let known: HashMap<Ipv4Addr, Mac> = parse_neighbours(&table).collect();
                heard.into_iter().map(|address| (address, known.get(&address).copied())).collect()
            }));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    const TABLE: &str = "IP address  HW type  Flags  HW address         Mask  Device\n\
                         10.0.0.7    0x1      0x2    02:00:00:00:00:09  *     eth1\n";
    static READS: AtomicUsize = AtomicUsize::new(0);

    fn address(number: u32) -> Ipv4Addr {
        Ipv4Addr::from(0x0a00_0000 + number)
    }

    #[tokio::test]
    async fn the_table_is_read_on_another_thread_and_at_most_twice_for_a_burst() {
        let mut echoes = EchoReplies::reading_by(|| {
            READS.fetch_add(1, Ordering::Relaxed);
            let name = std::thread::current().name().map(str::to_owned);
            let test = "the_table_is_read_on_another_thread_and_at_most_twice_for_a_burst";
            assert!(!name.unwrap_or_default().ends_with(test), "read where packets are answered");
            Ok(TABLE.to_owned())
        });
        (0..500).for_each(|number| echoes.hear(address(number)));
        (0..500).for_each(|number| echoes.hear(address(number)));
        assert_eq!(echoes.next().await, [(address(0), None)], "it alone was heard when the reading began");
        let rest = echoes.next().await;
        // The first address answered again after that.
        assert_eq!((rest.len(), READS.load(Ordering::Relaxed)), (500, 2));
        let known: Vec<_> = rest.into_iter().filter(|(_, mac)| mac.is_some()).collect();
        assert_eq!(known, [(address(7), Some(Mac([2, 0, 0, 0, 0, 9])))]);
        assert!(echoes.reading.is_none() && echoes.heard.is_empty());
    }

    #[tokio::test]
    async fn what_waits_has_a_bound_and_a_table_that_is_not_there_knows_nobody() {
        let mut echoes = EchoReplies::reading_by(|| Err(io::ErrorKind::NotFound.into()));
        (0..5000).for_each(|number| echoes.hear(address(number)));
        assert_eq!(echoes.heard.len(), ECHOES_MAX);
        assert_eq!(echoes.next().await, [(address(0), None)]);
        assert_eq!(echoes.next().await.len(), ECHOES_MAX);
    }
}
