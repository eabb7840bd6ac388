//! The signals that the server handles: two end it, SIGHUP makes it read its files again (`server::reload`),
//! and the others that would end it by default are logged and ignored. A closed terminal, or a script that
//! means another program, must not take DHCP away.

use std::io;

use nix::libc;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// Signals that end the process by default and have no meaning here. Rust's runtime ignores SIGPIPE; SIGQUIT
/// and the signals of faults in the program still end it.
const STRAY: [(libc::c_int, &str); 10] = [
    (libc::SIGUSR1, "SIGUSR1"),
    (libc::SIGUSR2, "SIGUSR2"),
    (libc::SIGALRM, "SIGALRM"),
    (libc::SIGVTALRM, "SIGVTALRM"),
    (libc::SIGPROF, "SIGPROF"),
    (libc::SIGIO, "SIGIO"),
    (libc::SIGPWR, "SIGPWR"),
    (libc::SIGSTKFLT, "SIGSTKFLT"),
    (libc::SIGXCPU, "SIGXCPU"),
    (libc::SIGXFSZ, "SIGXFSZ"),
];

/// Waits for the signals that stop the server. Created at the very start, so that no signal is lost.
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// SIGHUP. One that comes before somebody waits for it is kept.
    hangup: Option<Signal>,
    /// The tasks that log ignored signals; they end with this value.
    _stray: JoinSet<()>,
}

impl StopSignals {
    /// # Errors
    /// The system refuses a handler.
    pub fn take() -> io::Result<Self> {
        let mut stray = JoinSet::new();
        for (number, name) in STRAY {
            stray.spawn(pass_over(signal(SignalKind::from_raw(number))?, name.to_owned()));
        }
        // Those below the first that there is are the C library's own (signal(7)).
        let first = libc::SIGRTMIN();
        for number in first..=libc::SIGRTMAX() {
            let name = format!("SIGRTMIN+{}", number - first);
            stray.spawn(pass_over(signal(SignalKind::from_raw(number))?, name));
        }
        Ok(StopSignals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: Some(signal(SignalKind::hangup())?),
            _stray: stray,
        })
    }

    /// Waits for SIGTERM or SIGINT.
    pub async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl StopSignals {
    /// The stream of SIGHUP, once.
    pub fn take_hangup(&mut self) -> Option<Signal> {
        self.hangup.take()
    }
}

async fn pass_over(mut signals: Signal, name: String) {
    while signals.recv().await.is_some() {
        tracing::info!(
            signal = name,
            "this signal is ignored: SIGHUP reloads configuration and certificates, SIGTERM stops the server"
        );
    }
}
