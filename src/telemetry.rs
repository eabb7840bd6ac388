//! The server's log: text or JSON on stderr, filtered.

use std::io::IsTerminal;
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

fn control<S: 'static>(handle: reload::Handle<EnvFilter, S>) -> LogControl {
    LogControl(Arc::new(move |filter| handle.reload(filter).map_err(|error| error.to_string())))
}

fn read(filter: &str) -> Result<EnvFilter, String> {
    EnvFilter::try_new(filter).map_err(|error| format!("log.level: {error}"))
}

/// Logs of tests.
#[cfg(test)]
pub mod testing {
    use std::sync::Once;

    use tracing::Subscriber;
    use tracing::subscriber::DefaultGuard;

    /// Makes `subscriber` that of this thread. What is logged first on the threads of other tests, which have
    /// none, would else be known as what nobody wants.
    pub fn log_to(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
        static EVERYTHING_IS_WANTED: Once = Once::new();
        EVERYTHING_IS_WANTED.call_once(|| {
            // Where another test was first it is there already.
            drop(tracing::subscriber::set_global_default(tracing_subscriber::registry()));
        });
        tracing::subscriber::set_default(subscriber)
    }
}
