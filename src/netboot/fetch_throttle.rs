//! Limits the events of a machine that fetches one file many times a second. A few events per second are
//! written and the others are counted: they would fill the queue and the disk without telling anything new.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use crate::artifacts::opened::FileSubject;
use crate::model::EventKind;
use crate::netboot::Netboot;

/// Most events per second of one kind about one file of one machine.
pub const EVENTS_A_SECOND_MAX: u32 = 8;
/// Most files that are counted per second. Events about further files are all written.
const FILES_MAX: usize = 16_384;

/// The topic that events are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EventTopic {
    kind: EventKind,
    machine: String,
    label: String,
}

#[derive(Debug, Default)]
struct FetchSecond {
    number: i64,
    seen: HashMap<EventTopic, u32>,
}

/// The fetches of the present second.
#[derive(Debug, Default)]
pub struct FetchThrottle(Mutex<FetchSecond>);

impl FetchThrottle {
    fn is_news(&self, topic: EventTopic, number: i64) -> bool {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if second.number != number {
            *second = FetchSecond { number, ..FetchSecond::default() };
        }
        if second.seen.len() >= FILES_MAX && !second.seen.contains_key(&topic) {
            return true;
        }
        let seen = second.seen.entry(topic).or_default();
        *seen = seen.saturating_add(1);
        *seen <= EVENTS_A_SECOND_MAX
    }
}

impl Netboot {
    /// Whether an event about a fetch should be written. False if there is no machine, or if there were too
    /// many such events in this second.
    pub fn is_news(&self, kind: EventKind, about: &FileSubject, label: &str) -> bool {
        let Some(machine) = about.machine.clone() else { return false };
        let topic = EventTopic { kind, machine: machine.clone(), label: label.to_owned() };
        let is_news = self.memory.repeats.is_news(topic, self.kernel.now().as_second())
            && self.memory.budgets.takes_fetch(&machine);
        if !is_news {
            self.memory.fetches_repeated.fetch_add(1, Ordering::Relaxed);
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fetch_is_written_a_few_times_a_second() {
        let repeats = FetchThrottle::default();
        let topic = |label: &str| EventTopic {
            kind: EventKind::BootRendered,
            machine: "m".into(),
            label: label.into(),
        };
        let written = |number| (0..100).filter(|_| repeats.is_news(topic("a"), number)).count();
        assert_eq!(written(1), EVENTS_A_SECOND_MAX as usize);
        assert!(repeats.is_news(topic("b"), 1));
        assert_eq!(written(2), EVENTS_A_SECOND_MAX as usize);
    }

    #[test]
    fn what_is_remembered_of_a_second_is_bounded() {
        let repeats = FetchThrottle::default();
        for number in 0..FILES_MAX + 10 {
            let topic = EventTopic {
                kind: EventKind::BootFileServed,
                machine: "m".into(),
                label: number.to_string(),
            };
            assert!(repeats.is_news(topic, 1));
        }
        assert_eq!(repeats.0.lock().unwrap().seen.len(), FILES_MAX);
    }
}
