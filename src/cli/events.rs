//! Events as lines: history, and a stream.

use anyhow::Result;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::cli::event_verbs::{EventArgs, EventListArgs, KindsFormat};
use crate::cli::names::MachineNames;
use crate::cli::nouns::{object_path, subject_of};
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat, plain};
use crate::cli::summary::summary;
use crate::cli::table;
use crate::client::{ApiClient, EventFilter, HistoryRange, StreamSignal};
use crate::model::event::{EVENT_ROWS, event_kinds_markdown};
use crate::model::{CODE_ROWS, Event, refusal_codes_markdown};

/// Most events that the server puts on a page.
const PAGE_MAX: u32 = 1000;

impl EventArgs {
    fn filter(&self) -> EventFilter {
        EventFilter {
            kind: self.kind.clone(),
            subject: self.subject.clone(),
            machine: self.machine.clone(),
            request_id: self.request_id.clone(),
            since: self.since.clone(),
            until: self.until.clone(),
            actor: self.by.as_ref().map(|token| format!("token:{token}")),
        }
    }
}

/// `events list`: the last events, or those after a number or since a time.
///
/// # Errors
/// An error of the server or the network.
pub async fn list(client: &ApiClient, args: EventListArgs) -> Result<()> {
    let format = args.which.output.output.unwrap_or(OutputFormat::Table);
    let (filter, mut after, mut left) = (args.which.filter(), args.which.after, args.limit);
    let mut events = Vec::new();
    while left > 0 {
        let page = client.events(&filter, HistoryRange { after, limit: Some(left.min(PAGE_MAX)) }).await?;
        left = left.saturating_sub(u32::try_from(page.items.len()).unwrap_or(u32::MAX));
        events.extend(page.items);
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    match format {
        OutputFormat::Table | OutputFormat::Wide => {
            let mut lines = EventLines::new(format);
            lines.names.learn_of(client, &events).await;
            lines.fit(&events);
            events.iter().try_for_each(|event| output::print(&lines.line(event)))
        }
        OutputFormat::Name => events.iter().try_for_each(|event| output::print(&format!("{}\n", event.seq))),
        _ => output::print_value(&json!(events), format),
    }
}

/// `events watch`: runs until it is interrupted.
///
/// # Errors
/// An error of the server or the network.
pub async fn watch(client: &ApiClient, args: EventArgs) -> Result<()> {
    follow(client, args.filter(), (args.after, args.output.output)).await
}

/// `events kinds`: the kinds to filter by, and their meaning.
///
/// # Errors
/// The output is closed.
pub fn kinds(format: KindsFormat) -> Result<()> {
    match format {
        KindsFormat::Markdown => output::print(&event_kinds_markdown()),
        KindsFormat::Table => EVENT_ROWS
            .iter()
            .try_for_each(|row| output::print(&format!("{:<22} {}\n", row.name, row.meaning.trim()))),
    }
}

/// `errors`: the codes of errors, what causes them and what to do.
///
/// # Errors
/// Nobody reads on.
pub fn codes(format: KindsFormat) -> Result<()> {
    match format {
        KindsFormat::Markdown => output::print(&refusal_codes_markdown()),
        KindsFormat::Table => CODE_ROWS.iter().try_for_each(|row| {
            let status = row.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
            output::print(&format!("{:<20} {status:>3}  {} {}\n", row.name, row.cause, row.remedy))
        }),
    }
}

/// `<noun> watch [REF]`: events. Those of all objects of a kind, or of one.
///
/// # Errors
/// An error of the server or the network.
pub async fn watch_noun(
    noun: &NounClient,
    reference: Option<&str>,
    format: Option<OutputFormat>,
) -> Result<()> {
    let filter = match reference {
        Some(reference) => {
            let view = noun.client.get(&object_path(noun.kind, reference)?).await?;
            EventFilter::subject(subject_of(noun.kind, &view))
        }
        None => EventFilter::kind(format!("{}.*", noun.kind)),
    };
    follow(&noun.client, filter, (None, format)).await
}

async fn follow(
    client: &ApiClient,
    filter: EventFilter,
    (after, format): (Option<u64>, Option<OutputFormat>),
) -> Result<()> {
    let mut lines = EventLines::new(format.unwrap_or(OutputFormat::Table));
    let mut stream = client.follow(filter, after).await?;
    // From here on nothing is missed.
    lines.begin()?;
    loop {
        if let StreamSignal::Event(event) = stream.next().await? {
            if lines.format.is_table() {
                lines.names.learn_of(client, std::slice::from_ref(event.as_ref())).await;
            }
            lines.print(&event)?;
        }
    }
}

/// One complete event for programs: JSON on one line, a YAML document, or its number.
///
/// # Errors
/// The output is closed.
pub fn print_one(event: &Event, format: OutputFormat) -> Result<()> {
    match format {
        OutputFormat::Name => output::print(&format!("{}\n", event.seq)),
        _ => output::print_record(&json!(event), format),
    }
}

/// Events as lines, with the names of machines. The first line is preceded by the header, and in the narrow
/// form the first one of a day by the day.
pub struct EventLines {
    format: OutputFormat,
    width: Option<usize>,
    pub names: MachineNames,
    day: Option<Date>,
    has_header: bool,
    kind_width: usize,
    /// The width of the column with the object; none where all events are about one.
    about_width: Option<usize>,
}

impl EventLines {
    pub fn new(format: OutputFormat) -> Self {
        let width = format.width();
        EventLines {
            format,
            width,
            names: MachineNames::default(),
            day: None,
            has_header: false,
            kind_width: KIND_MIN,
            about_width: Some(ABOUT_MIN),
        }
    }

    /// For the events of one object, which is not named in each line.
    pub fn of_one() -> Self {
        EventLines { about_width: None, ..EventLines::new(OutputFormat::Table) }
    }

    /// Makes the columns as wide as the events need.
    pub fn fit(&mut self, events: &[Event]) {
        for event in events {
            let kind = event.body.kind_name().chars().count().min(KIND_MAX);
            self.kind_width = self.kind_width.max(kind);
            let about = self.names.named(&event.subject).chars().count().min(ABOUT_MAX);
            self.about_width = self.about_width.map(|width| width.max(about));
        }
    }

    /// Prints the header before there is an event.
    fn begin(&mut self) -> Result<()> {
        if !self.format.is_table() {
            return Ok(());
        }
        self.has_header = true;
        output::print(&self.header())
    }

    fn header(&self) -> String {
        match self.format {
            OutputFormat::Wide => wide_line("SEQ", ["TIME (UTC)", "KIND", "ABOUT", "BY"], "WHAT"),
            _ => self.narrow_line(["UTC", "KIND", "ABOUT"], "WHAT"),
        }
    }

    fn print(&mut self, event: &Event) -> Result<()> {
        if self.format.is_table() { output::print(&self.line(event)) } else { print_one(event, self.format) }
    }

    pub fn line(&mut self, event: &Event) -> String {
        let time = event.time.to_zoned(TimeZone::UTC);
        let (kind, about) = (plain(&event.body.kind_name()), plain(&self.names.named(&event.subject)));
        let what = self.names.named(&summary(event));
        let has_header = std::mem::replace(&mut self.has_header, true);
        let mut lines = if has_header { String::new() } else { self.header() };
        if self.format == OutputFormat::Wide {
            let by = plain(&self.names.named(&event.actor));
            let time = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
            return lines + &wide_line(&event.seq.to_string(), [&time, &kind, &about, &by], &what);
        }
        if self.day.replace(time.date()) != Some(time.date()) {
            lines += &format!("-- {}\n", time.date());
        }
        lines + &self.narrow_line([&time.strftime("%H:%M:%S").to_string(), &kind, &about], &what)
    }

    fn narrow_line(&self, [time, kind, about]: [&str; 3], what: &str) -> String {
        let about = self.about_width.map(|width| {
            let about = if self.width.is_some() { table::cut(about, ABOUT_MAX) } else { about.to_owned() };
            format!("{about:<width$}  ")
        });
        let (about, width) = (about.unwrap_or_default(), self.kind_width);
        let line = format!("{time:<8}  {kind:<width$}  {about}{what}");
        let line = line.trim_end();
        self.width.map_or_else(|| line.to_owned(), |width| table::cut(line, width)) + "\n"
    }
}

/// Least and greatest widths of the columns of kinds and objects. A longer kind moves the rest of its line; a
/// longer object is cut on a terminal.
const KIND_MIN: usize = 18;
const KIND_MAX: usize = 20;
const ABOUT_MIN: usize = 12;
const ABOUT_MAX: usize = 22;

fn wide_line(seq: &str, [time, kind, about, by]: [&str; 4], what: &str) -> String {
    format!("{seq:>7}  {time:<19}  {kind:<26}  {about:<24}  {by:<16}  {what}").trim_end().to_owned() + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time: &str) -> Event {
        let event = json!({"seq": 7, "time": time, "kind": "machine.disarmed", "subject": "machine:x",
            "actor": "token:admin", "data": {"reason": "it was taken back"}});
        serde_json::from_value(event).unwrap()
    }

    #[test]
    fn a_line_has_the_time_in_utc_and_a_new_day_a_heading() {
        let mut lines = EventLines { width: Some(60), ..EventLines::new(OutputFormat::Table) };
        let first = lines.line(&event("2026-01-02T23:59:59Z"));
        assert_eq!(
            first,
            "UTC       KIND                ABOUT         WHAT\n-- 2026-01-02\n\
             23:59:59  machine.disarmed    x             it was taken ba…\n"
        );
        assert!(lines.line(&event("2026-01-03T00:00:00+00:00")).starts_with("-- 2026-01-03\n00:00:00 "));
        assert!(lines.line(&event("2026-01-03T00:00:01Z")).starts_with("00:00:01 "));
        let mut wide = EventLines::new(OutputFormat::Wide);
        let line = wide.line(&event("2026-01-02T23:59:59Z"));
        for part in ["BY", "token:admin", "2026-01-02 23:59:59", "      7  ", "it was taken back"] {
            assert!(line.contains(part), "{part} in {line}");
        }
    }
}
