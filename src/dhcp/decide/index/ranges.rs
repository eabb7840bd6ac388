//! A set of addresses, stored as ranges: an unused /8 is one entry.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

/// Addresses as numbers, by the first one of their range; ranges neither touch nor overlap.
#[derive(Debug, Clone, Default)]
pub(super) struct AddressRanges(BTreeMap<u32, u32>);

impl AddressRanges {
    pub fn insert(&mut self, address: Ipv4Addr) {
        self.insert_range(address.to_bits()..=address.to_bits());
    }

    /// Adds a range; either none or all of its addresses are in the set already.
    pub fn insert_range(&mut self, addresses: RangeInclusive<u32>) {
        let (first, last) = addresses.into_inner();
        if first > last || self.range_of(first).is_some() {
            return;
        }
        let before = first.checked_sub(1).and_then(|end| self.range_of(end));
        let after = last.checked_add(1).and_then(|start| self.0.remove(&start));
        self.0.insert(before.map_or(first, |(start, _)| start), after.unwrap_or(last));
    }

    pub fn remove(&mut self, address: Ipv4Addr) {
        let address = address.to_bits();
        let Some((start, end)) = self.range_of(address) else { return };
        self.0.remove(&start);
        if start < address {
            self.0.insert(start, address - 1);
        }
        if address < end {
            self.0.insert(address + 1, end);
        }
    }

    /// All addresses, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.0.iter().flat_map(|(start, end)| *start..=*end).map(Ipv4Addr::from_bits)
    }

    fn range_of(&self, address: u32) -> Option<(u32, u32)> {
        let (start, end) = self.0.range(..=address).next_back()?;
        (*end >= address).then_some((*start, *end))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_hold_what_a_set_holds(
            steps in proptest::collection::vec((any::<bool>(), 0..20u32), 0..80),
        ) {
            let (mut ranges, mut set) = (AddressRanges::default(), BTreeSet::new());
            for (is_added, number) in steps {
                let address = Ipv4Addr::from_bits(number);
                if is_added {
                    ranges.insert(address);
                    set.insert(address);
                } else {
                    ranges.remove(address);
                    set.remove(&address);
                }
                prop_assert_eq!(ranges.iter().collect::<Vec<_>>(), set.iter().copied().collect::<Vec<_>>());
                let ends: Vec<_> = ranges.0.values().collect();
                prop_assert!(ends.iter().all(|end| !ranges.0.contains_key(&(**end + 1))), "{:?}", ranges);
            }
        }
    }

    #[test]
    fn the_last_address_there_is_can_come_and_go() {
        let mut ranges = AddressRanges::default();
        ranges.insert_range(u32::MAX - 1..=u32::MAX);
        ranges.remove(Ipv4Addr::BROADCAST);
        ranges.insert(Ipv4Addr::BROADCAST);
        assert_eq!(ranges.iter().count(), 2);
    }
}
