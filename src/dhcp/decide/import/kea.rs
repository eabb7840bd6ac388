//! Parses Kea's DHCPv4 memory file: CSV with a header, one change per line. Columns are found by name,
//! because every release of Kea added some.

use std::net::Ipv4Addr;

use jiff::Timestamp;

use super::{ETHERNET, LeaseEntry, LeaseHolder, LeaseJournal, colon_hex};
use crate::model::LeaseState;

/// Seconds of a lease without an end (RFC 2131 section 3.3).
const FOREVER: u64 = u32::MAX as u64;
/// Longest field that is kept, in bytes.
const FIELD_BYTES_MAX: usize = 1024;

/// The columns of this file.
#[derive(Default)]
struct CsvColumns<'a>(Vec<&'a str>);

impl CsvColumns<'_> {
    fn field<'b>(&self, fields: &[&'b str], name: &str) -> Option<&'b str> {
        let at = self.0.iter().position(|column| *column == name)?;
        fields.get(at).copied()
    }
}

pub(super) fn read(text: &str, journal: &mut LeaseJournal) {
    let mut columns: Option<CsvColumns<'_>> = None;
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        let fields: Vec<&str> = line.trim_end_matches('\r').split(',').map(str::trim).collect();
        match (&columns, fields.as_slice()) {
            (_, [""]) => {}
            (_, ["address", ..]) => columns = Some(CsvColumns(fields)),
            (None, _) => {
                journal.fault(number, "the first line must name the columns: address,hwaddr,client_id,…");
                return;
            }
            (Some(columns), fields) => match change(columns, fields) {
                Ok(CsvChange::Is(entry)) => {
                    journal.put(LeaseEntry { file: journal.file, line: number, ..*entry });
                }
                Ok(CsvChange::Gone(address)) => journal.delete(address),
                Err(what) => journal.fault(number, what),
            },
        }
    }
}

/// The change of one line.
enum CsvChange {
    Is(Box<LeaseEntry>),
    /// A lifetime of zero deletes the lease.
    Gone(Ipv4Addr),
}

fn change(columns: &CsvColumns<'_>, fields: &[&str]) -> Result<CsvChange, String> {
    let field = |name: &str| columns.field(fields, name);
    let needed = |name: &str| field(name).ok_or_else(|| format!("it has no `{name}`"));
    let number = |name: &str| {
        let text = needed(name)?;
        text.parse::<u64>().map_err(|_| format!("`{name}` is `{text}`, which is not a number"))
    };
    let address = needed("address")?;
    let address: Ipv4Addr = address.parse().map_err(|_| format!("`{address}` is not an IPv4 address"))?;
    let lifetime = number("valid_lifetime")?;
    if lifetime == 0 {
        return Ok(CsvChange::Gone(address));
    }
    let expire = number("expire")?;
    let state = match field("state").unwrap_or("0") {
        "" | "0" => LeaseState::Bound,
        "1" => LeaseState::Declined,
        "2" => LeaseState::Expired,
        "3" => LeaseState::Released,
        other => return Err(format!("`{other}` is not a state of a lease")),
    };
    let bytes = |name: &str| match field(name) {
        None | Some("") => Ok(Vec::new()),
        Some(text) => colon_hex(text).ok_or_else(|| format!("`{name}` is `{text}`, which is not hex")),
    };
    let hardware = Some((ETHERNET, bytes("hwaddr")?)).filter(|(_, address)| !address.is_empty());
    let holder = LeaseHolder { hardware, client_id: bytes("client_id")? };
    let hostname = field("hostname").map(unescaped).filter(|name| !name.is_empty());
    Ok(CsvChange::Is(Box::new(LeaseEntry {
        file: 0,
        line: 0,
        address,
        client: holder.client(),
        mac: holder.mac(),
        client_id: holder.octets(),
        state,
        hostname: hostname.map(|name| name.trim_end_matches('.').to_owned()),
        heard_at: time(expire.saturating_sub(lifetime))?,
        ends_at: if lifetime == FOREVER { Timestamp::MAX } else { time(expire)? },
    })))
}

fn time(seconds: u64) -> Result<Timestamp, String> {
    let time = i64::try_from(seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.ok_or_else(|| format!("{seconds} seconds is not a valid time"))
}

/// Kea escapes characters that would break its lines as `&#x` and two hex digits: `&#x2c` is a comma.
fn unescaped(text: &str) -> String {
    let text = text.get(..FIELD_BYTES_MAX).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("&#x") {
        bytes.extend(before.as_bytes());
        match after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend(b"&#x"),
        }
        let escape = after.get(..2).is_some_and(|digits| u8::from_str_radix(digits, 16).is_ok());
        rest = if escape { after.get(2..).unwrap_or_default() } else { after };
    }
    bytes.extend(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::{LeaseFileFormat, read};
    use super::*;

    const NOW: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname,\
                       state,user_context";
    const OLD: &str = "address,hwaddr,client_id,valid_lifetime,expire,subnet_id,fqdn_fwd,fqdn_rev,hostname";

    #[test]
    fn a_line_is_a_lease_whatever_release_wrote_the_header() {
        let old = format!("{OLD}\n10.0.0.5,02:00:00:00:00:01,01:02,3600,1700003600,1,0,0,web1.example.\n");
        let new = format!(
            "{NOW},pool_id\n10.0.0.5,02:00:00:00:00:01,01:02,3600,1700003600,1,0,0,web1.example.,0,,0\n"
        );
        let entries = [old, new].map(|text| {
            let journal = read(LeaseFileFormat::Kea, &[&text]);
            assert_eq!(journal.faults, []);
            journal.entries().next().cloned().unwrap()
        });
        assert_eq!(entries[0], entries[1]);
        let entry = &entries[0];
        assert_eq!(entry.client.as_deref(), Some("1/02:00:00:00:00:01"));
        assert_eq!(entry.hostname.as_deref(), Some("web1.example"));
        assert_eq!((entry.heard_at.as_second(), entry.ends_at.as_second()), (1_700_000_000, 1_700_003_600));
    }

    #[test]
    fn states_are_numbers_and_a_lifetime_of_zero_deletes() {
        let line = |address: &str, rest: &str| format!("{address},02:00:00:00:00:01,,{rest}\n");
        let text = [
            format!("{NOW}\n"),
            line("10.0.0.1", "3600,1700003600,1,0,0,,0,"),
            line("10.0.0.1", "0,1700003600,1,0,0,,0,"),
            line("10.0.0.2", "4294967295,5994967295,1,0,0,,0,"),
            "10.0.0.3,,,86400,1700003600,1,0,0,,1,\n".to_owned(),
            line("10.0.0.4", "3600,1700003600,1,0,0,,2,"),
        ];
        let journal = read(LeaseFileFormat::Kea, &[&text.concat()]);
        assert_eq!((journal.read, journal.faults.len()), (5, 0));
        let states: Vec<_> =
            journal.entries().map(|entry| (entry.address.octets()[3], entry.state, entry.ends_at)).collect();
        assert_eq!(states[0], (2, LeaseState::Bound, Timestamp::MAX));
        assert_eq!((states[1].0, states[1].1), (3, LeaseState::Declined));
        assert_eq!((states[2].0, states[2].1), (4, LeaseState::Expired));
    }

    #[test]
    fn files_are_read_in_the_order_given_and_the_last_line_holds() {
        let file = |expire: u64| format!("{NOW}\n10.0.0.5,02:00:00:00:00:01,,60,{expire},1,0,0,,0,\n");
        let (older, newer) = (file(1_700_000_000), file(1_700_009_999));
        let journal = read(LeaseFileFormat::Kea, &[&older, &newer]);
        let entry = journal.entries().next().unwrap();
        assert_eq!((entry.file, entry.line, entry.ends_at.as_second()), (1, 2, 1_700_009_999));
    }

    #[test]
    fn escapes_in_fields_are_undone() {
        assert_eq!(unescaped("a&#x2cb&#x26#x"), "a,b&#x");
        assert_eq!(unescaped("&#xzz&#x2"), "&#xzz&#x2");
        assert_eq!(unescaped("é&#x2c"), "é,");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told_with_its_number() {
        let text = format!(
            "{NOW}\nx,,,1,1,1,0,0,,0,\n10.0.0.5,zz,,1,1,1,0,0,,0,\n10.0.0.5,,,1\n\n10.0.0.5,,,1,1,1,0,0,,9,"
        );
        let journal = read(LeaseFileFormat::Kea, &[&text]);
        assert_eq!(journal.faults.iter().map(|fault| fault.line).collect::<Vec<_>>(), [2, 3, 4, 6]);
        assert_eq!(read(LeaseFileFormat::Kea, &["10.0.0.5,,,1,1"]).faults.len(), 1);
    }
}
