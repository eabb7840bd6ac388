//! `timeline REF`: everything that happened to a machine, one line each, with the time since its power-on.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;
use uuid::Uuid;

use crate::cli::events::print_one;
use crate::cli::names::MachineNames;
use crate::cli::nouns::{object_path, subject_of};
use crate::cli::output::{self, OutputFormat, plain};
use crate::cli::summary::summary;
use crate::cli::table::cut;
use crate::client::{ApiClient, EventFilter, HistoryRange, ObjectPath, StreamSignal};
use crate::model::{Event, Kind};

/// Events per request.
const PAGE: u32 = 1000;

/// The part of a timeline to print.
#[derive(Clone, Debug, Default)]
pub struct ShownTimeline {
    /// Goes on as things happen.
    pub follow: bool,
    /// Begins at this time, as the API takes it.
    pub since: Option<String>,
    pub format: Option<OutputFormat>,
}

/// Prints a machine's timeline; with `follow` until it is interrupted.
///
/// # Errors
/// An error of the server or the network.
pub async fn show(client: &ApiClient, reference: &str, shown: ShownTimeline) -> Result<()> {
    let machine = &object_path(Kind::Machine, reference)?;
    let format = shown.format.unwrap_or(OutputFormat::Table);
    let since = shown.since.as_deref();
    if !shown.follow {
        let (mut events, _) = after(client, (machine, since), 0).await?;
        // Observations are written later than actions, so numbers are not quite in the order of time.
        events.sort_by_key(|event| event.time);
        return match format {
            OutputFormat::Table | OutputFormat::Wide => {
                let mut lines = TimelineLines::new(format);
                lines.names.learn_of(client, &events).await;
                events.iter().try_for_each(|event| output::print(&lines.line(event)))
            }
            _ => output::print_value(&json!(events), format),
        };
    }
    let subject = subject_of(Kind::Machine, &client.get(machine).await?);
    let mut printer =
        TimelinePrinter { lines: TimelineLines::new(format), format, attempts: BTreeSet::new() };
    // The stream says when there is something new, and the timeline has the events: it also includes events
    // of a boot that are not about the machine.
    let mut stream = client.follow(EventFilter::default(), None).await?;
    let mut reached = 0;
    loop {
        let (events, end) = after(client, (machine, since), reached).await?;
        reached = end;
        if format.is_table() {
            printer.lines.names.learn_of(client, &events).await;
        }
        events.iter().try_for_each(|event| printer.print(event))?;
        loop {
            match stream.next().await? {
                StreamSignal::Event(event) if event.seq > reached && printer.concerns(&event, &subject) => {
                    break;
                }
                StreamSignal::Reconnected => break,
                StreamSignal::Event(_) => {}
            }
        }
    }
}

/// All events after a number, and the number of the last one.
async fn after(
    client: &ApiClient,
    (machine, since): (&ObjectPath, Option<&str>),
    seq: u64,
) -> Result<(Vec<Event>, u64)> {
    let (mut events, mut reached) = (Vec::new(), seq);
    loop {
        let range = HistoryRange { after: Some(reached), limit: Some(PAGE) };
        let page = client.timeline(machine, (range, since)).await?;
        let end = page.items.last().map_or(reached, |last| last.seq);
        events.extend(page.items);
        match page.next {
            Some(next) if next > reached => reached = next,
            _ => return Ok((events, end)),
        }
    }
}

struct TimelinePrinter {
    lines: TimelineLines,
    format: OutputFormat,
    attempts: BTreeSet<Uuid>,
}

impl TimelinePrinter {
    fn print(&mut self, event: &Event) -> Result<()> {
        self.attempts.extend(event.attempt);
        match self.format {
            OutputFormat::Table | OutputFormat::Wide => output::print(&self.lines.line(event)),
            format => print_one(event, format),
        }
    }

    fn concerns(&self, event: &Event, subject: &str) -> bool {
        event.subject == subject || event.attempt.is_some_and(|attempt| self.attempts.contains(&attempt))
    }
}

/// Turns events into lines; remembers when each power-on began.
struct TimelineLines {
    width: Option<usize>,
    names: MachineNames,
    began: BTreeMap<Uuid, Timestamp>,
    /// The boot attempt and the day of the previous line.
    attempt: Option<Uuid>,
    day: Option<Date>,
}

impl TimelineLines {
    fn new(format: OutputFormat) -> Self {
        let width = format.width();
        TimelineLines {
            width,
            names: MachineNames::default(),
            began: BTreeMap::new(),
            attempt: None,
            day: None,
        }
    }

    fn line(&mut self, event: &Event) -> String {
        let at = event.time.to_zoned(TimeZone::UTC);
        let mut heading = match self.day.replace(at.date()) {
            Some(day) if day == at.date() => String::new(),
            _ => format!("-- {} (UTC)\n", at.date()),
        };
        if let Some(attempt) = event.attempt {
            // A late event of an earlier power-on does not restart it.
            if let Entry::Vacant(unseen) = self.began.entry(attempt) {
                unseen.insert(event.time);
                heading += &format!("-- boot attempt {attempt}\n");
            }
            self.attempt = Some(attempt);
        }
        let start = self.attempt.and_then(|attempt| self.began.get(&attempt));
        let delta = start.map(|start| delta(event.time.duration_since(*start).as_millis()));
        let time = at.strftime("%H:%M:%S");
        let (delta, kind) = (delta.unwrap_or_default(), plain(&event.body.kind_name()));
        let line = format!("{time}  {delta:>9}  {kind:<22} {}", self.names.named(&summary(event)));
        let line = line.trim_end();
        heading + &self.width.map_or_else(|| line.to_owned(), |width| cut(line, width)) + "\n"
    }
}

/// `+0.052s`, `+74.3s`, `+12m05s`.
fn delta(milliseconds: i128) -> String {
    let (sign, ms) = (if milliseconds < 0 { '-' } else { '+' }, milliseconds.unsigned_abs());
    match ms {
        0..10_000 => format!("{sign}{}.{:03}s", ms / 1000, ms % 1000),
        10_000..600_000 => format!("{sign}{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => format!("{sign}{}m{:02}s", ms / 60_000, ms % 60_000 / 1000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventBody;
    use crate::model::event::{OtherEvent, PacketAnswer, RunCompleted, RunResumed};

    fn event(time: &str, attempt: Option<u128>, body: EventBody) -> Event {
        Event {
            seq: 1,
            time: time.parse().unwrap(),
            body,
            subject: "machine:x".to_owned(),
            actor: "server".to_owned(),
            attempt: attempt.map(Uuid::from_u128),
            request_id: None,
        }
    }

    #[test]
    fn lines_count_from_the_beginning_of_the_power_on() {
        let mut lines = TimelineLines::new(OutputFormat::Wide);
        let resumed = || EventBody::from(RunResumed { run: None, workflow: None, stage: None });
        let packet = || PacketAnswer { reason: "r".to_owned(), ..PacketAnswer::default() };
        let late = OtherEvent { kind: "boot.late".to_owned(), data: json!({"reason": "r"}) };
        let shown: Vec<String> = [
            event(
                "2026-01-02T03:04:00Z",
                None,
                RunCompleted { run: None, workflow: None, stage: None }.into(),
            ),
            event("2026-01-02T03:04:05Z", Some(1), EventBody::DhcpOffered(packet())),
            event("2026-01-02T03:04:05.052Z", Some(1), EventBody::DhcpLeased(packet())),
            event("2026-01-02T03:05:19.3Z", None, resumed()),
            event("2026-01-02T04:00:00Z", Some(2), EventBody::DhcpOffered(packet())),
            event("2026-01-02T03:04:06Z", Some(1), EventBody::Other(late)),
        ]
        .iter()
        .map(|event| lines.line(event))
        .collect();
        assert_eq!(shown[0], "-- 2026-01-02 (UTC)\n03:04:00             run.completed\n");
        assert!(shown[1].starts_with("-- boot attempt 00000000-0000"), "{}", shown[1]);
        assert!(
            shown[1].ends_with("03:04:05    +0.000s  dhcp.offered           to system, r\n"),
            "{}",
            shown[1]
        );
        assert_eq!(shown[2], "03:04:05    +0.052s  dhcp.leased            to system, r\n");
        assert!(shown[3].contains("+74.3s"), "{}", shown[3]);
        assert!(shown[4].contains("boot attempt") && shown[4].contains("+0.000s"), "{}", shown[4]);
        assert_eq!(shown[5], "03:04:06    +1.000s  boot.late              reason=r\n");
    }

    #[test]
    fn times_are_as_exact_as_they_are_useful() {
        assert_eq!(delta(52), "+0.052s");
        assert_eq!(delta(74_300), "+74.3s");
        assert_eq!(delta(725_000), "+12m05s");
        assert_eq!(delta(-1500), "-1.500s");
    }
}
