//! DHCP on a thread of its own.

use std::io;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::Handle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::background::WorkDescription;
use crate::config::ServerConfig;
use crate::dhcp::server::{
    DhcpService, LOOKOUT_PERIOD, OtherServerDetector, ProbeAbility, ProbeSockets, ServerObserver,
};
use crate::houses::Houses;
use crate::kernel::ServerEndpoints;
use crate::model::ServiceStatus;
use crate::server::packet_handlers::PacketHandlers;
use crate::threads;

/// Threads beside it that wait for the templates of options.
const BLOCKING_MAX: usize = 16;

const LOOKOUT: WorkDescription = WorkDescription {
    name: "dhcp-lookout",
    about: "Reads the interfaces that are served, and listens for other DHCP servers there.",
    period: LOOKOUT_PERIOD,
    nudged_by: "",
};

/// The parts of the DHCP service.
pub(super) struct DhcpThread {
    pub service: DhcpService,
    pub probes: Arc<ProbeSockets>,
    detector: OtherServerDetector,
    thread: Handle,
    _end: DropGuard,
}

impl DhcpThread {
    pub fn bind(config: &ServerConfig, handlers: &Arc<PacketHandlers>) -> io::Result<DhcpThread> {
        let (thread, end) = threads::start("dhcp", BLOCKING_MAX)?;
        let _sockets_belong_to = thread.enter();
        let (names, handler) = (config.dhcp_interfaces.clone(), Arc::clone(handlers));
        let service = DhcpService::bind(config.dhcp_port, names.clone(), handler)?;
        let service = service.at_most(config.dhcp_packets_per_second);
        let (probes, detector) = (ProbeSockets::open(), OtherServerDetector::open(names));
        Ok(DhcpThread { service, probes, detector, thread: thread.clone(), _end: end })
    }

    /// A function that returns the present state of the sockets.
    pub fn status(
        &self,
        endpoints: &ServerEndpoints,
    ) -> io::Result<impl Fn() -> ServiceStatus + Send + Sync + use<>> {
        let (port, boot_http_port) = (self.service.local_port()?, endpoints.boot_http_port);
        let (receives, hears_servers) = (self.service.receives(), self.detector.hears());
        let boot_server_fault = self.service.boot_server_fault().map(str::to_owned);
        let probes = Arc::clone(&self.probes);
        Ok(move || {
            let ProbeAbility { arp: probes_arp, icmp: probes_icmp } = probes.ability();
            ServiceStatus {
                enabled: true,
                receives: receives(),
                port,
                boot_server_fault: boot_server_fault.clone(),
                boot_http_port,
                hears_servers: hears_servers(),
                probes_arp,
                probes_icmp,
            }
        })
    }

    /// Serves until `shutdown`. An error comes from its thread.
    pub async fn run(self, houses: Arc<Houses>, shutdown: CancellationToken) -> anyhow::Result<()> {
        let observer = Arc::clone(&houses.dhcp) as Arc<dyn ServerObserver>;
        let probed = self.thread.spawn(self.probes.run(Arc::clone(&observer), shutdown.clone()));
        let handle = houses.background.register(LOOKOUT);
        let looked_out = self.thread.spawn(self.detector.run(
            observer,
            move |begun, done| handle.record(begun, &done),
            shutdown.clone(),
        ));
        let served = self.thread.spawn(self.service.run(shutdown));
        for task in [served, probed, looked_out] {
            task.await.context("DHCP")?;
        }
        Ok(())
    }
}
