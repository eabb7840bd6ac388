//! The key-value store, version 2, of HashiCorp Vault and OpenBao over HTTP: `GET /v1/MOUNT/data/PATH` with
//! the token in the header `X-Vault-Token`. The answer has the fields in `data.data`.
//!
//! The server connects to the address of the configuration alone, whatever `fetch.allow` says. No redirect is
//! followed: the token is for this place.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use serde_json::Value;
use zeroize::Zeroizing;

use crate::catalog::outside::{ReadSecret, SECRET_BYTES_MAX, usable};
use crate::model::{AllowedPlace, FetchPolicy, SecretReference, UrlPlace, VaultAccess};
use crate::outbound::{FetchReach, FetchScope, OutboundClient, TrustBase};

/// Longest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most messages of the store that are quoted, and most characters of each.
const MESSAGES_MAX: usize = 3;
const MESSAGE_CHARS_MAX: usize = 200;

/// The fields of one secret, or why it cannot be read.
type Fields = Result<serde_json::Map<String, Value>, String>;

/// Reads secrets of the store, one after the other; each path is asked for once.
pub(super) async fn read(
    vault: &VaultAccess,
    references: Vec<SecretReference>,
) -> Vec<(SecretReference, ReadSecret)> {
    let mut known: BTreeMap<(String, String), Fields> = BTreeMap::new();
    let mut read = Vec::new();
    let client = client(vault);
    for reference in references {
        let SecretReference::Vault { mount, path, field } = &reference else { continue };
        let place = (mount.clone(), path.clone());
        if !known.contains_key(&place) {
            let fields = match &client {
                Ok((client, token)) => fields(vault, (client, token), &place).await,
                Err(why) => Err(why.clone()),
            };
            known.insert(place.clone(), fields);
        }
        let found = match known.get(&place) {
            Some(Ok(fields)) => field_of(fields, field),
            Some(Err(why)) => Err(why.clone()),
            None => Err("it was not read".to_owned()),
        };
        let found = found.map_err(|why| format!("`{reference}`: {why}"));
        read.push((reference, found));
    }
    read
}

/// A client that connects to the store alone, and the token.
fn client(vault: &VaultAccess) -> Result<(OutboundClient, Zeroizing<String>), String> {
    let address = &vault.address;
    let place = UrlPlace::of_url(address).ok_or_else(|| format!("{address} has no host"))?;
    let allowed: Vec<AllowedPlace> = place.entry().parse().into_iter().collect();
    let reach = FetchReach::new(None, Arc::new(FetchPolicy::new(allowed)), FetchScope::Listed);
    let client = reach.client(address, TrustBase::Tls).map_err(|error| format!("{address}: {error}"))?;
    let file = vault.token_file.display();
    let token = fs::read_to_string(&vault.token_file).map(Zeroizing::new);
    let token = token.map_err(|error| format!("the token in {file}: {error}"))?;
    match token.trim() {
        "" => Err(format!("the token in {file}: it is empty")),
        token => Ok((client, Zeroizing::new(token.to_owned()))),
    }
}

async fn fields(
    vault: &VaultAccess,
    (client, token): (&OutboundClient, &Zeroizing<String>),
    (mount, path): &(String, String),
) -> Fields {
    let url = format!("{}/v1/{mount}/data/{path}", vault.address);
    let mut headers = vec![("x-vault-token", token.as_str()), ("x-vault-request", "true")];
    headers.extend(vault.namespace.as_deref().map(|namespace| ("x-vault-namespace", namespace)));
    let answer = client.get_here(&url, &headers, ANSWER_BYTES_MAX).await;
    let (status, body) = answer.map_err(|error| format!("{}: {error}", vault.address))?;
    let body = Zeroizing::new(body);
    let answer: Option<Value> = serde_json::from_slice(&body).ok();
    let what =
        |what: &str| Err(format!("{} answers {status}{}: {what}", vault.address, said(answer.as_ref())));
    match status {
        200 => match answer.as_ref().and_then(|answer| answer.pointer("/data/data")?.as_object()) {
            Some(fields) => Ok(fields.clone()),
            None => what("it is no answer of a key-value store, version 2"),
        },
        301..=308 => what("name the address that answers itself, as no redirect is followed"),
        403 => what("its token is not good for this path"),
        404 => what("there is no such secret, or its newest version is deleted"),
        503 => what("the store is sealed or not ready"),
        _ => what("it cannot be read"),
    }
}

/// What the store says about an error. Its messages name paths and rights, and no values.
fn said(answer: Option<&Value>) -> String {
    let errors = answer.and_then(|answer| answer.get("errors")?.as_array());
    let texts = errors.into_iter().flatten().filter_map(Value::as_str).take(MESSAGES_MAX);
    let texts: Vec<String> =
        texts.map(|text| text.trim().chars().take(MESSAGE_CHARS_MAX).collect()).collect();
    if texts.is_empty() { String::new() } else { format!(" ({})", texts.join("; ")) }
}

fn field_of(fields: &serde_json::Map<String, Value>, field: &str) -> ReadSecret {
    match fields.get(field) {
        None => Err("the secret has no such field".to_owned()),
        Some(Value::String(text)) if text.len() > SECRET_BYTES_MAX => {
            Err(format!("it has more than {SECRET_BYTES_MAX} bytes"))
        }
        Some(Value::String(text)) => usable(Zeroizing::new(text.clone())),
        Some(_) => Err("the field is no text".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use super::*;

    /// A store that gives these answers, one a connection, and then the heads that it was asked with.
    fn store(answers: Vec<String>) -> (String, JoinHandle<Vec<String>>) {
        drop(rustls::crypto::ring::default_provider().install_default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = std::thread::spawn(move || {
            let asked = answers.into_iter().map(|answer| {
                let (mut stream, _) = listener.accept().unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                stream.write_all(answer.as_bytes()).unwrap();
                head.join("\n").to_ascii_lowercase()
            });
            asked.collect()
        });
        (address, serving)
    }

    fn answer(status: &str, body: &str) -> String {
        let length = body.len();
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    }

    /// As the API's documentation has it.
    const SECRET: &str = r#"{"request_id": "a", "lease_id": "", "renewable": false, "lease_duration": 0,
        "data": {"data": {"password": "s3cret", "port": 22, "none": ""}, "metadata": {"version": 3}},
        "wrap_info": null, "warnings": null, "auth": null}"#;

    async fn ask(address: &str, token: &str, references: &[&str]) -> Vec<Result<String, String>> {
        let directory = tempfile::tempdir().unwrap();
        let token_file = directory.path().join("token");
        std::fs::write(&token_file, token).unwrap();
        let vault = VaultAccess {
            address: address.to_owned(),
            token_file,
            namespace: Some("site".to_owned()),
            paths: vec!["secret".to_owned()],
        };
        let references = references.iter().map(|text| text.parse().unwrap()).collect();
        let found = super::read(&vault, references).await.into_iter();
        found.map(|(_, text)| text.map(|text| text.as_str().to_owned())).collect()
    }

    #[tokio::test]
    async fn fields_of_one_secret_are_read_by_one_request_with_the_token() {
        let (address, serving) = store(vec![answer("200 OK", SECRET)]);
        let named = ["vault:secret/metal/root#password", "vault:secret/metal/root#port"];
        let named = [named[0], named[1], "vault:secret/metal/root#none", "vault:secret/metal/root#absent"];
        let found = ask(&address, "hvs.token\n", &named).await;
        assert_eq!(found[0], Ok("s3cret".to_owned()));
        for (n, why) in [(1, "no text"), (2, "it is empty"), (3, "no such field")] {
            assert!(found[n].as_ref().unwrap_err().contains(why), "{found:?}");
        }
        let head = serving.join().unwrap().remove(0);
        assert!(head.starts_with("get /v1/secret/data/metal/root http/1.1"), "{head}");
        assert!(
            head.contains("x-vault-token: hvs.token") && head.contains("x-vault-namespace: site"),
            "{head}"
        );
    }

    #[tokio::test]
    async fn a_store_that_is_away_sealed_or_strict_is_told_and_nothing_is_taken_for_a_secret() {
        let sealed = answer("503 Service Unavailable", r#"{"errors": ["Vault is sealed"]}"#);
        let denied = answer("403 Forbidden", r#"{"errors": ["permission denied"]}"#);
        let absent = answer("404 Not Found", r#"{"errors": []}"#);
        let moved =
            "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.9:1/\r\nContent-Length: 0\r\n\r\n";
        let cases = [
            (sealed, "503 (Vault is sealed): the store is sealed"),
            (denied, "403 (permission denied): its token is not good"),
            (absent, "404: there is no such secret"),
            (moved.to_owned(), "no redirect is followed"),
            (answer("200 OK", r#"{"data": {"password": "version one"}}"#), "version 2"),
            (answer("200 OK", "<html>"), "version 2"),
        ];
        for (answer, why) in cases {
            let (address, serving) = store(vec![answer]);
            let found = ask(&address, "t", &["vault:secret/metal/root#password"]).await;
            let said = found[0].as_ref().unwrap_err();
            assert!(said.contains(why) && !said.contains("version one"), "{said}");
            serving.join().unwrap();
        }
        let gone = ask("http://127.0.0.1:1", "t", &["vault:secret/a#b"]).await;
        assert!(gone[0].as_ref().unwrap_err().contains("http://127.0.0.1:1"), "{gone:?}");
        let empty = ask("http://127.0.0.1:1", "\n", &["vault:secret/a#b"]).await;
        assert!(empty[0].as_ref().unwrap_err().contains("it is empty"), "{empty:?}");
    }
}
