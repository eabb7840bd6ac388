//! What the services count, for the metrics page. Start reading at [`rows`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::api::metrics::{CounterReader, ServiceCounter};
use crate::artifacts::opened::FetchRefusal;
use crate::connections::{self, LimitReason};
use crate::durations::DurationCounts;
use crate::houses::Houses;
use crate::render::LOSSES;
use crate::server::BoundSockets;
use crate::server::certificates::ApiCertificates;
use crate::{dhcp, tftp};

/// A metric's name, its help text, and where its number is.
type CounterRow<C> = (&'static str, &'static str, fn(&C) -> &AtomicU64);

#[rustfmt::skip]
const DHCP: &[CounterRow<dhcp::server::DhcpCounters>] = &[
    ("metalwright_dhcp_received_total", "Datagrams that came to the DHCP port.", |c| &c.received),
    ("metalwright_dhcp_sent_total", "DHCP replies sent.", |c| &c.sent),
    ("metalwright_dhcp_resent_total", "DHCP replies sent once more, because they were lost.", |c| &c.resent),
    ("metalwright_dhcp_receive_failures_total", "Failures of the DHCP sockets when they were read.",
        |c| &c.receive_failures),
    ("metalwright_dhcp_send_failures_total", "DHCP replies that could not be sent.", |c| &c.send_failures),
];

const TFTP: &[CounterRow<tftp::TftpCounters>] = &[
    ("metalwright_tftp_requests_total", "TFTP requests, repeated ones included.", |c| &c.requests),
    ("metalwright_tftp_refused_total", "TFTP requests answered with an ERROR.", |c| &c.refused),
    ("metalwright_tftp_unanswered_total", "TFTP requests that are not for this server.", |c| &c.unanswered),
    ("metalwright_tftp_put_off_total", "TFTP requests left for the client to repeat.", |c| &c.put_off),
    ("metalwright_tftp_malformed_total", "Datagrams that were no TFTP packet.", |c| &c.malformed),
    ("metalwright_tftp_strays_total", "TFTP packets that belong to no read.", |c| &c.strays),
    ("metalwright_tftp_started_total", "TFTP reads begun.", |c| &c.started),
    ("metalwright_tftp_finished_total", "TFTP reads ended.", |c| &c.finished),
    ("metalwright_tftp_windows_total", "Windows of TFTP blocks sent.", |c| &c.windows),
    ("metalwright_tftp_retransmitted_total", "Windows sent again after a time-out.", |c| &c.retransmitted),
];

const BOOT_HTTP: &[CounterRow<connections::ConnectionCounters>] = &[
    ("metalwright_boot_http_connections_total", "Connections to the boot side's HTTP ports.", |c| {
        &c.connections
    }),
    ("metalwright_boot_http_requests_total", "Requests to the boot side over HTTP.", |c| &c.requests),
];

const API: &[CounterRow<connections::ConnectionCounters>] =
    &[("metalwright_api_connections_total", "Connections to the API's port.", |c| &c.connections)];

#[rustfmt::skip]
const HOUSES: &[CounterRow<Houses>] = &[
    ("metalwright_events_dropped_total", "Events not written because too many were waiting.",
        |houses| &houses.kernel.notes_dropped),
    ("metalwright_boot_fetches_unwritten_total",
        "Events of fetches not written because one machine fetched one file over and over.",
        |houses| &houses.netboot.memory.fetches_repeated),
    ("metalwright_dhcp_unserved_total", "DHCP packets that no subnet fits.",
        |houses| &houses.dhcp.observations.unserved_packets),
    ("metalwright_dhcp_addresses_in_use_total", "Addresses found in use before they were offered.",
        |houses| &houses.dhcp.probing.in_use),
    ("metalwright_documents_kept_total", "Documents of runs that were recorded.",
        |houses| &houses.records.counters.kept),
    ("metalwright_documents_dropped_total",
        "Documents of runs that were not recorded, because too many waited or the database took none.",
        |houses| &houses.records.counters.dropped),
    ("metalwright_history_pruned_total", "Jobs, logs, documents and events that were pruned.",
        |houses| &houses.records.counters.pruned),
    ("metalwright_tftp_strangers_total", "TFTP requests from outside every enabled subnet.",
        |houses| &houses.netboot.memory.tftp_strangers),
];

/// What the TCP ports count.
pub(super) struct PortCounters {
    pub boot: Arc<connections::ConnectionCounters>,
    pub api: Arc<connections::ConnectionCounters>,
}

/// The counters of every service that is on.
pub(super) fn rows(
    sockets: &BoundSockets,
    (houses, ports): (&Arc<Houses>, &PortCounters),
) -> Vec<ServiceCounter> {
    // What is off counts nothing, and has its metrics all the same.
    let dhcp = sockets.dhcp.as_ref().map_or_else(Arc::default, |dhcp| dhcp.service.counters());
    let tftp = sockets.tftp.as_ref().map_or_else(Arc::default, tftp::TftpService::counters);
    let mut rows = table(DHCP, &dhcp);
    rows.extend(dropped(&dhcp));
    rows.push(durations("metalwright_dhcp_answer_duration_seconds", DHCP_ANSWERS, move || {
        dhcp.answers.counts()
    }));
    rows.extend(table(TFTP, &tftp));
    rows.extend(table(BOOT_HTTP, &ports.boot));
    rows.extend(BOOT_LIMITED.counters(&ports.boot));
    rows.extend(table(API, &ports.api));
    rows.extend(API_LIMITED.counters(&ports.api));
    rows.extend(table(HOUSES, houses));
    rows.extend(boot_files(houses));
    rows.extend(workers(houses));
    rows
}

/// When the certificates of the API end, in seconds since 1970.
pub(super) fn certificates(certificates: &Arc<ApiCertificates>) -> Vec<ServiceCounter> {
    let row = |name: &'static str| {
        let certificates = Arc::clone(certificates);
        ServiceCounter {
            name: "metalwright_api_certificate_ends_seconds",
            about: "When a certificate of the API ends, in seconds since 1970; `own` is 0 without one.",
            label: Some(("certificate", name)),
            read: CounterReader::Gauge(Box::new(move || {
                let ends = certificates.ends().into_iter().find(|(own, _)| *own == name);
                ends.and_then(|(_, end)| u64::try_from(end.as_second()).ok()).unwrap_or_default()
            })),
        }
    };
    ["authority", "host", "own"].map(row).into()
}

const DHCP_ANSWERS: &str = "From the arrival of a DHCP request until its reply is handed to the network.";

fn durations(
    name: &'static str,
    about: &'static str,
    read: impl Fn() -> DurationCounts + Send + Sync + 'static,
) -> ServiceCounter {
    ServiceCounter { name, about, label: None, read: CounterReader::Durations(Box::new(read)) }
}

/// How long boot files take to be found, and those that were not served.
fn boot_files(houses: &Arc<Houses>) -> Vec<ServiceCounter> {
    let of = Arc::clone(houses);
    let about = "From the request for a boot file until it is found or rendered.";
    let opens = move || of.netboot.memory.opens.counts();
    let mut rows = vec![durations("metalwright_boot_file_open_duration_seconds", about, opens)];
    rows.extend(FetchRefusal::REASONS.into_iter().enumerate().map(|(i, why)| {
        let houses = Arc::clone(houses);
        ServiceCounter {
            name: "metalwright_boot_files_refused_total",
            about: "Boot files that were asked for over TFTP or HTTP and not served.",
            label: Some(("reason", why)),
            read: CounterReader::Count(Box::new(move || {
                houses.netboot.memory.refused.get(i).map_or(0, |count| count.load(Ordering::Relaxed))
            })),
        }
    }));
    rows
}

/// How long renders take, by whom they are for.
fn renders(houses: &Arc<Houses>) -> impl Iterator<Item = ServiceCounter> {
    POOLS.into_iter().enumerate().map(|(i, pool)| {
        let houses = Arc::clone(houses);
        ServiceCounter {
            name: "metalwright_render_duration_seconds",
            about: "How long renders take with the wait for a worker, for machines and for previews.",
            label: Some(("pool", pool)),
            read: CounterReader::Durations(Box::new(move || {
                houses.catalog.render_durations().get(i).cloned().unwrap_or_default()
            })),
        }
    })
}

const POOLS: [&str; 2] = ["serve", "preview"];

/// Render workers that were started, and those that were lost, by the limit they reached.
fn workers(houses: &Arc<Houses>) -> Vec<ServiceCounter> {
    let of = Arc::clone(houses);
    let mut rows = vec![ServiceCounter {
        name: "metalwright_render_workers_started_total",
        about: "Render workers started.",
        label: None,
        read: CounterReader::Count(Box::new(move || {
            of.catalog.render_conditions().iter().map(|pool| pool.started).sum()
        })),
    }];
    rows.extend(renders(houses));
    rows.extend(LOSSES.into_iter().enumerate().map(|(i, why)| {
        let houses = Arc::clone(houses);
        ServiceCounter {
            name: "metalwright_render_workers_lost_total",
            about: "Render workers that were ended at a limit or crashed, and were replaced.",
            label: Some(("limit", why)),
            read: CounterReader::Count(Box::new(move || {
                let pools = houses.catalog.render_conditions();
                pools.iter().filter_map(|pool| pool.lost.get(i)).sum()
            })),
        }
    }));
    rows
}

/// Packets that DHCP did not answer, by the reason.
fn dropped(counters: &Arc<dhcp::server::DhcpCounters>) -> impl Iterator<Item = ServiceCounter> {
    dhcp::server::DropReason::ALL.into_iter().map(|why| {
        let counters = Arc::clone(counters);
        ServiceCounter {
            name: "metalwright_dhcp_dropped_total",
            about: "DHCP packets that were not answered.",
            label: Some(("reason", why.as_str())),
            read: CounterReader::Count(Box::new(move || counters.dropped(why))),
        }
    })
}

/// Clients that a port kept waiting, turned away or cut off, by the reason.
struct LimitCounters {
    name: &'static str,
    about: &'static str,
    limits: &'static [LimitReason],
}

const BOOT_LIMITED: LimitCounters = LimitCounters {
    name: "metalwright_boot_http_limited_total",
    about: "HTTP clients of the boot side that had to wait, were turned away or were cut off.",
    limits: &LimitReason::OF_BOOT,
};
const API_LIMITED: LimitCounters = LimitCounters {
    name: "metalwright_api_limited_total",
    about: "Clients of the API's port that had to wait, were turned away or were cut off.",
    limits: &LimitReason::OF_API,
};

impl LimitCounters {
    fn counters(
        self,
        counters: &Arc<connections::ConnectionCounters>,
    ) -> impl Iterator<Item = ServiceCounter> {
        self.limits.iter().map(move |limit| {
            let (counters, limit) = (Arc::clone(counters), *limit);
            ServiceCounter {
                name: self.name,
                about: self.about,
                label: Some(("reason", limit.as_str())),
                read: CounterReader::Count(Box::new(move || counters.limited(limit))),
            }
        })
    }
}

fn table<C: Send + Sync + 'static>(rows: &[CounterRow<C>], counters: &Arc<C>) -> Vec<ServiceCounter> {
    rows.iter()
        .map(|(name, about, pick): &CounterRow<C>| {
            let (counters, pick) = (Arc::clone(counters), *pick);
            ServiceCounter {
                name,
                about,
                label: None,
                read: CounterReader::Count(Box::new(move || pick(&counters).load(Ordering::Relaxed))),
            }
        })
        .collect()
}
