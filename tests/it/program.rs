//! A child process whose output the test reads as it comes. Waiting is a blocking read with a deadline, never
//! a sleep. The child dies with its owner, even if the test process is killed. Start at [`Program::spawn`].

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Most output that a failing test shows.
const SHOWN_BYTES_MAX: usize = 16 * 1024;

/// A running program, and its output so far.
pub struct Program {
    name: String,
    child: Child,
    chunks: Receiver<Vec<u8>>,
    text: String,
    ended: bool,
}

impl Program {
    /// Starts `command` with stdout and stderr read together.
    pub fn spawn(name: &str, command: Command) -> Program {
        start(name, tied_to_this_thread(command), None)
    }

    /// Like [`Program::spawn`], with a keyboard: [`Program::press`].
    pub fn spawn_with_keyboard(name: &str, command: Command) -> Program {
        let mut tied = tied_to_this_thread(command);
        tied.stdin(Stdio::piped());
        start(name, tied, None)
    }

    /// Starts `command`, reads its stdout and sends its stderr to `log`.
    pub fn spawn_with_log(name: &str, command: Command, log: File) -> Program {
        start(name, tied_to_this_thread(command), Some(log))
    }

    /// Types `keys` on its keyboard.
    pub fn press(&mut self, keys: &str) {
        let keyboard = self.child.stdin.as_mut().expect("a program with a keyboard");
        keyboard.write_all(keys.as_bytes()).expect("it takes what is typed");
    }

    /// The process id, for signals.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The output so far; terminal control sequences are kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Blocks until `needle` was printed, also in the middle of a line, as menus do. Panics like
    /// [`Program::wait_for_line`].
    pub fn wait_for_text(&mut self, needle: &str, within: Duration) {
        self.wait_for(needle, within, |text| text.contains(needle).then_some(()));
    }

    /// Blocks until a whole line containing `needle` was printed and returns that line. Panics at the
    /// deadline, or if the program ends first, and shows its output.
    pub fn wait_for_line(&mut self, needle: &str, within: Duration) -> String {
        self.wait_for(needle, within, |text| complete_line_with(text, needle))
    }

    fn wait_for<T>(&mut self, needle: &str, within: Duration, found: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + within;
        loop {
            if let Some(found) = found(&self.text) {
                return found;
            }
            if !self.read_more(deadline) {
                let why = if self.ended { "it ended" } else { "the time was up" };
                panic!("{}: {why} before it printed {needle:?}", self.name);
            }
        }
    }

    /// Blocks until the program closed its output and ended. Panics at the deadline.
    pub fn wait_for_end(&mut self, within: Duration) -> ExitStatus {
        let deadline = Instant::now() + within;
        while !self.ended {
            let more = self.read_more(deadline);
            assert!(more || self.ended, "{} still runs after {within:?}", self.name);
        }
        self.child.wait().expect("the status of a child")
    }

    /// Ends the program at once, like a power cut.
    pub fn kill(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn read_more(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        match self.chunks.recv_timeout(left) {
            Ok(chunk) => {
                self.text.push_str(&String::from_utf8_lossy(&chunk));
                true
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => {
                self.ended = true;
                false
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            while let Ok(chunk) = self.chunks.try_recv() {
                self.text.push_str(&String::from_utf8_lossy(&chunk));
            }
            eprintln!("---- {} printed ----\n{}\n----", self.name, tail(&self.text));
        }
    }
}

/// The folder that `scripts/` put what they make into.
pub fn target_directory() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target directory")
}

/// The end of `text`, cut at a line, small enough for a test's report.
pub fn tail(text: &str) -> &str {
    let mut start = text.len().saturating_sub(SHOWN_BYTES_MAX);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

fn complete_line_with(text: &str, needle: &str) -> Option<String> {
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(without_control_sequences).find(|line| line.contains(needle))
}

/// SeaBIOS sometimes moves the cursor in the middle of a word (ECMA-48: ESC, `[`, parameters, a letter).
fn without_control_sequences(line: &str) -> String {
    let mut pieces = line.split("\x1b[");
    let first = pieces.next().unwrap_or_default();
    let rest = pieces.filter_map(|piece| {
        let end = piece.find(|letter| matches!(letter, '@'..='~'))?;
        piece.get(end + 1..)
    });
    std::iter::once(first).chain(rest).collect()
}

#[test]
fn a_cursor_that_moves_is_not_in_the_way() {
    let text = "a\nbooting from the\x1b[25;29H\x1b[25;30H disk\x1b[0m\nrest";
    assert_eq!(complete_line_with(text, "the disk").as_deref(), Some("booting from the disk"));
    assert_eq!(complete_line_with(text, "rest"), None);
}

/// Starts a prepared command whose output is read, and its stderr too, unless it has a log.
fn start(name: &str, mut command: Command, log: Option<File>) -> Program {
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    let stderr =
        log.map_or_else(|| Stdio::from(writer.try_clone().expect("a second end of the pipe")), Stdio::from);
    let child = command.stdout(writer).stderr(stderr).spawn();
    let child = child.unwrap_or_else(|error| panic!("{name} does not start: {error}"));
    // The command holds the writing ends; without this the reader would never see the end.
    drop(command);
    let (sender, chunks) = channel();
    thread::spawn(move || {
        let mut buffer = [0u8; 4096];
        while let Ok(count @ 1..) = reader.read(&mut buffer) {
            if sender.send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    Program { name: name.to_owned(), child, chunks, text: String::new(), ended: false }
}

/// `setpriv --pdeathsig` replaces itself by the program, so the process id is the program's own.
fn tied_to_this_thread(command: Command) -> Command {
    let mut tied = Command::new("setpriv");
    tied.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => tied.env(key, value),
            None => tied.env_remove(key),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        tied.current_dir(folder);
    }
    tied.stdin(Stdio::null());
    tied
}
