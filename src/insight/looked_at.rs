//! The objects that the rules of a boot decision looked at, so that people can go on from a rule to what they
//! have to change. Start at [`RuleParties::looked_at`].

use schemars::JsonSchema;
use serde::Serialize;

use crate::dhcp::decide::MatchedClasses;
use crate::model::{Kind, Machine, Stored, World};
use crate::netboot::decide::decision::DecisionRule;

/// An object that a rule looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RuleObject {
    /// The rule of the trace.
    pub rule: String,
    pub kind: Kind,
    /// The object's name.
    pub name: String,
}

/// Everything that rules look at for one client.
#[derive(Clone, Copy, Debug)]
pub struct RuleParties<'a> {
    pub world: &'a World,
    /// The name of the client's subnet.
    pub subnet: Option<&'a str>,
    pub machine: Option<&'a Stored<Machine>>,
    pub classes: &'a MatchedClasses,
}

impl RuleParties<'_> {
    /// The objects of each rule, in the order of the rules.
    pub fn looked_at(&self, trace: &[DecisionRule]) -> Vec<RuleObject> {
        trace
            .iter()
            .flat_map(|rule: &DecisionRule| {
                self.objects(rule.rule).into_iter().map(move |of| (rule.rule, of))
            })
            .map(|(rule, (kind, name))| RuleObject { rule: rule.to_owned(), kind, name })
            .collect()
    }

    fn objects(&self, rule: &str) -> Vec<(Kind, String)> {
        let subnet = self.subnet.map(|name| (Kind::Subnet, name.to_owned()));
        let machine = self.machine.map(|machine| (Kind::Machine, machine.spec.name.clone()));
        let bootenv = self.bootenv().map(|name| (Kind::Bootenv, name));
        let objects: Vec<Option<(Kind, String)>> = match rule {
            "subnet_mode" => vec![subnet],
            "known_machine" => vec![machine.or_else(|| setting("unknown_machine"))],
            "machine_state" | "armed" => vec![machine, self.run()],
            "bootenv" => vec![machine, self.run(), bootenv.or_else(|| setting("default_bootenv"))],
            "arch" => vec![machine, bootenv],
            "usable" | "loader_files" | "netboot" => vec![bootenv],
            "secure_boot" => vec![machine, bootenv],
            "leave_by_loader" => vec![setting("leave_by_loader")],
            "loader" | "chainload" => {
                let classes = self.classes.iter().map(|class| Some((Kind::ClientClass, class.name.clone())));
                std::iter::once(bootenv).chain(classes).collect()
            }
            _ => Vec::new(),
        };
        objects.into_iter().flatten().collect()
    }
}

fn setting(name: &str) -> Option<(Kind, String)> {
    Some((Kind::Setting, name.to_owned()))
}

impl RuleParties<'_> {
    /// The run that is under way.
    fn run(&self) -> Option<(Kind, String)> {
        let run = self.machine?.status.run.as_ref().filter(|run| run.ended_at.is_none())?;
        Some((Kind::Run, run.id.to_string()))
    }

    fn bootenv(&self) -> Option<String> {
        let of_run = self.machine?.status.bootenv.clone();
        of_run.filter(|name| self.world.bootenvs.get(name).is_some())
    }
}
