//! Puts the server together: data directory, sockets, store, application, services. The only module that sees
//! them all. Start at [`run`].

mod counters;
mod data;
mod descriptors;
mod desk;
mod dhcp;
mod firmware_tls;
mod upkeep;

use std::io;
use std::net::{SocketAddr, SocketAddrV4, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use axum::Router;
use axum_server::Handle;
use axum_server::accept::NoDelayAcceptor;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::api::metrics::Counters;
use crate::api::{self, ApiState, boot_http};
use crate::app::beneath::{self, Case};
use crate::app::loaders::Loaders;
use crate::app::secrets::Secrets;
use crate::app::tftp_peers::TftpPeers;
use crate::app::{App, Ctx, Endpoints, Setup, notes};
use crate::config::{self, Config, Listen};
use crate::content;
use crate::dhcp::Prober;
use crate::listen::{Protocol, explain_bind};
use crate::media::Folder;
use crate::proto::tftp::{Limits, Rollover};
use crate::render::Pool;
use crate::store::{SqliteStore, Store};
use crate::tftp;
use data::DataDir;
use desk::Desk;
use dhcp::Dhcp;

/// How long everything may take to end after a signal.
const STOP_MAX: Duration = Duration::from_secs(10);
/// How long the database may take to open before the API says that it is not there yet.
const OPENED_SOON: Duration = Duration::from_secs(1);
/// How long API requests may take to end after a signal.
const DRAIN: Duration = Duration::from_secs(5);

/// The sockets, bound before privileges are dropped.
struct Sockets {
    api: Option<TcpListener>,
    boot_http: Option<TcpListener>,
    boot_https: Option<TcpListener>,
    tftp: Option<tftp::Service>,
    dhcp: Option<Dhcp>,
}

/// Runs a server until it is told to stop by SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from starting, or what made it stop by itself.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let mut signals = Signals::heed()?;
    let data = DataDir::open(&config.data)?;
    let descriptors = descriptors::raise();
    let desk = Arc::new(Desk::new(tftp_peers(&config)));
    let sockets = bind(&config, &desk)?;
    if let Some(user) = &config.user {
        data.give_to(user)?;
        data::become_user(user)?;
    }
    let store = tokio::select! {
        store = open_store(&data, sockets.api.as_ref()) => store?,
        () = signals.come() => {
            tracing::info!("told to stop before the database was open");
            return Ok(());
        }
    };
    for damaged in store.damaged() {
        let (kind, key, why) = (damaged.kind, &damaged.key, &damaged.why);
        tracing::error!(%kind, key, why, "a damaged row is left out");
    }
    let certificate = data.certificate()?;
    let endpoints = endpoints(&sockets, &certificate.fingerprint)?;
    let (app, queue) = App::new(Setup {
        store: Arc::clone(&store) as Arc<dyn Store>,
        secrets: Secrets::load(data.path()).context("secret.key")?,
        endpoints: endpoints.clone(),
        loaders: Loaders::find(&data.path().join("loaders")),
        pool: Arc::new(Pool::for_this_host().context("render threads")?),
        media: Folder::at(data.path().join("media")),
        case: if config.boot_ignore_case { Case::Ignored } else { Case::Exact },
    });
    if let Some(dhcp) = &sockets.dhcp {
        app.use_prober(Arc::clone(&dhcp.probes) as Arc<dyn Prober>);
        app.set_dhcp_service(dhcp.status(&endpoints)?);
    }
    desk.open(Arc::clone(&app));
    fill(&app, &data).await?;
    let ready = ready(&config, &sockets, &endpoints, &data)?;
    data.write_endpoint(&endpoints, &ready)?;
    tell_what_is_off(&config, &app);
    tell_what_lacks(&config, descriptors);
    let ready = serde_json::to_string(&ready)?;

    let queue = QueueEnd::start(&app, queue);
    let mut services = Services::new();
    let boot = boot_http::Service::new(Arc::clone(&app), bounds(&config), services.shutdown.clone());
    let boot_tls = match sockets.boot_https {
        Some(_) => Some(data.boot_certificate()?.acceptor()?),
        None => None,
    };
    let listeners = Listeners { tls: certificate.tls().await?, boot, boot_tls };
    services.start(&app, sockets, listeners)?;
    services.ready.store(true, Ordering::Release);
    println!("{ready}");
    let ended = services.wait(&mut signals).await;
    services.stop(queue).await;
    store.close().await;
    ended
}

/// Opens the database. Where that takes long the API says so meanwhile.
async fn open_store(data: &DataDir, api: Option<&TcpListener>) -> anyhow::Result<Arc<SqliteStore>> {
    let opening = SqliteStore::open(data.path());
    tokio::pin!(opening);
    let opened = match tokio::time::timeout(OPENED_SOON, &mut opening).await {
        Ok(opened) => opened,
        Err(_) => {
            let shutdown = CancellationToken::new();
            let _until_it_is_open = shutdown.clone().drop_guard();
            if let Some(api) = api {
                // The data directory is ours by now: whoever else has it is refused at once.
                let tls = data.certificate()?.tls().await?;
                let listener = api.try_clone().context("api.listen")?;
                tokio::spawn(serve_api(listener, tls, (api::starting::router(), shutdown)));
            }
            opening.await
        }
    };
    opened.context("the database does not open")
}

/// What answers on the TCP ports.
struct Listeners {
    tls: RustlsConfig,
    boot: boot_http::Service,
    boot_tls: Option<TlsAcceptor>,
}

fn bounds(config: &Config) -> boot_http::Bounds {
    let bounds = boot_http::Bounds::default();
    boot_http::Bounds {
        connections_max: config.boot_connections.unwrap_or(bounds.connections_max),
        of_one_address_max: config.boot_connections_per_address.unwrap_or(bounds.of_one_address_max),
    }
}

/// What tells the server to stop. Heeded from the very start, so that no signal is lost.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn heed() -> io::Result<Self> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn come(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// The queue of notes is written until everything that may add to it has ended.
struct QueueEnd {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl QueueEnd {
    fn start(app: &Arc<App>, queue: notes::Notes) -> Self {
        let stop = CancellationToken::new();
        QueueEnd { task: tokio::spawn(notes::run(Arc::clone(app), queue, stop.clone())), stop }
    }
}

fn bind(config: &Config, desk: &Arc<Desk>) -> anyhow::Result<Sockets> {
    let boot = |listen: Listen, what: &str| match listen {
        Listen::Off => Ok(None),
        Listen::At(address) => boot_http::bind(address)
            .map_err(|error| explain_bind(error, Protocol::Tcp, address.port()))
            .map(Some)
            .with_context(|| what.to_owned()),
    };
    let tftp = match config.tftp.listen {
        Listen::Off => None,
        Listen::At(SocketAddr::V4(address)) => Some(bind_tftp(config, address, desk)?),
        Listen::At(SocketAddr::V6(_)) => return Err(anyhow!("tftp.listen: an IPv4 address is needed")),
    };
    let dhcp = match config.dhcp_interfaces.as_slice() {
        [] => None,
        _ => Some(Dhcp::bind(config, desk).context("dhcp")?),
    };
    Ok(Sockets {
        api: match config.api {
            Listen::Off => None,
            Listen::At(address) => Some(listen_tcp(address).context("api.listen")?),
        },
        boot_http: boot(config.boot_http, "boot.http")?,
        boot_https: boot(config.boot_https, "boot.https")?,
        tftp,
        dhcp,
    })
}

fn bind_tftp(config: &Config, address: SocketAddrV4, desk: &Arc<Desk>) -> anyhow::Result<tftp::Service> {
    let settings = tftp_settings(&config.tftp);
    let opener = Arc::clone(desk) as Arc<dyn tftp::Opener>;
    tftp::Service::bind(address, settings, opener)
        .map_err(|error| explain_bind(error, Protocol::Udp, address.port()))
        .context("tftp.listen")
}

fn tftp_settings(config: &config::tftp::Tftp) -> tftp::Settings {
    tftp::Settings {
        ports: if config.single_port { tftp::Ports::Single } else { tftp::Ports::PerTransfer },
        limits: Limits {
            block_bytes_max: config.block_bytes,
            rollover: if config.rollover == 1 { Rollover::One } else { Rollover::Zero },
            ..Limits::default()
        },
        sessions_max: config.sessions as usize,
        sessions_per_peer_max: config.sessions_per_peer as usize,
    }
}

fn tftp_peers(config: &Config) -> TftpPeers {
    match config.tftp.peers {
        config::tftp::Peers::Managed => TftpPeers::Managed,
        config::tftp::Peers::Any => TftpPeers::Any,
    }
}

fn listen_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener =
        TcpListener::bind(address).map_err(|error| explain_bind(error, Protocol::Tcp, address.port()))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn endpoints(sockets: &Sockets, fingerprint: &str) -> anyhow::Result<Endpoints> {
    let address = |listener: &Option<TcpListener>| listener.as_ref().map(TcpListener::local_addr).transpose();
    Ok(Endpoints {
        api: address(&sockets.api)?,
        api_fingerprint: fingerprint.to_owned(),
        boot_http_port: address(&sockets.boot_http)?.map(|address| address.port()),
        boot_https_port: address(&sockets.boot_https)?.map(|address| address.port()),
    })
}

/// What a new data directory gets: the built-in content, settings, and the administrator's token.
async fn fill(app: &Arc<App>, data: &DataDir) -> anyhow::Result<()> {
    let ctx = Ctx::server(app.now());
    let core =
        content::core(ctx.now).map_err(|faults| anyhow!("the built-in content is faulty: {faults:?}"))?;
    let installed = app.install_pack(&ctx, &core).await.context("the built-in content")?;
    if installed.shadowed > 0 {
        tracing::info!(
            objects = installed.shadowed,
            "the site's own objects stand in place of built-in ones"
        );
    }
    if let Some(token) = app.start(&ctx).await.context("the administrator's token")? {
        let path = data.write_admin_token(&token.secret)?;
        let file = path.display();
        tracing::info!(%file, "first start: this is the administrator's token, kept in the file");
        eprintln!("administrator's token: {}", token.secret);
    }
    Ok(())
}

fn tell_what_is_off(config: &Config, app: &App) {
    if config.dhcp_interfaces.is_empty() {
        tracing::info!(
            "DHCP is off: no interface is named; turn it on with --dhcp-interface NAME or [dhcp] interfaces"
        );
    }
    let loaders: Vec<&str> = app.loaders().iter().map(|(name, _)| name).collect();
    if loaders.is_empty() {
        tracing::warn!("no boot loaders were found: install the packages ipxe and pxelinux");
    } else {
        tracing::info!(loaders = loaders.join(" "), "boot loaders");
    }
    let missing = app.missing_loaders();
    if !missing.is_empty() {
        tracing::info!(missing = missing.join("; "), "loaders that are not here; who needs one is told so");
    }
}

/// What the host does not give that the configuration counts on.
fn tell_what_lacks(config: &Config, descriptors: u64) {
    if let Err(error) = beneath::check_kernel() {
        tracing::warn!(%error, "no file of an artifact can be opened: openat2 (Linux 5.6) is needed");
    }
    // A connection, and the file that goes out over it.
    let needed = 2 * bounds(config).connections_max as u64;
    if descriptors < needed {
        tracing::warn!(
            descriptors,
            needed,
            "too few open files are allowed for boot.connections (LimitNOFILE)"
        );
    }
}

/// The one line on stdout, for whoever started the server.
#[derive(serde::Serialize)]
struct Ready<'a> {
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
    config: &'a Config,
    sockets: &Sockets,
    endpoints: &Endpoints,
    data: &'a DataDir,
) -> anyhow::Result<Ready<'a>> {
    let dhcp_port = sockets.dhcp.as_ref().map(|dhcp| dhcp.service.local_port()).transpose()?;
    let tftp = sockets.tftp.as_ref().map(tftp::Service::local_addr);
    let http = sockets.boot_http.as_ref().map(TcpListener::local_addr).transpose()?;
    let https = sockets.boot_https.as_ref().map(TcpListener::local_addr).transpose()?;
    Ok(Ready {
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
struct Services {
    tasks: JoinSet<anyhow::Result<()>>,
    shutdown: CancellationToken,
    ready: Arc<AtomicBool>,
}

impl Services {
    fn new() -> Self {
        Services { tasks: JoinSet::new(), shutdown: CancellationToken::new(), ready: Arc::default() }
    }

    fn start(
        &mut self,
        app: &Arc<App>,
        sockets: Sockets,
        Listeners { tls, boot, boot_tls }: Listeners,
    ) -> anyhow::Result<()> {
        let counters = Counters::new(counters::rows(&sockets, (app, &boot.counters())));
        if let Some(listener) = sockets.api {
            let state = ApiState::new(Arc::clone(app), self.shutdown.clone(), Arc::clone(&self.ready))
                .with_counters(counters);
            self.tasks.spawn(serve_api(listener, tls, (api::router(state), self.shutdown.clone())));
        }
        if let Some(listener) = sockets.boot_http {
            let served = boot.clone().run(tokio::net::TcpListener::from_std(listener)?, None);
            self.tasks.spawn(async { served.await.context("boot HTTP") });
        }
        if let (Some(listener), Some(tls)) = (sockets.boot_https, boot_tls) {
            let served = boot.run(tokio::net::TcpListener::from_std(listener)?, Some(tls));
            self.tasks.spawn(async { served.await.context("boot HTTPS") });
        }
        if let Some(service) = sockets.tftp {
            let shutdown = self.shutdown.clone();
            self.tasks.spawn(async { service.run(shutdown).await.context("TFTP") });
        }
        if let Some(dhcp) = sockets.dhcp {
            self.tasks.spawn(dhcp.run(Arc::clone(app), self.shutdown.clone()));
        }
        self.tasks.spawn(upkeep::artifacts(Arc::clone(app), self.shutdown.clone()));
        app.look_for_future_leases(app.now());
        self.tasks.spawn(upkeep::clock(Arc::clone(app), self.shutdown.clone()));
        self.tasks.spawn(upkeep::deadlines(Arc::clone(app), self.shutdown.clone()));
        self.tasks.spawn(upkeep::leases(Arc::clone(app), self.shutdown.clone()));
        self.tasks.spawn(upkeep::history(Arc::clone(app), self.shutdown.clone()));
        Ok(())
    }

    /// Until a signal, or until a service ends by itself, which is an error.
    async fn wait(&mut self, signals: &mut Signals) -> anyhow::Result<()> {
        tokio::select! {
            () = signals.come() => Ok(()),
            ended = self.tasks.join_next() => match ended {
                Some(Ok(Ok(()))) | None => Err(anyhow!("a service ended by itself")),
                Some(Ok(Err(error))) => Err(error),
                Some(Err(error)) => Err(error.into()),
            },
        }
    }

    async fn stop(mut self, queue: QueueEnd) {
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

async fn serve_api(
    listener: TcpListener,
    tls: RustlsConfig,
    (router, shutdown): (Router, CancellationToken),
) -> anyhow::Result<()> {
    let handle = Handle::new();
    // The last piece of an answer does not wait until the client has acknowledged the others.
    let acceptor = RustlsAcceptor::new(tls).acceptor(NoDelayAcceptor);
    let server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle.clone());
    let serve = server.serve(router.into_make_service());
    tokio::pin!(serve);
    tokio::select! {
        served = &mut serve => return served.context("API"),
        () = shutdown.cancelled() => handle.graceful_shutdown(Some(DRAIN)),
    }
    serve.await.context("API")
}
