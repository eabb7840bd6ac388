//! How long a line, a function, a file and a list of parameters may be.

use super::Fault;
use super::scan::{inside_brackets, line_of, split_at_commas};
use super::source::Source;

const FILE_LINES_MAX: usize = 500;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_COLUMNS_MAX: usize = 110;
const PARAMETERS_MAX: usize = 5;

pub struct Function<'a> {
    pub name: &'a str,
    pub line: usize,
    lines: usize,
    is_public: bool,
    pub parameters: Vec<&'a str>,
    /// What it returns, with its `where`.
    pub result: &'a str,
}

pub fn length_faults(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        let why = format!("{lines} lines, at most {FILE_LINES_MAX}");
        faults.push(Fault::new("file length", source.path.as_str(), why).measured(lines));
    }
    for (index, line) in source.text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > LINE_COLUMNS_MAX {
            let place = format!("{}:{}", source.path, index + 1);
            let why = format!("{columns} columns, at most {LINE_COLUMNS_MAX}");
            faults.push(Fault::new("line length", place, why).measured(columns));
        }
    }
    for function in functions(&source.code).iter().filter(|function| function.lines > FUNCTION_LINES_MAX) {
        let why = format!("line {}: {} lines, at most {FUNCTION_LINES_MAX}", function.line, function.lines);
        faults.push(Fault::new("function length", place(source, function), why).measured(function.lines));
    }
    faults
}

pub fn parameter_faults(source: &Source) -> Vec<Fault> {
    let mut faults = Vec::new();
    for function in functions(source.shipped()) {
        let count = function.parameters.iter().map(|parameter| members(parameter)).sum::<usize>();
        if count > PARAMETERS_MAX {
            let why = format!("line {}: {count} parameters, at most {PARAMETERS_MAX}", function.line);
            faults.push(Fault::new("parameters", place(source, &function), why).measured(count));
        }
        let types: Vec<&str> =
            function.parameters.iter().filter_map(|p| Some(p.split_once(':')?.1.trim())).collect();
        // Inside of a module the caller is in sight; across modules swapped arguments go unnoticed.
        if function.is_public && types.windows(2).any(|pair| pair[0] == pair[1]) {
            let why = format!("line {}: two neighbouring parameters of one type", function.line);
            faults.push(Fault::new("parameter types", place(source, &function), why));
        }
        if function.is_public && types.contains(&"bool") {
            let why = format!("line {}: a public bool parameter, name the two cases", function.line);
            faults.push(Fault::new("bool parameters", place(source, &function), why));
        }
    }
    faults
}

/// The number of values in a parameter: the members of a tuple count, so that a tuple cannot bypass the rule.
/// A destructured parameter is an extractor of a request handler, which only axum calls.
fn members(parameter: &str) -> usize {
    let Some((pattern, kind)) = parameter.split_once(':') else { return 1 };
    let is_extractor = |part: &str| part.contains('(');
    if !kind.trim().starts_with('(') {
        return usize::from(!is_extractor(pattern));
    }
    let extracted = split_at_commas(inside_brackets(pattern)).into_iter().filter(|part| is_extractor(part));
    split_at_commas(inside_brackets(kind.trim())).len().saturating_sub(extracted.count())
}

fn place(source: &Source, function: &Function) -> String {
    format!("{}::{}", source.path, function.name)
}

pub fn functions(code: &str) -> Vec<Function<'_>> {
    code.match_indices("fn ").filter_map(|(at, _)| function_at(code, at)).collect()
}

fn function_at(code: &str, at: usize) -> Option<Function<'_>> {
    if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let start = at + "fn ".len();
    let name_end = code[start..].find(|c: char| !(c.is_alphanumeric() || c == '_'))? + start;
    let name = code.get(start..name_end).filter(|name| !name.is_empty())?;
    let open = name_end + code[name_end..].find(opens_parameters(&code[name_end..]))?;
    let parameters = inside_brackets(&code[open..]);
    let after = open + parameters.len() + 2;
    let end = after + code.get(after..)?.find(['{', ';'])?;
    let body = if code[end..].starts_with('{') { inside_brackets(&code[end..]) } else { "" };
    let start_of_line = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
    Some(Function {
        name,
        line: line_of(code, at),
        lines: code[at..end].matches('\n').count() + body.matches('\n').count() + 1,
        is_public: code[start_of_line..at].trim_start().starts_with("pub "),
        parameters: split_at_commas(parameters).into_iter().filter(|part| !is_self(part)).collect(),
        result: code.get(after..end).unwrap_or_default(),
    })
}

/// Finds the bracket that opens the parameters: the first one outside `<…>`.
fn opens_parameters(signature: &str) -> impl FnMut(char) -> bool {
    let has_generics = signature.starts_with('<');
    let (mut depth, mut before) = (0i32, ' ');
    move |c| {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        before = c;
        c == '(' && (!has_generics || depth == 0)
    }
}

fn is_self(parameter: &str) -> bool {
    let name = parameter.split(':').next().unwrap_or_default();
    name.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == "self")
}

#[test]
fn a_long_function_is_a_fault_and_a_short_one_is_not() {
    let text = format!(
        "//! x\nfn short() {{}}\nimpl A {{\n    fn long<F: Fn(u8) -> u8>(f: F) {{\n{}    }}\n}}\n",
        "\n".repeat(70)
    );
    let faults = length_faults(&Source::of("src/a.rs", &text));
    assert_eq!(faults.len(), 1);
    assert_eq!((faults[0].place.as_str(), faults[0].measure), ("src/a.rs::long", 72));
}

#[test]
fn parameters_are_counted_without_self() {
    let text = "pub fn a(&self, b: u8, c: u8) {}\n\
                fn d(e: u8, (f, g): (u16, u8), h: u16, (i, j): (u8, u16)) {}\npub fn k(l: bool) {}\n\
                async fn m(State(n): State<S>, (Path(o), p): (Path<P>, u8), q: u8, r: u8, s: u8) {}\n";
    let rules: Vec<&str> =
        parameter_faults(&Source::of("src/a.rs", text)).iter().map(|fault| fault.rule).collect();
    assert_eq!(rules, ["parameter types", "parameters", "bool parameters"]);
}
