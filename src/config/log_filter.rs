//! The filter of the log, `log.level`. The logging library would read a misspelt level as the name of a
//! module and log nothing, so unknown names are refused here.
//!
//! The syntax is that of `tracing_subscriber::EnvFilter`: directives separated by commas, each a level or
//! `TARGET=LEVEL`.

use crate::model::nearest;

/// The levels, from silent to loud.
pub const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// Longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 1024;
/// The level for everything that no directive mentions.
const DEFAULT: &str = "info";

/// The filter for the log: the configured one, with `info` for everything that it does not mention.
///
/// # Errors
/// The fault, with the existing levels. Modules of this program must exist; names of other crates are only
/// checked for their form.
pub fn check(text: &str) -> Result<String, String> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(format!("a filter has at most {FILTER_BYTES_MAX} bytes"));
    }
    let mut has_default = false;
    for directive in text.split(',').map(str::trim) {
        match directive.split_once('=') {
            None => {
                check_level(directive)?;
                has_default = true;
            }
            Some((target, level)) => {
                check_target(target.trim())?;
                check_level(level.trim())?;
            }
        }
    }
    Ok(if has_default { text.to_owned() } else { format!("{DEFAULT},{text}") })
}

fn check_level(text: &str) -> Result<(), String> {
    if LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text)) {
        return Ok(());
    }
    let near = nearest(&text.to_lowercase(), LEVELS.iter().copied());
    let hint = near.map_or_else(|| ".".to_owned(), |near| format!("; did you mean `{near}`?"));
    Err(format!(
        "there is no level `{text}`{hint} The levels are: {}. For one module write it like \
         metalwright::dhcp=debug",
        LEVELS.join(", ")
    ))
}

fn is_module_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn check_target(target: &str) -> Result<(), String> {
    if !target.split("::").all(is_module_word) {
        return Err(format!("`{target}` is not the name of a module, like metalwright::dhcp"));
    }
    let Some(module) = target.strip_prefix("metalwright::") else {
        let near = nearest(target, ["metalwright"]).filter(|_| target != "metalwright");
        return match near {
            Some(near) => Err(format!("`{target}` is not a crate; did you mean `{near}`?")),
            None => Ok(()),
        };
    };
    if module_names().any(|known| known == module) {
        return Ok(());
    }
    let hint = match nearest(module, module_names()) {
        Some(near) => format!("did you mean `metalwright::{near}`?"),
        None => {
            let top: Vec<&str> = module_names().filter(|module| !module.contains("::")).collect();
            format!("there are: {}", top.join(", "))
        }
    };
    Err(format!("there is no module `{target}`; {hint}"))
}

fn module_names() -> std::str::Lines<'static> {
    include_str!(concat!(env!("OUT_DIR"), "/modules.txt")).lines()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_with_the_levels_there_are() {
        for wrong in
            ["verbos", "verbose", "", "infoo", "debug,lowd", "metalwright::dhcp", "hyper=loud", "=info"]
        {
            let why = check(wrong).unwrap_err();
            assert!(why.contains("The levels are: off, error") || wrong == "=info", "{wrong}: {why}");
        }
        assert!(check("debgu").unwrap_err().contains("did you mean `debug`?"));
    }

    #[test]
    fn a_module_of_ours_that_there_is_not_is_refused_with_the_nearest() {
        let why = check("metalwright::dhpc=debug").unwrap_err();
        assert!(why.contains("did you mean `metalwright::dhcp`?"), "{why}");
        let why = check("info,metalwright::dhcp::servr=debug").unwrap_err();
        assert!(why.contains("did you mean `metalwright::dhcp::server`?"), "{why}");
        assert!(check("metalwrigth=debug").unwrap_err().contains("did you mean `metalwright`?"));
        assert!(check("metalwright::zzzzzzzz=debug").unwrap_err().contains("there are: "));
    }

    #[test]
    fn levels_and_modules_are_taken_and_the_rest_goes_on_being_logged() {
        for right in
            ["info", "WARN", "off", "warn,metalwright::dhcp::server::queue=trace", "info, hyper=debug"]
        {
            assert_eq!(check(right).as_deref(), Ok(right));
        }
        assert_eq!(check("metalwright::dhcp=debug").as_deref(), Ok("info,metalwright::dhcp=debug"));
        assert_eq!(check("metalwright=debug,h2=off").as_deref(), Ok("info,metalwright=debug,h2=off"));
    }
}
