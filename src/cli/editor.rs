//! `edit REF`: changes an object in the user's editor.

use std::env;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use uuid::Uuid;

use crate::cli::nouns::{name_of, object_path, written_fields};
use crate::cli::objects::NounClient;
use crate::cli::output;
use crate::cli::yaml;

/// Opens the object as YAML and writes back what was saved, unless another writer has changed it meanwhile.
///
/// # Errors
/// An editor that cannot be run or fails, or a refusal; the edited text stays in a file then.
pub async fn edit(noun: &NounClient, reference: &str) -> Result<()> {
    let path = object_path(noun.kind, reference)?;
    let view = noun.client.get(&path).await?;
    let revision = view.get("revision").and_then(Value::as_u64);
    let name = name_of(noun.kind, &view).to_owned();
    let head = format!("# {} {name}. Sealed values stay as they are unless you replace them.\n", noun.kind);
    let before = head + &yaml::write(&written_fields(&view))?;
    let draft = EditDraft::new(&before)?;
    let after = draft.edit().await?;
    if after == before {
        output::print("nothing changed\n")?;
        return draft.discard();
    }
    let sent = async {
        let mut documents = yaml::read(&after)?;
        let body = documents.pop().filter(|_| documents.is_empty());
        let body = body.ok_or_else(|| anyhow!("one document is expected"))?;
        Ok::<_, anyhow::Error>(noun.client.replace(&path, &body, revision).await?)
    };
    match sent.await {
        Ok(_) => {
            output::print(&format!("{} {name} changed\n", noun.kind))?;
            draft.discard()
        }
        Err(error) => Err(anyhow!("{error:#}\n  what you wrote is in {}", draft.file.display())),
    }
}

/// A file for the editor, in a folder that only its owner can enter.
struct EditDraft {
    folder: PathBuf,
    file: PathBuf,
}

impl EditDraft {
    fn new(text: &str) -> Result<Self> {
        let folder = env::temp_dir().join(format!("metalwright-{}", Uuid::new_v4()));
        let file = folder.join("edit.yaml");
        let write = || {
            fs::DirBuilder::new().mode(0o700).create(&folder)?;
            let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file)?;
            open.write_all(text.as_bytes())
        };
        write().with_context(|| format!("{} cannot be written", file.display()))?;
        Ok(EditDraft { folder, file })
    }

    async fn edit(&self) -> Result<String> {
        let editor =
            ["VISUAL", "EDITOR"].iter().find_map(|name| env::var(name).ok().filter(|it| !it.is_empty()));
        let editor = editor.unwrap_or_else(|| "vi".to_owned());
        // EDITOR often contains flags: `code --wait`.
        let mut words = editor.split_whitespace();
        let program = Path::new(words.next().unwrap_or("vi"));
        let status = tokio::process::Command::new(program).args(words).arg(&self.file).status().await;
        let status = status.with_context(|| format!("the editor `{editor}` cannot be run; set EDITOR"))?;
        if !status.success() {
            bail!("the editor ended with {status}; nothing was changed");
        }
        fs::read_to_string(&self.file).with_context(|| self.file.display().to_string())
    }

    fn discard(&self) -> Result<()> {
        fs::remove_dir_all(&self.folder).with_context(|| self.folder.display().to_string())
    }
}
