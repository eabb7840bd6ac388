//! Parses the command line. The nouns are made from [`Kind`]; each gets the verbs that apply to it.

use clap::error::{Error as ClapError, ErrorKind};
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::cli::artifact_verbs::ArtifactVerb;
use crate::cli::command::{
    CliVerb, ClientCommand, DeleteVerb, Invocation, LeaseVerb, MachineVerb, OtherCommand, OutputArgs,
    ReadVerb, TokenVerb, WriteVerb,
};
use crate::cli::connection::ConnectionArgs;
use crate::cli::nouns::is_writable;
use crate::cli::param_verbs::ParamVerb;
use crate::cli::runs::RunVerb;
use crate::model::{Kind, NounVerb};

/// Adds the verbs of one noun.
fn noun_command(kind: Kind) -> Command {
    let mut command = Command::new(kind.plural()).about(kind.row().about);
    if kind == Kind::ClientClass {
        command = command.visible_alias("client-classes").alias("client-class");
    }
    let mut command = ReadVerb::augment_subcommands(command);
    if is_writable(kind) {
        command = WriteVerb::augment_subcommands(command);
    }
    if kind.row().allows(NounVerb::Delete) {
        command = DeleteVerb::augment_subcommands(command);
    }
    match kind {
        Kind::Machine => MachineVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Lease => LeaseVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Artifact => ArtifactVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Run => RunVerb::augment_subcommands(command)
            .subcommand_required(true)
            .mut_subcommand("show", |show| show.arg(document())),
        Kind::Token => TokenVerb::augment_subcommands(command).subcommand_required(true),
        Kind::Param => {
            let machine = clap::Arg::new("machine").value_name("MACHINE");
            let machine = machine.help("A machine: the values of its params, and where each comes from");
            OutputArgs::augment_args(ParamVerb::augment_subcommands(command).arg(machine))
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
        return Ok(CliVerb::ParamsOf { machine, output: OutputArgs::from_arg_matches(matches)? });
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
    if ParamVerb::has_subcommand(name) {
        return ParamVerb::from_arg_matches(matches).map(CliVerb::Param);
    }
    if TokenVerb::has_subcommand(name) {
        return TokenVerb::from_arg_matches(matches).map(CliVerb::Token);
    }
    MachineVerb::from_arg_matches(matches).map(CliVerb::Machine)
}

/// Adds the flags of the connection. This must not change the help of the command.
fn connected(command: Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    ConnectionArgs::augment_args(command).about(about)
}

fn kind_of(noun: &str) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| kind.plural() == noun)
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
        let nouns = Kind::ALL.map(noun_command);
        // The other commands come before the nouns.
        let all = others.get_subcommands().cloned().chain(nouns);
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
