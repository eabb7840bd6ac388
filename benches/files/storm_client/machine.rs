//! One machine from its first DISCOVER to the installer's last report, step by step. It fetches the loader in
//! the DHCP reply, and the kernel, the initrd and the answer file in the script; it reports to the origin of
//! the answer file.

use std::rc::Rc;
use std::time::Instant;

use tokio::time::sleep_until;

use super::http::{Body, Request};
use super::{Desk, STEPS, Step, http, tftp};
use crate::net::SERVER;
use crate::servers::HTTP_PORT;
use crate::storm::mac;

/// The installer's reports: a number of pieces of its log, and `done`.
const LOG_REPORTS: usize = 4;

/// Boots machine `number` when it is `switched_on`, and records the result.
pub async fn boot(desk: Rc<Desk>, number: u32, switched_on: Instant) {
    sleep_until(switched_on.into()).await;
    let begun = Instant::now();
    match live(&desk, number).await {
        Ok(()) => desk.took(Step::Boot, begun),
        Err(reason) => *desk.tally.borrow_mut().failures.entry(reason).or_default() += 1,
    }
}

async fn live(desk: &Desk, number: u32) -> Result<(), String> {
    let lease = desk.timed(Step::Dhcp, desk.relay.lease(number)).await?;
    desk.tally.borrow_mut().addresses.push(lease.address);
    let files = &desk.files;
    let source = (lease.next_server, lease.boot_file.as_str());
    desk.timed(Step::Loader, tftp::read(lease.address, source, &files.loader)).await?;
    let get = |step, url: String, body| async move {
        let request = Request { from: lease.address, url: &url, report: None, body };
        desk.timed(step, http::send(&desk.buffer, request)).await
    };
    let url = format!("http://{SERVER}:{HTTP_PORT}/boot.ipxe?mac={}", mac(number));
    let script = get(Step::Script, url, Body::Kept).await?;
    let Some(Named { kernel, initrd, answer_file }) = named(&script) else {
        return Err(format!("the script boots nothing: {}", script.lines().next().unwrap_or_default()));
    };
    get(Step::Kernel, kernel, Body::Same(&files.kernel)).await?;
    get(Step::Initrd, initrd, Body::Same(&files.initrd)).await?;
    if get(Step::AnswerFile, answer_file.clone(), Body::Kept).await?.is_empty() {
        return Err("the answer file is empty".to_owned());
    }
    let folder = answer_file.rsplit_once('/').map_or("", |(folder, _)| folder);
    for piece in 0..=LOG_REPORTS {
        let kind = if piece < LOG_REPORTS { "log" } else { "done" };
        let (url, said) = (format!("{folder}/{kind}"), format!("machine {number}: step {piece} is over"));
        let request = Request { from: lease.address, url: &url, report: Some(&said), body: Body::Kept };
        desk.timed(Step::Report, http::send(&desk.buffer, request)).await?;
    }
    Ok(())
}

/// The URLs of a script.
struct Named {
    kernel: String,
    initrd: String,
    answer_file: String,
}

fn named(script: &str) -> Option<Named> {
    let line = |command: &str| script.lines().find_map(|line| line.strip_prefix(command));
    let url = |line: &str, before: &str| {
        let mut words = line.split_whitespace().filter_map(|word| word.strip_prefix(before));
        words.find(|word| word.starts_with("http://")).map(str::to_owned)
    };
    let kernel = line("kernel ")?;
    Some(Named {
        kernel: url(kernel, "")?,
        initrd: url(line("initrd ")?, "")?,
        answer_file: url(kernel, "url=")?,
    })
}

impl Desk {
    async fn timed<T>(&self, step: Step, work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
        let begun = Instant::now();
        let came = work.await.map_err(|why| format!("{}: {why}", STEPS[step as usize]))?;
        self.took(step, begun);
        Ok(came)
    }

    fn took(&self, step: Step, begun: Instant) {
        self.tally.borrow_mut().took_us[step as usize].push(begun.elapsed().as_micros() as u64);
    }
}
