//! A folder in which every domain has something, and copies of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use embedded_store::{Engines, open_backends_on};
use platform_core::Platform;
use platform_core::auth::{LoginRequest, RegisterRequest, SetupRequest};
use platform_core::kernel::{Context, Secret, UserId};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The files below a folder by their paths within it, without the zeros at their ends that only reserve room.
pub(crate) type Content = BTreeMap<PathBuf, Vec<u8>>;

/// Bytes of zeros at an end that are kept.
const KEPT: usize = 100;

pub(crate) fn content_of(root: &Path) -> Content {
    let mut content = Content::new();
    let mut open = vec![PathBuf::new()];
    while let Some(inner) = open.pop() {
        for entry in fs::read_dir(root.join(&inner)).unwrap() {
            let entry = entry.unwrap();
            let path = inner.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push(path);
                continue;
            }
            let mut bytes = fs::read(entry.path()).unwrap();
            if path.extension().is_some_and(|kind| kind == "jnl") {
                let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                bytes.truncate(end + KEPT);
            }
            content.insert(path, bytes);
        }
    }
    content
}

/// Makes a folder hold this and nothing else.
pub(crate) fn write_content(root: &Path, content: &Content) {
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
    for (path, bytes) in content {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        #[cfg(unix)]
        if path.extension().is_some_and(|kind| kind == "key") {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }
}

fn parsed<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// The content of a folder in which all domains were used; `killed`: as a process that is killed leaves it.
pub(crate) fn filled(engines: &Engines, killed: bool) -> Content {
    let folder = super::folder();
    let data = folder.path().join("data");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let backends = open_backends_on(&data, engines.clone(), Vec::new()).await.unwrap();
        let platform = super::reading::builder(backends).build().await.unwrap();
        platform.start().await.unwrap();
        fill(&platform).await;
        platform.settled().await.unwrap();
        platform.audit().flush().await.unwrap();
        if killed {
            return content_of(folder.path());
        }
        platform.stop().await;
        drop(platform);
        content_of(folder.path())
    })
}

async fn fill(platform: &Platform) {
    let (auth, users, ctx) = (platform.auth(), platform.users(), Context::system());
    let password = || Secret::new("a long enough password");
    let token = auth.setup_token().await.unwrap().unwrap();
    let setup = SetupRequest { token, email: "root@example.org".parse().unwrap(), password: password() };
    auth.setup(&ctx, &setup).await.unwrap();
    let mut people: Vec<UserId> = Vec::new();
    for number in 0..12 {
        let email = format!("person-{number}@example.org").parse().unwrap();
        let register =
            RegisterRequest { email, password: password(), name: Some(format!("Person {number}")) };
        people.push(auth.register(&ctx, &register).await.unwrap().user_id);
    }
    let login = LoginRequest { email: "person-1@example.org".parse().unwrap(), password: password() };
    auth.login(&ctx, &login).await.unwrap();
    let teller = "teller".parse().unwrap();
    users
        .put_role(&ctx, &teller, None, &parsed(json!({"permissions": ["ledger:read"], "includes": []})))
        .await
        .unwrap();
    users.grant(&ctx, people[0], &teller).await.unwrap();
    for number in 0..20 {
        let flag = json!({
            "state": "ENABLED", "variants": {"on": format!("text {number}"), "off": ""}, "defaultVariant": "on",
            "targeting": {"if": [{"in": ["x", {"var": "email"}]}, "on", "off"]},
        });
        platform.flags().put(&ctx, &format!("flag-{number}").parse().unwrap(), None, &flag).await.unwrap();
        let route = json!({"match": {"path": format!("/r{number}")}, "access": "open", "target": {"upstreams": ["http://a"]}});
        platform
            .gateway()
            .put(&ctx, &format!("r{number}").parse().unwrap(), None, &parsed(route))
            .await
            .unwrap();
        let spec = json!({"subject": "x", "text": format!("text {number}")});
        platform
            .notifications()
            .put_template(&ctx, format!("t{number}").parse().unwrap(), parsed(spec), None)
            .await
            .unwrap();
    }
    let ledger = platform.transactions();
    let mut accounts = Vec::new();
    for _ in 0..4 {
        let new = parsed(json!({"asset": "EUR", "owner": people[0]}));
        accounts.push(ledger.open_account(&ctx, &new).await.unwrap().id);
    }
    for round in 0..8 {
        let transfers: Vec<Value> = (0..90)
            .map(|number| json!({
                "debit_account": accounts[(number + round) % 4], "credit_account": accounts[(number + round + 1) % 4],
                "asset": "EUR", "amount": format!("{number}.{:02}", round + 1), "pending": number % 30 == 7,
            }))
            .collect();
        ledger.transfer_batch(&ctx, &parsed(json!({"transfers": transfers}))).await.unwrap();
    }
}
