//! Parses the command line. The nouns are made from [`Kind`]; each gets the verbs that apply to it.

use clap::error::{Error as ClapError, ErrorKind};
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::cli::artifact_verbs::ArtifactVerb;
use crate::cli::channel_verbs::ChannelVerb;
use crate::cli::command::{
    CliVerb, ClientCommand, DeleteVerb, Invocation, LeaseVerb, MachineVerb, OtherCommand, OutputArgs,
    ReadVerb, TokenVerb, WriteVerb,
};
use crate::cli::complete;
use crate::cli::connection::ConnectionArgs;
use crate::cli::examples;
use crate::cli::nouns::is_writable;
use crate::cli::override_verbs::OverrideVerb;
use crate::cli::pack_verbs::PackVerb;
use crate::cli::param_verbs::ParamVerb;
use crate::cli::runs::RunVerb;
use crate::cli::seeing::ExplainArgs;
use crate::model::{Kind, NounVerb};

/// Adds the verbs of one noun. The noun can be written in the singular, too.
fn noun_command(kind: Kind) -> Command {
    let mut command = Command::new(kind.plural()).about(kind.row().about).alias(kind.as_str());
    if kind == Kind::ClientClass {
        command = command.visible_alias("client-classes").alias("client-class");
    }
    let mut command = ReadVerb::augment_subcommands(command);
    // Flags that mean something for one noun alone.
    let of_one = [(Kind::Machine, "watch", "events"), (Kind::Token, "list", "all")];
    for (_, verb, flag) in of_one.into_iter().filter(|(of, ..)| *of == kind) {
        command = command.mut_subcommand(verb, |verb| verb.mut_arg(flag, |flag| flag.hide(false)));
    }
    if is_writable(kind) {
        command = WriteVerb::augment_subcommands(command);
        // These are understood, and the server refuses them.
        let hidden = [("create", NounVerb::Create), ("set", NounVerb::Patch), ("edit", NounVerb::Replace)];
        for (verb, _) in hidden.into_iter().filter(|(_, needs)| !kind.row().allows(*needs)) {
            command = command.mut_subcommand(verb, |verb| verb.hide(true));
        }
    }
    if kind.row().allows(NounVerb::Delete) {
        command = DeleteVerb::augment_subcommands(command);
    }
    match kind {
        Kind::Machine => MachineVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Lease => LeaseVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Artifact => ArtifactVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Channel => ChannelVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Pack => PackVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Run => RunVerb::augment_subcommands(command)
            .subcommand_required(true)
            .mut_subcommand("show", |show| show.arg(document())),
        Kind::Override => OverrideVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Token => TokenVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Param => {
            let machine = clap::Arg::new("machine").value_name("MACHINE");
            let machine = machine.help("A machine: the values of its params, and where each comes from");
            let command = ExplainArgs::augment_args(ParamVerb::augment_subcommands(command).arg(machine));
            OutputArgs::augment_args(command)
                .args_conflicts_with_subcommands(true)
                .arg_required_else_help(true)
        }
        _ => command.subcommand_required(true),
    }
}

/// The flag of `runs show`.
fn document() -> clap::Arg {
    let help = "Print the text of a document that the machine was served, as preseed.cfg; `runs documents` \
                lists them";
    clap::Arg::new(DOCUMENT).long(DOCUMENT).value_name("PATH").help(help)
}

const DOCUMENT: &str = "document";

/// `runs show RUN --document PATH`.
fn document_of(shown: &ArgMatches) -> Option<CliVerb> {
    let path = shown.try_get_one::<String>(DOCUMENT).ok().flatten()?;
    let run = shown.get_one::<String>("reference")?;
    Some(CliVerb::DocumentOf { run: run.clone(), path: path.clone() })
}

fn noun_verb(matches: &ArgMatches) -> Result<CliVerb, ClapError> {
    let Some((name, verb)) = matches.subcommand() else {
        let machine = matches.get_one::<String>("machine").cloned();
        let machine = machine.ok_or_else(|| ClapError::new(ErrorKind::MissingSubcommand))?;
        let explain = ExplainArgs::from_arg_matches(matches)?;
        return Ok(CliVerb::ParamsOf { machine, explain, output: OutputArgs::from_arg_matches(matches)? });
    };
    if let Some(document) = document_of(verb).filter(|_| name == "show") {
        return Ok(document);
    }
    if RunVerb::has_subcommand(name) {
        return RunVerb::from_arg_matches(matches).map(CliVerb::Run);
    }
    if ReadVerb::has_subcommand(name) {
        return ReadVerb::from_arg_matches(matches).map(CliVerb::Read);
    }
    if WriteVerb::has_subcommand(name) {
        return WriteVerb::from_arg_matches(matches).map(CliVerb::Write);
    }
    if DeleteVerb::has_subcommand(name) {
        return DeleteVerb::from_arg_matches(matches).map(CliVerb::Delete);
    }
    if ArtifactVerb::has_subcommand(name) {
        return ArtifactVerb::from_arg_matches(matches).map(CliVerb::Artifact);
    }
    if LeaseVerb::has_subcommand(name) {
        return LeaseVerb::from_arg_matches(matches).map(CliVerb::Lease);
    }
    if ChannelVerb::has_subcommand(name) {
        return ChannelVerb::from_arg_matches(matches).map(CliVerb::Channel);
    }
    if PackVerb::has_subcommand(name) {
        return PackVerb::from_arg_matches(matches).map(CliVerb::Pack);
    }
    if ParamVerb::has_subcommand(name) {
        return ParamVerb::from_arg_matches(matches).map(CliVerb::Param);
    }
    if OverrideVerb::has_subcommand(name) {
        return OverrideVerb::from_arg_matches(matches).map(CliVerb::Override);
    }
    if TokenVerb::has_subcommand(name) {
        return TokenVerb::from_arg_matches(matches).map(CliVerb::Token);
    }
    MachineVerb::from_arg_matches(matches).map(CliVerb::Machine)
}

/// Adds the flags of the connection. This must not change the help of the command: only that of `context` has
/// them, and the others name it.
fn connected(command: Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    let shows_them = command.get_name() == CONTEXT;
    let command = ConnectionArgs::augment_args(command).about(about);
    let command = command.mut_arg(CONTEXT, |arg| complete::with_candidates(arg, (CONTEXT, None)));
    match shows_them {
        true => command,
        false => {
            CONNECTION_ARGS.iter().fold(command, |command, id| command.mut_arg(id, |arg| arg.hide(true)))
        }
    }
}

const CONTEXT: &str = "context";
const CONNECTION_ARGS: [&str; 5] = ["server", "token", "data", "fingerprint", "context"];
const SERVER_HELP: &str = "Which server: --data DIR on its own host, --server URL with --token TOKEN, \
    or --context NAME; `metalwright context --help` has them all.";

/// Adds examples to a command and those below it, and candidates for the completion of their arguments.
fn documented(command: Command, path: &str, kind: Option<Kind>) -> Command {
    let verb = path.rsplit(' ').next().unwrap_or_default();
    let examples = match kind {
        Some(kind) => examples::of_noun(kind, verb),
        None => examples::of_command(path),
    };
    let examples = examples.map(|lines| {
        let lines: String = lines.lines().map(|line| format!("  {line}\n")).collect();
        format!("Examples:\n{lines}\n{SERVER_HELP}")
    });
    let help = examples.unwrap_or_else(|| SERVER_HELP.to_owned());
    let command =
        command.after_help(help).mut_args(|argument| complete::with_candidates(argument, (path, kind)));
    command.mut_subcommands(|inner| {
        let path = format!("{path} {}", inner.get_name());
        documented(inner, &path, kind)
    })
}

fn kind_of(noun: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.plural() == noun || kind.as_str() == noun)
}

impl FromArgMatches for ClientCommand {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, ClapError> {
        let Some((name, inner)) = matches.subcommand() else {
            return Err(ClapError::new(ErrorKind::MissingSubcommand));
        };
        let invocation = match kind_of(name) {
            Some(kind) => Invocation::Noun(kind, noun_verb(inner)?),
            None => Invocation::Other(OtherCommand::from_arg_matches(matches)?),
        };
        // Flags at the end of the line belong to the innermost command.
        let mut last = inner;
        while let Some((_, deeper)) = last.subcommand() {
            last = deeper;
        }
        Ok(ClientCommand { connection: ConnectionArgs::from_arg_matches(last)?.ranked(last), invocation })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), ClapError> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for ClientCommand {
    fn augment_subcommands(command: Command) -> Command {
        let others = OtherCommand::augment_subcommands(Command::new(""));
        let others = others.get_subcommands().cloned().map(|other| {
            let path = other.get_name().to_owned();
            documented(other, &path, None)
        });
        let nouns = Kind::ALL.map(|kind| documented(noun_command(kind), kind.plural(), Some(kind)));
        // The other commands come before the nouns.
        let all = others.chain(nouns);
        let all = all.zip(1..).map(|(one, place)| connected(one).display_order(place));
        command.subcommands(all)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        kind_of(name).is_some() || OtherCommand::has_subcommand(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::Parser;

    use super::*;
    use crate::cli::data_verbs::OfflineTask;

    #[derive(Parser, Debug)]
    #[command(name = "metalwright")]
    struct Line {
        #[command(subcommand)]
        command: ClientCommand,
    }

    fn parse(line: &str) -> Result<Invocation, String> {
        let parsed = Line::try_parse_from(line.split(' ')).map_err(|error| error.to_string())?;
        Ok(parsed.command.invocation)
    }

    #[test]
    fn the_commands_are_consistent() {
        use clap::CommandFactory;
        Line::command().debug_assert();
    }

    /// The words of a line as a shell splits them.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quoted) = (vec![String::new()], false);
        for c in line.trim().chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => words.push(String::new()),
                c => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    /// The commands that can be typed, with their paths.
    fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
        for inner in
            command.get_subcommands().filter(|inner| inner.get_name() != "help" && !inner.is_hide_set())
        {
            let path = format!("{path} {}", inner.get_name());
            if !inner.has_subcommands() {
                found.push((path.clone(), inner.clone()));
            }
            leaves(inner, &path, found);
        }
    }

    #[test]
    fn each_command_has_examples_and_each_example_is_a_command() {
        use clap::CommandFactory;
        let mut all = Vec::new();
        leaves(&Line::command(), "metalwright", &mut all);
        assert!(all.len() > 100, "{}", all.len());
        for (path, command) in all {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> =
                help.lines().map(str::trim).filter(|line| line.starts_with("metalwright ")).collect();
            assert!(help.starts_with("Examples:\n") && !examples.is_empty(), "{path} has no example: {help}");
            for example in examples {
                assert!(example.starts_with(&path), "{path} has the example of another command: {example}");
                let parsed = Line::try_parse_from(words(example));
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
    }

    #[test]
    fn the_help_of_a_command_is_about_the_command() {
        use clap::CommandFactory;
        let help = |words: &[&str]| {
            let asked = Line::command().try_get_matches_from(words).unwrap_err();
            asked.render().to_string()
        };
        let start = help(&["metalwright", "machines", "start", "--help"]);
        assert!(!start.contains("--fingerprint") && start.contains("metalwright context --help"), "{start}");
        assert!(
            start.contains("Examples:\n  metalwright machines start web1 install-debian-12\n"),
            "{start}"
        );
        let context = help(&["metalwright", "context", "--help"]);
        assert!(context.contains("--fingerprint") && context.contains("METALWRIGHT_DATA"), "{context}");
    }

    #[test]
    fn a_noun_in_the_singular_and_other_words_for_verbs_are_understood() {
        for line in ["metalwright machine get web1", "metalwright workflow ls", "metalwright client_class ls"]
        {
            let parsed = parse(line);
            assert!(matches!(parsed, Ok(Invocation::Noun(_, CliVerb::Read(_)))), "{line}: {parsed:?}");
        }
        let (of, what) = (crate::client::ExplainOf::Address, "10.0.0.5");
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        let explained = |typed: &[&str]| {
            crate::cli::boot::explained_client(&words(typed)).map(|(of, what)| (of, what.to_owned())).ok()
        };
        assert_eq!(explained(&["10.0.0.5"]), Some((of, what.to_owned())));
        assert_eq!(explained(&["web1"]).map(|(of, _)| of), Some(crate::client::ExplainOf::Machine));
        assert_eq!(explained(&["52:54:00:aa:00:01"]).map(|(of, _)| of), Some(crate::client::ExplainOf::Mac));
        assert_eq!(explained(&["disk", "web1"]), None);
    }

    #[test]
    fn every_noun_has_the_verbs_that_make_sense_for_it() {
        for kind in Kind::ALL {
            let list =
                parse(&format!("metalwright {} list --filter name=web* --limit 3 -o json", kind.plural()));
            assert!(matches!(list, Ok(Invocation::Noun(of, CliVerb::Read(_))) if of == kind), "{list:?}");
        }
        let classes = parse("metalwright client-class show onie");
        assert!(matches!(classes, Ok(Invocation::Noun(Kind::ClientClass, CliVerb::Read(_)))), "{classes:?}");
        assert!(parse("metalwright jobs delete x").is_err());
        assert!(parse("metalwright leases create -f x").is_err());
        assert!(parse("metalwright leases delete 10.0.0.5").is_ok());
        assert!(parse("metalwright leases import --format isc dhcpd.leases --dry-run").is_ok());
        assert!(parse("metalwright leases import dhcpd.leases").is_err());
        assert!(parse("metalwright leases release").is_err());
        assert!(parse("metalwright machines release x").is_err());
        assert!(parse("metalwright stages start x").is_err());
        assert!(parse("metalwright machines recover").is_err());
        let recover =
            Line::try_parse_from("metalwright tokens recover --data /d".split(' ')).unwrap().command;
        assert!(matches!(
            recover.offline(),
            Ok(Some((data, OfflineTask::RecoverToken))) if data == std::path::Path::new("/d")
        ));
        assert!(parse("metalwright backup").is_err() && parse("metalwright check --yes").is_err());
        let restore = Line::try_parse_from("metalwright restore f".split(' ')).unwrap().command;
        assert!(restore.offline().is_err(), "the directory is named");
        let asked = Line::try_parse_from("metalwright backup -o f --server https://h:1".split(' ')).unwrap();
        assert!(matches!(asked.command.offline(), Ok(None)), "a server is asked");
    }

    #[test]
    fn params_are_a_noun_and_a_question_about_a_machine() {
        assert!(matches!(
            parse("metalwright params list"),
            Ok(Invocation::Noun(Kind::Param, CliVerb::Read(_)))
        ));
        let of = parse("metalwright params web1 -o json");
        assert!(
            matches!(&of, Ok(Invocation::Noun(_, CliVerb::ParamsOf { machine, .. })) if machine == "web1"),
            "{of:?}"
        );
        assert!(parse("metalwright params").is_err());
    }

    #[test]
    fn a_run_is_shown_or_a_document_of_it() {
        let of = parse("metalwright runs show r --document preseed.cfg");
        let Ok(Invocation::Noun(Kind::Run, CliVerb::DocumentOf { run, path })) = of else { panic!("{of:?}") };
        assert_eq!((run.as_str(), path.as_str()), ("r", "preseed.cfg"));
        let shown = parse("metalwright runs show r");
        assert!(matches!(shown, Ok(Invocation::Noun(Kind::Run, CliVerb::Read(_)))), "{shown:?}");
        assert!(parse("metalwright runs documents r").is_ok());
        assert!(parse("metalwright machines show m --document x").is_err());
    }

    #[test]
    fn where_the_server_is_may_stand_at_the_end_of_the_line() {
        let line = "metalwright machines wait web1 --for status.state=complete --timeout 4m --data /d";
        let parsed = Line::try_parse_from(line.split(' ')).unwrap();
        assert_eq!(parsed.command.connection.data.as_deref(), Some(std::path::Path::new("/d")));
        let Invocation::Noun(_, CliVerb::Read(ReadVerb::Wait(args))) = parsed.command.invocation else {
            panic!()
        };
        assert_eq!(args.timeout, Duration::from_secs(240));
        assert!(parse("metalwright machines wait web1 --for status.state").is_err());
        assert!(parse("metalwright machines wait web1 --for a=b --timeout soon").is_err());
    }

    #[test]
    fn what_is_created_comes_from_a_file_or_from_the_line() {
        assert!(parse("metalwright machines create -f - -o name").is_ok());
        assert!(parse("metalwright machines create name=web1 params.rack=a1").is_ok());
        assert!(parse("metalwright machines create -f - name=web1").is_err());
        assert!(parse("metalwright machines create -o json").is_err());
    }

    #[test]
    fn an_artifact_is_a_folder_or_a_file() {
        assert!(parse("metalwright artifacts add a --dir /x").is_ok());
        assert!(parse("metalwright artifacts add a --dir /x --file /y").is_err());
        assert!(parse("metalwright artifacts add a").is_err());
        let sum = format!("sha256:{}", "0".repeat(64));
        let url = "metalwright artifacts add a --url https://h/a.iso";
        assert!(parse(&format!("{url} --checksum {sum}")).is_ok());
        assert!(parse(&format!("{url} --get linux={sum} --get initrd.gz={sum}")).is_ok());
        assert!(parse(&format!("{url} --checksum sha256:00")).is_err());
        assert!(parse("metalwright artifacts add a --iso /a.iso --unverified").is_err());
        assert!(parse("metalwright artifacts verify a --timeout 1h").is_ok());
        assert!(parse("metalwright artifacts prune --dry-run").is_ok());
        assert!(parse("metalwright artifacts prune --dry-run --yes").is_err());
    }
}
