//! The classes of a DHCP client, and the values of options that are templates. Templates are rendered after
//! the reply was decided, when the address is known, and before the address is promised. An option that
//! cannot be rendered is left out of the reply, and the reason says so.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::catalog::network_variables::subnet_variable;
use crate::catalog::params::SecretMode;
use crate::dhcp::Dhcp;
use crate::dhcp::decide::{DhcpQuery, TemplateOption};
use crate::dhcp::exchange::DecidedPacket;
use crate::dhcp::packet::TemplateFacts;
use crate::netboot::boot_facts::BootFacts;
use crate::render::{INLINE, InlineText, RenderInput, RenderLimits, RenderProblem, RenderedText};

/// Limits for rendering one value: a client waits for it.
const LIMITS: RenderLimits =
    RenderLimits { deadline: Duration::from_millis(100), output_bytes_max: 1024, fuel: 10_000 };
/// Most templates of one reply; further ones are left out.
const TEMPLATES_MAX: usize = 16;

impl Dhcp {
    /// Renders the options that the reply still lacks.
    pub(super) async fn fill_options(&self, query: &DhcpQuery<'_>, decided: &mut DecidedPacket) {
        let DecidedPacket { gathered, outcome, .. } = decided;
        let (Some(reply), Some(facts)) = (outcome.reply.as_mut(), outcome.templates.take()) else { return };
        let mut unfilled = std::mem::take(&mut reply.unfilled);
        let input = match self.option_input(query, gathered, &facts) {
            Ok(input) => input,
            Err(why) => {
                outcome.reason.push_str(&format!("; its templates are left out: {why}"));
                return;
            }
        };
        for option in unfilled.split_off(unfilled.len().min(TEMPLATES_MAX)) {
            outcome.reason.push_str(&format!("; {} is left out: too many templates", option.name));
        }
        for (option, rendered) in self.render_options(unfilled, input).await {
            let filled = rendered.and_then(|rendered| reply.fill(option.code, &rendered.text));
            if let Err(why) = filled {
                tracing::debug!(option = option.name, why, "an option could not be rendered");
                outcome.reason.push_str(&format!("; {} is left out: {why}", option.name));
            }
        }
        reply.encode();
    }

    async fn render_options(
        &self,
        options: Vec<TemplateOption>,
        input: RenderInput,
    ) -> Vec<(TemplateOption, Result<RenderedText, String>)> {
        let catalog = Arc::clone(&self.catalog);
        tokio::task::spawn_blocking(move || {
            // After a change it compiles all templates: not on the thread of packets.
            let engine = catalog.engine();
            options
                .into_iter()
                .map(|option: TemplateOption| {
                    let text = InlineText { place: &option.name, body: &option.template, verbatim: false };
                    let rendered = engine.render_inline(text, &input, LIMITS);
                    let said = |problem: RenderProblem| problem.renamed(&option.name, INLINE.to_owned());
                    let rendered = rendered.map_err(|problem| said(problem).to_string());
                    (option, rendered)
                })
                .collect()
        })
        .await
        .unwrap_or_default()
    }

    /// The variables of an option's template: the machine, as in all templates, and the facts of this packet.
    fn option_input(
        &self,
        query: &DhcpQuery<'_>,
        gathered: &BootFacts,
        facts: &TemplateFacts,
    ) -> Result<RenderInput, String> {
        let boot = gathered.boot(None, self.catalog.facing(facts.server.into()));
        let mut input =
            self.catalog.input(&boot, SecretMode::Withheld).map_err(|problem| problem.to_string())?;
        let mac: Vec<String> =
            query.packet.hardware_address().iter().map(|byte| format!("{byte:02x}")).collect();
        input.variables.insert("mac".to_owned(), mac.join(":").into());
        input.variables.insert("address".to_owned(), facts.address.to_string().into());
        let subnet =
            self.kernel.read(|world| world.subnets.get(&facts.subnet).map(|row| subnet_variable(&row.spec)));
        let subnet = subnet.unwrap_or_else(|| json!({"name": facts.subnet, "cidr": facts.cidr}));
        input.variables.insert("subnet".to_owned(), subnet);
        Ok(input)
    }
}
