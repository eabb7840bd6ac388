//! Migrations that change what stored objects mean.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tempfile::TempDir;

use super::open::{MIGRATIONS, StoreSetup, migrate};
use super::tests::{open, tamper};
use super::*;

/// Bootenvs as a server with the first six migrations stored them.
const BOOTENVS: &str = r#"
INSERT INTO bootenv (key, revision, document) VALUES
    ('site-debian', 1, '{"spec":{"name":"site-debian","kind":"install","destructive":false},"status":{},
        "source":"site","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'),
    ('armed', 1, '{"spec":{"name":"armed","kind":"install","destructive":true},"status":{},
        "source":"site","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'),
    ('rescue', 1, '{"spec":{"name":"rescue","kind":"live","destructive":false},"status":{},
        "source":"site","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}')
"#;

#[tokio::test]
async fn an_install_bootenv_stored_with_the_old_default_becomes_destructive() {
    let data = TempDir::new().unwrap();
    let old = StoreSetup { migrations: MIGRATIONS[..6].to_vec(), ..StoreSetup::default() };
    let options = SqliteConnectOptions::new().filename(data.path().join("metalwright.db"));
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    migrate(&mut connection, &old).await.unwrap();
    connection.close().await.unwrap();
    tamper(&data, BOOTENVS).await;
    let store = open(&data).await;
    assert_eq!(store.damaged(), []);
    let of = |key: &str| {
        let stored = store.world().bootenvs.get(key).cloned().unwrap();
        (stored.spec.destructive, stored.spec.is_destructive())
    };
    assert_eq!(of("site-debian"), (None, true));
    assert_eq!(of("armed"), (Some(true), true));
    assert_eq!(of("rescue"), (Some(false), false));
    let world = store.world();
    assert!(world.bootenvs.iter().all(|row| row.commit.get() == 1), "they have the first number");
    assert_eq!(world.commits.commit(), 1);
    assert!(world.commits.check(0, None).is_err(), "what was deleted before is not known");
}
