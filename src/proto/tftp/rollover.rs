//! Block numbers in packets: they have sixteen bits and wrap around in a long transfer.

/// The number after block 65535. iPXE, U-Boot, EDK2, GRUB and Linux continue with 0; a few old clients with
/// 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BlockRollover {
    #[default]
    Zero,
    One,
}

/// Numbers before the wrap-around, if it continues with 1.
const NUMBERS_FROM_ONE: u64 = 65_535;

impl BlockRollover {
    /// The number in packets of a block that is counted from 1; 0 stands for the options.
    pub fn on_wire(self, block: u64) -> u16 {
        let number = match self {
            Self::Zero => block & 0xffff,
            Self::One => block.checked_sub(1).map_or(0, |before| before % NUMBERS_FROM_ONE + 1),
        };
        // Both numbers are below 65536.
        number as u16
    }

    /// How far `number` is ahead of `block`. Windows are far shorter than the range of numbers, so a block
    /// that is behind gives a distance that no window has.
    pub fn ahead(self, number: u16, block: u64) -> u64 {
        let (number, from) = (u64::from(number), u64::from(self.on_wire(block)));
        match self {
            Self::Zero => (number.wrapping_sub(from)) & 0xffff,
            Self::One if from == 0 => number,
            // The ACK of the options, repeated.
            Self::One if number == 0 => u64::MAX,
            Self::One => (number + NUMBERS_FROM_ONE - from) % NUMBERS_FROM_ONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BlockRollover::{One, Zero};

    #[test]
    fn block_65535_is_followed_by_the_number_that_was_set() {
        assert_eq!([65_534, 65_535, 65_536, 65_537].map(|block| Zero.on_wire(block)), [65_534, 65_535, 0, 1]);
        assert_eq!([65_534, 65_535, 65_536, 65_537].map(|block| One.on_wire(block)), [65_534, 65_535, 1, 2]);
        assert_eq!((One.on_wire(0), One.on_wire(131_070), One.on_wire(131_071)), (0, 65_535, 1));
    }

    #[test]
    fn the_distance_to_any_block_of_a_window_is_found_across_every_seam() {
        for rollover in [Zero, One] {
            for block in [0, 1, 7, 65_530, 65_535, 65_536, 131_065, 131_070, 131_071, 196_600] {
                for ahead in 0..=64 {
                    let number = rollover.on_wire(block + ahead);
                    assert_eq!(rollover.ahead(number, block), ahead, "{rollover:?}: {block} + {ahead}");
                }
            }
        }
    }

    #[test]
    fn what_is_behind_is_no_block_of_a_window() {
        assert!(Zero.ahead(65_535, 65_536) > 1000);
        assert!(One.ahead(65_535, 65_536) > 1000);
        assert!(One.ahead(0, 65_536) > 1000);
    }
}
