//! What being audited costs: the same commands with and without the audit log beside them.

#![allow(clippy::expect_used, reason = "what fails ends the measurement")]

use std::sync::Arc;
use std::time::Instant;

use embedded_store::open_backends;
use platform_core::audit::{Audit, AuditConfig};
use platform_core::backbone::Backbone;
use platform_core::kernel::{AccountId, Amount, Context, RawId, TransferId};
use platform_core::transactions::ledger::state::{Action, NewTransfer};
use platform_core::transactions::{LedgerConfig, NewAccount, Transactions};
use platform_core::users::{NewProfile, Users};

use crate::row::{Measured, Row, in_turns};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "audit-cost-store",
        what: "users created from 64 tasks on SQLite, with the audit log; peer: without it",
        run: || in_both(users, "commands/s", |cost| cost.per_second),
    },
    Row {
        name: "audit-cpu-store",
        what: "the same, as processor time of a command, what follows from it included",
        run: || in_both(users, "µs", |cost| cost.processor_us),
    },
    Row {
        name: "audit-cost-ledger",
        what: "transfers in batches of 8,190 on SQLite, with the audit log; peer: without it",
        run: || in_both(transfers, "transfers/s", |cost| cost.per_second),
    },
    Row {
        name: "audit-cpu-ledger",
        what: "the same, as processor time of a transfer, what follows from it included",
        run: || in_both(transfers, "µs", |cost| cost.processor_us),
    },
];

const ROUNDS: usize = 7;
const TASKS: u64 = 64;
const USERS: u64 = 32_000;
const ACCOUNTS: u64 = 1_000;
const BATCH: u64 = 8_190;
const BATCHES: u64 = 60;

/// Users and transactions with what they publish, and perhaps who audits it.
struct Running {
    backbone: Backbone,
    users: Users,
    ledger: Transactions,
}

async fn start(path: &std::path::Path, is_audited: bool) -> Running {
    let backbone = Backbone::new(open_backends(path, Vec::new()).await.expect("a folder"));
    let ports = backbone.backends();
    let users = Users::open(ports).await.expect("users");
    backbone.add(users.database(), users.parts()).expect("added");
    let ledger = Transactions::open(ports, LedgerConfig::default()).await.expect("a ledger");
    backbone.add(ledger.database(), ledger.parts()).expect("added");
    if is_audited {
        let audit = Audit::open(ports, AuditConfig::default()).await.expect("an audit log");
        backbone.add(audit.database(), audit.parts()).expect("added");
    }
    backbone.start().await.expect("started");
    Running { backbone, users, ledger }
}

/// What commands cost.
struct Cost {
    per_second: f64,
    processor_us: f64,
}

/// Measures from now on.
struct Stopwatch {
    begin: Instant,
    processor: f64,
}

impl Stopwatch {
    fn start() -> Stopwatch {
        Stopwatch { begin: Instant::now(), processor: processor_us() }
    }
}

/// Processor time of this process so far, of threads that have ended, too.
fn processor_us() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("a Linux system");
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    // The 14th and 15th field are user and system time in ticks, which Linux gives as hundredths of a second.
    let ticks =
        behind_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() * 10_000.0
}

/// What commands cost with and without audit, in turns, each on an empty folder.
fn in_both(
    run: fn(&tokio::runtime::Runtime, &Running) -> (Stopwatch, u64),
    unit: &'static str,
    of: fn(Cost) -> f64,
) -> Measured {
    let one = |is_audited| {
        let folder = tempfile::tempdir_in(".").expect("a folder on the disk of the project");
        let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let running = tokio.block_on(start(&folder.path().join("data"), is_audited));
        let (stopwatch, commands) = run(&tokio, &running);
        let per_second = commands as f64 / stopwatch.begin.elapsed().as_secs_f64();
        tokio.block_on(running.backbone.stop());
        of(Cost { per_second, processor_us: (processor_us() - stopwatch.processor) / commands as f64 })
    };
    let (with, without) = in_turns(ROUNDS, || one(true), || one(false));
    Measured::against(with, unit, "without", without)
}

fn users(tokio: &tokio::runtime::Runtime, running: &Running) -> (Stopwatch, u64) {
    let stopwatch = Stopwatch::start();
    tokio.block_on(async {
        let tasks: Vec<_> = (0..TASKS)
            .map(|task| {
                let users = running.users.clone();
                tokio::spawn(async move {
                    for number in 0..USERS / TASKS {
                        let email =
                            format!("person.{task}.{number}@example.com").parse().expect("an address");
                        let new = NewProfile { id: None, email, name: None };
                        users.create(&Context::service("bench"), &new).await.expect("created");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
    (stopwatch, USERS)
}

fn transfers(tokio: &tokio::runtime::Runtime, running: &Running) -> (Stopwatch, u64) {
    let ledger = &running.ledger;
    let accounts = tokio.block_on(async {
        let opening: Vec<_> = (0..ACCOUNTS).map(|_| tokio::spawn(open_account(ledger.clone()))).collect();
        let mut accounts = Vec::new();
        for opened in opening {
            accounts.push(opened.await.expect("no panic"));
        }
        Arc::new(accounts)
    });
    let stopwatch = Stopwatch::start();
    tokio.block_on(async {
        let halves: Vec<_> = (0..2)
            .map(|half| {
                let (ledger, accounts) = (ledger.clone(), Arc::clone(&accounts));
                tokio::spawn(async move {
                    for batch in 0..BATCHES / 2 {
                        let first = (batch * 2 + half) * BATCH + 1;
                        let items =
                            (first..first + BATCH).map(|number| transfer(&accounts, number)).collect();
                        ledger.submit(&Context::service("bench"), items, false).await.expect("committed");
                    }
                })
            })
            .collect();
        for half in halves {
            half.await.expect("no panic");
        }
    });
    (stopwatch, BATCHES * BATCH)
}

async fn open_account(ledger: Transactions) -> AccountId {
    let new = NewAccount { asset: "EUR".to_owned(), name: None, min_balance: None, owner: None };
    ledger.open_account(&Context::service("bench"), &new).await.expect("an account").id
}

fn transfer(accounts: &[AccountId], number: u64) -> NewTransfer {
    let at = |number: u64| accounts.get((number % ACCOUNTS) as usize).copied().expect("an account");
    let action = Action::Transfer {
        debit: at(number.wrapping_mul(7_919)),
        credit: at(number.wrapping_mul(7_919) + 1),
        amount: Amount::from_minor(u128::from(number % 100 + 1)).expect("an amount"),
        asset: None,
    };
    NewTransfer { id: TransferId(RawId(u128::from(number).to_be_bytes())), action }
}
