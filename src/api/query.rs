//! The query of a URL: decoded names and values, within bounds.

use percent_encoding::percent_decode_str;

use crate::kernel::Error;
use crate::model::nearest;

/// Most pairs in one query.
const PAIRS_MAX: usize = 64;

/// The pairs of a query, in order.
#[derive(Debug, Clone, Default)]
pub struct UrlQuery(pub Vec<(String, String)>);

impl UrlQuery {
    /// Decodes the part after the `?`.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for text that is not UTF-8, or too many pairs.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let pairs: Vec<&str> = text.split('&').filter(|pair| !pair.is_empty()).collect();
        if pairs.len() > PAIRS_MAX {
            return Err(Error::BadRequest(format!("a query has at most {PAIRS_MAX} parameters")));
        }
        pairs
            .into_iter()
            .map(|text: &str| {
                let (name, value) = text.split_once('=').unwrap_or((text, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_, _>>()
            .map(UrlQuery)
    }

    /// The last value given for a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().rev().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    /// A value of a type; `None` if absent.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which says what the value must be.
    pub fn get_as<T: std::str::FromStr>(&self, name: &str, what: &'static str) -> Result<Option<T>, Error> {
        self.get(name)
            .map(|text| {
                text.parse().map_err(|_| Error::BadRequest(format!("`{name}` is {what}, not `{text}`")))
            })
            .transpose()
    }

    /// Refuses names that the operation does not know.
    ///
    /// # Errors
    /// [`Error::BadRequest`], which names the known ones.
    pub fn only(&self, known: &[String]) -> Result<(), Error> {
        let Some((unknown, _)) = self.0.iter().find(|(name, _)| !known.contains(name)) else {
            return Ok(());
        };
        let hint = match (nearest(unknown, known.iter().map(String::as_str)), known) {
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, []) => "there are none here".to_owned(),
            (None, _) => format!("there are: {}", known.join(", ")),
        };
        Err(Error::BadRequest(format!("there is no parameter `{unknown}`; {hint}")))
    }
}

fn decode(text: &str) -> Result<String, Error> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map(|text| text.into_owned());
    decoded.map_err(|_| Error::BadRequest(format!("the query is not UTF-8 text: `{text}`")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        let query = UrlQuery::parse("updated_at%5Bgt%5D=2026-01-01T00%3A00%3A00Z&name=a+b&flag").unwrap();
        assert_eq!(query.get("updated_at[gt]"), Some("2026-01-01T00:00:00Z"));
        assert_eq!((query.get("name"), query.get("flag"), query.get("x")), (Some("a b"), Some(""), None));
        assert!(UrlQuery::parse("a=%ff").is_err());
        assert!(UrlQuery::parse(&"a&".repeat(65)).is_err());
    }

    #[test]
    fn an_unknown_parameter_is_told_the_nearest() {
        let error =
            UrlQuery::parse("limt=1").unwrap().only(&["limit", "after"].map(str::to_owned)).unwrap_err();
        assert!(error.to_string().contains("did you mean `limit`"), "{error}");
    }
}
