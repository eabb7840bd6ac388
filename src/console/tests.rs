//! Tests of the files that browsers get. `api::tests::console` has those through the router.

use axum::body::to_bytes;

use super::*;

const PAGE: &[u8] = b"<meta name=\"csp-nonce\" content=\"__CSP_NONCE__\">";
const SCRIPT: ConsoleFile =
    ConsoleFile { path: "app-5ZK2QJ7R.js", bytes: b"let a = 1;", gzip: Some(b"packed") };
const FILES: &[ConsoleFile] = &[
    ConsoleFile { path: INDEX, bytes: PAGE, gzip: Some(b"never sent") },
    SCRIPT,
    ConsoleFile { path: "assets/look-AAAA2222.css", bytes: b"a {}", gzip: None },
    ConsoleFile { path: "icon.svg", bytes: b"<svg/>", gzip: None },
];

/// Status, headers and text of an answer. `headers` are lines such as `If-None-Match: *`.
async fn get(request: &str, headers: &[&str]) -> (u16, HeaderMap, String) {
    let (method, path) = request.split_once(' ').unwrap();
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers.iter().filter_map(|line| line.split_once(": ")) {
        request = request.header(name, value);
    }
    let response = ConsoleSite::of(FILES).answer(&request.body(Body::empty()).unwrap());
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 9999).await.unwrap().to_vec()).unwrap();
    (parts.status.as_u16(), parts.headers, text)
}

fn policy(headers: &HeaderMap) -> &str {
    headers["content-security-policy"].to_str().unwrap()
}

#[tokio::test]
async fn every_view_has_the_page_and_each_answer_a_nonce_of_its_own() {
    let mut nonces = std::collections::BTreeSet::new();
    for path in ["", "machines", "machines/web1", "content/templates/debian/preseed.cfg", "index.html", "a.b"]
    {
        let (status, headers, text) = get(&format!("GET /console/{path}"), &[]).await;
        assert_eq!((status, headers["content-type"].as_bytes()), (200, &b"text/html; charset=utf-8"[..]));
        let nonce = text.split('"').nth(3).unwrap();
        assert!(nonce.len() >= 22, "{text}");
        assert!(policy(&headers).contains(&format!("style-src 'self' 'nonce-{nonce}'")), "{headers:?}");
        assert!(nonces.insert(nonce.to_owned()), "{nonce} twice");
        assert_eq!(headers["cache-control"], "no-cache");
        assert!(!headers.contains_key("etag"), "a kept page would have an old nonce");
    }
}

#[tokio::test]
async fn no_answer_lets_a_page_load_or_run_what_is_not_this_servers() {
    for path in ["", "machines", "app-5ZK2QJ7R.js", "icon.svg", "assets/look-AAAA2222.css"] {
        let (_, headers, _) = get(&format!("GET /console/{path}"), &[]).await;
        let policy = policy(&headers);
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; "), "{policy}");
        for never in ["unsafe-inline", "unsafe-eval", "http:", "https:", "*"] {
            assert!(!policy.contains(never), "{path}: {policy}");
        }
        for part in ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'", "connect-src 'self'"]
        {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cross-origin-opener-policy"], "same-origin");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert!(headers["permissions-policy"].to_str().unwrap().contains("camera=()"));
    }
}

#[tokio::test]
async fn a_file_of_a_build_is_kept_for_good_and_others_are_asked_for() {
    for path in ["app-5ZK2QJ7R.js", "assets/look-AAAA2222.css"] {
        let (_, headers, _) = get(&format!("GET /console/{path}"), &[]).await;
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable", "{path}");
    }
    let (_, headers, text) = get("GET /console/icon.svg", &[]).await;
    assert_eq!((headers["cache-control"].as_bytes(), text.as_str()), (&b"no-cache"[..], "<svg/>"));
    assert_eq!(headers["content-type"], "image/svg+xml");
}

#[tokio::test]
async fn who_takes_gzip_gets_the_compressed_copy_with_a_tag_of_its_own() {
    let (_, plain, text) = get("GET /console/app-5ZK2QJ7R.js", &[]).await;
    assert_eq!((text.as_bytes(), plain.contains_key("content-encoding")), (SCRIPT.bytes, false));
    let (_, packed, text) = get("GET /console/app-5ZK2QJ7R.js", &["Accept-Encoding: br, gzip;q=0.5"]).await;
    assert_eq!((text.as_str(), packed["content-encoding"].as_bytes()), ("packed", &b"gzip"[..]));
    assert_eq!((&packed["vary"], &packed["content-length"]), (&plain["vary"], &HeaderValue::from(6)));
    assert_ne!(plain["etag"], packed["etag"]);
    for none in ["gzip;q=0", "identity", "xgzip", "gzip; q=0.0"] {
        let (_, headers, _) =
            get("GET /console/app-5ZK2QJ7R.js", &[&format!("Accept-Encoding: {none}")]).await;
        assert!(!headers.contains_key("content-encoding"), "{none}");
    }
    let (_, headers, _) = get("GET /console/icon.svg", &["Accept-Encoding: gzip"]).await;
    assert!(!headers.contains_key("content-encoding"), "it has no compressed copy");
}

#[tokio::test]
async fn who_has_a_file_is_not_sent_it_again() {
    let (_, headers, _) = get("GET /console/icon.svg", &[]).await;
    let tag = headers["etag"].to_str().unwrap();
    for known in [tag.to_owned(), format!("\"x\", W/{tag}"), "*".to_owned()] {
        let (status, again, text) = get("GET /console/icon.svg", &[&format!("If-None-Match: {known}")]).await;
        assert_eq!((status, text.as_str(), again["etag"].to_str().unwrap()), (304, "", tag), "{known}");
    }
    let (status, ..) = get("GET /console/icon.svg", &["If-None-Match: \"other\""]).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_file_of_another_build_is_absent_and_not_a_page() {
    for path in ["app-AAAAAAAA.js", "assets/app-AAAAAAAA.js", "app-AAAAAAAA.css", "app-AAAAAAAA.js.map"] {
        let (status, _, text) = get(&format!("GET /console/{path}"), &[]).await;
        assert!(status == 404 && text.contains("another version"), "{path}: {status} {text}");
    }
    let (status, ..) = get("GET /console/machines/rack-AAAAAAAA.js", &[]).await;
    assert_eq!(status, 200, "the name of an object is no file");
}

#[tokio::test]
async fn a_path_never_leaves_the_list_of_files() {
    for path in [
        "../Cargo.toml",
        "../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "assets/../../etc/passwd",
        "assets//../look-AAAA2222.css",
        "/etc/passwd",
        "app-5ZK2QJ7R.js/",
        "app-5ZK2QJ7R.js%00",
        "app-5ZK2QJ7R.js.gz",
        "APP-5ZK2QJ7R.js",
        "..\\..\\etc\\passwd",
    ] {
        let Ok(uri) = format!("/console/{path}").parse::<axum::http::Uri>() else { continue };
        let (status, headers, text) = get(&format!("GET {uri}"), &[]).await;
        let is_page = text.starts_with("<meta name=\"csp-nonce\"") && headers.contains_key("cache-control");
        assert!(status == 404 || status == 200 && is_page, "{path}: {status} {text}");
    }
}

#[tokio::test]
async fn head_has_the_headers_of_get_and_other_methods_are_refused() {
    for path in ["", "app-5ZK2QJ7R.js"] {
        let (_, got, text) = get(&format!("GET /console/{path}"), &[]).await;
        let (status, head, none) = get(&format!("HEAD /console/{path}"), &[]).await;
        assert_eq!((status, none.as_str(), &head["content-type"]), (200, "", &got["content-type"]));
        assert_eq!(head["content-length"], HeaderValue::from(text.len()));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let (status, headers, _) = get(&format!("{method} /console/"), &[]).await;
        assert_eq!((status, headers["allow"].as_bytes()), (405, &b"GET, HEAD"[..]), "{method}");
    }
}

#[tokio::test]
async fn a_browser_at_the_root_is_sent_to_the_console_and_a_program_is_not() {
    let accepts = |line: &'static str| HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(line))]);
    let sent = home(&accepts("text/html,application/xhtml+xml,*/*;q=0.8")).unwrap();
    assert_eq!((sent.status().as_u16(), sent.headers()["location"].as_bytes()), (307, &b"/console/"[..]));
    assert!(home(&accepts("*/*")).is_none() && home(&HeaderMap::new()).is_none());
    let (status, headers, _) = get("GET /console", &[]).await;
    assert_eq!((status, headers["location"].as_bytes()), (307, &b"/console/"[..]));
}

#[test]
fn the_program_has_a_page_whether_it_was_built_with_the_console_or_not() {
    let page = |site: &ConsoleSite| site.0.iter().any(|file| file.about.path == INDEX);
    assert!(page(ConsoleSite::embedded()) && page(&ConsoleSite::of(ABSENT)));
    let text = std::str::from_utf8(ABSENT[0].bytes).unwrap();
    assert!(text.contains("make console") && text.contains(NONCE_PLACE));
}
