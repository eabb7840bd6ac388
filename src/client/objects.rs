//! The calls that every noun has: list, get, create, replace, patch, delete.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use serde_json::Value;

use crate::client::{ApiClient, ClientError};
use crate::model::Kind;

/// Characters that are not encoded in one part of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
/// Most objects that the server puts on one page.
const PAGE_ITEMS_MAX: usize = 1000;
/// Most pages of one list.
const PAGES_MAX: usize = 10_000;

/// Encodes text as one part of a path: a slash in it is `%2F`.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// One object of one kind, as a URL names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPath {
    pub kind: Kind,
    path: String,
}

impl ObjectPath {
    /// `reference` is a key (an id, a name, an address) or `index:value` (`name:web1`, `mac:52:54:…`).
    ///
    /// # Errors
    /// [`ClientError::Invalid`] for a reference that no URL can contain.
    pub fn new(kind: Kind, reference: &str) -> Result<Self, ClientError> {
        if matches!(reference, "" | "." | "..") {
            return Err(ClientError::Invalid(format!("`{reference}` cannot name a {kind}")));
        }
        let path = format!("/{}/{}", kind.plural(), utf8_percent_encode(reference, SEGMENT));
        Ok(ObjectPath { kind, path })
    }

    /// Its path below `/api/v1`, with a suffix such as `/actions/start`.
    pub(crate) fn with(&self, rest: &str) -> String {
        format!("{}{rest}", self.path)
    }
}

/// The query of a list.
#[derive(Clone, Debug, Default)]
pub struct ListRequest {
    /// Filters, `sort`, `fields`, as in the API: `("status.state[ne]", "failed")`.
    pub terms: Vec<(String, String)>,
    /// Most objects to fetch; none fetches all.
    pub limit: Option<usize>,
}

/// A list, whole or up to the limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectList {
    pub items: Vec<Value>,
    /// Number of objects on the server.
    pub total: u64,
}

#[derive(Deserialize)]
struct ObjectPage {
    items: Vec<Value>,
    #[serde(default)]
    next: Option<String>,
    #[serde(default)]
    total: u64,
}

impl ApiClient {
    /// A list; pages are read to the end or to the limit.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn list(&self, kind: Kind, query: &ListRequest) -> Result<ObjectList, ClientError> {
        self.list_at(&format!("/{}", kind.plural()), query).await
    }

    /// A list at a path.
    ///
    /// # Errors
    /// Those of [`ApiClient::list`].
    pub async fn list_at(&self, path: &str, query: &ListRequest) -> Result<ObjectList, ClientError> {
        let mut list = ObjectList::default();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES_MAX {
            let wanted = query.limit.map_or(PAGE_ITEMS_MAX, |limit| limit.saturating_sub(list.items.len()));
            let request = self.request(Method::GET, path).query(&query.terms);
            let request = request.query(&[("limit", wanted.clamp(1, PAGE_ITEMS_MAX).to_string())]);
            let request = request.query(&cursor.iter().map(|cursor| ("cursor", cursor)).collect::<Vec<_>>());
            let page: ObjectPage = self.fetch(request).await?;
            list.total = page.total;
            list.items.extend(page.items);
            let full = query.limit.is_some_and(|limit| list.items.len() >= limit);
            match page.next {
                Some(next) if !full && cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => break,
            }
        }
        list.items.truncate(query.limit.unwrap_or(usize::MAX));
        Ok(list)
    }

    /// One object as readers see it.
    ///
    /// # Errors
    /// An error of the server or the network; 404 if there is no such object.
    pub async fn get(&self, object: &ObjectPath) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, &object.path)).await
    }

    /// One object, or none if it does not exist.
    ///
    /// # Errors
    /// Those of [`ApiClient::get`], except 404.
    pub async fn find(&self, object: &ObjectPath) -> Result<Option<Value>, ClientError> {
        match self.get(object).await {
            Err(error) if error.status() == Some(404) => Ok(None),
            found => found.map(Some),
        }
    }

    /// Creates an object and returns it as it was stored.
    ///
    /// # Errors
    /// An error of the server or the network; 422 with every problem; 409, which names the object that has a
    /// unique value.
    pub async fn create(&self, kind: Kind, body: &Value) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::POST, &format!("/{}", kind.plural())).json(body)).await
    }

    /// Replaces an object; with a revision, only if that is still the present one (else 412).
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn replace(
        &self,
        object: &ObjectPath,
        body: &Value,
        revision: Option<u64>,
    ) -> Result<Value, ClientError> {
        let request = self.request(Method::PUT, &object.path).json(body);
        self.fetch(if_match(request, revision)).await
    }

    /// Changes an object by a JSON Merge Patch (RFC 7396).
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn patch(
        &self,
        object: &ObjectPath,
        merge: &Value,
        revision: Option<u64>,
    ) -> Result<Value, ClientError> {
        let request = self.request(Method::PATCH, &object.path).body(merge.to_string());
        let request = request.header(CONTENT_TYPE, "application/merge-patch+json");
        self.fetch(if_match(request, revision)).await
    }

    /// Deletes an object.
    ///
    /// # Errors
    /// An error of the server or the network; 409, which names the objects that refer to it or use it.
    pub async fn delete(&self, object: &ObjectPath, used: UsedObject) -> Result<(), ClientError> {
        self.send(used.allowed(self.request(Method::DELETE, &object.path))).await.map(|_| ())
    }

    /// Asks for work on an artifact, `fetch` or `verify`; its status shows the progress.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn artifact_action(&self, object: &ObjectPath, verb: &str) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::POST, &object.with(&format!("/actions/{verb}")))).await
    }

    /// Deletes files that no artifact refers to, or reports what would be deleted.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn prune_artifacts(&self, input: &Value) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::POST, "/artifacts/actions/prune").json(input)).await
    }

    /// The objects of packs that others stand in place of.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn hidden_objects(&self) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::GET, "/catalog/hidden")).await
    }

    /// The override that does what a copy does.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn adopt_copy(&self, input: &Value) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::POST, "/overrides/actions/adopt").json(input)).await
    }

    /// Rewrites values of params that have a newer name, or says what would be written.
    ///
    /// # Errors
    /// An error of the server or the network.
    pub async fn migrate_params(&self, input: &Value) -> Result<Value, ClientError> {
        self.fetch(self.request(Method::POST, "/params/actions/migrate").json(input)).await
    }
}

/// What is done with an object that is in use when it is to be deleted, or a lease to be ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedObject {
    /// It stays.
    Keep,
    /// It ends all the same: `force=true`.
    Force,
}

impl UsedObject {
    /// The request, with what it says of this. Servers of before do not know the word.
    pub(super) fn allowed(self, request: RequestBuilder) -> RequestBuilder {
        match self {
            UsedObject::Keep => request,
            UsedObject::Force => request.query(&[("force", "true")]),
        }
    }
}

fn if_match(request: RequestBuilder, revision: Option<u64>) -> RequestBuilder {
    match revision {
        Some(revision) => request.header(IF_MATCH, format!("\"{revision}\"")),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_one_part_of_the_path() {
        let path = |reference: &str| ObjectPath::new(Kind::Template, reference).unwrap().path;
        assert_eq!(path("kickstart/base.ks"), "/templates/kickstart%2Fbase.ks");
        assert_eq!(path("mac:52:54:00:aa:00:01"), "/templates/mac:52:54:00:aa:00:01");
        assert_eq!(path("a?b#c%20"), "/templates/a%3Fb%23c%2520");
        for none in ["", ".", ".."] {
            assert!(ObjectPath::new(Kind::Machine, none).is_err());
        }
    }
}
