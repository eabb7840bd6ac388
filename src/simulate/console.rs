//! The console of a simulated machine: one line per step, with the time since its power-on; and how long each
//! kind of step took over many machines.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::sync::mpsc;

use crate::model::Mac;

/// Most lines that wait to be printed; machines wait if the printer is slower.
pub const LINES_WAITING_MAX: usize = 1024;
/// A shorter path segment is the name of a folder.
const CAPABILITY_CHARS_MIN: usize = 16;

/// A printed step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ConsoleLine {
    pub mac: Mac,
    /// The number of the machine's power-on, from 1.
    pub power_on: u32,
    /// Milliseconds since this power-on.
    pub ms: u64,
    /// The kind of step: `dhcp.offer`, `tftp.read`, `script`, …
    pub step: &'static str,
    pub text: String,
}

impl ConsoleLine {
    /// The form for people: `+  12 ms  dhcp    OFFER 10.0.0.100 …`.
    pub fn to_text(&self) -> String {
        let kind = self.step.split('.').next().unwrap_or(self.step);
        format!("+{:>5} ms  {kind:<7} {}", self.ms, self.text)
    }
}

/// The durations of steps by kind, in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepDurations(BTreeMap<&'static str, Vec<u64>>);

/// Percentiles of the durations of one kind of step, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepPercentiles {
    pub step: &'static str,
    pub count: usize,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl StepDurations {
    pub fn add(&mut self, step: &'static str, took: Duration) {
        self.0.entry(step).or_default().push(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub fn merge(&mut self, other: StepDurations) {
        for (step, durations) in other.0 {
            self.0.entry(step).or_default().extend(durations);
        }
    }

    /// One row for each kind of step.
    pub fn percentiles(mut self) -> Vec<StepPercentiles> {
        let rows = self.0.iter_mut().map(|(step, durations)| {
            durations.sort_unstable();
            // The nearest rank: the smallest value that so many percent do not exceed.
            StepPercentiles {
                step,
                count: durations.len(),
                p50: percentile(durations, 50),
                p95: percentile(durations, 95),
                p99: percentile(durations, 99),
                max: percentile(durations, 100),
            }
        });
        rows.collect()
    }
}

fn percentile(durations: &[u64], percent: usize) -> f64 {
    let rank = (durations.len() * percent).div_ceil(100).max(1);
    durations.get(rank - 1).map_or(0.0, |micros| *micros as f64 / 1000.0)
}

/// The console of one machine.
#[derive(Debug)]
pub struct MachineConsole {
    mac: Mac,
    lines: mpsc::Sender<ConsoleLine>,
    powered_on: Instant,
    power_on: u32,
    durations: StepDurations,
}

impl MachineConsole {
    pub fn new(mac: Mac, lines: mpsc::Sender<ConsoleLine>) -> Self {
        MachineConsole {
            mac,
            lines,
            powered_on: Instant::now(),
            power_on: 0,
            durations: StepDurations::default(),
        }
    }

    /// Prints the power-on and resets the machine's clock.
    pub async fn power_on(&mut self, why: &str) {
        self.powered_on = Instant::now();
        self.power_on += 1;
        self.say("power", format!("on, for the {} time: {why}", ordinal(self.power_on))).await;
    }

    /// Prints a step without a duration.
    pub async fn say(&mut self, step: &'static str, text: impl Into<String>) {
        let ms = u64::try_from(self.powered_on.elapsed().as_millis()).unwrap_or(u64::MAX);
        let text = without_capability(&text.into());
        let line = ConsoleLine { mac: self.mac, power_on: self.power_on, ms, step, text };
        // Nobody prints any more after the whole run was given up.
        let _ = self.lines.send(line).await;
    }

    /// Prints a step that began at `began`.
    pub async fn step(&mut self, step: &'static str, began: Instant, text: impl Into<String>) {
        self.durations.add(step, began.elapsed());
        self.say(step, text).await;
    }

    pub fn power_ons(&self) -> u32 {
        self.power_on
    }

    pub fn into_durations(self) -> StepDurations {
        self.durations
    }
}

/// A text without the capability in its URLs: it is long, and whoever has it can report for the machine.
fn without_capability(text: &str) -> String {
    let mut parts = text.split("/m/");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        let (capability, rest) = part.split_at(end.unwrap_or(part.len()));
        shown.push_str("/m/");
        shown.push_str(if capability.len() < CAPABILITY_CHARS_MIN { capability } else { "…" });
        shown.push_str(rest);
    }
    shown
}

fn ordinal(number: u32) -> String {
    match number {
        1 => "first".to_owned(),
        2 => "second".to_owned(),
        3 => "third".to_owned(),
        other => format!("{other}th"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut durations = StepDurations::default();
        (1..=100).for_each(|ms| durations.add("script", Duration::from_millis(ms)));
        durations.add("kernel", Duration::from_millis(7));
        let rows = durations.percentiles();
        assert_eq!((rows[0].step, rows[0].p50, rows[0].p99, rows[0].max), ("kernel", 7.0, 7.0, 7.0));
        assert_eq!((rows[1].count, rows[1].p50, rows[1].p95, rows[1].max), (100, 50.0, 95.0, 100.0));
    }

    #[test]
    fn capabilities_are_not_shown() {
        let text = "url=http://h:8080/m/3q2-7wAAAAAAAAAAAAAAAA/preseed.cfg x=/m/short/y";
        assert_eq!(without_capability(text), "url=http://h:8080/m/…/preseed.cfg x=/m/short/y");
    }

    #[test]
    fn a_line_has_the_time_the_kind_and_the_text() {
        let mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);
        let line =
            ConsoleLine { mac, power_on: 1, ms: 12, step: "dhcp.offer", text: "OFFER 10.0.0.100".into() };
        assert_eq!(line.to_text(), "+   12 ms  dhcp    OFFER 10.0.0.100");
    }
}
