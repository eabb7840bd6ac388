//! The document and the server admit the same objects, as far as JSON Schema has words for it.

use super::*;

/// A noun, an object of it that both admit, and changes (a JSON Merge Patch) that both refuse.
type NounCase = (&'static str, Value, Vec<Value>);

fn machine_cases() -> Vec<NounCase> {
    vec![
        (
            "machines",
            json!({"name": "web1", "macs": ["52:54:00:aa:00:01", "52-54-00-aa-00-02", "525400aa0003",
                   "5254.00aa.0004"], "profiles": ["a", "b"], "labels": {"a": "é"}}),
            vec![
                json!({"macs": ["52:54-00:aa:00:01"]}),
                json!({"macs": ["00:00:00:00:00:00"]}),
                json!({"macs": ["01:00:5e:00:00:01"]}),
                json!({"macs": ["52:54:00:aa:00:01", "52:54:00:aa:00:01"]}),
                json!({"profiles": ["a", "a"]}),
                json!({"labels": {"a": "\u{7}"}}),
                json!({"labels": {"a": "\u{85}"}}),
            ],
        ),
        ("profiles", json!({"name": "p", "profiles": []}), vec![json!({"profiles": ["a", "a"]})]),
        (
            "stages",
            json!({"name": "s", "tasks": ["a"], "profiles": ["a"]}),
            vec![json!({"tasks": ["a", "a"]}), json!({"profiles": ["a", "a"]})],
        ),
        (
            "tasks",
            json!({"name": "t", "templates": [{"name": "a", "inline": "x"}, {"name": "b", "template": "b"}]}),
            vec![
                json!({"interpreter": "sh"}),
                json!({"templates": [{"name": "a"}]}),
                json!({"templates": [{"name": "a", "inline": "x", "template": "b"}]}),
            ],
        ),
        ("workflows", json!({"name": "w", "stages": ["a"]}), vec![json!({"stages": []})]),
        ("params", json!({"name": "p", "schema": {"type": "string"}}), vec![json!({"schema": 7})]),
    ]
}

fn boot_cases() -> Vec<NounCase> {
    let files = json!({"artifact": "a", "kernel": "linux", "initrds": ["a/initrd.gz"]});
    let inline = json!([{"name": "a", "path": "a.cfg", "inline": "x"}]);
    let sum = format!("sha256:{}", "0".repeat(64));
    vec![
        (
            "bootenvs",
            json!({"name": "b", "kind": "install", "arches": {"amd64": files}, "templates": inline}),
            vec![
                json!({"arches": null}),
                json!({"arches": {"amd64": null}}),
                json!({"arches": {"amd64": {"kernel": "../linux"}}}),
                json!({"arches": {"amd64": {"initrds": ["/x"]}}}),
                json!({"arches": {"amd64": {"secure_boot": "a b"}}}),
                json!({"templates": [{"name": "a", "path": "a/../b", "inline": "x"}]}),
                json!({"templates": [{"name": "a", "path": "a"}]}),
            ],
        ),
        (
            "artifacts",
            json!({"name": "a", "fetch": {"url": "https://example.org/x.iso", "checksum": sum}}),
            vec![
                json!({"path": "/srv/a"}),
                json!({"fetch": null}),
                json!({"fetch": {"checksum": null}}),
                json!({"fetch": {"url": "ftp://example.org/x"}}),
                json!({"fetch": {"url": "https://u@example.org/x"}}),
                json!({"fetch": {"url": "https:///x"}}),
                json!({"fetch": {"path": "/srv/x.iso"}}),
                json!({"fetch": {"proxy": "10.0.0.1"}}),
                json!({"fetch": {"mirror": {}}}),
                json!({"fetch": {"files": [{"path": "../x", "checksum": sum}], "checksum": null}}),
                json!({"kind": "file", "fetch": {"files": [{"path": "x", "checksum": sum}]}}),
            ],
        ),
    ]
}

fn network_cases() -> Vec<NounCase> {
    vec![
        (
            "subnets",
            json!({"name": "lan", "cidr": "10.0.0.0/24", "shared_network": "wire", "options": {
                "routers": ["10.0.0.1"], "domain_name": "example.org", "interface_mtu": 9000,
                "ip_forwarding": true, "domain_search": ["a.example", "b"], "host_name": "{{ name }}",
                "rack": {"code": 224, "text": "rack 7"}, "ntp_servers": "10.0.0.2",
                "vendor_encapsulated_options": {"sub_options": {"1": {"text": "x"}}},
                "classless_static_routes": [{"destination": "10.1.0.0/16", "router": "10.0.0.1"}],
            }}),
            vec![
                json!({"cidr": "10.0.0.256/24"}),
                json!({"cidr": "10.0.0.0/33"}),
                json!({"shared_network": "a b"}),
                json!({"options": {"routers": ["10.0.0"]}}),
                json!({"options": {"interface_mtu": 65536}}),
                json!({"options": {"ip_forwarding": "maybe"}}),
                json!({"options": {"domain_name": "a b"}}),
                json!({"options": {"nothing": "x"}}),
                json!({"options": {"subnet_mask": "255.0.0.0"}}),
                json!({"options": {"rack": {"code": 53, "u8": 1, "text": null}}}),
                json!({"options": {"rack": {"code": 224, "text": "a\nb"}}}),
                json!({"options": {"rack": {"code": 224, "hex": "00"}}}),
            ],
        ),
        (
            "client_classes",
            json!({"name": "c", "match": {}, "boot_data": "server", "pxe_menu": "Boot"}),
            vec![
                json!({"pxe_menu": "é"}),
                json!({"pxe_menu": ""}),
                json!({"boot_data": null}),
                json!({"boot_file": "x.efi"}),
                json!({"pxe_menu": null, "boot_data": null, "boot_file": "a\\b"}),
                json!({"pxe_menu": null, "boot_data": null, "boot_file": "ftp://a/b"}),
                json!({"pxe_menu": null, "boot_data": null, "boot_file": "http://a/b", "https": true}),
            ],
        ),
        (
            "tokens",
            json!({"name": "t", "scopes": ["machines:read", "*:read", "*",
                   "agent:01890000-0000-7000-8000-000000000000"]}),
            vec![json!({"scopes": []}), json!({"scopes": ["machine:read"]}), json!({"scopes": ["agent:x"]})],
        ),
    ]
}

#[tokio::test]
async fn the_document_and_the_server_admit_the_same_objects() {
    let document: Value = serde_saphyr::from_str(&crate::api::openapi()).unwrap();
    let client = Client::new().await;
    for (noun, admitted, changes) in [machine_cases(), boot_cases(), network_cases()].concat() {
        let entry = &document["paths"][format!("/api/v1/{noun}")]["post"]["requestBody"]["content"];
        let mut schema = entry["application/json"]["schema"].clone();
        schema["components"] = document["components"].clone();
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
        let faults: Vec<String> = validator.iter_errors(&admitted).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{noun}: the document refuses {admitted}: {faults:?}");
        let got = client.post(noun, admitted.clone()).await;
        assert_eq!(got.status, StatusCode::CREATED, "{noun}: {}", got.body);
        for change in changes {
            let mut refused = admitted.clone();
            json_patch::merge(&mut refused, &change);
            assert!(!validator.is_valid(&refused), "{noun}: the document admits {refused}");
            refused["name"] = json!("other");
            let got = client.post(noun, refused).await;
            assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{noun} {change}: {}", got.body);
        }
    }
}

#[tokio::test]
async fn a_setting_has_its_own_values_in_the_document() {
    let document: Value = serde_saphyr::from_str(&crate::api::openapi()).unwrap();
    let mut schema = document["components"]["schemas"]["SettingInput"].clone();
    schema["components"] = document["components"].clone();
    let validator = jsonschema::options().build(&schema).unwrap();
    let client = Client::new().await;
    for (name, value, is_admitted) in [
        ("secure_boot", json!(true), true),
        ("secure_boot", json!("yes"), false),
        ("runs_kept_days", json!(7), true),
        ("runs_kept_days", json!(0), false),
        ("nothing", json!(7), false),
    ] {
        let body = json!({"name": name, "value": value});
        assert_eq!(validator.is_valid(&body), is_admitted, "{body}");
        let got = client.put(&format!("settings/{name}"), body).await;
        assert_eq!(got.status.is_success(), is_admitted, "{name} {value}: {}", got.body);
    }
}

#[tokio::test]
async fn a_body_of_very_many_values_is_refused_before_its_faults_are_collected() {
    let client = Client::new().await;
    let many: Vec<u8> = vec![0; 100_000];
    let got = client.post("leases/import", json!({"format": "kea", "files": many})).await;
    assert_eq!(got.body["problems"].as_array().unwrap().len(), 1, "{}", got.body);
    assert!(got.refused(422).contains("more than 65536 values"));
}
