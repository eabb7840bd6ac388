//! The certificate of the API, as those see it who know nothing of this server: curl, browsers, other tools.

use jiff::Timestamp;

use crate::cli::connection::ConnectionArgs;
use crate::cli::doctor::findings::{Finding, Level, line};
use crate::client::CertificateFacts;

const WARNED_DAYS: i64 = 21;
const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Looks at it; nothing where no server is reached.
pub async fn look(connection: &ConnectionArgs) -> Option<Finding> {
    let (url, certificate) = connection.shown_certificate().await.ok()?;
    Some(finding(&url, CertificateFacts::read(&certificate).as_ref(), Timestamp::now()))
}

fn finding(url: &str, facts: Option<&CertificateFacts>, now: Timestamp) -> Finding {
    let Some(facts) = facts else {
        return line(Level::Warn, "certificate", "the API's certificate does not read as one");
    };
    let (ends, left) = (facts.ends, facts.ends.as_second() - now.as_second());
    let how = "the server renews its own; one in tls/cert.pem is the operator's: replace it, then SIGHUP";
    if left <= 0 || now < facts.begins {
        let found = format!(
            "the API's certificate is valid from {} to {ends}, and it is {now} here: {how}",
            facts.begins
        );
        return line(Level::Fail, "certificate", found);
    }
    let host = host(url);
    if !facts.is_for(host) {
        let found = format!(
            "the API's certificate does not name {host}, so curl and other tools refuse it: list it in \
             api.names, then SIGHUP; one in tls/cert.pem is the operator's"
        );
        return line(Level::Warn, "certificate", found);
    }
    if left < WARNED_DAYS * DAY_SECONDS {
        let found = format!("the API's certificate ends in {} days, {ends}: {how}", left / DAY_SECONDS);
        return line(Level::Warn, "certificate", found);
    }
    line(Level::Ok, "certificate", format!("the API's names {host} and ends {ends}"))
}

/// The host of `https://HOST:PORT`.
fn host(url: &str) -> &str {
    let rest = url.strip_prefix("https://").unwrap_or(url);
    let rest = rest.split('/').next().unwrap_or(rest);
    match rest.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_ends_soon_or_lacks_the_address_is_told() {
        let at = |day: i64| Timestamp::from_second(1_790_000_000 + day * DAY_SECONDS).unwrap();
        let names = ["10.0.0.1".to_owned(), "fd00::1".to_owned()].into();
        let facts = CertificateFacts { begins: at(0), ends: at(100), names };
        for (url, day, level, part) in [
            ("https://10.0.0.1:8443", 50, Level::Ok, "names 10.0.0.1"),
            ("https://[fd00::1]:8443", 50, Level::Ok, "names [fd00::1]"),
            ("https://10.0.0.1", 90, Level::Warn, "ends in 10 days"),
            ("https://10.0.0.2:8443", 50, Level::Warn, "does not name 10.0.0.2"),
            ("https://10.0.0.1:8443", 101, Level::Fail, "is valid from"),
            ("https://10.0.0.1:8443", -1, Level::Fail, "is valid from"),
        ] {
            let found = finding(url, Some(&facts), at(day));
            assert!(found.level == level && found.found.contains(part), "{found:?}");
        }
        assert_eq!(finding("https://x", None, at(0)).level, Level::Warn);
    }
}
