//! The booted operating system, as far as the server sees it: an installer that finds its answer file on the
//! kernel command line, fetches the files that it names, and reports.
//!
//! Nothing is installed and no script is run: files are searched for URLs. Start at [`install`].

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::simulate::console::MachineConsole;
use crate::simulate::failure::StepFailure;
use crate::simulate::firmware::DhcpProgram;
use crate::simulate::http::{MachineHttp, UserAgent};
use crate::simulate::options::{DoneReport, SimulateOptions};

/// Largest answer file or script, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 4 << 20;
/// Most files that an answer file and its scripts may name.
const FILES_MAX: usize = 32;
/// The first and the longest pause before a report is tried again.
const REPORT_PAUSE: Duration = Duration::from_millis(250);
const REPORT_PAUSE_MAX: Duration = Duration::from_secs(5);
/// The agent's configuration, by its name in this project's bootenvs.
const AGENT_FILE: &str = "agent.toml";
/// The reports of installers.
const REPORTS: [&str; 5] = ["done", "failed", "log", "asks", "installer.log"];

/// The answer file of a kernel command line, and its installer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnswerFile {
    pub url: String,
    pub speaker: DhcpProgram,
}

/// The result of an installation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InstallResult {
    /// It was a rehearsal: there is nothing on the disk.
    pub rehearsed: bool,
    /// It waits for a person at its console.
    pub asks: bool,
    /// The configuration of the agent in the installed system.
    pub agent: Option<String>,
}

/// The answer file that a kernel command line names.
pub fn answer_of(command_line: &str) -> Option<AnswerFile> {
    named_file(command_line, &["url", "preseed/url"], DhcpProgram::Udhcpc)
        .or_else(|| named_file(command_line, &["inst.ks", "ks"], DhcpProgram::NetworkManager))
}

fn named_file(command_line: &str, keys: &[&str], speaker: DhcpProgram) -> Option<AnswerFile> {
    let words = command_line.split_whitespace().filter_map(|word| word.split_once('='));
    let url = words.filter(|(key, _)| keys.contains(key)).map(|(_, url)| url.trim_matches('"'));
    let mut url = url.filter(|url| url.starts_with("http://"));
    url.next().map(|url| AnswerFile { url: url.to_owned(), speaker })
}

/// The URL of the agent's configuration on the kernel command line of a live system.
pub fn agent_of(command_line: &str) -> Option<&str> {
    let mut words =
        command_line.split_whitespace().filter_map(|word| word.strip_prefix("metalwright.agent="));
    words.find(|url| url.starts_with("http://"))
}

/// Acts as the installer, from its answer file to its report, or to the question at which it stays.
///
/// # Errors
/// A file cannot be fetched, the answer file never reports, or the report is not accepted.
pub async fn install(
    http: &MachineHttp,
    answer: &AnswerFile,
    options: &SimulateOptions,
    console: &mut MachineConsole,
) -> Result<InstallResult, StepFailure> {
    let began = Instant::now();
    let text = http.text(UserAgent::Installer, &answer.url, DOCUMENT_BYTES_MAX).await?;
    console.step("answer", began, format!("{}, {} bytes", answer.url, text.len())).await;
    let Some((folder, _)) = answer.url.rsplit_once('/') else {
        return Err(StepFailure::new("answer", "an answer file below a folder", answer.url.clone()));
    };
    let folder = BootFolder { url: folder, own: &answer.url };
    let own = match activated_address(&text) {
        Some(address) => {
            console.say("network", format!("the installer goes on at its static address {address}")).await;
            MachineHttp::new(address)?
        }
        None => http.clone(),
    };
    let http = &own;
    let read = fetch_files(http, folder, (text, console)).await?;
    if let Some(rule) = &read.disk_rule {
        console.say("disk", rule).await;
    }
    if read.rehearses {
        report(
            http,
            &format!("{}/done", folder.url),
            ("rehearsal: a simulated installer has no disks", console),
        )
        .await?;
        return Ok(InstallResult { rehearsed: true, ..InstallResult::default() });
    }
    if !read.reports.contains("done") {
        let expected = "an answer file, or a script that it names, to report `done`";
        return Err(StepFailure::new("answer", expected, "none has a callback URL for it"));
    }
    if read.reports.contains("log") {
        report(http, &format!("{}/log", folder.url), ("a simulated installer has read its files", console))
            .await?;
    }
    if let Some(question) = &options.installer_asks {
        if !read.reports.contains("asks") {
            let expected = "an answer file, or a script that it names, to report what the installer asks";
            return Err(StepFailure::new("answer", expected, "none has a callback URL for it"));
        }
        report(http, &format!("{}/asks", folder.url), (question, console)).await?;
        return Ok(InstallResult { asks: true, ..InstallResult::default() });
    }
    report_done(http, &format!("{}/done", folder.url), options, console).await?;
    Ok(InstallResult { agent: read.agent, ..InstallResult::default() })
}

/// The URL folder of one boot's files.
#[derive(Debug, Clone, Copy)]
struct BootFolder<'a> {
    url: &'a str,
    /// The answer file, which is not fetched twice.
    own: &'a str,
}

/// What was found in the answer file and in everything it leads to.
#[derive(Debug, Default)]
struct AnswerContents {
    reports: BTreeSet<String>,
    agent: Option<String>,
    /// A script ends a rehearsal.
    rehearses: bool,
    /// What a script says of the disks that it would choose.
    disk_rule: Option<String>,
}

/// What the line of a script begins with that says which disks it would choose.
const DISK_RULE: &str = "# The rule for disks: ";

/// Fetches every file that the answer file names, and those that they name.
async fn fetch_files(
    http: &MachineHttp,
    folder: BootFolder<'_>,
    (answer, console): (String, &mut MachineConsole),
) -> Result<AnswerContents, StepFailure> {
    let mut read = AnswerContents::default();
    let mut seen = BTreeSet::from([folder.own.to_owned()]);
    let mut texts = vec![answer];
    while let Some(text) = texts.pop() {
        fetch_programs(http, folder, &text, &mut seen, console).await?;
        read.rehearses |= is_rehearsal(folder, &text);
        let rule = text.lines().find_map(|line| line.strip_prefix(DISK_RULE));
        read.disk_rule = rule.map(str::to_owned).or(read.disk_rule);
        for name in names_in(folder, &text) {
            if REPORTS.contains(&name.as_str()) {
                read.reports.insert(name);
                continue;
            }
            let url = format!("{}/{name}", folder.url);
            if !seen.insert(url.clone()) {
                continue;
            }
            if seen.len() > FILES_MAX {
                return Err(StepFailure::new(
                    "file",
                    format!("at most {FILES_MAX} files"),
                    format!("{url} is one more"),
                ));
            }
            let began = Instant::now();
            let body = http.text(UserAgent::Installer, &url, DOCUMENT_BYTES_MAX).await?;
            console.step("file", began, format!("{name}, {} bytes", body.len())).await;
            match name.as_str() {
                AGENT_FILE => read.agent = Some(body),
                _ => texts.push(body),
            }
        }
    }
    Ok(read)
}

/// The agent program that a script installs. It is large and the same for all machines, so only its size is
/// requested.
async fn fetch_programs(
    http: &MachineHttp,
    folder: BootFolder<'_>,
    text: &str,
    seen: &mut BTreeSet<String>,
    console: &mut MachineConsole,
) -> Result<(), StepFailure> {
    let Some(origin) = origin(folder.url) else { return Ok(()) };
    let base = format!("{origin}/agent");
    for name in names_in(BootFolder { url: &base, own: "" }, text) {
        let url = format!("{base}/{name}");
        if seen.len() >= FILES_MAX || !seen.insert(url.clone()) {
            continue;
        }
        let began = Instant::now();
        let head = http.head(UserAgent::Installer, &url).await?;
        console
            .step("file", began, format!("the agent for {name}, {} bytes (its size only)", head.bytes))
            .await;
    }
    Ok(())
}

/// `http://host:port` of a URL.
fn origin(url: &str) -> Option<&str> {
    let host = url.strip_prefix("http://")?;
    let end = host.find('/').unwrap_or(host.len());
    url.get(.."http://".len() + end)
}

/// The names that follow the folder's URL in a text, without repetition, in alphabetical order.
fn names_in(folder: BootFolder<'_>, text: &str) -> BTreeSet<String> {
    let behind = text.split(folder.url).skip(1).filter_map(|rest| rest.strip_prefix('/'));
    let names = behind.map(|rest| rest.split(|c| !is_url_character(c)).next().unwrap_or_default());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn is_url_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-/%".contains(c)
}

/// Whether a script reports and powers off without a condition. Comments do not count, nor does a
/// power-off that depends on a condition.
fn is_rehearsal(folder: BootFolder<'_>, text: &str) -> bool {
    let mut commands = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        commands.push_str(line);
        commands.push('\n');
    }
    let powers_off = commands.lines().any(|line| line.trim_start().starts_with("poweroff -f"));
    powers_off && names_in(folder, &commands).contains("done")
}

/// Reports the end of an installation when the options say so, as scripts of installers do: again and again
/// while the server is away, and for so long only.
async fn report_done(
    http: &MachineHttp,
    url: &str,
    options: &SimulateOptions,
    console: &mut MachineConsole,
) -> Result<(), StepFailure> {
    match options.done {
        DoneReport::Lost => {
            console.say("report", "done is lost: the installer boots its disk all the same").await;
            return Ok(());
        }
        DoneReport::After(pause) => tokio::time::sleep(pause).await,
    }
    let until = Instant::now() + Duration::from_secs(options.report_wait.into());
    let mut pause = REPORT_PAUSE;
    for number in 1u64.. {
        let failed = match report(http, url, ("the simulated installation is complete", console)).await {
            Ok(()) => return Ok(()),
            Err(failure) if failure.came.starts_with("409") => return Err(failure),
            Err(failure) => failure,
        };
        console.say("report", format!("try {number}: done is not told: {}", failed.came)).await;
        if Instant::now() + pause >= until {
            console.say("report", "the installer boots its disk all the same").await;
            break;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(REPORT_PAUSE_MAX);
    }
    Ok(())
}

/// The static address that a kickstart file makes the installer go on with. Anaconda activates the first
/// network device unless told otherwise.
fn activated_address(text: &str) -> Option<Ipv4Addr> {
    let words = text.lines().find_map(|line| line.strip_prefix("network "))?;
    let mut words = words.split_whitespace();
    let is_static = words.clone().any(|word| word == "--bootproto=static");
    let stays = words.clone().any(|word| word == "--no-activate");
    let address = words.find_map(|word| word.strip_prefix("--ip="))?;
    address.parse().ok().filter(|_| is_static && !stays)
}

async fn report(
    http: &MachineHttp,
    url: &str,
    (text, console): (&str, &mut MachineConsole),
) -> Result<(), StepFailure> {
    let began = Instant::now();
    let answer = http.report((url, text)).await?;
    let kind = url.rsplit('/').next().unwrap_or_default();
    console.step("report", began, format!("{kind}; the server says: {}", answer.trim())).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    const FOLDER: &str =
        "http://10.0.0.1:8080/m/0192d6a0000070008000000000000002-cfac16fe9cceb5a23302d0d67d4b4788";

    fn rendered(path: &str) -> String {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/render");
        fs::read_to_string(folder.join(path)).unwrap()
    }

    fn folder() -> BootFolder<'static> {
        BootFolder { url: FOLDER, own: "" }
    }

    #[test]
    fn the_answer_file_is_found_on_every_rendered_command_line() {
        for case in ["bios", "uefi", "uefi-site", "bios-rehearsal"] {
            let debian = answer_of(&rendered(&format!("debian-12-install/{case}/cmdline"))).unwrap();
            assert_eq!(debian.url, format!("{FOLDER}/preseed.cfg"));
            assert_eq!(debian.speaker, DhcpProgram::Udhcpc);
            let rocky = answer_of(&rendered(&format!("rocky-9-install/{case}/cmdline"))).unwrap();
            assert_eq!(rocky.url, format!("{FOLDER}/rocky.ks"));
            assert_eq!(rocky.speaker, DhcpProgram::NetworkManager);
        }
        assert_eq!(answer_of("quiet url=file:///preseed.cfg curl=http://h/x"), None);
    }

    #[test]
    fn a_rehearsal_is_told_from_an_installation() {
        for (file, bootenv) in [("early.sh", "debian-12-install"), ("rocky.ks", "rocky-9-install")] {
            for (case, expected) in [("bios", false), ("uefi-site", false), ("bios-rehearsal", true)] {
                let text = rendered(&format!("{bootenv}/{case}/{file}"));
                assert_eq!(is_rehearsal(folder(), &text), expected, "{bootenv} {case}");
            }
        }
    }

    #[test]
    fn an_installer_goes_on_at_the_static_address_that_it_activates() {
        let line = "text\nnetwork --device=52:54:00:aa:00:01 --bootproto=static --ip=127.7.9.9 --netmask=x";
        assert_eq!(activated_address(line), Some(Ipv4Addr::new(127, 7, 9, 9)));
        assert_eq!(activated_address(&format!("{line} --no-activate")), None);
        assert_eq!(activated_address("network --bootproto=dhcp --activate"), None);
    }

    #[test]
    fn files_and_reports_are_found_where_scripts_name_them() {
        let names = |path: &str| names_in(folder(), &rendered(path)).into_iter().collect::<Vec<_>>();
        assert_eq!(names("debian-12-install/bios/preseed.cfg"), ["early.sh"]);
        let early = names("debian-12-install/bios/early.sh");
        assert_eq!(early, ["asks", "disk.sh", "done", "failed", "installer.log", "late.sh", "log"]);
        assert!(names("debian-12-install/bios/late.sh").contains(&"agent.toml".to_owned()));
        assert!(names("rocky-9-install/bios/rocky.ks").contains(&"done".to_owned()));
        assert_eq!(origin(FOLDER), Some("http://10.0.0.1:8080"));
    }
}
