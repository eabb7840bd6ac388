//! The objects for a boot, made through the API: the Debian installer, and a machine whose run has begun.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;

/// The installer of the package debian-installer-12-netboot-amd64.
pub const INSTALLER: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
/// The machine `web1`.
pub const MAC: &str = "52:54:00:aa:00:01";

/// A public key, with which somebody could log in.
pub const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g";

/// The body of a start that begins in spite of all faults: for tests of what happens then.
pub fn start_anyway(workflow: &str) -> Value {
    json!({"workflow": workflow, "accept": ["template", "no_login"], "reason": "a test of what happens then"})
}

/// How long a small thing may take on a busy host.
pub const EVENT_WITHIN: Duration = Duration::from_secs(60);

/// `folder` as the artifact `debian-12-amd64`; the server has read it when this returns.
pub fn add_installer(api: &Api, folder: &Path) {
    add_artifact(api, json!({"name": "debian-12-amd64", "path": folder}));
}

/// An artifact; the server has read it when this returns.
pub fn add_artifact(api: &Api, artifact: Value) {
    let subject = format!("artifact:{}", artifact["name"].as_str().expect("a name"));
    let mut events = api.events_after(0);
    api.post("/artifacts", artifact).expect(201);
    events.wait_for(EVENT_WITHIN, |event| {
        event["kind"] == "artifact.state_changed"
            && event["subject"] == *subject
            && event["data"]["state"] == "ready"
    });
}

/// The machine `web1`, which rehearses `install-debian-12`.
pub fn start_web1(api: &Api) {
    // On a busy host the emulated timers are late, and the kernel would consider them broken.
    let options = "no_timer_check";
    let params = json!({"rehearse": true, "kernel_console": "ttyS0", "installer_options": options});
    api.post("/machines", json!({"name": "web1", "macs": [MAC], "params": params})).expect(201);
    api.post("/machines/name:web1/actions/start", json!({"workflow": "install-debian-12"})).expect(200);
}

/// The events of `web1`, oldest first.
pub fn timeline(api: &Api) -> Vec<Value> {
    let mut body = api.get("/machines/name:web1/timeline?limit=1000").expect(200);
    serde_json::from_value(body["items"].take()).expect("the events of a timeline")
}

/// A folder with a kernel and an initrd of a few bytes.
pub fn small_installer(scratch: &Path) -> PathBuf {
    let folder = scratch.join("installer");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("linux"), "a kernel").expect("a kernel");
    fs::write(folder.join("initrd.gz"), "an initrd").expect("an initrd");
    folder
}

/// The capability in the URLs of a boot script.
pub fn capability(script: &str) -> &str {
    let after = script.split_once("/m/").expect("a machine's URL in the script").1;
    after.split_once('/').expect("a file below it").0
}
