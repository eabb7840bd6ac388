//! Covers the secrets of a machine in a text that something else wrote, like the log of an installer.

use std::collections::BTreeSet;

use aho_corasick::{AhoCorasick, MatchKind};
use serde_json::Value;

use crate::catalog::Catalog;
use crate::catalog::params::{ParamSubject, secret_values};
use crate::model::{ContentView, Machine, Run, Stored};

/// Shortest secret that is looked for, in bytes: a shorter one is found everywhere.
const SECRET_BYTES_MIN: usize = 4;
/// Most texts that are looked for.
const TEXTS_MAX: usize = 4096;
/// How the tokens of this server begin, and how many characters follow at least.
const TOKEN: (&str, usize) = ("mw_", 20);
/// How hashes of passwords begin (crypt(5)).
const HASHES: [&str; 9] = ["$1$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$2a$", "$2b$", "$2y$"];

/// Covers secrets in texts.
#[derive(Debug)]
pub struct SecretCover {
    values: AhoCorasick,
    /// What stands in the place of a secret.
    cover: &'static str,
}

impl Catalog {
    /// A cover for the secret params of a machine, on all levels: its own, and those of its profiles and its
    /// stage. Blocks while secrets outside of the server are read.
    ///
    /// # Errors
    /// A secret cannot be opened or read, or there are too many to look for.
    pub fn secret_cover(
        &self,
        machine: &Stored<Machine>,
        run: Option<&Run>,
        cover: &'static str,
    ) -> Result<SecretCover, String> {
        let values = self.kernel.read(|world| {
            let content = ContentView::of_run(world, run);
            let stage = machine.status.stage.as_ref().and_then(|name| content.stage(name));
            let of = ParamSubject { machine: Some(machine), stage: stage.map(|stage| &stage.spec) };
            secret_values(content, of, &self.kernel.secrets)
        })?;
        let values = self.with_outside_values(values)?;
        let mut texts = BTreeSet::new();
        values.iter().for_each(|value| add_texts(value, &mut texts));
        SecretCover::of(texts, cover)
    }
}

impl SecretCover {
    fn of(texts: BTreeSet<String>, cover: &'static str) -> Result<Self, String> {
        if texts.len() > TEXTS_MAX {
            return Err(format!("its machine has more than {TEXTS_MAX} secrets to look for"));
        }
        let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts);
        built.map(|values| SecretCover { values, cover }).map_err(|error| error.to_string())
    }

    /// The text without the secrets, without tokens of this server, hashes of passwords, and
    /// passwords in URLs.
    pub fn apply(&self, text: &str) -> String {
        let mut covered = String::with_capacity(text.len());
        self.values.replace_all_with(text, &mut covered, |_, _, covered| {
            covered.push_str(self.cover);
            true
        });
        covered.split_inclusive(char::is_whitespace).map(|word| self.cover_word(word)).collect()
    }

    /// A word without what looks like a secret by itself. `word` may end in white space.
    fn cover_word(&self, word: &str) -> String {
        let cover = self.cover;
        let (text, space) = word.split_at(word.trim_end().len());
        let begin = HASHES.iter().filter_map(|begin| text.find(begin)).min();
        if let Some((head, _)) = begin.and_then(|at| text.split_at_checked(at)) {
            return format!("{head}{cover}{space}");
        }
        if let Some((head, tail)) = text.split_once(TOKEN.0)
            && tail.len() >= TOKEN.1
        {
            return format!("{head}{cover}{space}");
        }
        match text.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
            Some((scheme, (user, host))) if user.contains(':') && !user.contains('/') => {
                format!("{scheme}://{cover}@{host}{space}")
            }
            _ => word.to_owned(),
        }
    }
}

/// The texts of a secret: each string in it, and each of its lines.
fn add_texts(value: &Value, texts: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let parts = std::iter::once(text.as_str()).chain(text.lines()).map(str::trim);
            texts.extend(parts.filter(|part| part.len() >= SECRET_BYTES_MIN).map(str::to_owned));
        }
        Value::Number(number) => {
            texts.extend(Some(number.to_string()).filter(|text| text.len() >= SECRET_BYTES_MIN));
        }
        Value::Array(values) => values.iter().for_each(|value| add_texts(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| add_texts(value, texts)),
        Value::Null | Value::Bool(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn covered(secrets: &Value, text: &str) -> String {
        let mut texts = BTreeSet::new();
        add_texts(secrets, &mut texts);
        SecretCover::of(texts, "(sealed)").unwrap().apply(text)
    }

    #[test]
    fn the_values_of_secrets_and_each_of_their_lines_are_covered() {
        let secrets = json!(["hunter2", {"key": "-----BEGIN\nMIIabc\n"}, 90125, "abc"]);
        let text = "pass hunter2!\nline MIIabc\n90125 abc";
        assert_eq!(covered(&secrets, text), "pass (sealed)!\nline (sealed)\n(sealed) abc");
        assert_eq!(covered(&json!(["pass", "password"]), "password pass"), "(sealed) (sealed)");
        assert_eq!(covered(&json!([]), "nothing to cover\n"), "nothing to cover\n");
    }

    #[test]
    fn what_looks_like_a_secret_is_covered_whosever_it_is() {
        let token = format!("token=mw_{}\n", "a".repeat(43));
        assert_eq!(covered(&json!([]), &token), "token=(sealed)\n");
        assert_eq!(
            covered(&json!([]), "rootpw --iscrypted '$6$salt$abc/def' x"),
            "rootpw --iscrypted '(sealed) x"
        );
        assert_eq!(covered(&json!([]), "get http://me:pw@proxy:3128/x"), "get http://(sealed)@proxy:3128/x");
        for plain in ["http://host/a@b", "costs $5", "mw_short", "é mw"] {
            assert_eq!(covered(&json!([]), plain), plain);
        }
    }
}
