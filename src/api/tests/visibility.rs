//! Tests of which objects a caller may see: use cases themselves hide objects, and no refusal names a hidden
//! one.

use super::*;
use crate::insight::explain::{ExplainRequest, ExplainSubject};
use crate::insight::preview::{ParamScope, PreviewRequest};
use crate::insight::timeline::TimelinePage;
use crate::kernel::{Actor, Caller, Error};
use crate::model::{Kind, Machine, Subnet, Template, Token};
use crate::objects::lanes::WorkFlag;
use crate::objects::list::ListQuery;
use crate::objects::write::{ExpectedRevision, WriteTarget};

fn caller(scopes: &[&str]) -> Caller {
    let scopes = scopes.iter().map(ToString::to_string).collect();
    Caller { actor: Actor::Token("somebody".into()), scopes, ..testing::caller() }
}

/// A server with objects of several kinds that refer to each other.
async fn site() -> Client {
    let client = Client::new().await;
    let machine = json!({"name": "web1", "macs": ["52:54:00:aa:00:01"], "profiles": ["base"]});
    client.post("profiles", json!({"name": "base"})).await.ok();
    client.post("machines", machine).await.ok();
    client.post("subnets", json!({"name": "lan", "cidr": "10.0.0.0/24"})).await.ok();
    let kept = json!({"address": "10.0.0.5", "mac": "52:54:00:aa:00:01", "subnet": "lan"});
    client.post("reservations", kept).await.ok();
    client.post("templates", json!({"name": "motd", "body": "secret text"})).await.ok();
    client
}

fn preview(change: impl FnOnce(&mut Value)) -> PreviewRequest {
    let mut body = json!({"machine": "name:web1"});
    change(&mut body);
    serde_json::from_value(body).unwrap()
}

#[tokio::test]
async fn every_read_of_the_document_needs_the_scope_of_its_own_noun() {
    let client = site().await;
    let token = async |name: &str, scopes: &[&str]| {
        let made = client.post("tokens", json!({"name": name, "scopes": scopes})).await.ok();
        format!("Authorization: Bearer {}", made["token"].as_str().unwrap())
    };
    let areas: Vec<&str> =
        Kind::ALL.map(Kind::plural).into_iter().chain(["dhcp", "events", "server"]).collect();
    let mut reads = 0;
    for (method, path, entry) in CONTRACT.operations() {
        let scope = entry["x-scope"].as_str().and_then(|scope| scope.strip_suffix(":read"));
        let Some(own) = scope.filter(|_| method == "GET" && !path.ends_with("/stream")) else { continue };
        let path = path.split('/').map(|part| if part.starts_with('{') { "name:web1" } else { part });
        let request = format!("GET {}", path.collect::<Vec<_>>().join("/"));
        let others: Vec<String> =
            areas.iter().filter(|area| **area != own).map(|area| format!("{area}:read")).collect();
        let others: Vec<&str> = others.iter().map(String::as_str).collect();
        let stranger = token(&format!("not-{reads}"), &others).await;
        let got = client.send(&request, &[&stranger], Body::empty()).await;
        assert!(got.refused(403).contains(&format!("{own}:read")), "{request}");
        let reader = token(&format!("only-{reads}"), &[&format!("{own}:read")]).await;
        let got = client.send(&request, &[&reader], Body::empty()).await;
        assert!(![401, 403].contains(&got.status.as_u16()), "{request}: {}", got.body);
        reads += 1;
    }
    assert!(reads > 40, "{reads}");
}

#[tokio::test]
async fn a_door_hides_what_its_caller_may_not_read_also_behind_the_gate() {
    let client = site().await;
    let (houses, nobody) = (&client.houses, caller(&["leases:read", "artifacts:write"]));
    let hidden = |kind: Kind, reference: &str| Error::NotFound { kind, reference: reference.to_owned() };
    for reference in ["name:web1", "mac:52:54:00:aa:00:01", "name:nobody"] {
        let machine = hidden(Kind::Machine, reference);
        assert_eq!(houses.objects.get::<Machine>(&nobody, reference).await.unwrap_err(), machine);
        assert_eq!(houses.insight.files(&nobody, reference).unwrap_err(), machine);
        assert_eq!(houses.insight.params(&nobody, reference, ParamScope::Machine).unwrap_err(), machine);
        let who = ExplainSubject::Machine(reference.to_owned());
        assert_eq!(houses.insight.explain(&nobody, &who, &ExplainRequest::default()).unwrap_err(), machine);
        let page = TimelinePage { after: 0, since: None, attempt: None, limit: 10 };
        assert_eq!(houses.insight.timeline(&nobody, reference, page).await.unwrap_err(), machine);
        let target = WriteTarget { reference, expected: ExpectedRevision::Any };
        assert_eq!(houses.objects.delete::<Machine>(&nobody, &target).await.unwrap_err(), machine);
        let act = houses.runs.act(&nobody, reference, &crate::runs::actions::RunAction::Cancel).await;
        assert_eq!(act.unwrap_err(), machine);
    }
    let refused = houses.objects.event_subject(&nobody, "machine:web1").unwrap_err().to_string();
    assert_eq!(refused, "there is no machine `web1`", "hidden is as good as absent");
    let query = ListQuery::parse::<Machine>(&[], nobody.now).unwrap();
    let flag = WorkFlag::default();
    let page = houses.objects.list::<Machine>(&nobody, &query, &flag).unwrap();
    assert_eq!((page.items.len(), page.total, page.next), (0, 0, None));
    let filtered = ListQuery::parse::<Token>(&[("name".into(), "*".into())], nobody.now).unwrap();
    assert_eq!(houses.objects.list::<Token>(&nobody, &filtered, &flag).unwrap().total, 0);
    assert!(houses.dhcp.dhcp_status(&nobody).subnets.is_empty());
    assert_eq!(houses.dhcp.dhcp_status(&caller(&["dhcp:read"])).subnets.len(), 1);
}

#[tokio::test]
async fn an_explanation_of_a_mac_does_not_tell_whose_it_is() {
    let client = site().await;
    let who = ExplainSubject::Mac("52:54:00:aa:00:01".parse().unwrap());
    let told = |caller: &Caller| {
        let explained = client.houses.insight.explain(caller, &who, &ExplainRequest::default()).unwrap();
        serde_json::to_string(&explained).unwrap()
    };
    assert!(told(&caller(&["machines:read"])).contains("web1"));
    assert!(!told(&caller(&["subnets:read"])).contains("web1"));
}

#[tokio::test]
async fn a_preview_names_only_templates_and_bootenvs_that_its_caller_may_read() {
    let client = site().await;
    let named = |preview: PreviewRequest, scopes: &'static [&'static str]| {
        let houses = Arc::clone(&client.houses);
        async move { houses.insight.preview(&caller(scopes), preview).await.unwrap_err() }
    };
    let motd = |body: &mut Value| body["template"] = json!("motd");
    let hidden = Error::NotFound { kind: Kind::Template, reference: "motd".into() };
    assert_eq!(named(preview(motd), &["machines:read"]).await, hidden);
    assert_ne!(named_or_text(&client, preview(motd)).await, hidden.to_string());
    let bootenv = |body: &mut Value| body["bootenv"] = json!("local");
    let hidden = Error::NotFound { kind: Kind::Bootenv, reference: "local".into() };
    assert_eq!(named(preview(bootenv), &["machines:read"]).await, hidden);
}

async fn named_or_text(client: &Client, preview: PreviewRequest) -> String {
    let reader = caller(&["machines:read", "templates:read"]);
    match client.houses.insight.preview(&reader, preview).await {
        Ok(previewed) => previewed.text,
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_conflict_does_not_name_an_object_that_the_caller_may_not_read() {
    let client = site().await;
    let houses = &client.houses;
    let target = WriteTarget { reference: "lan", expected: ExpectedRevision::Any };
    let refused = async |scopes: &[&str]| {
        houses.objects.delete::<Subnet>(&caller(scopes), &target).await.unwrap_err().to_string()
    };
    assert!(refused(&["subnets:write", "reservations:read"]).await.ends_with("by reservation 10.0.0.5"));
    let hidden = refused(&["subnets:write"]).await;
    assert!(hidden.ends_with("by 1 object that your token may not read"), "{hidden}");
    let body = || json!({"name": "web1"});
    let taken = async |scopes: &[&str]| {
        houses.objects.create::<Machine>(&caller(scopes), body()).await.unwrap_err().to_string()
    };
    assert!(taken(&["machines:write"]).await.contains("belongs to machine `web1`"));
    let hidden = taken(&["leases:read"]).await;
    assert!(
        !hidden.contains("web1") && hidden.contains("`machine` that your token may not read"),
        "{hidden}"
    );
    let other = || json!({"name": "other", "cidr": "10.0.0.0/16"});
    let overlap = houses.objects.create::<Subnet>(&caller(&[]), other()).await.unwrap_err().to_string();
    assert!(!overlap.contains("lan") && !overlap.contains("10.0.0.0/24"), "{overlap}");
    let template = houses.objects.get::<Template>(&caller(&["machines:read"]), "motd").await;
    assert!(matches!(template, Err(Error::NotFound { .. })));
}
