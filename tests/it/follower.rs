//! A follower that keeps a copy of the objects by their changes, and its comparison with the server.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::api::Api;

/// Objects of one kind by key, with the commits that wrote them.
type Objects = BTreeMap<String, u64>;

/// A copy of the objects of one kind.
pub struct Follower {
    kind: &'static str,
    objects: Objects,
    commit: u64,
    epoch: String,
}

impl Follower {
    /// A follower that has read the list.
    pub fn new(api: &Api, kind: &'static str) -> Follower {
        let mut follower = Follower { kind, objects: Objects::new(), commit: 0, epoch: String::new() };
        follower.read_list(api);
        follower
    }

    pub fn commit(&self) -> u64 {
        self.commit
    }

    /// The query for everything that the follower has not seen.
    pub fn query(&self) -> String {
        format!("/changes?after={}&epoch={}&kind={}", self.commit, self.epoch, self.kind)
    }

    /// Clears the copy and reads the list.
    pub fn read_list(&mut self, api: &Api) {
        let list = api.get(&format!("/{}s?limit=1000", self.kind)).expect(200);
        self.objects = objects(&list, self.kind);
        self.take_position(&list);
    }

    /// Reads all changes since the last time.
    pub fn follow(&mut self, api: &Api) {
        let (mut query, mut last) = (format!("{}&limit=50", self.query()), self.commit);
        loop {
            let page = api.get(&query).expect(200);
            for change in page["items"].as_array().expect("changes") {
                let commit = change["commit"].as_u64().expect("a number");
                assert!(commit >= last, "{commit} comes after {last}");
                last = commit;
                let key = change["key"].as_str().expect("a key").to_owned();
                match change["what"].as_str() {
                    Some("written") => self.objects.insert(key, commit),
                    _ => self.objects.remove(&key),
                };
            }
            let Some(next) = page["next"].as_str() else {
                assert!(page["commit"].as_u64() >= Some(self.commit), "numbers only grow: {page:#}");
                return self.take_position(&page);
            };
            query = format!("/changes?cursor={next}&kind={}&limit=50", self.kind);
        }
    }

    /// The list and the copy must be equal. Nothing may be written meanwhile.
    pub fn check(&self, api: &Api) {
        let list = api.get(&format!("/{}s?limit=1000", self.kind)).expect(200);
        assert_eq!(self.objects, objects(&list, self.kind));
    }

    fn take_position(&mut self, answer: &Value) {
        self.commit = answer["commit"].as_u64().expect("a number");
        self.epoch = answer["epoch"].as_str().expect("an epoch").to_owned();
    }
}

fn objects(list: &Value, kind: &str) -> Objects {
    let key = match kind {
        "lease" => "address",
        "machine" => "id",
        _ => "name",
    };
    let items = list["items"].as_array().expect("a list").iter();
    let pair = |item: &Value| Some((item[key].as_str()?.to_owned(), item["commit"].as_u64()?));
    items.map(|item| pair(item).expect("a key and a commit")).collect()
}
