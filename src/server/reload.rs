//! SIGHUP: the server reads the configuration and the certificates again. It logs what changed, and what
//! needs a restart. A faulty file changes nothing. Start at [`ConfigReload::run`].

use std::sync::Arc;

use jiff::Timestamp;
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::config::{ServerConfig, ServerFlags};
use crate::server::certificates::ApiCertificates;
use crate::telemetry::LogControl;

/// Where the configuration is read again, and what changes the log.
pub struct ConfigSource {
    pub flags: ServerFlags,
    pub log: LogControl,
}

/// The server as it was configured, and what of that changes while it runs.
pub struct ConfigReload {
    pub source: ConfigSource,
    pub running: ServerConfig,
    pub certificates: Arc<ApiCertificates>,
}

impl ConfigReload {
    /// Reloads with each signal, until the server stops.
    pub async fn run(mut self, mut hangups: Signal, stop: CancellationToken) {
        loop {
            tokio::select! {
                came = hangups.recv() => match came {
                    Some(()) => self.reload(Timestamp::now()),
                    None => return,
                },
                () = stop.cancelled() => return,
            }
        }
    }

    fn reload(&mut self, now: Timestamp) {
        let new = match ServerConfig::load(self.source.flags.clone()) {
            Ok(new) => new,
            Err(faults) => {
                tracing::error!(%faults, "SIGHUP: the configuration is at fault, so nothing was reloaded");
                return;
            }
        };
        let mut reloaded = Vec::new();
        if new.log_level != self.running.log_level {
            match self.source.log.filter(&new.log_level) {
                Ok(()) => reloaded.push(format!("log.level, which is {}", new.log_level)),
                Err(error) => tracing::error!(error, "SIGHUP: the log level stays as it is"),
            }
        }
        if new.api_names != self.running.api_names {
            self.certificates.set_names(&new.api_names);
            reloaded.push("api.names".to_owned());
        }
        match self.certificates.refresh(now) {
            Ok(changes) => reloaded.extend(changes),
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(error, "SIGHUP: the certificate stays as it is");
            }
        }
        let needs_restart = self.running.needs_restart(&new).join(", ");
        (self.running.log_level, self.running.api_names) = (new.log_level, new.api_names);
        tell(&reloaded, &needs_restart);
    }
}

fn tell(reloaded: &[String], needs_restart: &str) {
    let reloaded = match reloaded {
        [] => "nothing changed".to_owned(),
        some => some.join("; "),
    };
    match needs_restart {
        "" => tracing::info!(reloaded, "SIGHUP: configuration and certificates were read again"),
        needs_restart => tracing::warn!(
            reloaded,
            needs_restart,
            "SIGHUP: configuration and certificates were read again; some of it counts from the next start"
        ),
    }
}
