//! Sessions of browsers, and the console's files, with the real program over TLS.

use reqwest::Method;
use serde_json::{Value, json};

use crate::api::{Api, Reply};
use crate::world::World;

const JSON: (&str, &str) = ("content-type", "application/json");
const OWN_PAGE: (&str, &str) = ("sec-fetch-site", "same-origin");

/// A browser that logged in with the administrator's token.
struct Browser {
    api: Api,
    cookie: String,
}

impl Browser {
    fn log_in(world: &World) -> Browser {
        let token = std::fs::read_to_string(world.data().join("admin.token")).unwrap();
        let api = world.api().with_token("");
        let body = json!({"token": token.trim()});
        let reply = api.send_with(Method::POST, "/session", Some(body), &[JSON, OWN_PAGE]);
        assert_eq!(reply.status, 201, "{:#}", reply.body);
        let cookie = reply.header("set-cookie").split(';').next().unwrap().to_owned();
        Browser { api, cookie }
    }

    /// The same browser, after the server was started again.
    fn at(self, world: &World) -> Browser {
        Browser { api: world.api().with_token(""), ..self }
    }

    fn send(&self, method: Method, path: &str, body: Option<Value>, from: (&str, &str)) -> Reply {
        self.api.send_with(method, path, body, &[JSON, from, ("cookie", &self.cookie)])
    }

    fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, None, OWN_PAGE)
    }
}

#[test]
fn a_session_survives_a_restart_and_ends_on_the_server() {
    let mut world = World::on_loopback();
    let browser = Browser::log_in(&world);
    browser.send(Method::POST, "/profiles", Some(json!({"name": "base"})), OWN_PAGE).expect(201);
    world.kill();
    world.start();
    let browser = browser.at(&world);
    let session = browser.get("/session").expect(200);
    assert_eq!((&session["name"], &session["scopes"]), (&json!("admin"), &json!(["*"])));
    let listed = world.cli(&["sessions", "list"]);
    let id = session["id"].as_str().unwrap();
    assert!(listed.contains(id) && listed.contains("admin"), "{listed}");
    world.cli(&["sessions", "delete", id]);
    assert_eq!(browser.get("/machines").expect(401)["code"], "session_unknown");
    assert!(!world.cli(&["sessions", "list"]).contains(id));
}

#[test]
fn the_host_that_a_browser_names_decides_what_is_its_own_page() {
    let world = World::on_loopback();
    let browser = Browser::log_in(&world);
    let origin = world.ready()["api"].as_str().unwrap().to_owned();
    let write = |name: &str, from: (&str, &str)| {
        browser.send(Method::POST, "/profiles", Some(json!({"name": name})), from).status
    };
    assert_eq!(write("own", ("origin", &origin)), 201);
    for foreign in ["https://127.0.0.1", "http://127.0.0.1:8443", "https://evil.example", "null"] {
        assert_eq!(write("foreign", ("origin", foreign)), 403, "{foreign}");
    }
    assert_eq!(write("foreign", ("sec-fetch-site", "cross-site")), 403);
    assert_eq!(write("foreign", ("x-none", "of the two")), 403);
    assert_eq!(browser.get("/profiles?name=foreign").expect(200)["total"], 0);
}

#[test]
fn the_program_serves_the_console_to_whoever_asks() {
    let world = World::on_loopback();
    let api = world.api().with_token("");
    for path in ["//console/", "//console/machines/web1"] {
        let page = api.get(path);
        assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"), "{path}");
        let nonce = page.header("content-security-policy").split("'nonce-").nth(1).unwrap();
        let nonce = nonce.split('\'').next().unwrap();
        assert!(page.body.as_str().unwrap().contains(nonce), "{path}");
    }
    assert_eq!(api.get("//console/app-AAAAAAAA.js").status, 404);
    assert_eq!(api.get("/machines").status, 401);
}
