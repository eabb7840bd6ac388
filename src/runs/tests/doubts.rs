//! Tests of a boot script that is fetched in a machine's name from an address that is not known to be its
//! own: by a stranger, or by the machine after a loss of power that no DHCP packet showed.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use uuid::Uuid;

use super::{Scripts, Site, running, stored};
use crate::artifacts::opened::Protocol;
use crate::kernel::Changeset;
use crate::model::{
    AgentReport, Bootenv, Environment, EventKind, JobOffer, JobState, LiveSystem, Mac, Machine, MachineState,
    Noun, Stage, Workflow,
};
use crate::netboot::decide::namespace::ClientHint;
use crate::netboot::files::Fetch;
use crate::runs::deadlines::{DeadlineWatch, next_deadline};
use crate::runs::flow::{Flow, SILENCE_SECONDS};
use crate::runs::jobs::WorkRequest;

const MAC: Mac = Mac([0x52, 0x54, 0, 0xaa, 0, 1]);

impl Site {
    async fn ask_live(&self, boot: &str) -> Option<JobOffer> {
        let report =
            AgentReport { environment: Environment::Live, boot: boot.into(), job: None, wait_seconds: 0 };
        let asking = WorkRequest { machine: &self.key(), report: &report, renderer: &Scripts };
        self.houses.runs.jobs_next(&self.caller, &asking).await.unwrap()
    }

    /// Fetches the boot script in the machine's name from an address that nobody gave it.
    async fn fetch_in_its_name(&self) {
        let fetch = Fetch {
            path: "boot.ipxe".into(),
            peer: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 99)),
            local: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
            protocol: Protocol::Http,
            hint: ClientHint { mac: Some(MAC), address: None },
            has_query: true,
        };
        let before = self.attempts();
        drop(self.houses.netboot.open(&fetch).await);
        assert_eq!(self.attempts(), before + 1, "it is the beginning of a boot, as far as anybody can tell");
    }

    fn attempts(&self) -> u64 {
        let machine = self.houses.kernel.get::<Machine>(&self.key()).unwrap();
        machine.status.boot_attempt.as_ref().map_or(0, |attempt| attempt.number)
    }

    fn live_system(&self) -> LiveSystem {
        self.houses.kernel.get::<Machine>(&self.key()).unwrap().status.live_system.clone()
    }

    async fn expire_after(&self, seconds: i64) -> usize {
        let now = self.caller.now + SignedDuration::from_secs(seconds);
        let watch = DeadlineWatch { now, up_since: Timestamp::UNIX_EPOCH };
        self.houses.runs.expire(watch).await.unwrap()
    }
}

/// A machine whose live system runs its task, which may take an hour, and the job of that task.
async fn in_its_live_system() -> (Site, Uuid) {
    let mut site = Site::new(json!({"name": "web1", "macs": [MAC.to_string()]})).await;
    site.caller.now = site.houses.kernel.now();
    let now = site.caller.now;
    let live = json!({"name": "live", "kind": "live",
        "arches": {"amd64": {"artifact": "debian", "kernel": "linux"}}});
    let stage = json!({"name": "look", "bootenv": "live", "tasks": ["after"]});
    let content = Changeset::default()
        .create(Bootenv::object(Arc::new(stored(live, now))))
        .create(Stage::object(Arc::new(stored(stage, now))))
        .create(Workflow::object(Arc::new(stored(json!({"name": "look", "stages": ["look"]}), now))));
    site.houses.kernel.commit(content).await.unwrap();
    site.start("look").await.unwrap();
    let boot = |flow: &mut Flow<'_>| {
        flow.attempt_started(Uuid::now_v7(), Some("live".into()));
        flow.kernel_fetched();
    };
    site.houses.runs.flow(&site.caller, &site.key(), boot).await.unwrap();
    let Some(JobOffer::Run(work)) = site.ask_live("a").await else { panic!("no job") };
    site.report(work.id, running()).await.unwrap();
    assert_eq!(site.state(), (MachineState::Running, 2));
    (site, work.id)
}

#[tokio::test]
async fn a_boot_script_fetched_in_a_machines_name_ends_nothing_while_its_live_system_is_heard_of() {
    let (mut site, job) = in_its_live_system().await;
    site.fetch_in_its_name().await;
    assert!(site.live_system().doubted_at.is_some());
    assert_eq!((site.state(), site.job(job).state), ((MachineState::Running, 2), JobState::Running));
    site.later(300);
    site.houses.runs.write_job_log(&site.caller, &job.to_string(), (0, b"alive".to_vec())).await.unwrap();
    assert_eq!(site.live_system(), LiveSystem::default(), "the agent with the job is the boot that got it");
    assert_eq!(site.expire_after(SILENCE_SECONDS - 200).await, 0);
    assert_eq!((site.state(), site.job(job).state), ((MachineState::Running, 2), JobState::Running));
    let events = site.events().await;
    assert!(!events.contains(&EventKind::RunLiveSystemLost), "{events:?}");
}

#[tokio::test]
async fn a_live_system_that_is_silent_after_a_doubt_or_comes_back_as_another_boot_is_lost() {
    let (site, job) = in_its_live_system().await;
    site.fetch_in_its_name().await;
    let doubted_at = site.live_system().doubted_at.unwrap();
    let due = doubted_at + SignedDuration::from_secs(SILENCE_SECONDS);
    let watch = |up_since| DeadlineWatch { now: site.caller.now, up_since };
    let next = |up_since| site.houses.kernel.read(|world| next_deadline(world, watch(up_since))).unwrap();
    assert!(next(Timestamp::UNIX_EPOCH) <= due);
    let restarted = due + SignedDuration::from_hours(1);
    assert!(next(restarted) > due, "before its start the server could hear of nobody");
    assert_eq!(site.expire_after(SILENCE_SECONDS + 60).await, 1);
    assert_eq!((site.state(), site.job(job).state), ((MachineState::Waiting, 1), JobState::Lost));
    assert!(site.events().await.contains(&EventKind::RunLiveSystemLost));

    let (site, job) = in_its_live_system().await;
    site.fetch_in_its_name().await;
    let Some(JobOffer::Run(work)) = site.ask_live("b").await else { panic!("no job") };
    assert_eq!((work.task.as_str(), site.job(job).state), ("after", JobState::Lost));
    assert_eq!(site.live_system().doubted_at, None);
}
