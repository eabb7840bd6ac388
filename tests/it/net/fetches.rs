//! Fetches from a private network: refused until it is listed, and going on where an earlier version fetched.

use serde_json::json;

use super::{SERVER_ADDRESS, on_a_lan};
use crate::files::{service, settled};
use crate::upgrade;
use crate::wire::BootSide;
use crate::world::World;

const LOOPBACK: [&str; 6] =
    ["--api-listen", "127.0.0.1:0", "--boot-http", "127.0.0.1:0", "--tftp-listen", "127.0.0.1:0"];

#[test]
fn a_private_mirror_is_passed_on_once_the_line_of_its_refusal_is_in_the_configuration() {
    on_a_lan(|_| {
        let (url, came) = service(SERVER_ADDRESS, None);
        let place = url.trim_start_matches("http://").trim_end_matches("/secret").to_owned();
        let mut world = World::with(&LOOPBACK);
        let mirror = json!({"name": "mirror", "fetch": {"url": format!("http://{place}"), "mirror": {}}});
        let refused = world.api().post("/artifacts", mirror.clone()).expect(422).to_string();
        assert!(refused.contains("a private address"), "{refused}");
        assert!(refused.contains(&format!("add \\\"{place}\\\" to the list `fetch.allow`")), "{refused}");
        // A name is found out when it is resolved, and a redirect when it comes.
        let (redirect, _came) = service("127.0.0.2", Some(&url));
        let file = json!({"name": "file", "kind": "file", "fetch": {"url": redirect, "unverified": true}});
        world.api().post("/artifacts", file).expect(201);
        let (state, reason) = settled(&world.api(), "file");
        assert!(state == "failed" && reason.contains("it redirects to another place"), "{state}: {reason}");
        assert!(came.try_recv().is_err(), "somebody came to the mirror");
        let told = world.try_cli(&["doctor", "artifacts"]);
        let table = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(table.contains("FAIL") && table.contains(&format!("add \"{place}\"")), "{told:?}");
        assert_eq!(told.status.code(), Some(1));

        assert!(world.stop().success());
        world.listen(&[&LOOPBACK[..], &["--fetch-allow", &format!("127.0.0.0/8,{place}")]].concat());
        world.start();
        world.api().post("/artifacts", mirror).expect(201);
        let boot = BootSide::of(world.ready());
        assert_eq!(boot.get("/artifacts/mirror/pool/a.deb"), (200, "secret".to_owned()));
        assert_eq!(world.api().get("/artifacts/mirror").expect(200)["problems"], json!([]));
    });
}

#[test]
fn a_private_mirror_of_an_older_data_directory_is_passed_on_and_the_line_that_it_needs_is_told() {
    on_a_lan(|_| {
        let (url, _came) = service(SERVER_ADDRESS, None);
        let place = url.trim_start_matches("http://").trim_end_matches("/secret").to_owned();
        // As that version wrote it: a mirror that was ready, with no word on where it may be fetched from.
        let url = format!("http://{place}");
        let mirror = json!({"bytes_max": 1_048_576, "repositories": []});
        let fetch = json!({"url": url, "unverified": false, "mirror": mirror});
        let document = json!({
            "spec": {"name": "mirror", "kind": "tree", "fetch": fetch},
            "status": {"state": "ready", "origin": url, "served_origin": url},
            "faults": [],
            "labels": {},
            "source": "site",
            "created_at": "2026-11-30T02:03:31.210867905Z",
            "updated_at": "2026-11-30T02:03:31.287269872Z",
        });
        let row = format!("INSERT INTO artifact VALUES('mirror',3,'{document}','[]');");
        let mut world = upgrade::upgraded_with(&row);
        let boot = BootSide::of(world.ready());
        assert_eq!(boot.get("/artifacts/mirror/pool/a.deb"), (200, "secret".to_owned()));
        let problems = world.api().get("/artifacts/mirror").expect(200)["problems"].to_string();
        assert!(problems.contains(&format!("add \\\"{place}\\\" to the list `fetch.allow`")), "{problems}");
        let told = world.try_cli(&["doctor", "artifacts"]);
        let table = String::from_utf8_lossy(&told.stdout).into_owned();
        assert!(told.status.success() && table.contains("warn") && table.contains(&place), "{told:?}");

        // It is that source alone: a new one, or another path of it, is refused.
        let api = world.api();
        let other = json!({"name": "other", "fetch": {"url": format!("http://{place}/x"), "mirror": {}}});
        api.post("/artifacts", other).expect(422);
        let moved = json!({"fetch": {"url": format!("http://{place}/x")}});
        api.patch("/artifacts/mirror", moved).expect(422);

        // It goes on after another start, and with the line there is no problem any more.
        assert!(world.stop().success());
        world.start();
        assert_eq!(BootSide::of(world.ready()).get("/artifacts/mirror/pool/b.deb").0, 200);
        assert!(world.stop().success());
        world.listen(&[&LOOPBACK[..], &["--fetch-allow", &place]].concat());
        world.start();
        assert_eq!(world.api().get("/artifacts/mirror").expect(200)["problems"], json!([]));
    });
}
