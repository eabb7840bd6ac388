//! Parses `dhcpd.leases(5)`: statements that end in `;`, and blocks in braces. Everything but leases is
//! skipped.

use std::net::Ipv4Addr;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::{LeaseEntry, LeaseHolder, LeaseJournal, colon_hex};
use crate::model::LeaseState;

/// Most words of one statement; further words are ignored.
const WORDS_MAX: usize = 64;
/// Longest word or string that is kept, in bytes.
const WORD_BYTES_MAX: usize = 1024;

#[derive(Debug, Clone, PartialEq)]
enum IscToken {
    Word(String),
    /// The text of a quoted string, with escapes resolved.
    Quoted(Vec<u8>),
    Open,
    Close,
    End,
}

/// The tokens of a file, each with its line.
struct IscTokens<'a> {
    rest: std::iter::Peekable<std::str::Bytes<'a>>,
    line: usize,
}

impl Iterator for IscTokens<'_> {
    type Item = (usize, IscToken);

    fn next(&mut self) -> Option<(usize, IscToken)> {
        loop {
            let byte = self.bump()?;
            let line = self.line;
            let token = match byte {
                b'#' => {
                    while self.rest.next_if(|byte| *byte != b'\n').is_some() {}
                    continue;
                }
                b'\n' | b' ' | b'\t' | b'\r' => continue,
                b'{' => IscToken::Open,
                b'}' => IscToken::Close,
                b';' => IscToken::End,
                b'"' => IscToken::Quoted(self.quoted()),
                first => IscToken::Word(self.word(first)),
            };
            return Some((line, token));
        }
    }
}

impl IscTokens<'_> {
    fn bump(&mut self) -> Option<u8> {
        let byte = self.rest.next()?;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn word(&mut self, first: u8) -> String {
        let mut word = vec![first];
        while let Some(byte) =
            self.rest.next_if(|byte: &u8| !byte.is_ascii_whitespace() && !b"{};\"#".contains(byte))
        {
            if word.len() < WORD_BYTES_MAX {
                word.push(byte);
            }
        }
        String::from_utf8_lossy(&word).into_owned()
    }

    /// The escapes are those of dhcpd's own parser: `\"`, `\\`, `\n`, `\t`, `\r`, `\b`, octal and `\x` hex.
    fn quoted(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while let Some(byte) = self.bump().filter(|byte| *byte != b'"') {
            let byte = if byte == b'\\' { self.escaped() } else { Some(byte) };
            if bytes.len() < WORD_BYTES_MAX {
                bytes.extend(byte);
            }
        }
        bytes
    }

    fn escaped(&mut self) -> Option<u8> {
        Some(match self.bump()? {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'x' => self.digits(16, 2)?,
            first @ b'0'..=b'7' => (first - b'0').wrapping_mul(64).wrapping_add(self.digits(8, 2)?),
            other => other,
        })
    }

    /// Reads up to `count` digits of a base; without a digit the result is zero.
    fn digits(&mut self, base: u8, count: usize) -> Option<u8> {
        let mut value = 0u8;
        for _ in 0..count {
            let Some(digit) = self.rest.next_if(|byte: &u8| char::from(*byte).is_digit(u32::from(base)))
            else {
                break;
            };
            let digit =
                char::from(digit).to_digit(u32::from(base)).and_then(|digit| u8::try_from(digit).ok())?;
            value = value.wrapping_mul(base).wrapping_add(digit);
        }
        Some(value)
    }
}

pub(super) fn read(text: &str, journal: &mut LeaseJournal) {
    let mut tokens = IscTokens { rest: text.bytes().peekable(), line: 1 };
    let mut head = Vec::new();
    while let Some((line, token)) = tokens.next() {
        match token {
            IscToken::End | IscToken::Close => head.clear(),
            IscToken::Open => {
                let lease = matches!(head.as_slice(), [(_, IscToken::Word(first)), ..] if first == "lease");
                if lease {
                    let at = head.first().map_or(line, |(line, _)| *line);
                    let address = head.get(1).and_then(|(_, token)| word(token)).map(str::parse);
                    lease_block(&mut tokens, journal, (at, address.and_then(Result::ok)));
                } else {
                    skip_block(&mut tokens);
                }
                head.clear();
            }
            token if head.len() < WORDS_MAX => head.push((line, token)),
            _ => {}
        }
    }
    if let Some((line, _)) = head.first() {
        let what = "a statement without its `;` or `}`: the file is cut off, or dhcpd did not write it";
        journal.fault(*line, what);
    }
}

/// Skips a block and the blocks inside of it.
fn skip_block(tokens: &mut IscTokens<'_>) -> bool {
    let mut depth = 1usize;
    for (_, token) in tokens.by_ref() {
        match token {
            IscToken::Open => depth += 1,
            IscToken::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return true;
        }
    }
    false
}

fn lease_block(
    tokens: &mut IscTokens<'_>,
    journal: &mut LeaseJournal,
    (line, address): (usize, Option<Ipv4Addr>),
) {
    let mut lease = LeaseStatements::default();
    let mut statement = Vec::new();
    let mut closed = false;
    while let Some((_, token)) = tokens.next() {
        match token {
            IscToken::End => {
                lease.take(&statement);
                statement.clear();
            }
            IscToken::Close => {
                closed = true;
                break;
            }
            IscToken::Open => {
                skip_block(tokens);
                statement.clear();
            }
            token if statement.len() < WORDS_MAX => statement.push(token),
            _ => {}
        }
    }
    match (address, closed) {
        (None, _) => journal.fault(line, "a lease without an IPv4 address"),
        // The program was stopped while it wrote; dhcpd itself skips such a piece.
        (Some(_), false) => journal.fault(line, "the file ends inside of this lease"),
        (Some(address), true) => match lease.entry((journal.file, line), address) {
            Ok(entry) => journal.put(entry),
            Err(what) => journal.fault(line, what),
        },
    }
}

/// The statements of one lease.
#[derive(Default)]
struct LeaseStatements {
    holder: LeaseHolder,
    state: Option<String>,
    starts: Option<Timestamp>,
    heard: Option<Timestamp>,
    ends: Option<Timestamp>,
    hostname: Option<String>,
    fault: Option<String>,
}

impl LeaseStatements {
    fn take(&mut self, statement: &[IscToken]) {
        let words: Vec<&str> = statement.iter().map_while(word).collect();
        match words.as_slice() {
            ["starts", time @ ..] => self.starts = self.time(time),
            ["cltt", time @ ..] => self.heard = self.time(time),
            ["ends", time @ ..] => self.ends = self.time(time),
            ["binding", "state", state] => self.state = Some((*state).to_owned()),
            ["abandoned"] => self.state = Some("abandoned".to_owned()),
            ["hardware", kind, address] => {
                self.holder.hardware = colon_hex(address).map(|address| (hardware_type(kind), address));
            }
            ["uid", bytes] => self.holder.client_id = colon_hex(bytes).unwrap_or_default(),
            ["uid"] => self.holder.client_id = quoted(statement).unwrap_or_default().to_vec(),
            ["client-hostname"] => {
                self.hostname = quoted(statement).map(|name| String::from_utf8_lossy(name).into_owned());
            }
            _ => {}
        }
    }

    fn time(&mut self, words: &[&str]) -> Option<Timestamp> {
        let time = read_time(words);
        if time.is_none() {
            self.fault = Some(format!("`{}` is not a time", words.join(" ")));
        }
        time
    }

    fn entry(self, (file, line): (usize, usize), address: Ipv4Addr) -> Result<LeaseEntry, String> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let state = match self.state.as_deref() {
            // Files of versions without failover have no state: a lease that has not ended is bound.
            None | Some("active" | "bootp") => LeaseState::Bound,
            Some("abandoned") => LeaseState::Declined,
            Some("expired") => LeaseState::Expired,
            Some("free" | "backup" | "released" | "reset") => LeaseState::Released,
            Some(other) => return Err(format!("`{other}` is not a binding state")),
        };
        Ok(LeaseEntry {
            file,
            line,
            address,
            client: self.holder.client(),
            mac: self.holder.mac(),
            client_id: self.holder.octets(),
            state,
            hostname: self.hostname,
            heard_at: self.heard.into_iter().chain(self.starts).max().unwrap_or(Timestamp::MIN),
            ends_at: self.ends.ok_or("it does not say when it ends")?,
        })
    }
}

fn word(token: &IscToken) -> Option<&str> {
    match token {
        IscToken::Word(word) => Some(word),
        _ => None,
    }
}

fn quoted(statement: &[IscToken]) -> Option<&[u8]> {
    match statement {
        [_, IscToken::Quoted(bytes), ..] => Some(bytes),
        _ => None,
    }
}

/// Numbers of RFC 1700, by dhcpd's names.
fn hardware_type(name: &str) -> u8 {
    match name {
        "ethernet" => super::ETHERNET,
        "token-ring" => 6,
        "fddi" => 8,
        "infiniband" => 32,
        other => other.strip_prefix("unknown-").and_then(|number| number.parse().ok()).unwrap_or(0),
    }
}

/// Parses `never`; `epoch 1700000000`; or the weekday and the time. The time is UTC unless the site asked for
/// its own zone; then an offset in seconds follows.
fn read_time(words: &[&str]) -> Option<Timestamp> {
    match words {
        ["never"] => Some(Timestamp::MAX),
        ["epoch", seconds] => Timestamp::from_second(seconds.parse().ok()?).ok(),
        [_, date, time] => civil(date, time)?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp()),
        [_, date, time, offset] => {
            let zone = jiff::tz::Offset::from_seconds(offset.parse().ok()?).ok()?;
            zone.to_timestamp(civil(date, time)?).ok()
        }
        _ => None,
    }
}

fn civil(date: &str, time: &str) -> Option<DateTime> {
    DateTime::strptime("%Y/%m/%d %H:%M:%S", format!("{date} {time}")).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{LeaseFileFormat, LeaseJournal, read};
    use super::*;

    fn journal(text: &str) -> LeaseJournal {
        read(LeaseFileFormat::Isc, &[text])
    }

    fn one(body: &str) -> LeaseEntry {
        let journal = journal(&format!("lease 10.0.0.5 {{\n{body}\n}}\n"));
        assert_eq!(journal.faults, []);
        journal.entries().next().cloned().unwrap()
    }

    const WHOLE: &str = "starts 5 2026/11/20 10:00:00; ends 5 2026/11/20 11:00:00; binding state active;";

    #[test]
    fn what_dhcpd_did_not_write_is_said_and_a_file_without_leases_is_all_right() {
        let fault = |text: &str| journal(text).faults.first().map(|fault| fault.line);
        assert_eq!(fault("# nothing yet\nauthoring-byte-order little-endian;\n\nserver-duid \"x\";\n"), None);
        assert_eq!(fault("address,hwaddr\n10.0.0.5,52:54:00:aa:00:01\n"), Some(1));
        assert_eq!(fault("10.0.0.5,1,{ \"ISC\": { } }\n10.0.0.6,1,\n"), Some(2));
    }

    #[test]
    fn what_stands_last_for_an_address_holds() {
        let text =
            format!("lease 10.0.0.5 {{ {WHOLE} }}\nlease 10.0.0.5 {{ ends never; binding state free; }}");
        let journal = journal(&text);
        assert_eq!(journal.read, 2);
        let entries: Vec<&LeaseEntry> = journal.entries().collect();
        assert_eq!((entries.len(), entries[0].line, entries[0].state), (1, 2, LeaseState::Released));
        assert_eq!(entries[0].ends_at, Timestamp::MAX);
    }

    #[test]
    fn times_are_dates_or_seconds_or_never() {
        let time = |text: &str| read_time(&text.split(' ').collect::<Vec<_>>());
        let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        assert_eq!(time("5 2026/11/20 12:00:00"), Some(noon));
        assert_eq!(time("5 2026/11/20 13:00:00 3600"), Some(noon));
        assert_eq!(time(&format!("epoch {}", noon.as_second())), Some(noon));
        assert_eq!(time("never"), Some(Timestamp::MAX));
        for wrong in ["", "5", "5 2026/13/20 12:00:00", "epoch soon", "epoch 99999999999999"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_identifier_is_read_in_both_its_forms() {
        let escaped = one(&format!("{WHOLE} uid \"\\001\\002\\\"\\\\\\177a\";"));
        let bytes = [1, 2, b'"', b'\\', 0x7f, b'a'];
        assert_eq!(escaped.client_id.as_ref().map(|id| id.as_bytes()), Some(&bytes[..]));
        assert_eq!(escaped.client.as_deref(), Some("id/0102225c7f61"));
        let hex = one(&format!("{WHOLE} uid 1:2:22:5c:7f:61; hardware ethernet 02:00:00:00:00:01;"));
        assert_eq!(hex.client_id, escaped.client_id);
        assert_eq!(hex.client.as_deref(), Some("1/02:00:00:00:00:01"));
    }

    #[test]
    fn braces_and_comments_in_text_do_not_end_a_lease() {
        let body = format!(
            "{WHOLE} # }} not the end\n set vendor = \"}} # ;\"; on expiry {{ if x {{ a; }} }}\n \
             client-hostname \"we\\\"b 1\"; hardware ethernet 2:0:0:0:0:1;"
        );
        let entry = one(&body);
        assert_eq!(entry.hostname.as_deref(), Some("we\"b 1"));
        assert_eq!(entry.mac.unwrap().to_string(), "02:00:00:00:00:01");
    }

    #[test]
    fn what_is_no_lease_is_passed_over() {
        let text = format!(
            "authoring-byte-order little-endian;\nserver-duid \"\\000\\001\";\n\
             failover peer \"a\" state {{ my state normal at 5 2026/11/20 10:00:00; }}\n\
             host x {{ dynamic; hardware ethernet 02:00:00:00:00:09; fixed-address 10.0.0.9; }}\n\
             lease 10.0.0.5 {{ {WHOLE} }}\n"
        );
        let journal = journal(&text);
        assert_eq!((journal.read, journal.faults.len()), (1, 0));
    }

    #[test]
    fn a_piece_that_cannot_be_read_is_told_with_its_line() {
        let text = "lease ::1 { ends never; }\nlease 10.0.0.5 { starts 5 x; ends never; }\n\
                    lease 10.0.0.6 { binding state odd; ends never; }\nlease 10.0.0.7 { }\n\
                    lease 10.0.0.8 { ends never;";
        let journal = journal(text);
        let lines: Vec<usize> = journal.faults.iter().map(|fault| fault.line).collect();
        assert_eq!((lines, journal.read), (vec![1, 2, 3, 4, 5], 0));
    }
}
