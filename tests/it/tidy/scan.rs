//! Just enough of Rust's lexer to see code without its comments and literals, and where brackets close.

/// `text` with comments and the insides of string and character literals replaced by spaces.
pub fn blank(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = quiet_length(rest, out.chars().next_back());
        if length == 0 {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (quiet, after) = rest.split_at(length);
            out.extend(quiet.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = after;
        }
    }
    out
}

/// How many bytes at the start of `rest` are a comment or a literal; 0 when it starts with code.
fn quiet_length(rest: &str, before: Option<char>) -> usize {
    let in_a_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        rest.find("*/").map_or(rest.len(), |end| end + 2)
    } else if let Some(inside) = rest.strip_prefix('"') {
        1 + quoted_length(inside)
    } else if !in_a_word && raw_hashes(rest).is_some() {
        raw_length(rest)
    } else if rest.starts_with('\'') {
        character_length(rest)
    } else {
        0
    }
}

fn quoted_length(inside: &str) -> usize {
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        if c == '"' && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    inside.len()
}

/// The number of `#` when `rest` starts a raw string (`r"`, `r#"`, `br##"` …).
fn raw_hashes(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after[hashes..].starts_with('"').then_some(hashes)
}

fn raw_length(rest: &str) -> usize {
    let end = format!("\"{}", "#".repeat(raw_hashes(rest).unwrap_or(0)));
    let open = rest.find('"').map_or(rest.len(), |at| at + 1);
    rest[open..].find(&end).map_or(rest.len(), |at| open + at + end.len())
}

/// A character literal, as opposed to a lifetime, closes after one character or one escape.
fn character_length(rest: &str) -> usize {
    let inside = &rest[1..];
    if let Some(escape) = inside.strip_prefix('\\') {
        let skip = escape.chars().next().map_or(0, char::len_utf8);
        return escape[skip..].find('\'').map_or(0, |at| 1 + 1 + skip + at + 1);
    }
    let Some(c) = inside.chars().next() else { return 0 };
    if inside[c.len_utf8()..].starts_with('\'') { 1 + c.len_utf8() + 1 } else { 0 }
}

/// The text up to the bracket that closes the one `code` starts with.
pub fn inside_brackets(code: &str) -> &str {
    let mut depth = 0usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return code.get(1..at).unwrap_or_default();
        }
    }
    code.get(1..).unwrap_or_default()
}

/// `text` cut at the commas that stand outside all brackets, each part trimmed, empty parts left out.
pub fn split_at_commas(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0i32, 0usize, Vec::new());
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// The line, from 1, that the byte `at` of `text` is on.
pub fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn comments_and_literals_are_blanked_and_lifetimes_are_not() {
    let text = "let a = \"x{\\\"\"; // {\nlet b = '{'; let c: &'a str = r#\"}\"\"#; f('\\'')";
    assert_eq!(blank(text), "let a =       ;     \nlet b =    ; let c: &'a str =        ; f(    )");
}

#[test]
fn brackets_and_commas_nest() {
    assert_eq!(inside_brackets("(a, (b)) c"), "a, (b)");
    assert_eq!(
        split_at_commas("a: Map<K, V>, f: impl Fn(u8, u8) -> u8, "),
        ["a: Map<K, V>", "f: impl Fn(u8, u8) -> u8"]
    );
}
