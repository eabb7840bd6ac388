//! The real program on a data directory of its own, with ports that the system chooses, and everything that a
//! test needs to use it. Start at [`World::on_loopback`]; for a server in a namespace use
//! [`World::on_the_lan`].

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::api::Api;
use crate::contract;
use crate::net::BRIDGE;
use crate::program::{Program, tail};

const READY_WITHIN: Duration = Duration::from_secs(60);
const STOPPED_WITHIN: Duration = Duration::from_secs(10);
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_metalwright");

/// A server and its data. Dropping it ends the server; a failing test shows the server's log.
pub struct World {
    folder: TempDir,
    listeners: Vec<String>,
    server: Option<Program>,
    ready: Value,
    /// How many times faster its clocks run.
    hurry: u32,
    /// Most files that it may have open, if limited.
    open_files_max: Option<u32>,
}

impl World {
    /// A server on 127.0.0.1 without DHCP, on free ports.
    pub fn on_loopback() -> World {
        World::with(&[
            "--api-listen",
            "127.0.0.1:0",
            "--boot-http",
            "127.0.0.1:0",
            "--tftp-listen",
            "127.0.0.1:0",
        ])
    }

    /// A server on the bridge of a [`crate::net::Lan`], on the ports that firmware uses.
    pub fn on_the_lan() -> World {
        World::on_the_lan_with(&[])
    }

    /// Like [`World::on_the_lan`], with further flags.
    pub fn on_the_lan_with(flags: &[&str]) -> World {
        let api = ["--api-listen", "127.0.0.1:0"];
        let boot = ["--boot-http", "0.0.0.0:8080", "--tftp-listen", "0.0.0.0:69", "--dhcp-interface", BRIDGE];
        World::with(&[&api[..], &boot[..], flags].concat())
    }

    /// A server with these listeners.
    pub fn with(listeners: &[&str]) -> World {
        World::in_a_hurry(listeners, 1)
    }

    /// A server that cannot have more files and sockets open than this.
    pub fn with_open_files(listeners: &[&str], open_files_max: u32) -> World {
        World::begin(listeners, (1, Some(open_files_max)))
    }

    /// A server whose clocks run so many times faster (package faketime).
    pub fn in_a_hurry(listeners: &[&str], hurry: u32) -> World {
        World::begin(listeners, (hurry, None))
    }

    fn begin(listeners: &[&str], (hurry, open_files_max): (u32, Option<u32>)) -> World {
        let folder = TempDir::new().expect("a temporary folder");
        let listeners = listeners.iter().map(|word| (*word).to_owned()).collect();
        let mut world = World { folder, listeners, server: None, ready: Value::Null, hurry, open_files_max };
        world.start();
        world
    }

    /// Other listeners, from the next start on.
    pub fn listen(&mut self, listeners: &[&str]) {
        self.listeners = listeners.iter().map(|word| (*word).to_owned()).collect();
    }

    /// Starts the server on the existing data, and waits for its ready line.
    pub fn start(&mut self) {
        let mut server = self.spawn();
        let line = server.wait_for_line("{", READY_WITHIN);
        self.ready = serde_json::from_str(&line).expect("one line of JSON");
        assert_eq!(self.ready["event"], "ready", "{line}");
        self.server = Some(server);
    }

    fn spawn(&self) -> Program {
        let log = fs::File::options().create(true).append(true).open(self.log_path()).expect("a log");
        let mut command = program();
        if let Some(most) = self.open_files_max {
            // It replaces itself by the program.
            command = Command::new("prlimit");
            command.arg(format!("--nofile={most}:{most}")).arg(PROGRAM);
        }
        command.arg("serve").arg("--data").arg(self.data()).args(&self.listeners);
        // The files and file servers of tests are in temporary folders and on loopback; tests of that rule
        // have flags, which take precedence over the environment.
        let roots = format!("/usr/lib/debian-installer,{}", std::env::temp_dir().display());
        command.env("METALWRIGHT_ARTIFACTS_ROOTS", roots);
        command.env("METALWRIGHT_FETCH_ALLOW", "127.0.0.0/8");
        if self.hurry > 1 {
            assert!(Path::new(FAKETIME).exists(), "{FAKETIME} is not there (package faketime)");
            command.env("LD_PRELOAD", FAKETIME).env("FAKETIME", format!("+0 x{}", self.hurry));
        }
        Program::spawn_with_log("metalwright serve", command, log)
    }

    /// Sends a signal to the running server.
    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.server_id()).expect("a process id"));
        kill(id, signal).expect("a signal to the server");
    }

    /// The API's address at the next start of the server.
    pub fn listen_at(&mut self, api: &str) {
        let flag = self.listeners.iter().position(|word| word == "--api-listen").expect("an API");
        self.listeners[flag + 1] = api.to_owned();
    }

    /// Stops the server as an operator does; returns its exit status.
    pub fn stop(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("a running server");
        let id = Pid::from_raw(i32::try_from(server.id()).expect("a process id"));
        kill(id, Signal::SIGTERM).expect("a signal to the server");
        server.wait_for_end(STOPPED_WITHIN)
    }

    /// Starts a server that ends by itself with an error, which is returned.
    pub fn refused_start(&self) -> String {
        let before = self.log().len();
        let mut server = self.spawn();
        let ended = server.wait_for_end(READY_WITHIN);
        let said = self.log().split_off(before);
        assert_eq!(ended.code(), Some(1), "{said}");
        said
    }

    /// Kills the server, like a power cut.
    pub fn kill(&mut self) {
        self.server.take().expect("a running server").kill();
    }

    /// Moves the data of a stopped server to a small disk of its own, which only this thread and its children
    /// can see. Needs root.
    pub fn on_a_small_disk(&self, bytes: u64) {
        let options = format!("size={bytes}");
        self.on_a_disk(&["-t", "tmpfs", "-o", &options, "data"]);
    }

    /// Like [`World::on_a_small_disk`], with a file system that becomes read-only when it detects an error.
    pub fn on_an_image(&self, bytes: u64) {
        let image = self.image();
        fs::File::create(&image).and_then(|file| file.set_len(bytes)).expect("an image");
        run("mkfs.ext4", &["-q", "-F", &image]);
        self.on_a_disk(&["-t", "ext4", "-o", "loop,errors=remount-ro", &image]);
    }

    /// Unmounts the image of [`World::on_an_image`] while the server is stopped, checks it, and mounts it
    /// again.
    pub fn repair_the_image(&self) {
        let (image, data) = (self.image(), self.data());
        run("umount", &[data.to_str().expect("a path in UTF-8")]);
        // Exit code 1 means that it has corrected something.
        let checked = Command::new("e2fsck").args(["-p", "-f", &image]).status().expect("e2fsck");
        assert!(checked.code().is_some_and(|code| code <= 1), "{checked}");
        self.mount(&["-t", "ext4", "-o", "loop,errors=remount-ro", &image]);
    }

    fn image(&self) -> String {
        self.folder.path().join("disk.image").to_str().expect("a path in UTF-8").to_owned()
    }

    fn on_a_disk(&self, disk: &[&str]) {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let data = self.data();
        let before = self.folder.path().join("before");
        fs::rename(&data, &before).expect("a place for the data");
        fs::create_dir(&data).expect("a place for the disk");
        run("mount", &["--make-rprivate", "/"]);
        self.mount(disk);
        let copied = Command::new("cp").args(["-a", "--"]).arg(before.join(".")).arg(&data).status();
        assert!(copied.expect("cp").success());
        run("sync", &["--file-system", data.to_str().expect("a path in UTF-8")]);
    }

    fn mount(&self, disk: &[&str]) {
        let data = self.data();
        run("mount", &[disk, &[data.to_str().expect("a path in UTF-8")]].concat());
    }

    /// The server's ready line.
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// The process of the running server.
    pub fn server_id(&self) -> u32 {
        self.server.as_ref().expect("a running server").id()
    }

    /// The data directory of the server.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder for the test itself.
    pub fn scratch(&self) -> &Path {
        self.folder.path()
    }

    /// The API, as the administrator.
    pub fn api(&self) -> Api {
        let token = fs::read_to_string(self.data().join("admin.token")).expect("the administrator's token");
        Api::new(self.ready["api"].as_str().expect("the address of the API"), token.trim())
    }

    /// Runs the command line client with this server; returns its output.
    ///
    /// # Panics
    /// If the command fails; [`World::try_cli`] is for commands that should fail.
    pub fn cli(&self, words: &[&str]) -> String {
        let output = self.try_cli(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "metalwright {}: {said}", words.join(" "));
        String::from_utf8(output.stdout).expect("output in UTF-8")
    }

    /// Runs the command line client and returns the result, also of a failure.
    pub fn try_cli(&self, words: &[&str]) -> Output {
        program().args(words).arg("--data").arg(self.data()).output().expect("the program runs")
    }

    /// A long-running command of the command line client, whose output is read as it comes.
    pub fn spawn_cli(&self, words: &[&str]) -> Program {
        let mut command = program();
        command.args(words).arg("--data").arg(self.data());
        Program::spawn(&format!("metalwright {}", words.join(" ")), command)
    }

    /// The server's log so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }
}

/// Raises the limit on sockets of this process as far as the system allows.
pub fn allow_many_sockets() {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, raised).expect("more open files");
}

/// Processor time of a server's threads, in nanoseconds: that of the named thread, and of all others.
pub fn computed(world: &World, thread: &str) -> (u64, u64) {
    let (mut named, mut others) = (0, 0);
    for task in fs::read_dir(format!("/proc/{}/task", world.server_id())).expect("threads") {
        let task = task.expect("a thread").path();
        let Ok(name) = fs::read_to_string(task.join("comm")) else { continue };
        let Ok(times) = fs::read_to_string(task.join("schedstat")) else { continue };
        let time: u64 = times.split(' ').next().expect("a time").parse().expect("a number");
        *if name.trim() == thread { &mut named } else { &mut others } += time;
    }
    (named, others)
}

/// Runs a program of the system in the namespaces of this thread.
pub fn run(program: &str, words: &[&str]) {
    let output = Command::new(program).args(words).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {}: {said}", words.join(" "));
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("---- the server logged ----\n{}\n----", tail(&self.log()));
        } else {
            contract::check_stored_events(&self.data().join("metalwright.db"));
        }
    }
}

/// The program under test, without settings from the environment of the tests.
pub fn program() -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("METALWRIGHT_") {
            command.env_remove(name);
        }
    }
    command
}
