//! What a boot needs, made through the API: the Debian installer, and a machine whose run has begun.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::Api;

/// The installer of the package debian-installer-12-netboot-amd64.
pub const INSTALLER: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64";
/// The machine `web1`.
pub const MAC: &str = "52:54:00:aa:00:01";

const READY_WITHIN: Duration = Duration::from_secs(60);

/// `folder` as the artifact `debian-12-amd64`, read by the server when this returns.
pub fn add_installer(api: &Api, folder: &Path) {
    let mut events = api.events_after(0);
    api.post("/artifacts", json!({"name": "debian-12-amd64", "path": folder})).expect(201);
    events.wait_for(READY_WITHIN, |event| {
        event["kind"] == "artifact.state_changed" && event["data"]["state"] == "ready"
    });
}

/// The machine `web1`, which rehearses `install-debian-12`.
pub fn start_web1(api: &Api) {
    let params = json!({"rehearse": true, "kernel_console": "ttyS0"});
    api.post("/machines", json!({"name": "web1", "macs": [MAC], "params": params})).expect(201);
    api.post("/machines/name:web1/actions/start", json!({"workflow": "install-debian-12"})).expect(200);
}

/// What has happened to `web1`, oldest first.
pub fn timeline(api: &Api) -> Vec<Value> {
    let mut body = api.get("/machines/name:web1/timeline?limit=1000").expect(200);
    serde_json::from_value(body["items"].take()).expect("the events of a timeline")
}
