//! Sends the log of a job.
//!
//! The log is a file that the script writes; the agent counts the bytes that the server has. Unsent bytes
//! stay on disk while the server cannot be reached, and sending a piece twice does no harm.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use uuid::Uuid;

use crate::agent::run::AgentServer;
use crate::agent::step::{CallError, back_off};

/// Most bytes of one piece.
const PIECE_BYTES_MAX: u64 = 256 << 10;
/// How often the file is checked.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// An empty piece is sent as a sign of life if nothing else was sent for so long.
const LIFE_INTERVAL: Duration = Duration::from_secs(60);

/// The log of a job.
#[derive(Debug)]
pub(super) struct JobLog {
    job: Uuid,
    path: PathBuf,
    /// Bytes that the server has.
    sent: u64,
    /// Whether the server accepts no more.
    full: bool,
    said_at: Instant,
}

/// How sending ended.
#[derive(Debug, PartialEq)]
pub(super) enum SendingEnd {
    /// Everything was sent.
    All,
    /// The server has ended the job.
    NotWanted,
}

impl JobLog {
    pub fn new(job: Uuid, path: PathBuf, sent: u64) -> Self {
        JobLog { job, path, sent, full: false, said_at: Instant::now() }
    }

    /// Sends what is written, until the server has ended the job.
    pub async fn follow(&mut self, server: &impl AgentServer) {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failures = 0;
        loop {
            looks.tick().await;
            match self.send(server).await {
                Ok(SendingEnd::NotWanted) => return,
                Ok(SendingEnd::All) => failures = 0,
                Err(why) => {
                    failures += 1;
                    tracing::debug!(job = %self.job, %why, "the log waits on disk");
                    sleep(back_off(failures)).await;
                }
            }
        }
    }

    /// Sends what is unsent, and a sign of life if nothing was sent for long.
    ///
    /// # Errors
    /// The server cannot be reached or refuses; what was sent is remembered.
    pub async fn send(&mut self, server: &impl AgentServer) -> Result<SendingEnd, CallError> {
        // Each iteration sends a piece of a finite file.
        loop {
            let piece = match self.full {
                true => Vec::new(),
                false => self.piece().map_err(|error| CallError::Refused(error.to_string()))?,
            };
            if piece.is_empty() && self.said_at.elapsed() < LIFE_INTERVAL {
                return Ok(SendingEnd::All);
            }
            let empty = piece.is_empty();
            let offset = if self.full { 0 } else { self.sent };
            match server.put_log(self.job, offset, piece).await {
                Ok(end) if !end.state.is_open() => return Ok(SendingEnd::NotWanted),
                Ok(end) => {
                    self.said_at = Instant::now();
                    self.sent = end.bytes;
                }
                Err(CallError::Conflict(_)) => self.agree(server).await?,
                Err(other) => return Err(other),
            }
            if empty {
                return Ok(SendingEnd::All);
            }
        }
    }

    /// Asks how much of the log the server has. If that agrees with `sent`, the server accepts no more.
    async fn agree(&mut self, server: &impl AgentServer) -> Result<(), CallError> {
        let end = server.put_log(self.job, 0, Vec::new()).await?;
        self.full = end.bytes == self.sent;
        self.sent = end.bytes;
        Ok(())
    }

    fn piece(&self) -> io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.sent))?;
        let mut piece = Vec::new();
        file.take(PIECE_BYTES_MAX).read_to_end(&mut piece)?;
        Ok(piece)
    }
}
