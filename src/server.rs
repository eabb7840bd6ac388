//! Constructs the server: data directory, sockets, store, houses, services. Only this module uses all of
//! them. Start at [`run`].

mod api_listener;
mod certificates;
mod counters;
mod data;
mod descriptors;
mod dhcp;
mod firmware_tls;
mod key_rotation;
mod offline;
mod ownership;
mod pack_check;
mod packet_handlers;
mod reload;
mod restore;
mod signals;
mod upkeep;
mod writers;

use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::api::metrics::ServiceCounters;
use crate::api::{self, ApiState};
use crate::artifacts::contained_path::{self, NameCase};
use crate::artifacts::roots::ArtifactRoots;
use crate::artifacts::{MediaFolder, UnpackLimits};
use crate::catalog::pools::RenderPools;
use crate::config::{self, ListenAddress, LogFormat, ServerConfig};
use crate::connections::{self, ConnectionLimiter};
use crate::dhcp::decide::AddressProber;
use crate::houses::{Houses, HousesSetup};
use crate::http_boot::BootHttpService;
use crate::kernel::secrets::rotation::{self, SettledRotation};
use crate::kernel::secrets::{SecretKey, sealed_values};
use crate::kernel::{Caller, Kernel, ServerEndpoints};
use crate::maintenance::DataFacts;
use crate::model::FetchPolicy;
use crate::netboot::loaders::InstalledLoaders;
use crate::netboot::tftp_peers::TftpPeers;
use crate::port_owner::{PortProtocol, explain_bind};
use crate::proto::tftp::{BlockRollover, TransferLimits};
use crate::server::dhcp::DhcpThread;
use crate::store::{SqliteStore, Store};
use crate::tftp;
use api_listener::ApiListener;
use certificates::ApiCertificates;
use data::DataDir;
use descriptors::{api_limits, boot_limits, fit_to_descriptors};
use firmware_tls::KeyAgreement;
use packet_handlers::PacketHandlers;
use reload::ConfigReload;
use signals::StopSignals;
use writers::{LogTask, QueueTask};

pub use offline::work_offline;
pub use pack_check::check_pack;
pub use reload::ConfigSource;

/// How long everything may take to end after a signal.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long opening the database may take before the API reports that it is starting.
const OPENED_SOON: Duration = Duration::from_secs(1);

/// The sockets, bound before privileges are dropped.
struct BoundSockets {
    api: Option<TcpListener>,
    boot_http: Option<TcpListener>,
    boot_https: Option<TcpListener>,
    tftp: Option<tftp::TftpService>,
    dhcp: Option<DhcpThread>,
}

/// Runs a server until SIGTERM or SIGINT.
///
/// # Errors
/// Why it cannot start, or which service ended by itself.
pub async fn run(config: ServerConfig, source: ConfigSource) -> anyhow::Result<()> {
    let mut signals = StopSignals::take()?;
    let data = DataDir::open(&config.data)?;
    let as_written = config.clone();
    let config = fit_to_descriptors(config)?;
    let handlers = Arc::new(PacketHandlers::new(tftp_peers(&config)));
    let sockets = bind(&config, &handlers)?;
    if let Some(user) = &config.user {
        data.give_to(user)?;
        data::become_user(user)?;
    } else {
        data.refuse_links()?;
    }
    data.refuse_missing_certificate()?;
    let certificates = ApiCertificates::open(data.path(), &config.api_names, jiff::Timestamp::now())?;
    let store = tokio::select! {
        store = open_store(&data, &certificates, (sockets.api.as_ref(), api_limits(&config))) => store?,
        () = signals.come() => {
            tracing::info!("told to stop before the database was open");
            return Ok(());
        }
    };
    log_damaged_rows(&store);
    let endpoints = endpoints(&sockets, &config, &certificates.fingerprint())?;
    let secrets = load_secrets(&data, store.as_ref())?;
    let (kernel, queue) = Kernel::new(Arc::clone(&store) as Arc<dyn Store>, secrets, endpoints.clone());
    let houses = Houses::new(HousesSetup {
        kernel,
        loaders: InstalledLoaders::find(&data.path().join("loaders")),
        pools: RenderPools::of_this_program(),
        media: MediaFolder::at(data.path().join("media")).with_limits(unpack_limits(&config)),
        roots: ArtifactRoots::new(config.artifacts.roots.clone(), data.path()),
        case: if config.boot_ignore_case { NameCase::Ignored } else { NameCase::Exact },
        data: data_facts(&data, &config),
    });
    if let Some(dhcp) = &sockets.dhcp {
        houses.dhcp.use_prober(Arc::clone(&dhcp.probes) as Arc<dyn AddressProber>);
        houses.dhcp.set_dhcp_service(dhcp.status(&endpoints)?);
    }
    handlers.open(Arc::clone(&houses));
    fill(&houses, &data, config.log_format).await?;
    let ready = ready(&config, &sockets, &endpoints, &data)?;
    data.write_endpoint(&endpoints, &ready)?;
    log_dhcp_and_loaders(&config, &houses);
    check_kernel_support();
    let ready = serde_json::to_string(&ready)?;

    let queue = QueueTask::start(&houses, queue);
    let log = LogTask::start(&houses);
    let mut services = RunningServices::new();
    let boot =
        BootHttpService::new(Arc::clone(&houses.netboot), boot_limits(&config), services.shutdown.clone());
    let boot_tls = sockets.boot_https.as_ref().map(|_| boot_tls(&data, &config)).transpose()?;
    let reload = ConfigReload { source, running: as_written, certificates: Arc::clone(&certificates) };
    let listeners = PortListeners { certificates, api_limits: api_limits(&config), boot, boot_tls };
    services.start(&houses, sockets, listeners)?;
    services.reload_on_hangup(&mut signals, reload);
    services.ready.store(true, Ordering::Release);
    if let Err(error) = writeln!(io::stdout(), "{ready}") {
        tracing::warn!(%error, "that the server is ready cannot be written to standard output");
    }
    let ended = services.wait(&mut signals).await;
    services.stop(queue).await;
    log.finish().await;
    store.close().await;
    ended
}

fn data_facts(data: &DataDir, config: &ServerConfig) -> DataFacts {
    DataFacts {
        path: data.path().to_owned(),
        configuration: config.facts(),
        schema: SqliteStore::newest_schema(),
    }
}

fn unpack_limits(config: &ServerConfig) -> UnpackLimits {
    UnpackLimits { bytes_max: config.artifacts.unpack_bytes_max, within: config.artifacts.unpack_within }
}

/// Opens the database. If that takes long, the API reports it meanwhile.
async fn open_store(
    data: &DataDir,
    certificates: &Arc<ApiCertificates>,
    (api, limits): (Option<&TcpListener>, api_listener::ListenerLimits),
) -> anyhow::Result<Arc<SqliteStore>> {
    let opening = SqliteStore::open(data.path());
    tokio::pin!(opening);
    let opened = match tokio::time::timeout(OPENED_SOON, &mut opening).await {
        Ok(opened) => opened,
        Err(_) => {
            let shutdown = CancellationToken::new();
            let _until_it_is_open = shutdown.clone().drop_guard();
            if let Some(api) = api {
                // The lock of the data directory is held by now: a second server was refused at once.
                let starting = ApiListener {
                    listener: async_listener(api.try_clone().context("api.listen")?)?,
                    tls: certificates.acceptor()?,
                    router: api::starting::router(),
                    limits,
                    limiter: ConnectionLimiter::new(limits.connections),
                };
                tokio::spawn(starting.run(shutdown));
            }
            opening.await
        }
    };
    opened.context("the database does not open")
}

/// The listeners on TCP ports.
struct PortListeners {
    certificates: Arc<ApiCertificates>,
    api_limits: api_listener::ListenerLimits,
    boot: BootHttpService,
    boot_tls: Option<TlsAcceptor>,
}

fn boot_tls(data: &DataDir, config: &ServerConfig) -> anyhow::Result<TlsAcceptor> {
    let agreement = if config.boot_https_dhe { KeyAgreement::WithDhe } else { KeyAgreement::CurvesOnly };
    data.boot_certificate()?.acceptor(agreement)
}

fn bind(config: &ServerConfig, handlers: &Arc<PacketHandlers>) -> anyhow::Result<BoundSockets> {
    let tftp = match config.tftp.listen {
        ListenAddress::Off => None,
        ListenAddress::At(SocketAddr::V4(address)) => Some(bind_tftp(config, address, handlers)?),
        ListenAddress::At(SocketAddr::V6(_)) => {
            return Err(anyhow!("tftp.listen: an IPv4 address is needed"));
        }
    };
    let dhcp = match config.dhcp_interfaces.as_slice() {
        [] => None,
        _ => Some(DhcpThread::bind(config, handlers).context("dhcp")?),
    };
    Ok(BoundSockets {
        api: bind_listener(config.api, "api.listen")?,
        boot_http: bind_listener(config.boot_http, "boot.http")?,
        boot_https: bind_listener(config.boot_https, "boot.https")?,
        tftp,
        dhcp,
    })
}

fn bind_listener(listen: ListenAddress, what: &str) -> anyhow::Result<Option<TcpListener>> {
    match listen {
        ListenAddress::Off => Ok(None),
        ListenAddress::At(address) => connections::listen(address)
            .map_err(|error| explain_bind(error, PortProtocol::Tcp, address.port()))
            .map(Some)
            .with_context(|| what.to_owned()),
    }
}

fn bind_tftp(
    config: &ServerConfig,
    address: SocketAddrV4,
    handlers: &Arc<PacketHandlers>,
) -> anyhow::Result<tftp::TftpService> {
    let settings = tftp_settings(&config.tftp);
    let opener = Arc::clone(handlers) as Arc<dyn tftp::ReadOpener>;
    tftp::TftpService::bind(address, settings, opener)
        .map_err(|error| explain_bind(error, PortProtocol::Udp, address.port()))
        .context("tftp.listen")
}

fn tftp_settings(config: &config::tftp::TftpConfig) -> tftp::TftpSettings {
    tftp::TftpSettings {
        ports: if config.single_port { tftp::PortMode::Single } else { tftp::PortMode::PerTransfer },
        limits: TransferLimits {
            block_bytes_max: config.block_bytes,
            rollover: if config.rollover == 1 { BlockRollover::One } else { BlockRollover::Zero },
            ..TransferLimits::default()
        },
        sessions_max: config.sessions as usize,
        sessions_per_peer_max: config.sessions_per_peer as usize,
    }
}

fn tftp_peers(config: &ServerConfig) -> TftpPeers {
    match config.tftp.peers {
        config::tftp::PeerPolicy::Managed => TftpPeers::Managed,
        config::tftp::PeerPolicy::Any => TftpPeers::Any,
    }
}

fn log_damaged_rows(store: &SqliteStore) {
    for damaged in store.damaged() {
        let (kind, key, why) = (damaged.kind, &damaged.key, &damaged.why);
        tracing::error!(%kind, key, why, "a damaged row is left out");
    }
}

fn async_listener(listener: TcpListener) -> io::Result<tokio::net::TcpListener> {
    tokio::net::TcpListener::from_std(listener)
}

fn endpoints(
    sockets: &BoundSockets,
    config: &ServerConfig,
    fingerprint: &str,
) -> anyhow::Result<ServerEndpoints> {
    let address = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
    Ok(ServerEndpoints {
        api: address(&sockets.api)?,
        api_fingerprint: fingerprint.to_owned(),
        boot_http_port: address(&sockets.boot_http)?.map(|address| address.port()),
        boot_https_port: address(&sockets.boot_https)?.map(|address| address.port()),
        fetch_policy: Arc::new(FetchPolicy::new(config.fetch.allow.clone())),
        pack_trust: Arc::new(config.packs.clone()),
        secret_sources: Arc::new(config.secrets.clone()),
    })
}

/// Fills a new data directory: the built-in content, settings, and the administrator's token.
async fn fill(houses: &Arc<Houses>, data: &DataDir, log: LogFormat) -> anyhow::Result<()> {
    let caller = Caller::server(houses.kernel.now());
    houses.maintenance.find_last_backup().await;
    // Runs that an earlier version began keep their content, before new content is installed.
    let old = houses.runs.keep_content_of_old_runs(&caller).await.context("runs of an earlier version")?;
    if old > 0 {
        tracing::info!(
            runs = old,
            "runs that an earlier version began keep the content they were started with"
        );
    }
    let core = houses.catalog.load_core(&caller).await.context("the built-in content")?;
    let found = houses.channels.start(&caller, &core.version).await.context("the built-in content")?;
    found.log();
    if let Some(token) = houses.access.start(&caller).await.context("the administrator's token")? {
        let path = data.write_admin_token(&token.secret)?;
        let file = path.display();
        tracing::info!(%file, "first start: the administrator's token is in this file");
        // Logs are stored and read by others, so the token is shown only to the person at the terminal.
        let mut screen = io::stderr();
        if screen.is_terminal() && log == LogFormat::Text {
            drop(writeln!(screen, "administrator's token: {}", token.secret));
        }
    }
    Ok(())
}

/// The key that seals secret values. Logs how many of them it cannot open.
fn load_secrets(data: &DataDir, store: &dyn Store) -> anyhow::Result<SecretKey> {
    let world = store.world();
    if rotation::settle(data.path(), &world).context("secret.key.new")? == SettledRotation::Finished {
        tracing::info!("the rotation of secret.key that was interrupted is finished");
    }
    let secrets = SecretKey::load(data.path(), sealed_values(&world).count()).context("secret.key")?;
    let shut = sealed_values(&world).filter(|one| secrets.open(one.place(), &one.value).is_err()).count();
    if shut > 0 {
        tracing::error!(
            values = shut,
            "secret values do not open with secret.key: restore the key that they were sealed with, or set \
             them anew"
        );
    }
    Ok(secrets)
}

fn log_dhcp_and_loaders(config: &ServerConfig, houses: &Houses) {
    if config.dhcp_interfaces.is_empty() {
        tracing::info!(
            "DHCP is off: no interface is named; turn it on with --dhcp-interface NAME or [dhcp] interfaces"
        );
    }
    let loaders: Vec<&str> = houses.netboot.loaders.iter().map(|(name, _)| name).collect();
    if loaders.is_empty() {
        tracing::warn!("no boot loaders were found: install the packages ipxe and pxelinux");
    } else {
        tracing::info!(loaders = loaders.join(" "), "boot loaders");
    }
    let missing = houses.netboot.missing_loaders();
    if !missing.is_empty() {
        tracing::info!(missing = missing.join("; "), "loaders that are not here; who needs one is told so");
    }
}

/// Logs which features that the server needs the host lacks.
fn check_kernel_support() {
    if let Err(error) = contained_path::check_kernel() {
        tracing::warn!(%error, "no file of an artifact can be opened: openat2 (Linux 5.6) is needed");
    }
}

/// The line on stdout for the program that started the server.
#[derive(serde::Serialize)]
struct ReadyLine<'a> {
    event: &'static str,
    api: Option<String>,
    boot_http: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    boot_https: Option<String>,
    tftp: Option<String>,
    dhcp: &'a [String],
    dhcp_port: Option<u16>,
    data: &'a std::path::Path,
}

fn ready<'a>(
    config: &'a ServerConfig,
    sockets: &BoundSockets,
    endpoints: &ServerEndpoints,
    data: &'a DataDir,
) -> anyhow::Result<ReadyLine<'a>> {
    let dhcp_port = sockets.dhcp.as_ref().map(|dhcp| dhcp.service.local_port()).transpose()?;
    let tftp = sockets.tftp.as_ref().map(tftp::TftpService::local_addr);
    let http = sockets.boot_http.as_ref().map(TcpListener::local_addr).transpose()?;
    let https = sockets.boot_https.as_ref().map(TcpListener::local_addr).transpose()?;
    Ok(ReadyLine {
        event: "ready",
        api: endpoints.api.map(|address| format!("https://{address}")),
        boot_http: http.map(|address| format!("http://{address}")),
        boot_https: https.map(|address| format!("https://{address}")),
        tftp: tftp.map(|address| address.to_string()),
        dhcp: &config.dhcp_interfaces,
        dhcp_port,
        data: data.path(),
    })
}

/// Everything that runs until the server stops.
struct RunningServices {
    tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
    ready: Arc<AtomicBool>,
}

impl RunningServices {
    fn new() -> Self {
        RunningServices { tasks: JoinSet::new(), shutdown: CancellationToken::new(), ready: Arc::default() }
    }

    fn start(
        &mut self,
        houses: &Arc<Houses>,
        sockets: BoundSockets,
        PortListeners { certificates, api_limits: limits, boot, boot_tls }: PortListeners,
    ) -> anyhow::Result<()> {
        let limiter = ConnectionLimiter::new(limits.connections);
        let ports = counters::PortCounters { boot: boot.counters(), api: Arc::clone(&limiter.counters) };
        let counters = counters::rows(&sockets, (houses, &ports));
        let counters = counters.into_iter().chain(counters::certificates(&certificates));
        let counters = ServiceCounters::new(counters.collect());
        if let Some(listener) = sockets.api {
            let state = ApiState::new(Arc::clone(houses), self.shutdown.clone(), Arc::clone(&self.ready))
                .with_counters(counters);
            let listener = async_listener(listener)?;
            let tls = certificates.acceptor()?;
            let served = ApiListener { listener, tls, router: api::router(state), limits, limiter };
            let served = served.run(self.shutdown.clone());
            self.tasks.spawn(async { served.await.context("API") });
        }
        if let Some(listener) = sockets.boot_http {
            let served = boot.clone().run(async_listener(listener)?, None);
            self.tasks.spawn(async { served.await.context("boot HTTP") });
        }
        if let (Some(listener), Some(tls)) = (sockets.boot_https, boot_tls) {
            let served = boot.run(async_listener(listener)?, Some(tls));
            self.tasks.spawn(async { served.await.context("boot HTTPS") });
        }
        if let Some(service) = sockets.tftp {
            let shutdown = self.shutdown.clone();
            self.tasks.spawn(async { service.run(shutdown).await.context("TFTP") });
        }
        if let Some(dhcp) = sockets.dhcp {
            self.tasks.spawn(dhcp.run(Arc::clone(houses), self.shutdown.clone()));
        }
        upkeep::renew_certificates(houses, certificates, (&mut self.tasks, &self.shutdown));
        upkeep::start(houses, (&mut self.tasks, &self.shutdown));
        Ok(())
    }

    fn reload_on_hangup(&mut self, signals: &mut StopSignals, reload: ConfigReload) {
        if let Some(hangups) = signals.take_hangup() {
            let reloading = reload.run(hangups, self.shutdown.clone());
            self.tasks.spawn(async {
                reloading.await;
                Ok(())
            });
        }
    }

    /// Waits for a signal, or for a service that ends by itself, which is an error.
    async fn wait(&mut self, signals: &mut StopSignals) -> anyhow::Result<()> {
        tokio::select! {
            () = signals.come() => Ok(()),
            ended = self.tasks.join_next() => match ended {
                Some(Ok(Ok(()))) | None => Err(anyhow!("a service ended by itself")),
                Some(Ok(Err(error))) => Err(error),
                Some(Err(error)) => Err(error.into()),
            },
        }
    }

    async fn stop(mut self, queue: QueueTask) {
        tracing::info!("stopping");
        self.shutdown.cancel();
        let ended = async {
            while self.tasks.join_next().await.is_some() {}
            queue.stop.cancel();
            drop(queue.task.await);
        };
        if tokio::time::timeout(STOP_MAX, ended).await.is_err() {
            tracing::warn!("not everything ended in time");
        }
    }
}
