//! The console menu of unknown machines: its entries, and the script of the chosen one.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::artifacts::opened::{FetchRefusal, OpenedFile};
use crate::model::{Arch, Bootenv, BootenvKind};
use crate::netboot::Netboot;
use crate::netboot::decide::decision::BootQuestion;
use crate::netboot::decide::namespace::ScriptKind;
use crate::netboot::files::Fetch;

/// Most bootenvs in a menu; by name, the last ones are left out.
const ENTRIES_MAX: usize = 50;

impl Netboot {
    /// The entries of the menu: first the bootenvs that do no harm, then those that must be started on the
    /// server.
    pub fn menu_entries(&self) -> Vec<Value> {
        self.kernel.read(|world| {
            let shown = world.bootenvs.iter().map(|row| &row.spec).filter(|spec| is_shown(spec));
            let (erasing, harmless): (Vec<&Bootenv>, Vec<&Bootenv>) =
                shown.partition(|spec| spec.is_destructive());
            harmless.into_iter().chain(erasing).take(ENTRIES_MAX).map(menu_entry).collect()
        })
    }

    /// The script of the chosen entry. A known machine gets its own script instead.
    pub async fn open_choice(
        self: &Arc<Self>,
        fetch: &Fetch,
        kind: ScriptKind,
        bootenv: &str,
    ) -> Result<OpenedFile, FetchRefusal> {
        let mut gathered = self.who(fetch, &fetch.hint)?;
        if gathered.machine.is_none() {
            self.kernel.read(|world| gathered.choose(world, bootenv));
        }
        self.answer_script(fetch, gathered, kind, BootQuestion::Script).await
    }
}

fn menu_entry(spec: &Bootenv) -> Value {
    let note = if spec.is_destructive() { " (erases disks: how to start it)" } else { "" };
    json!({"name": spec.name, "title": format!("{}{note}", spec.name)})
}

fn is_shown(spec: &Bootenv) -> bool {
    spec.kind != BootenvKind::Local && spec.arches.contains_key(&Arch::Amd64)
}
