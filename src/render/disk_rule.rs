//! The rule for the disks of an installation, of the two params that may state it.

use crate::model::disk_rule::{DISK, DiskRule, INSTALL_DISK};
use crate::render::params::LayeredParams;

/// The param that says how disks are divided, and the way that a recipe of the site's own describes.
const PARTITIONING: &str = "partitioning";
const CUSTOM: &str = "custom";

impl LayeredParams {
    /// All params that [`LayeredParams::disk_rule`] reads.
    pub const DISK_RULE_READS: [&str; 3] = [DISK, INSTALL_DISK, PARTITIONING];

    /// The rule that counts: that of the highest level that has one of the params `disk` and `install_disk`.
    /// Without either it is the rule for machines with one disk.
    ///
    /// # Errors
    /// A level has both, the value is no rule, or the rule asks for several disks and the partitioning
    /// divides one.
    pub fn disk_rule(&self) -> Result<DiskRule, String> {
        let names = [DISK, INSTALL_DISK];
        let layer =
            self.layers.iter().find(|layer| names.iter().any(|name| layer.values.contains_key(*name)));
        let rule = match layer.map(|layer| (&layer.level, names.map(|name| layer.values.get(name)))) {
            Some((level, [Some(_), Some(_)])) => {
                return Err(format!(
                    "the {level} sets both `{DISK}` and `{INSTALL_DISK}`: unset `{INSTALL_DISK}`"
                ));
            }
            Some((_, [Some(rule), None])) => DiskRule::from_value(rule)?,
            Some((_, [None, Some(path)])) => DiskRule::from_path(path)?,
            Some((_, [None, None])) | None => DiskRule::default(),
        };
        let scheme = self.get(PARTITIONING).ok().flatten().and_then(|found| found.value.as_str());
        match scheme.filter(|scheme| rule.count() > 1 && *scheme != CUSTOM) {
            Some(scheme) => Err(several_disks(&rule, scheme)),
            None => Ok(rule),
        }
    }
}

fn several_disks(rule: &DiskRule, scheme: &str) -> String {
    format!(
        "the param `{DISK}` asks for {} disks, and `{PARTITIONING}: {scheme}` divides one: use \
         `{PARTITIONING}: {CUSTOM}` with a recipe for several disks, or ask for one",
        rule.count()
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use super::*;
    use crate::render::{ParamLayer, ParamLevel, SecretAccess};

    fn rule_of(machine: Value, global: Value) -> Result<String, String> {
        let layer = |level, values: Value| ParamLayer::new(level, values.as_object().unwrap().clone());
        let layers = vec![
            layer(ParamLevel::Machine, machine),
            layer(ParamLevel::Global, global),
            layer(ParamLevel::Default, json!({"partitioning": "lvm"})),
        ];
        LayeredParams::new(layers, BTreeSet::new(), SecretAccess::Open).disk_rule().map(|rule| rule.words())
    }

    #[test]
    fn of_both_params_that_of_the_most_specific_level_counts() {
        let (old, new) = (json!({"install_disk": "/dev/sda"}), json!({"disk": {"pick": "largest"}}));
        let none = json!({});
        for (machine, global, words) in [
            (&none, &none, "the only eligible disk"),
            (&old, &none, "the disk /dev/sda"),
            (&none, &old, "the disk /dev/sda"),
            (&old, &new, "the disk /dev/sda"),
            (&new, &old, "the largest disk"),
        ] {
            assert_eq!(rule_of(machine.clone(), global.clone()).as_deref(), Ok(words), "{machine} {global}");
        }
        let both = json!({"install_disk": "/dev/sda", "disk": {"pick": "largest"}});
        let refused = rule_of(both, none).unwrap_err();
        assert!(refused.ends_with("sets both `disk` and `install_disk`: unset `install_disk`"), "{refused}");
    }

    #[test]
    fn several_disks_need_a_recipe_of_the_sites_own() {
        let two = json!({"disk": {"count": 2}});
        assert!(rule_of(two.clone(), json!({})).unwrap_err().contains("`partitioning: lvm` divides one"));
        assert_eq!(rule_of(two, json!({"partitioning": "custom"})).as_deref(), Ok("the only 2 disks"));
    }
}
