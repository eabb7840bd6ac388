//! Interprets iPXE scripts without I/O: everything that a script needs from outside is a [`ScriptEffect`],
//! and the caller returns its outcome.
//!
//! It knows the commands that boot scripts of this project and of most sites use. Any other command is a
//! [`ScriptFault`] with its line, never a guess. Start at [`ScriptInterpreter::next`].

use crate::simulate::script::{
    CommandCondition, IpxeScript, LINE_BYTES_MAX, ScriptCommand, ScriptFault, ScriptSettings, expand,
};

/// Most commands of one power-on; a script that runs longer is in a loop.
pub const COMMANDS_MAX: usize = 5_000;
/// Deepest nesting of scripts.
const DEPTH_MAX: usize = 8;
/// Most kernels, initrds and other images that are held at the same time.
const IMAGES_MAX: usize = 32;
/// Most settings that scripts may set.
const SETTINGS_MAX: usize = 256;

/// What a script needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptEffect {
    Say(String),
    Sleep {
        seconds: u32,
    },
    /// Fetch a file that becomes the kernel or another image.
    Fetch {
        url: String,
        name: String,
        selects: ImageSelection,
    },
    /// Fetch a script, and call [`ScriptInterpreter::enter`] with it.
    Chain {
        url: String,
        place: ChainMode,
    },
    /// Start the kernel. This ends the scripts.
    Boot(KernelBoot),
    /// Start the first disk. This ends the scripts.
    Disk,
    /// Return to the firmware, which tries its next boot entry. This ends the scripts.
    Exit {
        code: u32,
    },
    /// Reboot. This ends the scripts.
    Reboot,
    /// Power off. This ends the scripts.
    PowerOff,
}

/// A kernel to start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KernelBoot {
    pub kernel: String,
    pub command_line: String,
    /// Their names, in order.
    pub initrds: Vec<String>,
}

#[derive(Debug, Clone)]
struct ScriptImage {
    name: String,
    arguments: String,
}

/// A script and its position.
#[derive(Debug, Clone)]
struct ScriptFrame {
    script: IpxeScript,
    line: usize,
    command: usize,
}

/// Running scripts.
#[derive(Debug, Clone)]
pub struct ScriptInterpreter {
    frames: Vec<ScriptFrame>,
    settings: ScriptSettings,
    images: Vec<ScriptImage>,
    /// The image that `boot` starts.
    kernel: Option<String>,
    /// The image that is being fetched; it is kept after a successful fetch.
    fetching: Option<(ScriptImage, ImageSelection)>,
    last: EffectOutcome,
    commands: usize,
}

/// The result of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectOutcome {
    Succeeded,
    Failed,
}

/// Where a chained script runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChainMode {
    /// Inside of the present script, which continues afterwards.
    Inside,
    /// In place of the present script.
    Instead,
}

/// Whether a fetched image becomes the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageSelection {
    Kernel,
    Nothing,
}

/// The result of a command.
enum CommandFlow {
    Done,
    Failed,
    /// Continue with this line.
    Goto(usize),
    Effect(ScriptEffect),
}

impl ScriptInterpreter {
    /// Starts `script` with the settings of the machine.
    pub fn new(script: IpxeScript, settings: ScriptSettings) -> Self {
        ScriptInterpreter {
            frames: vec![ScriptFrame { script, line: 0, command: 0 }],
            settings,
            images: Vec::new(),
            kernel: None,
            fetching: None,
            last: EffectOutcome::Succeeded,
            commands: 0,
        }
    }

    /// Continues after the last effect, with this outcome, to the next effect.
    ///
    /// # Errors
    /// An unknown command, one that failed without `||`, or a script without an end.
    pub fn next(&mut self, outcome: EffectOutcome) -> Result<ScriptEffect, ScriptFault> {
        self.last = outcome;
        if let Some((image, selects)) = self.fetching.take()
            && outcome == EffectOutcome::Succeeded
        {
            self.keep(image, selects)?;
        }
        loop {
            let Some((number, command)) = self.take_command()? else { continue };
            if !applies(command.when, self.last) {
                continue;
            }
            self.commands += 1;
            let fault = |reason: String| ScriptFault { line: number, reason };
            if self.commands > COMMANDS_MAX {
                return Err(fault(format!("{COMMANDS_MAX} commands have run, and the script does not end")));
            }
            match self.execute(&command).map_err(fault)? {
                CommandFlow::Done => self.last = EffectOutcome::Succeeded,
                CommandFlow::Failed => self.last = EffectOutcome::Failed,
                CommandFlow::Goto(line) => {
                    self.last = EffectOutcome::Succeeded;
                    if let Some(frame) = self.frames.last_mut() {
                        (frame.line, frame.command) = (line, 0);
                    }
                }
                CommandFlow::Effect(effect) => return Ok(effect),
            }
        }
    }

    /// Runs a script that was fetched, in place of the present one or inside of it.
    ///
    /// # Errors
    /// Scripts are nested too deep.
    pub fn enter(&mut self, script: IpxeScript, place: ChainMode) -> Result<(), ScriptFault> {
        if place == ChainMode::Instead {
            self.frames.pop();
        }
        if self.frames.len() >= DEPTH_MAX {
            let line = self.line_number();
            return Err(ScriptFault {
                line,
                reason: format!("more than {DEPTH_MAX} scripts inside each other"),
            });
        }
        self.frames.push(ScriptFrame { script, line: 0, command: 0 });
        Ok(())
    }

    /// The number of the running line, from 1.
    pub fn line_number(&self) -> usize {
        let frame = self.frames.last();
        frame.and_then(|frame| frame.script.lines.get(frame.line)).map_or(0, |line| line.number)
    }

    /// The next command and its line; none at the end of a line or a script.
    fn take_command(&mut self) -> Result<Option<(usize, ScriptCommand)>, ScriptFault> {
        let Some(frame) = self.frames.last_mut() else {
            // The last script ended, as if by `exit`.
            return Ok(Some((
                0,
                ScriptCommand { when: CommandCondition::Always, words: vec!["exit".to_owned()] },
            )));
        };
        let Some(line) = frame.script.lines.get(frame.line) else {
            self.frames.pop();
            return Ok(None);
        };
        if let Some(command) = line.commands.get(frame.command) {
            frame.command += 1;
            return Ok(Some((line.number, command.clone())));
        }
        if self.last == EffectOutcome::Failed {
            let words: Vec<String> = line.commands.iter().map(|command| command.words.join(" ")).collect();
            let reason = format!("`{}` failed, and there is no `||` behind it", words.join(" … "));
            return Err(ScriptFault { line: line.number, reason });
        }
        (frame.line, frame.command) = (frame.line + 1, 0);
        Ok(None)
    }

    fn execute(&mut self, command: &ScriptCommand) -> Result<CommandFlow, String> {
        let mut words = Vec::with_capacity(command.words.len());
        let mut bytes = 0;
        for word in &command.words {
            let word = expand(word, &self.settings)?;
            bytes += word.len() + 1;
            words.push(word);
        }
        if bytes > LINE_BYTES_MAX {
            return Err(format!("the line has more than {LINE_BYTES_MAX} bytes"));
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let Some((name, arguments)) = words.split_first() else { return Ok(CommandFlow::Done) };
        self.dispatch(name, arguments)
    }

    fn dispatch(&mut self, name: &str, arguments: &[&str]) -> Result<CommandFlow, String> {
        match (name, arguments) {
            ("echo", ["-n", text @ ..] | text) => Ok(CommandFlow::Effect(ScriptEffect::Say(text.join(" ")))),
            ("set", [name, value @ ..]) => self.set(name, value),
            ("clear", [name]) => self.set(name, &[]),
            ("isset", [value]) => condition(!value.is_empty()),
            ("isset", []) => condition(false),
            ("iseq", [left, right]) => condition(left == right),
            ("goto", [label]) => {
                let line = self.frames.last().and_then(|frame| frame.script.label(label));
                line.map(CommandFlow::Goto).ok_or_else(|| format!("there is no label `:{label}` to go to"))
            }
            ("kernel" | "imgselect" | "initrd" | "imgfetch" | "module", arguments) => {
                self.fetch(name, arguments)
            }
            ("imgargs", [image, arguments @ ..]) => self.set_arguments(image, arguments),
            ("imgfree", names) => {
                self.images.retain(|image| !names.is_empty() && !names.contains(&image.name.as_str()));
                Ok(CommandFlow::Done)
            }
            ("dhcp" | "ifconf", _) => Ok(self.configure_interface()),
            ("imgstat" | "ifopen" | "console" | "cpuid", _) => Ok(CommandFlow::Done),
            ("chain", arguments) => {
                let (options, rest) = options(name, arguments)?;
                let url = rest.first().ok_or("`chain` needs a URL")?;
                Ok(CommandFlow::Effect(ScriptEffect::Chain { url: (*url).to_owned(), place: options.place }))
            }
            ("boot" | "imgexec", arguments) => self.boot(arguments),
            ("sanboot", _) => Ok(CommandFlow::Effect(ScriptEffect::Disk)),
            ("sleep", [seconds]) => {
                let seconds = seconds.parse().map_err(|_| format!("`sleep {seconds}` is not a number"))?;
                Ok(CommandFlow::Effect(ScriptEffect::Sleep { seconds }))
            }
            ("exit", []) => Ok(self.exit(0)),
            ("exit", [code]) => {
                let code = code.parse().map_err(|_| format!("`exit {code}` is not a number"))?;
                Ok(self.exit(code))
            }
            ("reboot", _) => Ok(CommandFlow::Effect(ScriptEffect::Reboot)),
            ("poweroff", _) => Ok(CommandFlow::Effect(ScriptEffect::PowerOff)),
            (name, arguments) => Err(format!(
                "the simulator does not know `{name}` with {} arguments; write the script without it, or try \
                 it on a virtual machine",
                arguments.len()
            )),
        }
    }

    /// Ends the script; a nested one returns to the outer one.
    fn exit(&mut self, code: u32) -> CommandFlow {
        if self.frames.len() <= 1 {
            return CommandFlow::Effect(ScriptEffect::Exit { code });
        }
        self.frames.pop();
        if code == 0 { CommandFlow::Done } else { CommandFlow::Failed }
    }

    /// Opens the interface with the address from DHCP (`net0/ip`); `netX` is the interface that was opened
    /// last.
    fn configure_interface(&mut self) -> CommandFlow {
        let Some(address) = self.settings.get("net0/ip").cloned() else { return CommandFlow::Failed };
        self.settings.insert("netX/ip".to_owned(), address);
        CommandFlow::Done
    }

    fn set(&mut self, name: &str, value: &[&str]) -> Result<CommandFlow, String> {
        if self.settings.len() >= SETTINGS_MAX && !self.settings.contains_key(name) {
            return Err(format!("more than {SETTINGS_MAX} settings"));
        }
        match value {
            [] => drop(self.settings.remove(name)),
            value => drop(self.settings.insert(name.to_owned(), value.join(" "))),
        }
        Ok(CommandFlow::Done)
    }

    /// Fetches a file as an image: the first argument is a URL, the others are its command line.
    fn fetch(&mut self, command: &str, arguments: &[&str]) -> Result<CommandFlow, String> {
        let (options, rest) = options(command, arguments)?;
        let (url, arguments) = rest.split_first().ok_or_else(|| format!("`{command}` needs a URL"))?;
        let selects = match command {
            "kernel" | "imgselect" => ImageSelection::Kernel,
            _ => ImageSelection::Nothing,
        };
        if self.images.iter().any(|image| image.name == *url) {
            if selects == ImageSelection::Kernel {
                self.kernel = Some((*url).to_owned());
            }
            return self.set_arguments(url, arguments);
        }
        let path = url.split(['?', '#']).next().unwrap_or(url);
        let last = path.rsplit('/').next().unwrap_or(path);
        let name = options.name.unwrap_or_else(|| last.to_owned());
        let image = ScriptImage { name: name.clone(), arguments: arguments.join(" ") };
        self.fetching = Some((image, selects));
        Ok(CommandFlow::Effect(ScriptEffect::Fetch { url: (*url).to_owned(), name, selects }))
    }

    fn keep(&mut self, image: ScriptImage, selects: ImageSelection) -> Result<(), ScriptFault> {
        if self.images.len() >= IMAGES_MAX {
            let line = self.line_number();
            return Err(ScriptFault { line, reason: format!("more than {IMAGES_MAX} images are held") });
        }
        if selects == ImageSelection::Kernel {
            self.kernel = Some(image.name.clone());
        }
        self.images.push(image);
        Ok(())
    }

    fn set_arguments(&mut self, name: &str, arguments: &[&str]) -> Result<CommandFlow, String> {
        match self.images.iter_mut().find(|image| image.name == name) {
            Some(image) => {
                image.arguments = arguments.join(" ");
                Ok(CommandFlow::Done)
            }
            None => Ok(CommandFlow::Failed),
        }
    }

    fn boot(&mut self, arguments: &[&str]) -> Result<CommandFlow, String> {
        let (_, rest) = options("boot", arguments)?;
        let named = rest.first().map(|name| (*name).to_owned()).or_else(|| self.kernel.clone());
        let kernel = named.and_then(|name| self.images.iter().find(|image| image.name == name));
        let Some(kernel) = kernel else { return Ok(CommandFlow::Failed) };
        let initrds = self.images.iter().filter(|image| image.name != kernel.name);
        Ok(CommandFlow::Effect(ScriptEffect::Boot(KernelBoot {
            kernel: kernel.name.clone(),
            command_line: match rest.get(1..) {
                Some([]) | None => kernel.arguments.clone(),
                Some(arguments) => arguments.join(" "),
            },
            initrds: initrds.map(|image| image.name.clone()).collect(),
        })))
    }
}

fn condition(holds: bool) -> Result<CommandFlow, String> {
    Ok(if holds { CommandFlow::Done } else { CommandFlow::Failed })
}

fn applies(when: CommandCondition, last: EffectOutcome) -> bool {
    match when {
        CommandCondition::Always => true,
        CommandCondition::Succeeded => last == EffectOutcome::Succeeded,
        CommandCondition::Failed => last == EffectOutcome::Failed,
    }
}

/// The options of commands that load an image.
#[derive(Debug)]
struct ImageOptions {
    name: Option<String>,
    place: ChainMode,
}

fn options<'a>(command: &str, arguments: &'a [&'a str]) -> Result<(ImageOptions, &'a [&'a str]), String> {
    let mut found = ImageOptions { name: None, place: ChainMode::Inside };
    let mut rest = arguments;
    while let Some((option, after)) = rest.split_first().filter(|(option, _)| option.starts_with('-')) {
        rest = after;
        let (option, value) =
            option.split_once('=').map_or((*option, None), |(name, value)| (name, Some(value)));
        match option {
            "--replace" | "-r" => found.place = ChainMode::Instead,
            "--autofree" | "-a" => {}
            "--name" | "-n" | "--timeout" | "-t" => {
                let value = match (value, rest.split_first()) {
                    (Some(value), _) => value,
                    (None, Some((value, after))) => {
                        rest = after;
                        value
                    }
                    (None, None) => return Err(format!("`{command} {option}` needs a value")),
                };
                if matches!(option, "--name" | "-n") {
                    found.name = Some(value.to_owned());
                }
            }
            other => return Err(format!("the simulator does not know `{command} {other}`")),
        }
    }
    Ok((found, rest))
}

#[cfg(test)]
mod tests;
