//! Tests of filters, order, paging and trimming.

use super::*;
use crate::objects::list::PAGE_BYTES_MAX;

async fn machines(client: &Client) {
    for (name, rack, serial) in
        [("web1", "a1", "3"), ("web2", "a2", "1"), ("db1", "a1", "2"), ("db2", "b1", "")]
    {
        let role = name.trim_end_matches(['1', '2']);
        let mut body = json!({"name": name, "params": {"rack": rack}, "labels": {"role": role}});
        if !serial.is_empty() {
            body["serial"] = json!(serial);
        }
        client.post("machines", body).await.ok();
    }
}

async fn names(client: &Client, query: &str) -> Vec<String> {
    let page = client.get(&format!("machines?{query}")).await.ok();
    let items = page["items"].as_array().unwrap();
    assert!(page["total"].as_u64().unwrap() as usize >= items.len());
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn filters_narrow_a_list_and_all_of_them_hold() {
    let client = Client::new().await;
    machines(&client).await;
    for (query, expected) in [
        ("name=web*", vec!["web1", "web2"]),
        ("param.rack=a1&label.role=db", vec!["db1"]),
        ("name[in]=web1,db2", vec!["web1", "db2"]),
        ("name[nin]=web1,db2", vec!["web2", "db1"]),
        ("name[ne]=web*", vec!["db1", "db2"]),
        ("serial[exists]=false", vec!["db2"]),
        ("serial[gte]=2", vec![]),
        ("status.state=registered&name[like]=*2", vec!["web2", "db2"]),
        ("revision[lt]=2&name=db1", vec!["db1"]),
        ("updated_at[gt]=2099-01-01T00:00:00Z", vec![]),
        ("locked=false&arch=amd64", vec!["web1", "web2", "db1", "db2"]),
    ] {
        assert_eq!(names(&client, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn an_unknown_field_or_operator_is_told_the_ones_there_are() {
    let client = Client::new().await;
    let text = client.get("machines?nmae=x").await.refused(400);
    assert!(text.contains("did you mean `name`") && text.contains("status.state"), "{text}");
    assert!(client.get("machines?name[is]=x").await.refused(400).contains("exists"));
    assert!(client.get("machines?sort=nothing").await.refused(400).contains("smbios_uuid"));
    assert!(client.get("machines?fields=nothing").await.refused(400).contains("smbios_uuid"));
    assert!(client.get("machines?limit=1001").await.refused(400).contains("1 to 1000"));
    assert!(client.get("machines?cursor=xyz").await.refused(400).contains("cursor"));
    assert!(client.get("events?knd=x").await.refused(400).contains("did you mean `kind`"));
    assert!(client.get("machines/x?verbose=1").await.refused(400).contains("`verbose`"));
}

#[tokio::test]
async fn a_filter_names_a_machine_as_people_do_and_a_slip_is_told_the_nearest() {
    let client = Client::new().await;
    let mac = "52:54:00:aa:00:01";
    let made = client.post("machines", json!({"name": "web1", "macs": [mac]})).await.ok();
    client.post("machines", json!({"name": "web2"})).await.ok();
    client.post("tasks", json!({"name": "t"})).await.ok();
    client.post("stages", json!({"name": "s", "tasks": ["t"]})).await.ok();
    client.post("workflows", json!({"name": "w", "stages": ["s"]})).await.ok();
    client.post("machines/name:web1/actions/start", json!({"workflow": "w"})).await.ok();
    let id = made["id"].as_str().unwrap();
    for name in ["web1", id, mac, "52-54-00-AA-00-01"] {
        let runs = client.get(&format!("runs?machine={name}")).await.ok();
        assert_eq!((&runs["total"], &runs["items"][0]["machine"]), (&json!(1), &json!(id)), "{name}");
    }
    assert_eq!(client.get("runs?machine[ne]=web1").await.ok()["total"], 0);
    assert_eq!(client.get("runs?machine=web2").await.ok()["total"], 0);
    for list in ["runs", "jobs", "leases", "events"] {
        let said = client.get(&format!("{list}?machine=wbe1")).await.refused(400);
        assert!(said.contains("there is no machine `wbe1`; did you mean `web1`?"), "{list}: {said}");
    }
    let said = client.get("events?subject=machine:wbe1").await.refused(400);
    assert!(said.contains("did you mean `web1`?"), "{said}");
    let seen = client.get("events?machine=web1&kind=run.started").await.ok();
    assert_eq!(seen["items"][0]["subject"], format!("machine:{id}"), "{seen}");
    client.get("events?machine=web1&subject=machine:web1").await.refused(400);
    // A machine that is gone is named by its id, as its events and runs are.
    client.post("machines/name:web1/actions/cancel", json!({})).await.ok();
    assert_eq!(client.delete("machines/name:web1").await.status, 204);
    assert_eq!(client.get(&format!("runs?machine={id}")).await.ok()["total"], 1);
}

#[tokio::test]
async fn a_filter_that_names_no_object_is_refused_unless_a_row_has_the_name() {
    let client = Client::new().await;
    client.post("stages", json!({"name": "s"})).await.ok();
    for name in ["once", "twice"] {
        client.post("workflows", json!({"name": name, "stages": ["s"]})).await.ok();
    }
    client.post("machines", json!({"name": "web1", "workflow": "once"})).await.ok();
    assert_eq!(names(&client, "workflow=once").await, ["web1"]);
    assert_eq!(names(&client, "workflow=twice").await, [""; 0]);
    let said = client.get("machines?workflow=onec").await.refused(400);
    assert!(said.contains("there is no workflow `onec`; did you mean `once`?"), "{said}");
    client.post("machines", json!({"name": "web2", "workflow": "gone"})).await.ok();
    assert_eq!(names(&client, "workflow=gone").await, ["web2"], "what an object names is found");
    assert_eq!(names(&client, "workflow=on*").await, ["web1"]);
}

#[tokio::test]
async fn events_are_those_since_a_time() {
    let client = Client::new().await;
    client.post("machines", json!({"name": "web1"})).await.ok();
    let count = |page: Value| page["items"].as_array().unwrap().len();
    for list in ["events", "machines/name:web1/timeline"] {
        assert!(count(client.get(&format!("{list}?since=-1h")).await.ok()) > 0, "{list}");
        assert_eq!(count(client.get(&format!("{list}?since=2099-01-01")).await.ok()), 0, "{list}");
        let said = client.get(&format!("{list}?since=yesterday")).await.refused(400);
        assert!(said.contains("`since`: `yesterday` is not a time") && said.contains("-1h"), "{said}");
    }
}

#[tokio::test]
async fn a_list_is_sorted_both_ways_and_what_has_no_value_is_last() {
    let client = Client::new().await;
    machines(&client).await;
    assert_eq!(names(&client, "sort=serial").await, ["web2", "db1", "web1", "db2"]);
    assert_eq!(names(&client, "sort=-serial").await, ["web1", "db1", "web2", "db2"]);
    assert_eq!(names(&client, "sort=param.rack,-name").await, ["web1", "db1", "web2", "db2"]);
}

#[tokio::test]
async fn pages_follow_each_other_while_objects_come_and_go() {
    let client = Client::new().await;
    machines(&client).await;
    for query in ["", "sort=-name", "name=*&sort=serial"] {
        let all = names(&client, query).await;
        let first = client.get(&format!("machines?{query}&limit=2")).await.ok();
        let cursor = first["next"].as_str().unwrap();
        let new = client.post("machines", json!({"name": "aaa", "serial": "0"})).await.ok();
        let gone = first["items"][1]["id"].as_str().unwrap();
        let kept = client.get(&format!("machines/{gone}")).await.ok();
        client.delete(&format!("machines/{gone}")).await;
        let rest = client.get(&format!("machines?{query}&limit=10&cursor={cursor}")).await.ok();
        let rest: Vec<&str> =
            rest["items"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
        assert_eq!(
            rest.iter().filter(|name| **name != "aaa").copied().collect::<Vec<_>>(),
            all[2..],
            "{query}"
        );
        client.delete(&format!("machines/{}", new["id"].as_str().unwrap())).await;
        client
            .post(
                "machines",
                json!({"name": kept["name"], "serial": kept.get("serial"), "params": kept["params"]}),
            )
            .await
            .ok();
        // The object that was created again has a new id: put the others into the same order again.
        for name in &all {
            let body = client.get(&format!("machines/name:{name}")).await.ok();
            client.delete(&format!("machines/name:{name}")).await;
            client.post("machines", body).await.ok();
        }
    }
}

#[tokio::test]
async fn the_last_page_has_no_next_and_the_total_is_of_all_that_fit() {
    let client = Client::new().await;
    machines(&client).await;
    let page = client.get("machines?limit=4").await.ok();
    assert_eq!((&page["next"], &page["total"]), (&Value::Null, &json!(4)));
    let page = client.get("machines?limit=1&name=web*").await.ok();
    assert_eq!((page["next"].is_string(), &page["total"]), (true, &json!(2)));
    client.get(&format!("machines?sort=name&cursor={}", page["next"].as_str().unwrap())).await.refused(400);
}

#[tokio::test]
async fn a_list_is_trimmed_to_the_fields_that_are_named() {
    let client = Client::new().await;
    machines(&client).await;
    let page = client.get("machines?fields=name,status.state,param.rack&name=db2").await.ok();
    let expected = json!({"name": "db2", "status": {"state": "registered"}, "params": {"rack": "b1"}});
    assert_eq!(page["items"], json!([expected]));
    let page = client.get("machines?fields=problems&name=db2").await.ok();
    assert!(page["items"][0]["problems"].to_string().contains("there is no param `rack`"), "{page}");
}

#[tokio::test]
async fn a_secret_cannot_be_found_by_its_value() {
    let client = Client::new().await;
    client.post("params", json!({"name": "pw", "secret": true})).await.ok();
    client.post("machines", json!({"name": "web1", "params": {"pw": "hunter2"}})).await.ok();
    assert!(names(&client, "param.pw=hunter2").await.is_empty());
    assert!(names(&client, "param.pw=*").await.is_empty());
    assert_eq!(names(&client, "param.pw[exists]=true").await, ["web1"]);
}

/// Large machines: four of them are more than a page may have.
async fn large_machines(client: &Client, count: usize) {
    for n in 0..count {
        let params: serde_json::Map<String, Value> =
            (0..10).map(|param| (format!("p{param}"), json!("x".repeat(25_000)))).collect();
        client.post("machines", json!({"name": format!("large{n:02}"), "params": params})).await.ok();
    }
}

#[tokio::test]
async fn a_page_has_a_bound_in_bytes_and_the_next_one_goes_on_behind_it() {
    let client = Client::new().await;
    let count = PAGE_BYTES_MAX / 250_000 + 8;
    large_machines(&client, count).await;
    for query in ["limit=1000", "limit=1000&sort=-name", "limit=1000&name=large*"] {
        let first = client.get(&format!("machines?{query}")).await.ok();
        let shown = first["items"].as_array().unwrap().len();
        assert!(shown < count && shown > 8, "{query}: {shown} of {count}");
        let bytes = first.to_string().len();
        assert!(bytes < PAGE_BYTES_MAX + 300_000, "{query}: {bytes}");
        assert_eq!(first["total"], json!(count), "{query}");
        let next = first["next"].as_str().expect("there is more");
        let rest = client.get(&format!("machines?{query}&cursor={next}")).await.ok();
        assert_eq!((rest["items"].as_array().unwrap().len(), &rest["next"]), (count - shown, &Value::Null));
        let name = |page: &Value, item: usize| page["items"][item]["name"].as_str().unwrap().to_owned();
        assert_ne!(name(&first, shown - 1), name(&rest, 0), "{query}");
        let trimmed = client.get(&format!("machines?{query}&fields=name")).await.ok();
        assert_eq!(trimmed["items"].as_array().unwrap().len(), count, "trimmed objects are small: {query}");
    }
}

#[tokio::test]
async fn problems_are_looked_for_again_when_something_changed_and_not_for_each_read() {
    let client = Client::new().await;
    for n in 0..20 {
        client.post("machines", json!({"name": format!("web{n}"), "params": {"rack": n}})).await.ok();
    }
    let searches = || client.houses.objects.problems.searches.load(std::sync::atomic::Ordering::Relaxed);
    let problems = async || {
        let page = client.get("machines?limit=1000").await.ok();
        let of = |item: &Value| item["problems"].as_array().unwrap().len();
        page["items"].as_array().unwrap().iter().map(of).sum::<usize>()
    };
    let before = searches();
    assert_eq!((problems().await, problems().await), (20, 20));
    assert_eq!(searches(), before, "each was looked for when it was made");
    // Another machine, a template: nothing that a machine's problems follow from.
    client.post("templates", json!({"name": "motd", "body": "hello"})).await.ok();
    let before = searches();
    assert_eq!((problems().await, searches()), (20, before));
    // A param is declared: all are looked at again, once.
    client.post("params", json!({"name": "rack", "schema": {"type": "integer", "maximum": 9}})).await.ok();
    let before = searches();
    assert_eq!((problems().await, problems().await, searches()), (10, 10, before + 20));
    // One machine is written: it alone.
    client.merge("machines/name:web15", json!({"params": {"rack": 5}})).await.ok();
    let before = searches();
    assert_eq!((problems().await, searches()), (9, before));
    // One that is made anew under the name of another has its own problems.
    client.delete("machines/name:web16").await;
    client.post("machines", json!({"name": "web16", "profiles": ["none"]})).await.ok();
    assert_eq!(client.get("machines/name:web16").await.ok()["problems"][0]["pointer"], "/profiles/0");
    client.post("profiles", json!({"name": "none"})).await.ok();
    assert_eq!(client.get("machines/name:web16").await.ok()["problems"], json!([]));
}
