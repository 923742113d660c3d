//! kill -9: what was acknowledged is there after the restart, once; what was not can be repeated under
//! its key. `KILL_CYCLES` sets the number of cycles (100 by default).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};
use test_support::client::Client;
use test_support::process::Process;

const PROGRAM: &str = env!("CARGO_BIN_EXE_platform");
const PASSWORD: &str = "correct horse battery staple";
const ACCOUNTS: usize = 4;

/// What the writers were told, and what they were not told.
#[derive(Default)]
struct Record {
    /// Transfers by id: as they were acknowledged.
    transfers: BTreeMap<String, Value>,
    /// Requests without an answer: key and body, to be repeated.
    unanswered: Vec<(String, Value)>,
    /// Flags by key: what each may be now, by its variant (`None`: it may be missing).
    flags: BTreeMap<String, Vec<Option<String>>>,
    /// Registered addresses: acknowledged or not.
    users: BTreeMap<String, bool>,
}

struct World {
    accounts: Vec<String>,
    record: Mutex<Record>,
    numbers: AtomicU64,
    stop: AtomicBool,
}

impl World {
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Relaxed)
    }
}

fn transfer_body(accounts: &[String], number: u64) -> Value {
    let debit = number as usize % ACCOUNTS;
    let credit = (debit + 1 + (number / 7) as usize % (ACCOUNTS - 1)) % ACCOUNTS;
    json!({
        "debit_account": accounts[debit], "credit_account": accounts[credit],
        "asset": "EUR", "amount": format!("{}.{:02}", number % 90, number % 100 + u64::from(number.is_multiple_of(90))),
    })
}

fn write_transfers(world: &World, mut client: Client) {
    while !world.stop.load(Relaxed) {
        let number = world.number();
        let (key, body) = (format!("transfer-{number}"), transfer_body(&world.accounts, number));
        match client.send_with("POST", "/v1/transfers", &[("idempotency-key", &key)], Some(&body)) {
            Err(_) => return world.record.lock().unwrap().unanswered.push((key, body)),
            Ok(answer) => {
                assert_eq!(answer.status, 201, "{:?}", answer.json());
                let id = answer.json()["id"].as_str().unwrap().to_owned();
                world.record.lock().unwrap().transfers.insert(id, body);
            }
        }
    }
}

fn flag(variant: &str) -> Value {
    json!({"state": "ENABLED", "variants": {variant: variant}, "defaultVariant": variant})
}

fn write_flags(world: &World, mut client: Client) {
    while !world.stop.load(Relaxed) {
        let number = world.number();
        let (key, variant) = (format!("kill-{}", number % 20), format!("v{number}"));
        let sent = client.send("PUT", &format!("/v1/flags/{key}"), Some(&flag(&variant)));
        let mut record = world.record.lock().unwrap();
        let versions = record.flags.entry(key).or_insert_with(|| vec![None]);
        match sent {
            Err(_) => return versions.push(Some(variant)),
            Ok(answer) => {
                assert!(answer.status < 300, "{:?}", answer.json());
                *versions = vec![Some(variant)];
            }
        }
    }
}

fn write_users(world: &World, mut client: Client) {
    while !world.stop.load(Relaxed) {
        let email = format!("user-{}@example.com", world.number());
        let sent =
            client.send("POST", "/v1/auth/register", Some(&json!({"email": email, "password": PASSWORD})));
        let acknowledged = match &sent {
            Err(_) => false,
            Ok(answer) => {
                assert_eq!(answer.status, 201, "{:?}", answer.json());
                true
            }
        };
        world.record.lock().unwrap().users.insert(email, acknowledged);
        if !acknowledged {
            return;
        }
    }
}

/// What was not answered is sent again under its key: whether or not it was carried out before, it is
/// carried out once.
fn repeat_unanswered(world: &World, client: &mut Client) {
    let unanswered = std::mem::take(&mut world.record.lock().unwrap().unanswered);
    for (key, body) in unanswered {
        let ids: Vec<Value> = (0..2)
            .map(|_| {
                let sent =
                    client.send_with("POST", "/v1/transfers", &[("idempotency-key", &key)], Some(&body));
                let answer = sent.unwrap();
                assert_eq!(answer.status, 201, "{:?}", answer.json());
                answer.json()["id"].clone()
            })
            .collect();
        assert_eq!(ids[0], ids[1], "one key, one transfer");
        world.record.lock().unwrap().transfers.insert(ids[0].as_str().unwrap().to_owned(), body);
    }
}

fn cents(amount: &Value) -> i128 {
    amount.as_str().unwrap().replace('.', "").parse().unwrap()
}

fn check_balances(world: &World, client: &mut Client) {
    let mut expected: BTreeMap<&str, i128> = BTreeMap::new();
    let record = world.record.lock().unwrap();
    for body in record.transfers.values() {
        *expected.entry(body["debit_account"].as_str().unwrap()).or_default() -= cents(&body["amount"]);
        *expected.entry(body["credit_account"].as_str().unwrap()).or_default() += cents(&body["amount"]);
    }
    for (account, balance) in expected {
        let answer = client.send("GET", &format!("/v1/accounts/{account}"), None).unwrap();
        assert_eq!(cents(&answer.json()["posted"]), balance, "the ledger is what was acknowledged");
    }
}

fn check_transfers<'a>(transfers: impl Iterator<Item = (&'a String, &'a Value)>, client: &mut Client) {
    for (id, body) in transfers {
        let found = client.send("GET", &format!("/v1/transfers/{id}"), None).unwrap();
        assert_eq!(found.status, 200, "{id} was acknowledged: {:?}", found.json());
        for field in ["debit_account", "credit_account", "asset", "amount"] {
            assert_eq!(found.json()[field], body[field], "{id}");
        }
    }
}

fn check_flags(world: &World, client: &mut Client) {
    for (key, versions) in &mut world.record.lock().unwrap().flags {
        let found = client.send("GET", &format!("/v1/flags/{key}"), None).unwrap();
        let variant = found.json()["defaultVariant"].as_str().map(str::to_owned);
        assert!(found.status == 404 || found.status == 200, "{:?}", found.json());
        assert!(versions.contains(&variant), "{key} is {variant:?}, it may be {versions:?}");
        *versions = vec![variant];
    }
}

fn check_users(world: &World, client: &mut Client) {
    let users = std::mem::take(&mut world.record.lock().unwrap().users);
    for (email, acknowledged) in users {
        let found = client.send("GET", &format!("/v1/users?email_prefix={email}"), None).unwrap();
        let count = found.json()["items"].as_array().map_or(0, Vec::len);
        assert!(
            count == 1 || (!acknowledged && count == 0),
            "{email}: {count} profiles, acknowledged: {acknowledged}"
        );
    }
}

fn run(program: &Path, data: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).arg("--data").arg(data).output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{arguments:?}: {text}");
    text
}

#[test]
fn nothing_acknowledged_is_lost_or_doubled_when_the_process_is_killed() {
    let cycles: u64 = std::env::var("KILL_CYCLES").map_or(100, |cycles| cycles.parse().expect("a number"));
    let folder = tempfile::tempdir().unwrap();
    let (program, data) = (Path::new(PROGRAM), folder.path().join("data"));
    let mut process = Process::start(program, &data, &[]);
    let setup = json!({"token": process.setup_token, "email": "admin@example.com", "password": PASSWORD});
    let admin = process.client().send("POST", "/v1/setup", Some(&setup)).unwrap();
    let token =
        admin.json()["access_token"].as_str().unwrap_or_else(|| panic!("{:?}", admin.json())).to_owned();
    let mut client = process.client().with_token(&token);
    let accounts = (0..ACCOUNTS).map(|_| {
        let made = client.send("POST", "/v1/accounts", Some(&json!({"asset": "EUR"}))).unwrap();
        made.json()["id"].as_str().unwrap_or_else(|| panic!("{:?}", made.json())).to_owned()
    });
    let world = World {
        accounts: accounts.collect(),
        record: Mutex::default(),
        numbers: AtomicU64::new(1),
        stop: AtomicBool::new(false),
    };
    let mut ready = Vec::new();
    for cycle in 0..cycles {
        let known = world.record.lock().unwrap().transfers.len();
        let client = || process.client().with_token(&token);
        std::thread::scope(|scope| {
            let writers: [fn(&World, Client); 4] =
                [write_transfers, write_transfers, write_flags, write_users];
            let start = |write: fn(&World, Client)| {
                let (world, client) = (&world, client());
                scope.spawn(move || write(world, client))
            };
            let writers: Vec<_> = writers.map(start).into();
            // From 10 to 300 ms, in an order that covers the range evenly.
            std::thread::sleep(Duration::from_millis(10 + cycle * 113 % 290));
            Command::new("kill").args(["-9", &process.id().to_string()]).status().unwrap();
            world.stop.store(true, Relaxed);
            writers.into_iter().for_each(|writer| writer.join().unwrap());
            world.stop.store(false, Relaxed);
        });
        process.kill(); // It was; now it is gone, too.
        process = Process::start(program, &data, &[]);
        ready.push(process.ready_after);
        assert_eq!(process.setup_token, None, "the administrator is still there");
        let mut client = process.client().with_token(&token);
        repeat_unanswered(&world, &mut client);
        check_balances(&world, &mut client);
        check_flags(&world, &mut client);
        check_users(&world, &mut client);
        let record = world.record.lock().unwrap();
        check_transfers(record.transfers.iter().skip(known.saturating_sub(10)), &mut client);
    }
    let mut client = process.client().with_token(&token);
    check_transfers(world.record.lock().unwrap().transfers.iter(), &mut client);
    process.stop();
    run(program, &data, &["audit", "verify"]);
    ready.sort();
    let median = ready[ready.len() / 2];
    assert!(median < Duration::from_secs(1), "a restart took {median:?}");
    let transfers = world.record.lock().unwrap().transfers.len();
    assert!(transfers as u64 > cycles, "the writers wrote: {transfers}");
}
