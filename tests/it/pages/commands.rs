//! The commands of the program that the documents show, and the test that each of them is one that it has.

use clap::error::ErrorKind;
use clap::{CommandFactory, FromArgMatches};
use metalwright::arguments::ProgramArguments;

use super::{CodeBlock, DocsPage, pages, split};

const PROGRAM: &str = "metalwright";
/// What stands for a checksum.
const CHECKSUM: (&str, &str) = ("HEX", "0000000000000000000000000000000000000000000000000000000000000000");
/// Signs of a line that describes commands and is none: `metalwright <noun> <verb>`.
const DESCRIBES: [char; 3] = ['<', '{', '['];

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandPlace {
    /// In a block of code, to be typed as it is.
    Block,
    /// In the text, where it may be the beginning of a command.
    Text,
}

/// A command of a page.
#[derive(Clone, Debug)]
pub struct PageCommand {
    pub page: String,
    pub line: usize,
    pub place: CommandPlace,
    /// Without the name of the program.
    pub words: Vec<String>,
    /// What follows `<<END`.
    pub stdin: Option<String>,
}

impl PageCommand {
    pub fn shown(&self) -> String {
        format!("{}:{}: {PROGRAM} {}", self.page, self.line, self.words.join(" "))
    }
}

/// Every command of every page, by page and place.
pub fn of_all_pages() -> Vec<PageCommand> {
    pages().iter().flat_map(of_page).collect()
}

fn of_page(page: &DocsPage) -> Vec<PageCommand> {
    let (blocks, rest) = split(&page.text);
    let mut found: Vec<PageCommand> = blocks.iter().flat_map(|block| of_block(page, block)).collect();
    let mut paragraph = (1, String::new());
    for (line, number) in rest.iter().chain([&String::new()]).zip(1..) {
        // A row of a table is a paragraph of its own.
        if line.is_empty() || line.starts_with('|') {
            found.extend(of_text(page, &paragraph));
            paragraph = (number, String::new());
        }
        paragraph.1.push_str(line);
        paragraph.1.push(' ');
    }
    found.extend(of_text(page, &paragraph));
    found
}

/// The commands in backquotes.
fn of_text(page: &DocsPage, (line, text): &(usize, String)) -> Vec<PageCommand> {
    let spans = text.split('`').skip(1).step_by(2);
    let commands = spans.filter_map(|span| span.strip_prefix("metalwright "));
    commands
        .filter(|command| !command.contains(&DESCRIBES[..2]))
        .map(|command| PageCommand {
            page: page.path.clone(),
            line: *line,
            place: CommandPlace::Text,
            words: words(command).0,
            stdin: None,
        })
        .collect()
}

/// The lines of a block that begin with the name of the program; where lines have a prompt, those alone.
fn of_block(page: &DocsPage, block: &CodeBlock) -> Vec<PageCommand> {
    let has_prompts = block.lines.iter().any(|line| line.starts_with("$ "));
    let mut found = Vec::new();
    let mut lines = block.lines.iter().zip(block.line..);
    while let Some((line, number)) = lines.next() {
        let line = if has_prompts { line.strip_prefix("$ ") } else { Some(line.as_str()) };
        let Some(typed) = line.and_then(|line| line.trim_start().strip_prefix("metalwright ")) else {
            continue;
        };
        let mut typed = typed.to_owned();
        // A backslash, or a quote that is open, continues it.
        while typed.ends_with('\\') || words(&typed).1 == QuoteState::Open {
            let Some((next, _)) = lines.next() else { break };
            match typed.ends_with('\\') {
                true => typed.truncate(typed.len() - 1),
                false => typed.push('\n'),
            }
            typed.push_str(next);
        }
        let stdin = end_of_input(&typed).map(|end| {
            let input: Vec<&str> =
                lines.by_ref().map(|(line, _)| line.as_str()).take_while(|line| *line != end).collect();
            input.join("\n") + "\n"
        });
        let (page, words) = (page.path.clone(), words(&typed).0);
        found.push(PageCommand { page, line: number, place: CommandPlace::Block, words, stdin });
    }
    found
}

/// The word that ends the input after `<<`.
fn end_of_input(typed: &str) -> Option<String> {
    let after = typed.split_once("<<")?.1;
    Some(after.trim().trim_matches('\'').to_owned())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum QuoteState {
    Closed,
    Open,
}

/// The words of a simple command, as a shell reads them, up to a comment, a pipe, a redirection or its end.
fn words(typed: &str) -> (Vec<String>, QuoteState) {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in typed.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('|' | ';' | '&' | '<' | '>', None) => break,
            ('#', None) if word.is_none() => break,
            // Words that the page leaves out.
            ('…', None) if word.is_none() => {}
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words.retain(|word| word != "...");
    let words = words.into_iter().map(|word| word.replace(CHECKSUM.0, CHECKSUM.1)).collect();
    (words, if quote.is_some() { QuoteState::Open } else { QuoteState::Closed })
}

fn parse(parser: &mut clap::Command, words: &[String]) -> Result<ProgramArguments, clap::Error> {
    let line = [PROGRAM].into_iter().chain(words.iter().map(String::as_str));
    let matches = parser.try_get_matches_from_mut(line)?;
    ProgramArguments::from_arg_matches(&matches)
}

/// Why the program does not take a command; what only names the beginning of one is taken.
fn fault(parser: &mut clap::Command, command: &PageCommand) -> Option<String> {
    let error = parse(parser, &command.words).err()?;
    // The variable METALWRIGHT_DATA says it, as the pages have it.
    if error.kind() == ErrorKind::MissingRequiredArgument {
        let with_data = [&command.words[..], &["--data", "DIR"].map(str::to_owned)].concat();
        if parse(parser, &with_data).is_ok() {
            return None;
        }
    }
    let is_begun = [
        ErrorKind::MissingRequiredArgument,
        ErrorKind::MissingSubcommand,
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand,
        ErrorKind::DisplayHelp,
    ];
    let is_taken = command.place == CommandPlace::Text && is_begun.contains(&error.kind());
    (!is_taken).then(|| format!("{}\n  {}", command.shown(), error.to_string().trim()))
}

#[test]
fn every_command_of_the_documents_is_one_that_the_program_has() {
    let mut parser = ProgramArguments::command();
    let commands = of_all_pages();
    assert!(commands.len() > 200, "{} commands are found", commands.len());
    let faults: Vec<String> = commands.iter().filter_map(|command| fault(&mut parser, command)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_command_that_is_gone_is_found_in_a_block_and_in_the_text() {
    let text = "See `metalwright machines obliterate web1` and `metalwright machines`.\n\n    \
                metalwright machines list --colour # why\n    metalwright machines list\n";
    let commands = of_page(&DocsPage { path: "p.md".to_owned(), text: text.to_owned() });
    let mut parser = ProgramArguments::command();
    let faults: Vec<String> = commands.iter().filter_map(|command| fault(&mut parser, command)).collect();
    assert_eq!((commands.len(), faults.len()), (4, 2), "{faults:?}");
    assert!(faults[0].contains("p.md:3") && faults[1].contains("obliterate"), "{faults:?}");
}

#[test]
fn a_command_is_read_as_a_shell_reads_it() {
    let block = "    $ metalwright subnets create -f - <<'END'\n    name: lan\n    END\n    output\n\n    \
                 $ metalwright profiles set global \\\n        'params.a=[1,\n    2]' x=\"a b\" | tee f\n";
    let commands = of_page(&DocsPage { path: "p.md".to_owned(), text: block.to_owned() });
    assert_eq!(commands.len(), 2, "{commands:?}");
    assert_eq!(commands[0].stdin.as_deref(), Some("name: lan\n"));
    assert_eq!(commands[0].words, ["subnets", "create", "-f", "-"]);
    assert_eq!(commands[1].words, ["profiles", "set", "global", "params.a=[1,\n2]", "x=a b"]);
}
