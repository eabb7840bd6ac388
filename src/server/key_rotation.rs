//! `server rotate-key`: seals all secret values with a new key, on a data directory that nobody serves. So no
//! writer holds a value that is sealed with the old one.

use anyhow::{Context, Result, bail};
use jiff::Timestamp;

use super::data::DataDir;
use super::offline::OpenedData;
use crate::cli::data_verbs::RotateKeyArgs;
use crate::cli::output::note;
use crate::kernel::Caller;
use crate::kernel::secrets::SecretKey;
use crate::kernel::secrets::rotation::{self, KeyRotation};
use crate::model::World;
use crate::model::event::ServerKeyRotated;
use crate::store::Store;

/// Seals all secret values anew. Without `--yes` it only says how many there are.
///
/// # Errors
/// A server runs on the directory, the key is not there, or the disk refuses.
pub(super) async fn rotate(data: &DataDir, args: &RotateKeyArgs) -> Result<()> {
    let opened = OpenedData::of(data, data.path()).await?;
    let rotated = rotate_opened(data, (&opened, args)).await;
    opened.store.close().await;
    rotated
}

async fn rotate_opened(data: &DataDir, (opened, args): (&OpenedData, &RotateKeyArgs)) -> Result<()> {
    if let Some(fault) = &opened.key_fault {
        bail!("{fault}");
    }
    let kernel = &opened.kernel;
    let now = Timestamp::now();
    if !args.yes {
        let trial = SecretKey::random()?;
        let found = kernel.read(|world| KeyRotation::of(world, (&kernel.secrets, &trial), now))?;
        let at_work = kernel.read(machines_at_work);
        let KeyRotation { values, kept, shut, .. } = found;
        note(&format!(
            "{values} values of objects and {kept} that runs have kept would be sealed with a new key; \
             {shut} do not open with the present one and would stay as they are. {at_work} machines are in a \
             run: the URLs of their present boots would end. Nothing was changed without --yes"
        ));
        return Ok(());
    }
    let key = rotation::prepare(data.path()).context("secret.key.new")?;
    let rotated = kernel.read(|world| KeyRotation::of(world, (&kernel.secrets, &key), now))?;
    let KeyRotation { changeset, values, kept, shut } = rotated;
    let event = Caller::server(now).event(ServerKeyRotated { values, kept, shut });
    kernel.commit(changeset.event(event)).await.context("the values cannot be stored")?;
    rotation::finish(data.path()).context("secret.key")?;
    note(&format!(
        "{values} values of objects and {kept} that runs have kept are sealed with the new secret.key; \
         {shut} could not be opened. Backups from before have the old key and open with it"
    ));
    Ok(())
}

/// Number of machines that are in a run.
fn machines_at_work(world: &World) -> usize {
    let runs = world.machines.iter().filter_map(|machine| machine.status.run.as_ref());
    runs.filter(|run| run.ended_at.is_none()).count()
}
