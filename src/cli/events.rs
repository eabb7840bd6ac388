//! Events as lines: history, and a stream.

use anyhow::Result;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::cli::command::{EventArgs, EventListArgs, KindsFormat};
use crate::cli::nouns::{object_path, subject_of};
use crate::cli::objects::NounClient;
use crate::cli::output::{self, OutputFormat, plain};
use crate::cli::summary::summary;
use crate::client::{ApiClient, EventFilter, HistoryRange, StreamSignal};
use crate::model::event::{EVENT_ROWS, event_kinds_markdown};
use crate::model::{CODE_ROWS, Event, refusal_codes_markdown};

/// Most events that the server puts on a page.
const PAGE_MAX: u32 = 1000;

impl EventArgs {
    fn filter(&self) -> EventFilter {
        let request_id = self.request_id.clone();
        EventFilter { kind: self.kind.clone(), subject: self.subject.clone(), request_id }
    }
}

/// `events list`: the last events, or those after a number.
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
        OutputFormat::Table => events.iter().try_for_each(|event| output::print(&line(event))),
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

/// `<noun> watch [REF]`.
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
    let mut stream = client.follow(filter, after).await?;
    loop {
        if let StreamSignal::Event(event) = stream.next().await? {
            print_one(&event, format.unwrap_or(OutputFormat::Table))?;
        }
    }
}

/// One complete event: JSON on one line, or a YAML document.
///
/// # Errors
/// The output is closed.
pub fn print_one(event: &Event, format: OutputFormat) -> Result<()> {
    match format {
        OutputFormat::Table => output::print(&line(event)),
        OutputFormat::Json => output::print(&format!("{}\n", json!(event))),
        OutputFormat::Yaml => output::print(&format!("---\n{}", crate::cli::yaml::write(&json!(event))?)),
        OutputFormat::Name => output::print(&format!("{}\n", event.seq)),
    }
}

fn line(event: &Event) -> String {
    let time = event.time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S");
    let subject = plain(&event.subject);
    format!(
        "{:>7}  {time}  {:<22} {subject}  {}\n",
        event.seq,
        plain(&event.body.kind_name()),
        summary(event)
    )
}
