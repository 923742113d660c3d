//! What the real binary says of itself at `/metrics`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use test_support::client::Client;
use test_support::process::Process;

const PLATFORM: &str = env!("CARGO_BIN_EXE_platform");
const PASSWORD: &str = "correct horse battery staple";

/// The samples of one moment.
struct Metrics(String);

impl Metrics {
    fn of(process: &Process) -> Metrics {
        let answer = process.client().send("GET", "/metrics", None).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            Some("application/openmetrics-text; version=1.0.0; charset=utf-8")
        );
        let text = String::from_utf8(answer.body).unwrap();
        assert!(text.ends_with("# EOF\n"));
        Metrics(text)
    }

    /// A sample: its name with its labels, as it is written.
    fn value(&self, sample: &str) -> f64 {
        let line = self.0.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {sample} in\n{}", self.0)).parse().unwrap()
    }

    /// The names that are declared.
    fn names(&self) -> BTreeSet<&str> {
        let declared = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
        declared.collect()
    }

    fn series(&self) -> usize {
        self.0.lines().filter(|line| !line.starts_with('#')).count()
    }
}

fn administrator(process: &Process) -> Client {
    let setup = json!({"token": process.setup_token, "email": "root@example.org", "password": PASSWORD});
    let answer = process.client().send("POST", "/v1/setup", Some(&setup)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    process.client().with_token(answer.json()["access_token"].as_str().unwrap())
}

fn send(client: &mut Client, path: &str, body: Value, status: u16) -> Value {
    let answer = client.send("POST", path, Some(&body)).unwrap();
    assert_eq!(answer.status, status, "{path}: {answer:?}");
    answer.json()
}

#[test]
fn what_happens_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(Path::new(PLATFORM), &data, &[("PLATFORM__STORAGE__FJALL", "transactions")]);
    let before = Metrics::of(&process);
    assert_eq!(before.value("platform_backup_age_seconds"), f64::INFINITY);
    assert_eq!(before.value("platform_ledger_postings_total"), 0.0);
    let mut root = administrator(&process);
    let mut account = |body| send(&mut root, "/v1/accounts", body, 201)["id"].as_str().unwrap().to_owned();
    let bank = account(json!({"asset": "EUR"}));
    let purse = account(json!({"asset": "EUR", "min_balance": "0"}));
    let transfer = |from: &str, to: &str, amount: &str| json!({"debit_account": from, "credit_account": to, "asset": "EUR", "amount": amount});
    send(&mut root, "/v1/transfers", transfer(&bank, &purse, "12.50"), 201);
    send(&mut root, "/v1/transfers", transfer(&bank, &purse, "7.50"), 201);
    send(&mut root, "/v1/transfers", transfer(&purse, &bank, "20.01"), 409);
    let wrong = json!({"email": "root@example.org", "password": "not this one at all"});
    send(&mut root, "/v1/auth/login", wrong, 401);

    let now = Metrics::of(&process);
    assert_eq!(now.value("platform_ledger_postings_total"), 2.0);
    assert_eq!(now.value("platform_ledger_rejections_total{code=\"ledger.insufficient_funds\"}"), 1.0);
    assert_eq!(now.value("platform_ledger_accounts"), 2.0);
    assert_eq!(now.value("platform_ledger_imbalance"), 0.0);
    assert_eq!(now.value("platform_auth_attempts_total{outcome=\"auth.invalid_credentials\"}"), 1.0);
    assert_eq!(now.value("platform_auth_hash_queue_depth"), 0.0);
    assert!(now.value("platform_flags_staleness_seconds") < 30.0);
    assert!(now.value("process_cpu_seconds_total") > 0.0);
    for (system, store) in [("fjall", "transactions"), ("sqlite", "users")] {
        let labels =
            format!("db_system_name=\"{system}\",db_namespace=\"{store}\",db_operation_name=\"commit\"");
        let commits = now.value(&format!("db_client_operation_duration_seconds_count{{{labels}}}"));
        let syncs = now.value(&format!("platform_store_sync_seconds_count{{store=\"{store}\"}}"));
        let positions = now.value(&format!("platform_store_commits{{store=\"{store}\"}}"));
        assert!(
            (1.0..=commits).contains(&syncs) && syncs <= positions,
            "{store}: {commits} {syncs} {positions}"
        );
        assert!(now.value(&format!("platform_store_sync_seconds_sum{{store=\"{store}\"}}")) > 0.0);
        let last = format!("db_client_operation_duration_seconds_bucket{{le=\"+Inf\",{labels}}}");
        assert_eq!(now.value(&last), commits);
    }
    assert!(now.value("platform_log_sync_seconds_count") >= 1.0);

    // What is behind catches up.
    let begin = std::time::Instant::now();
    loop {
        let now = Metrics::of(&process);
        let behind = now.value("platform_outbox_lag_seconds{store=\"users\"}")
            + now.value("platform_handler_lag_events{handler=\"audit.append\"}");
        if behind == 0.0 && now.value("platform_notifications_attempts_total{outcome=\"deferred\"}") >= 1.0 {
            assert!(now.value("platform_notifications_send_duration_seconds_count") >= 1.0);
            break;
        }
        assert!(begin.elapsed().as_secs() < 20, "{}", now.0);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    every_metric_is_described_and_every_description_is_true(&now);
}

fn every_metric_is_described_and_every_description_is_true(metrics: &Metrics) {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let rows = docs.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let described: BTreeSet<&str> =
        rows.flat_map(|names| names.split("`, `")).map(|name| name.trim_end_matches('`')).collect();
    // An info is declared without its suffix.
    let declared = metrics.names().into_iter().map(|name| match name {
        "platform_build" => "platform_build_info",
        name => name,
    });
    assert_eq!(declared.collect::<BTreeSet<_>>(), described);
}

#[test]
fn a_backup_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let process = Process::start(Path::new(PLATFORM), &data, &[]);
    let made = Command::new(PLATFORM)
        .arg("backup")
        .arg(folder.path().join("copy"))
        .arg("--data")
        .arg(&data)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    assert!(Metrics::of(&process).value("platform_backup_age_seconds") < 60.0);
}

#[test]
fn callers_cannot_make_series() {
    let folder = tempfile::tempdir().unwrap();
    let process = Process::start(Path::new(PLATFORM), &folder.path().join("data"), &[]);
    let mut client = process.client();
    let mut ask = |number: usize| {
        for (method, path) in [
            ("GET", format!("/nowhere/{number}")),
            ("GET", format!("/v1/users/{number}")),
            (["BREW", "STEEP", "POUR", "DRINK"][number % 4], "/livez".to_owned()),
        ] {
            client.send(method, &path, None).unwrap();
        }
    };
    (0..4).for_each(&mut ask);
    let before = Metrics::of(&process).series();
    (4..1_000).for_each(&mut ask);
    let after = Metrics::of(&process).series();
    assert!(before <= after && after <= before + 20 && after < 2_000, "{before} series, then {after}");
}
