//! The server's log: text or JSON on stderr, filtered.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::sync::Arc;

use tracing_subscriber::{EnvFilter, reload};

use crate::config::LogFormat;

/// Changes what is logged, while the log runs.
#[derive(Clone)]
pub struct LogControl(Arc<dyn Fn(EnvFilter) -> Result<(), String> + Send + Sync>);

impl LogControl {
    /// Logs by another filter from now on.
    ///
    /// # Errors
    /// The filter cannot be read.
    pub fn filter(&self, filter: &str) -> Result<(), String> {
        self.0(read(filter)?)
    }
}

/// Starts the log. Call once.
///
/// # Errors
/// The filter cannot be read, or a log was started before.
pub fn start(filter: &str, format: LogFormat) -> Result<LogControl, String> {
    // Failed writes are not reported: they would be reported on stderr, which is closed then, and that ends
    // the thread.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_env_filter(read(filter)?).with_writer(std::io::stderr);
    // Colours are for terminals.
    let log = log.with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none());
    let (control, started) = match format {
        LogFormat::Text => {
            let log = log.with_filter_reloading();
            (control(log.reload_handle()), log.try_init())
        }
        LogFormat::Json => {
            let log = log.json().with_filter_reloading();
            (control(log.reload_handle()), log.try_init())
        }
    };
    started.map_err(|error| error.to_string())?;
    Ok(control)
}

/// Logs panics as lines of the log from now on, in its format.
pub fn log_panics() {
    std::panic::set_hook(Box::new(log_panic));
}

fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    tracing::error!(
        thread = std::thread::current().name().unwrap_or("unnamed"),
        place = panic.location().map(ToString::to_string),
        backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string()),
        "a fault in the server: {}",
        panic.payload_as_str().unwrap_or("without a message")
    );
}

/// Logs what ended the program. The log is started if that was before its start.
pub fn log_end(error: &anyhow::Error, format: LogFormat) -> ExitCode {
    drop(start("error", format));
    tracing::error!("{error:#}");
    ExitCode::FAILURE
}

fn control<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> LogControl {
    LogControl(Arc::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())))
}

fn read(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| format!("log.level: {error}"))
}

/// Logs of tests.
#[cfg(test)]
pub mod testing {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, Once};

    use tracing::subscriber::DefaultGuard;
    use tracing_subscriber::util::SubscriberInitExt;

    /// The log of a thread in memory, from level info.
    #[derive(Clone, Default)]
    pub struct LogText(Arc<Mutex<Vec<u8>>>);

    impl LogText {
        /// Begins to log this thread as text, until the guard is dropped.
        pub fn start(&self) -> DefaultGuard {
            let log = self.clone();
            want_everything();
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || log.clone()).set_default()
        }

        /// As [`LogText::start`], in JSON.
        pub fn start_json(&self) -> DefaultGuard {
            let log = self.clone();
            want_everything();
            tracing_subscriber::fmt().json().with_writer(move || log.clone()).set_default()
        }

        /// What was logged.
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }

        /// What was logged since the last call, in lines.
        pub fn take_lines(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
        }
    }

    impl Write for LogText {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged first on the threads of other tests, which have no log, would else be known as what
    /// nobody wants.
    fn want_everything() {
        static EVERYTHING_IS_WANTED: Once = Once::new();
        // Where another test was first it is there already.
        EVERYTHING_IS_WANTED.call_once(|| {
            drop(tracing::subscriber::set_global_default(tracing_subscriber::registry()));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_line_of_json() {
        const THREAD: &str = "panics-in-json";
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
            Some(THREAD) => log_panic(panic),
            _ => others(panic),
        }));
        let log = testing::LogText::default();
        let writer = log.clone();
        let panics = move || {
            let _log = writer.start_json();
            panic!("one\ntwo");
        };
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).spawn(panics).unwrap();
        assert!(thread.join().is_err());
        let text = log.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["level"], "ERROR");
        assert_eq!(line["fields"]["message"], "a fault in the server: one\ntwo");
        assert_eq!(line["fields"]["thread"], THREAD);
        assert!(line["fields"]["place"].as_str().unwrap().starts_with("src/telemetry.rs:"), "{line}");
    }
}
