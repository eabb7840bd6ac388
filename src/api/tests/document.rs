//! Tests of the OpenAPI document.

use super::*;

#[test]
fn the_committed_document_is_the_one_that_is_served() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml");
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == crate::api::openapi(), "write it again: metalwright openapi > openapi.yaml");
}

#[test]
fn the_text_says_what_the_value_says() {
    let text = crate::api::openapi();
    let read: Value = serde_saphyr::from_str(&text).unwrap();
    assert_eq!(read["openapi"], "3.1.0");
    assert_eq!(text, crate::api::openapi(), "the same every time");
    assert!(read["paths"]["/api/v1/machines/{ref}"]["patch"]["responses"]["412"].is_object());
}

#[test]
fn every_operation_has_an_id_of_its_own_and_every_schema_compiles() {
    let mut ids: Vec<String> =
        CONTRACT.operations().iter().map(|(.., entry)| entry["operationId"].to_string()).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let document: Value = serde_saphyr::from_str(&crate::api::openapi()).unwrap();
    for name in document["components"]["schemas"].as_object().unwrap().keys() {
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": document["components"],
        });
        jsonschema::options().build(&schema).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let client = Client::new().await;
    let got = client.send("GET /openapi.yaml", &[], Body::empty()).await;
    assert_eq!(got.body, Value::String(crate::api::openapi()));
}
