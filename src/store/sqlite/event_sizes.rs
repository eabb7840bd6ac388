//! How large the events are, in blocks, so that a bound in bytes is found without reading all of them again.
//! The first look reads the table, each later one what came since.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sqlx::SqlitePool;

use super::integer;

/// How many events a block has.
const BLOCK_EVENTS: u64 = 1024;
/// What a row takes beside its texts, in bytes: its numbers, and its rows in the table of keys.
const ROW_BYTES: u64 = 128;

/// Bytes by block; the number of a block is that of its events by [`BLOCK_EVENTS`].
#[derive(Debug, Default)]
pub(super) struct EventSizes(Mutex<BTreeMap<u64, u64>>);

impl EventSizes {
    /// The number of the first event that stays when the newest are to take at most so many bytes.
    pub(super) async fn first_within(
        &self,
        readers: &SqlitePool,
        (first, bytes_max): (u64, u64),
    ) -> sqlx::Result<u64> {
        let known = self.lock().last_key_value().map_or(first / BLOCK_EVENTS, |(block, _)| *block);
        let sizes = "SELECT seq / $2, sum(octet_length(data) + octet_length(subject) + $3) FROM event \
            WHERE seq >= $1 GROUP BY seq / $2";
        let query = sqlx::query_as(sizes).bind(integer(known * BLOCK_EVENTS)).bind(integer(BLOCK_EVENTS));
        let read: Vec<(i64, i64)> = query.bind(integer(ROW_BYTES)).fetch_all(readers).await?;
        let mut blocks = self.lock();
        blocks.extend(read.into_iter().map(|(block, bytes)| (block.unsigned_abs(), bytes.unsigned_abs())));
        let kept = blocks.split_off(&(first / BLOCK_EVENTS));
        *blocks = kept;
        Ok(first_block(&blocks, bytes_max).map_or(first, |block| block * BLOCK_EVENTS))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The oldest block that stays. The newest stays whatever it takes.
fn first_block(blocks: &BTreeMap<u64, u64>, bytes_max: u64) -> Option<u64> {
    let mut left = bytes_max;
    let mut first = None;
    for (block, bytes) in blocks.iter().rev() {
        let fits = left.checked_sub(*bytes);
        if fits.is_none() && first.is_some() {
            break;
        }
        first = Some(*block);
        left = fits.unwrap_or(0);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_blocks_that_fit_stay_and_the_last_one_always() {
        let blocks = BTreeMap::from([(3, 50), (4, 40), (5, 30)]);
        let first = |most| first_block(&blocks, most);
        assert_eq!(
            [first(120), first(119), first(70), first(69), first(0)].map(Option::unwrap),
            [3, 4, 4, 5, 5]
        );
        assert_eq!(first_block(&BTreeMap::new(), 10), None);
    }
}
