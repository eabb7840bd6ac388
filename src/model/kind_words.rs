//! The words for a kind of object: in events, URLs and the command line.

use std::fmt;

use super::Kind;

impl Kind {
    /// The subject of events about an object of this kind: `machine:0192…`.
    pub fn subject(self, key: impl fmt::Display) -> String {
        format!("{self}:{key}")
    }

    /// `machine`: the name of the table, and the first word of events and subjects.
    pub fn as_str(self) -> &'static str {
        self.row().word
    }

    /// The kind with this word: `machine`.
    pub fn of_word(word: &str) -> Option<Self> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// `machines`: the URL segment and the CLI noun.
    pub fn plural(self) -> &'static str {
        self.row().plural
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
