//! Verbs on many objects, by several references or by `--filter`: shows what would be done to how many, asks
//! once, and reports each result. Start at [`run`].

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use serde_json::Value;

use crate::cli::nouns::reference;
use crate::cli::objects::NounClient;
use crate::cli::output::{self, UsageError, plain};
use crate::cli::sets::parse_term;
use crate::client::{ApiClient, BulkCall, BulkResult, ResultKind};
use crate::model::Kind;

/// Most objects of one call, so that results are seen as they come.
const CHUNK_MAX: usize = 100;
/// Most objects of one command.
const OBJECTS_MAX: usize = 100_000;
/// Most names in a line.
const NAMES_MAX: usize = 12;
/// Most refusals that are shown before the question.
const REFUSALS_MAX: usize = 20;

/// The objects of a verb besides its references, and how it is done.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct ManyArgs {
    /// All objects with this value of a field, instead of references: label.rack=r1, status.state=failed;
    /// repeat for more.
    #[arg(long = "filter", value_name = "FIELD=VALUE", value_parser = parse_term)]
    pub filters: Vec<(String, String)>,
    /// Say what would be done to which objects, and change nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask before many objects are changed.
    #[arg(short, long)]
    pub yes: bool,
    /// Most objects at once [default: 4].
    #[arg(long, value_name = "N")]
    pub concurrency: Option<usize>,
}

impl ManyArgs {
    /// Whether a verb is for many objects, or only shows what it would do; else it is an ordinary call.
    pub fn is_for(&self, references: &[String]) -> bool {
        references.len() > 1 || !self.filters.is_empty() || self.dry_run
    }
}

/// A verb for many objects.
#[derive(Clone, Debug)]
pub(super) struct ManyCall {
    /// The verb of the API: `start`, `patch`, `delete`.
    pub verb: &'static str,
    /// The command in words: `start install-debian-12`.
    pub about: String,
    pub details: Value,
    pub references: Vec<String>,
    pub force: bool,
    pub args: ManyArgs,
}

/// Shows what would be done, asks, does it and reports each result.
///
/// # Errors
/// An object was refused, the answer was no, or an error of the server or the network.
pub(super) async fn run(noun: &NounClient, call: ManyCall) -> Result<()> {
    let ManyArgs { filters, dry_run, yes, .. } = &call.args;
    if filters.is_empty() == call.references.is_empty() {
        let why = "name the objects, or choose them with --filter FIELD=VALUE, one of them";
        return Err(UsageError(why.to_owned()).into());
    }
    let (is_asked, has_filter) = (can_ask() && !yes, !filters.is_empty());
    let named: Vec<String> = call.references.iter().map(|text| reference(noun.kind, text)).collect();
    // Objects that are named need no look ahead where nobody can be asked.
    let (chosen, refused) = match *dry_run || has_filter || is_asked {
        false => (named, 0),
        true => {
            let trial = carry(&noun.client, template(noun.kind, &call, true), named, |_| Ok(())).await?;
            let (ready, refused): (Vec<_>, Vec<_>) =
                trial.into_iter().partition(|result| result.outcome == ResultKind::Done);
            output::print(&plan(noun.kind, &call.about, (&ready, &refused)))?;
            if *dry_run || ready.is_empty() {
                return finish((refused.len(), ready.len() + refused.len()), "would be refused");
            }
            if is_asked && !confirmed(&format!("go on with {}?", counted(noun.kind, ready.len())))? {
                bail!("nothing was done");
            }
            if !is_asked && !yes && has_filter {
                let why = "nothing was done: with --filter, --yes carries it out where nobody can be asked";
                return Err(UsageError(why.to_owned()).into());
            }
            (ready.into_iter().map(|result| result.reference).collect(), refused.len())
        }
    };
    let kind = noun.kind;
    let told = |results: &[BulkResult]| results.iter().try_for_each(|result| tell(kind, call.verb, result));
    let results = carry(&noun.client, template(kind, &call, false), chosen, told).await?;
    let failed = results.iter().filter(|result| result.outcome != ResultKind::Done).count();
    finish((failed + refused, results.len() + refused), "failed")
}

/// Exit code 1 if an object was refused.
fn finish((refused, all): (usize, usize), were: &str) -> Result<()> {
    match refused {
        0 if all == 0 => Err(anyhow!("no object passes the filter")),
        0 => Ok(()),
        refused => Err(anyhow!("{refused} of {all} {were}")),
    }
}

fn template(kind: Kind, call: &ManyCall, dry_run: bool) -> BulkCall {
    let filters = call.args.filters.iter().map(|(field, value)| format!("{field}={value}"));
    BulkCall {
        kind,
        verb: call.verb,
        refs: Vec::new(),
        filter: if dry_run { filters.collect() } else { Vec::new() },
        details: call.details.clone(),
        dry_run,
        force: call.force,
        concurrency: call.args.concurrency,
    }
}

/// Sends the objects in pieces, and again what the server had no time for. Each piece is told when it comes.
async fn carry(
    client: &ApiClient,
    template: BulkCall,
    mut open: Vec<String>,
    told: impl Fn(&[BulkResult]) -> Result<()>,
) -> Result<Vec<BulkResult>> {
    let mut results = Vec::new();
    if open.is_empty() {
        let answer = client.bulk(&template).await?;
        open = sort(answer.items, &mut results);
        told(&results)?;
    }
    if open.len() > OBJECTS_MAX {
        bail!("at most {OBJECTS_MAX} objects are admitted");
    }
    while !open.is_empty() {
        let rest = open.split_off(open.len().min(CHUNK_MAX));
        let call = BulkCall { refs: open.clone(), filter: Vec::new(), ..template.clone() };
        let mut tried = Vec::new();
        let mut left = sort(client.bulk(&call).await?.items, &mut tried);
        if tried.is_empty() && !left.is_empty() {
            bail!("the server has no time for {} objects; try again later", left.len() + rest.len());
        }
        told(&tried)?;
        results.append(&mut tried);
        left.extend(rest);
        open = left;
    }
    Ok(results)
}

/// Moves the results of what was tried. Returns the references of the rest.
fn sort(items: Vec<BulkResult>, tried: &mut Vec<BulkResult>) -> Vec<String> {
    let (left, done): (Vec<_>, Vec<_>) =
        items.into_iter().partition(|item| item.outcome == ResultKind::NotTried);
    tried.extend(done);
    left.into_iter().map(|item| item.reference).collect()
}

/// What would be done, in lines.
fn plan(kind: Kind, about: &str, (ready, refused): (&[BulkResult], &[BulkResult])) -> String {
    let mut lines = Vec::new();
    if !ready.is_empty() {
        let names = names(ready.iter().map(name));
        lines.push(format!("{about}: {}: {names}", counted(kind, ready.len())));
    }
    let erases: Vec<&BulkResult> = ready.iter().filter(|result| result.erases.is_some()).collect();
    if let Some(first) = erases.first() {
        let machines = counted(kind, erases.len());
        let what = first.erases.as_deref().unwrap_or_default();
        let same = erases.iter().all(|result| result.erases == first.erases);
        let what = if same { what } else { "their disks" };
        lines.push(format!("ARMED: the next network boot of {machines} erases {what}"));
    }
    if !refused.is_empty() {
        lines.push(format!("{} would be refused:", counted(kind, refused.len())));
        lines.extend(refused.iter().take(REFUSALS_MAX).map(|result| format!("  {}", refusal(result))));
        if refused.len() > REFUSALS_MAX {
            lines.push(format!("  and {} more", refused.len() - REFUSALS_MAX));
        }
    }
    lines.iter().map(|line| plain(line) + "\n").collect()
}

/// `1 machine`, `40 machines`.
fn counted(kind: Kind, count: usize) -> String {
    let noun = if count == 1 { kind.as_str() } else { kind.plural() };
    format!("{count} {}", noun.replace('_', " "))
}

fn names<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let more = all.len().saturating_sub(NAMES_MAX);
    let named = all.take(NAMES_MAX).collect::<Vec<_>>().join(", ");
    if more == 0 { named } else { format!("{named} and {more} more") }
}

fn name(result: &BulkResult) -> &str {
    let reference = result.reference.strip_prefix("name:").unwrap_or(&result.reference);
    result.name.as_deref().unwrap_or(reference)
}

/// `node-003: params.rack: there is no param …`.
fn refusal(result: &BulkResult) -> String {
    let faults: Vec<String> = result.problems.iter().map(ToString::to_string).collect();
    let why = if faults.is_empty() { result.detail.clone().unwrap_or_default() } else { faults.join("; ") };
    format!("{}: {why}", name(result))
}

/// Prints the result of one object.
fn tell(kind: Kind, verb: &str, result: &BulkResult) -> Result<()> {
    let name = name(result);
    if result.outcome != ResultKind::Done {
        output::note(&format!("{kind} {}", refusal(result)));
        return Ok(());
    }
    let line = match (&result.state, verb) {
        (Some(state), _) => format!("{name} is {state}"),
        (None, "delete") => format!("{kind} {name} deleted"),
        (None, "patch") => format!("{kind} {name} changed"),
        (None, "release") => format!("{kind} {name} released"),
        (None, _) => format!("{kind} {name} expired"),
    };
    let erases = result.erases.as_ref().map(|what| format!("; ARMED: its next network boot erases {what}"));
    output::print(&(plain(&(line + &erases.unwrap_or_default())) + "\n"))
}

/// Whether there is a person at a terminal who can be asked.
fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn confirmed(question: &str) -> Result<bool> {
    let mut screen = io::stderr().lock();
    write!(screen, "{question} [y/N] ")?;
    screen.flush()?;
    drop(screen);
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, outcome: ResultKind) -> BulkResult {
        BulkResult {
            reference: format!("id-{name}"),
            name: Some(name.to_owned()),
            outcome,
            state: None,
            erases: None,
            detail: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn a_plan_says_how_many_which_what_they_lose_and_who_would_be_refused() {
        let armed = |number: usize| BulkResult {
            erases: Some("the disk /dev/sda".to_owned()),
            ..result(&format!("n{number}"), ResultKind::Done)
        };
        let ready: Vec<BulkResult> = (0..14).map(armed).collect();
        let why = Some("a run is under way".to_owned());
        let refused = [BulkResult { detail: why, ..result("web1", ResultKind::Refused) }];
        let plan = plan(Kind::Machine, "start wipe", (&ready, &refused));
        let lines: Vec<&str> = plan.lines().collect();
        assert!(lines[0].starts_with("start wipe: 14 machines: n0, n1,"), "{plan}");
        assert!(lines[0].ends_with("n11 and 2 more"), "{plan}");
        let erases = "ARMED: the next network boot of 14 machines erases the disk /dev/sda";
        assert_eq!(lines[1..], [erases, "1 machine would be refused:", "  web1: a run is under way"]);
    }

    #[test]
    fn one_object_by_reference_is_an_ordinary_call() {
        let one = ["web1".to_owned()];
        assert!(!ManyArgs::default().is_for(&one));
        assert!(ManyArgs::default().is_for(&["web1".to_owned(), "web2".to_owned()]));
        assert!(ManyArgs { dry_run: true, ..ManyArgs::default() }.is_for(&one));
        let filters = vec![("label.rack".to_owned(), "r1".to_owned())];
        assert!(ManyArgs { filters, ..ManyArgs::default() }.is_for(&[]));
    }
}
