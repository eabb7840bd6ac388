//! Tests of packs over the API: loading, the archive, deletion, and who may do it.

use super::*;
use crate::pack_files::{PackFile, read_archive, write_archive};

const SITE: &str =
    "name: site\nversion: 1.0.0\ndescription: Ours\nlicence: MIT\nrequires: {core: \">=0.1\"}\n";

fn archive(manifest: &str) -> Vec<u8> {
    let file = |path: &str, body: &str| PackFile { path: path.to_owned(), body: body.into() };
    write_archive(&[file("pack.yaml", manifest), file("templates/site/a.cfg", "one\n")]).unwrap()
}

async fn push(client: &Client, archive: Vec<u8>) -> Got {
    client.send("POST /api/v1/packs", &["Content-Type: application/zstd"], archive).await
}

#[tokio::test]
async fn a_pack_is_loaded_shown_fetched_and_deleted() {
    let client = Client::new().await;
    let sent = archive(SITE);
    let made = push(&client, sent.clone()).await;
    assert_eq!((made.status.as_u16(), made.header("location")), (201, "/api/v1/packs/site%401.0.0"));
    assert_eq!(push(&client, sent.clone()).await.status.as_u16(), 200);
    let shown = client.get("packs/site@1.0.0").await.ok();
    assert_eq!(
        (&shown["name"], &shown["priority"], &shown["file_count"]),
        (&json!("site@1.0.0"), &json!(100), &json!(2))
    );
    assert_eq!(shown["digest"].as_str().unwrap().len(), 64);
    assert_eq!(client.get("packs?pack=site").await.ok()["total"], json!(1));
    let files = client.get(&format!("contents/{}", shown["files"].as_str().unwrap())).await.ok();
    assert_eq!(files["value"]["templates/site/a.cfg"]["bytes"], json!(4), "{files}");
    assert!(!files.to_string().contains("one"), "{files}");
    let fetched = client.get("packs/site@1.0.0/archive").await;
    assert_eq!(fetched.header("content-type"), "application/zstd");
    let kept = client.houses.kernel.get::<crate::model::Pack>("site@1.0.0").unwrap();
    let again = write_archive(&client.houses.catalog.pack_files(&kept).unwrap()).unwrap();
    assert_eq!(read_archive(&again).unwrap(), read_archive(&sent).unwrap());
    let events = client.get("events?kind=pack.created").await.ok();
    assert_eq!(events["items"][0]["subject"], json!("pack:site@1.0.0"), "{events}");
    client.delete("packs/site@1.0.0").await.ok();
    client.get("packs/site@1.0.0/archive").await.refused(404);
}

#[tokio::test]
async fn a_pack_that_is_none_is_refused_with_the_file_and_the_line_of_each_fault() {
    let client = Client::new().await;
    let refused = push(&client, archive("name: site\nversion: one\n")).await;
    let text = refused.refused(422);
    assert!(text.contains("pack.yaml") && text.contains("/version"), "{text}");
    assert_eq!(refused.body["problems"][0]["line"], json!(2), "{text}");
    assert!(push(&client, b"hello".to_vec()).await.refused(422).contains("not readable as .tar"));
    push(&client, vec![0; 17 << 20]).await.refused(413);
}

#[tokio::test]
async fn a_pack_that_objects_of_the_server_come_from_cannot_be_deleted() {
    let client = Client::new().await;
    push(&client, archive(SITE)).await.ok();
    let pack = client.houses.catalog.pack("site", "1.0.0").unwrap();
    client.houses.catalog.install_pack(&testing::caller(), &pack).await.unwrap();
    let text = client.delete("packs/site@1.0.0").await.refused(409);
    assert!(text.contains("in use by template site/a.cfg"), "{text}");
}

#[tokio::test]
async fn who_may_only_read_packs_loads_and_deletes_none() {
    let client = Client::new().await;
    push(&client, archive(SITE)).await.ok();
    let token = json!({"name": "reader", "scopes": ["packs:read"]});
    let token = client.post("tokens", token).await.ok()["token"].as_str().unwrap().to_owned();
    let reader = Client {
        token,
        houses: Arc::clone(&client.houses),
        router: client.router.clone(),
        shutdown: client.shutdown.clone(),
    };
    assert!(reader.get("packs/site@1.0.0/archive").await.status.is_success());
    push(&reader, archive("name: site\nversion: 1.0.1\n")).await.refused(403);
    reader.delete("packs/site@1.0.0").await.refused(403);
    let token = json!({"name": "other", "scopes": ["templates:write"]});
    let token = client.post("tokens", token).await.ok()["token"].as_str().unwrap().to_owned();
    let other = Client { token, ..reader };
    push(&other, archive("name: site\nversion: 1.0.1\n")).await.refused(403);
    other.get("packs/site@1.0.0/archive").await.refused(403);
}

#[tokio::test]
async fn the_files_of_a_pack_have_their_texts() {
    let client = Client::new().await;
    push(&client, archive(SITE)).await.ok();
    let files = client.get("packs/site@1.0.0/files").await.ok();
    let file = &files["items"][1];
    let shown = (&file["path"], &file["bytes"], &file["text"]);
    assert_eq!(shown, (&json!("templates/site/a.cfg"), &json!(4), &json!("one\n")));
    assert_eq!(file["sha256"], json!(crate::model::sha256_hex("one\n")));
    client.get("packs/site@9.0.0/files").await.refused(404);
}

#[tokio::test]
async fn what_the_lints_find_in_a_loaded_pack_has_file_line_and_remedy() {
    let client = Client::new().await;
    push(&client, archive(SITE)).await.ok();
    let found = client.get("packs/site@1.0.0/findings").await.ok();
    let unused = json!({"severity": "warning", "rule": "unused-template", "path": "templates/site/a.cfg"});
    let items = found["items"].as_array().unwrap();
    let is_that = |item: &Value| unused.as_object().unwrap().iter().all(|(key, value)| item[key] == *value);
    assert!(items.iter().any(is_that), "{found}");
    assert!(items.iter().all(|item| !item["remedy"].as_str().unwrap().is_empty()), "{found}");
    assert_eq!(found["complete"], json!(true));
}
