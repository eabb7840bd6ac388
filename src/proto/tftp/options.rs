//! Option negotiation (RFC 2347 to 2349, RFC 7440): the client's options, within the server's limits.
//!
//! The answer lists only options that the client sent, in its order and spelling, with values that never
//! exceed the requested ones. Leaving an option out refuses it (RFC 2347); so unknown and malformed options
//! are left out.

use crate::proto::tftp::packet::{OptionField, TransferMode};
use crate::proto::tftp::rollover::BlockRollover;
use std::time::Duration;

/// Block size of a transfer without the option (RFC 1350).
pub const BLOCK_BYTES_DEFAULT: u16 = 512;
/// Smallest and largest block size that a client may request (RFC 2348).
pub const BLOCK_BYTES_MIN: u16 = 8;
pub const BLOCK_BYTES_MAX: u16 = 65_464;
/// Largest block that fits into plain Ethernet without IP fragments, which option ROMs cannot reassemble.
pub const BLOCK_BYTES_ETHERNET: u16 = 1468;
/// Largest window that is granted; larger ones break clients and switches and gain little.
pub const WINDOW_BLOCKS_MAX: u16 = 16;
/// IPv4, UDP and TFTP headers around a block.
const HEADER_BYTES: u32 = 20 + 8 + 4;

/// The server's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferLimits {
    pub block_bytes_max: u16,
    pub window_blocks_max: u16,
    /// The number after block 65535, if the client does not say.
    pub rollover: BlockRollover,
}

impl Default for TransferLimits {
    fn default() -> Self {
        Self {
            block_bytes_max: BLOCK_BYTES_ETHERNET,
            window_blocks_max: WINDOW_BLOCKS_MAX,
            rollover: BlockRollover::default(),
        }
    }
}

impl TransferLimits {
    /// The same limits, with blocks that fit a link of `mtu` bytes.
    pub fn within_mtu(self, mtu: u32) -> Self {
        let fitting = u16::try_from(mtu.saturating_sub(HEADER_BYTES)).unwrap_or(u16::MAX);
        self.with_blocks_of(fitting)
    }

    /// The same limits, with blocks of at most `bytes`.
    pub fn with_blocks_of(self, bytes: u16) -> Self {
        let block_bytes_max = self.block_bytes_max.min(bytes).clamp(BLOCK_BYTES_MIN, BLOCK_BYTES_MAX);
        Self { block_bytes_max, ..self }
    }
}

/// What the server can tell about the requested file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerOffer {
    pub limits: TransferLimits,
    pub mode: TransferMode,
    /// Length of the body as it is sent, in bytes.
    pub body_bytes: u64,
}

/// A granted option: its name as the client spelled it, and the value in the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrantedOption {
    pub name: String,
    pub value: u64,
}

/// The terms of a transfer. If no option is granted there is no OACK, and the first packet is DATA 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferTerms {
    pub block_bytes: u16,
    pub window_blocks: u16,
    /// The interval between retransmissions, if the client set one (RFC 2349).
    pub retry: Option<Duration>,
    pub rollover: BlockRollover,
    pub granted: Vec<GrantedOption>,
}

impl TransferTerms {
    /// The values of the granted options, as text for the OACK.
    pub fn granted_values(&self) -> Vec<String> {
        self.granted.iter().map(|granted| granted.value.to_string()).collect()
    }
}

/// Decides the terms for the options of a request. A repeated option counts once.
pub fn negotiate(options: &[OptionField<'_>], offer: &ServerOffer) -> TransferTerms {
    let mut terms = TransferTerms {
        block_bytes: BLOCK_BYTES_DEFAULT,
        window_blocks: 1,
        retry: None,
        rollover: offer.limits.rollover,
        granted: Vec::with_capacity(options.len().min(4)),
    };
    for option in options {
        if terms.granted.iter().any(|granted| granted.name.eq_ignore_ascii_case(option.name)) {
            continue;
        }
        if let Some(value) = grant(option, offer, &mut terms) {
            terms.granted.push(GrantedOption { name: option.name.to_owned(), value });
        }
    }
    terms
}

/// The value that is granted for an option, also set in `terms`; none refuses the option.
fn grant(option: &OptionField<'_>, offer: &ServerOffer, terms: &mut TransferTerms) -> Option<u64> {
    let asked = decimal(option.value)?;
    match option.name.to_ascii_lowercase().as_str() {
        "blksize" => {
            let asked = u16::try_from(asked)
                .ok()
                .filter(|bytes| (BLOCK_BYTES_MIN..=BLOCK_BYTES_MAX).contains(bytes))?;
            terms.block_bytes = asked.min(offer.limits.block_bytes_max);
            Some(terms.block_bytes.into())
        }
        // In netascii the length differs from the file's length (RFC 2349 gives octets), so it is left out.
        "tsize" => (offer.mode == TransferMode::Octet).then_some(offer.body_bytes),
        "timeout" => {
            let seconds = u8::try_from(asked).ok().filter(|seconds| *seconds > 0)?;
            terms.retry = Some(Duration::from_secs(seconds.into()));
            Some(seconds.into())
        }
        "windowsize" => {
            let asked = u16::try_from(asked).ok().filter(|blocks| *blocks > 0)?;
            terms.window_blocks = asked.min(offer.limits.window_blocks_max.clamp(1, WINDOW_BLOCKS_MAX));
            Some(terms.window_blocks.into())
        }
        // Not in an RFC; tftp-hpa and others use it with this meaning.
        "rollover" => {
            terms.rollover = match asked {
                0 => BlockRollover::Zero,
                1 => BlockRollover::One,
                _ => return None,
            };
            Some(asked)
        }
        _ => None,
    }
}

/// Parses decimal ASCII digits only; `u64::from_str` alone would accept a sign. The number ends before the
/// first byte that is not printable: firmware that ignores lengths sends rubbish behind it.
fn decimal(text: &str) -> Option<u64> {
    let text = text.trim_start();
    let end = text.find(|next: char| !next.is_ascii_graphic()).unwrap_or(text.len());
    let digits = text.get(..end)?;
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(options: &[(&str, &str)], mtu: u32) -> TransferTerms {
        let fields: Vec<_> = options.iter().map(|(name, value)| OptionField { name, value }).collect();
        let limits = TransferLimits::default().within_mtu(mtu);
        negotiate(&fields, &ServerOffer { limits, mode: TransferMode::Octet, body_bytes: 1000 })
    }

    fn granted(options: &[(&str, &str)]) -> Vec<(String, u64)> {
        terms(options, 1500).granted.into_iter().map(|granted| (granted.name, granted.value)).collect()
    }

    #[test]
    fn vector_72_the_answer_lists_exactly_what_was_asked_in_its_order() {
        let asked = [("tsize", "0"), ("blksize", "1468")];
        assert_eq!(granted(&asked), [("tsize".to_owned(), 1000), ("blksize".to_owned(), 1468)]);
        let asked = [("blksize", "1024"), ("tsize", "0")];
        assert_eq!(granted(&asked), [("blksize".to_owned(), 1024), ("tsize".to_owned(), 1000)]);
    }

    #[test]
    fn vector_73_blksize_is_held_under_the_mtu() {
        assert_eq!(terms(&[("blksize", "9000")], 1500).block_bytes, 1468);
        assert_eq!(terms(&[("blksize", "1468")], 1450).block_bytes, 1418);
        assert_eq!(terms(&[("blksize", "512")], 9000).block_bytes, 512);
    }

    #[test]
    fn vector_74_blksize_below_eight_or_above_65464_is_ignored() {
        for value in ["7", "0", "65465", "99999999999999999999", "-1", "+9", "", "12x"] {
            let terms = terms(&[("blksize", value)], 1500);
            assert_eq!((terms.block_bytes, terms.granted.len()), (512, 0), "blksize {value:?}");
        }
    }

    #[test]
    fn a_number_ends_where_rubbish_begins() {
        for value in ["1024", " 1024 ", "1024\u{1}7", "1024\u{fffd}", "1024 octets"] {
            assert_eq!(terms(&[("blksize", value)], 1500).block_bytes, 1024, "{value:?}");
        }
        assert_eq!(granted(&[("tsize", "\u{1}")]), []);
    }

    #[test]
    fn vector_75_a_jumbo_link_grants_at_most_its_mtu_less_headers() {
        let limits =
            TransferLimits { block_bytes_max: BLOCK_BYTES_MAX, ..TransferLimits::default() }.within_mtu(9000);
        let asked = [OptionField { name: "blksize", value: "65464" }];
        let terms = negotiate(&asked, &ServerOffer { limits, mode: TransferMode::Octet, body_bytes: 0 });
        assert_eq!(terms.block_bytes, 8968);
    }

    #[test]
    fn vector_76_windowsize_65535_is_clamped_to_16() {
        assert_eq!(granted(&[("windowsize", "65535")]), [("windowsize".to_owned(), 16)]);
        assert_eq!(granted(&[("windowsize", "4")]), [("windowsize".to_owned(), 4)]);
        assert!(granted(&[("windowsize", "0")]).is_empty());
    }

    #[test]
    fn vector_81_names_have_no_case_and_unknown_options_are_left_out() {
        let asked = [("foo", "1"), ("BLKSIZE", "1024"), ("msftwindow", "31416"), ("multicast", "")];
        assert_eq!(granted(&asked), [("BLKSIZE".to_owned(), 1024)]);
    }

    #[test]
    fn vector_85_netascii_has_no_tsize() {
        let asked = [OptionField { name: "tsize", value: "0" }];
        let offer =
            ServerOffer { limits: TransferLimits::default(), mode: TransferMode::Netascii, body_bytes: 5 };
        assert!(negotiate(&asked, &offer).granted.is_empty());
    }

    #[test]
    fn timeout_of_1_to_255_seconds_sets_the_interval() {
        assert_eq!(terms(&[("timeout", "255")], 1500).retry, Some(Duration::from_secs(255)));
        assert_eq!(terms(&[("timeout", "0")], 1500).retry, None);
        assert_eq!(terms(&[("timeout", "256")], 1500).granted, []);
    }

    #[test]
    fn a_client_may_say_what_follows_block_65535() {
        assert_eq!(terms(&[], 1500).rollover, BlockRollover::Zero);
        let asked = terms(&[("rollover", "1")], 1500);
        assert_eq!((asked.rollover, asked.granted.len()), (BlockRollover::One, 1));
        assert_eq!(terms(&[("rollover", "2")], 1500).granted, []);
    }

    #[test]
    fn an_option_named_twice_counts_once() {
        assert_eq!(granted(&[("blksize", "600"), ("BlkSize", "700")]), [("blksize".to_owned(), 600)]);
    }
}
