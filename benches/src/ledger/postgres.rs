//! The ledger on PostgreSQL, and the one that most programs write by hand.

#![allow(clippy::unwrap_used, reason = "what fails ends the measurement")]

use std::sync::Arc;
use std::time::Instant;

use cluster_store::postgres::{PostgresConfig, PostgresStores};
use platform_core::ports::store::Stores;
use test_support::servers::Postgres;
use tokio_postgres::{Client, NoTls, Statement};

use super::{ACCOUNTS, Bench, Spread, mix};
use crate::row::{Measured, in_turns};

/// Transfers of one measurement in batches.
const IN_BATCHES: usize = 500_000;
/// Tasks, and connections of the peer.
const TASKS: usize = 64;
/// Single transfers of one round, of each side: the peer's are slow.
const SINGLES: usize = 60_000;
const OF_PEER: usize = 3_000;
/// Rounds of each side.
const ROUNDS: usize = 5;

pub(super) fn stores(url: &str) -> Arc<dyn Stores> {
    Arc::new(PostgresStores::new(PostgresConfig::new(url)).unwrap())
}

fn bench(spread: Spread) -> Bench {
    let server = Postgres::start(&[]).unwrap();
    let url = server.new_database().unwrap();
    Bench::over(Some((server, url)), spread)
}

pub(super) fn batches(spread: Spread) -> f64 {
    let (_, seconds) = bench(spread).send(IN_BATCHES, false);
    IN_BATCHES as f64 / seconds
}

pub(super) fn hot() -> Measured {
    let (hot, even) = in_turns(3, || batches(Spread::Hot), || batches(Spread::Even));
    Measured::against(hot, "transfers/s", "even", even)
}

const TABLES: &str = "
    create table accounts (id int8 primary key, balance int8 not null);
    create table transfers (id int8 primary key, debit int8 not null, credit int8 not null, amount int8 not null);
    insert into accounts select number, 0 from generate_series(0, 9999) as number";

pub(super) fn singles() -> Measured {
    let mut bench = bench(Spread::Zipf);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let url = bench.server.as_ref().map(|(server, _)| server.new_database().unwrap()).unwrap();
    let clients: Vec<Arc<tokio::sync::Mutex<HandWritten>>> = runtime.block_on(async {
        connect(&url).await.batch_execute(TABLES).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..TASKS {
            clients.push(Arc::new(tokio::sync::Mutex::new(HandWritten::on(connect(&url).await).await)));
        }
        clients
    });
    let mut sent = 0;
    let (ours, theirs) = in_turns(
        ROUNDS,
        || bench.singles(TASKS, SINGLES).0,
        || {
            let begin = Instant::now();
            let writers = clients.iter().enumerate().map(|(writer, client)| {
                let (client, from) = (Arc::clone(client), sent);
                runtime.spawn(async move {
                    let mut client = client.lock().await;
                    for number in (writer..OF_PEER).step_by(TASKS) {
                        client.transfer((from + number) as u64).await;
                    }
                })
            });
            let writers: Vec<_> = writers.collect();
            runtime.block_on(async {
                for writer in writers {
                    writer.await.unwrap();
                }
            });
            sent += OF_PEER;
            OF_PEER as f64 / begin.elapsed().as_secs_f64()
        },
    );
    Measured::against(ours, "transfers/s", "for-update", theirs)
}

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A connection with its statements prepared.
struct HandWritten {
    client: Client,
    lock: Statement,
    change: Statement,
    note: Statement,
}

impl HandWritten {
    async fn on(client: Client) -> HandWritten {
        let lock = "select balance from accounts where id in ($1, $2) order by id for update";
        let lock = client.prepare(lock).await.unwrap();
        let change =
            client.prepare("update accounts set balance = balance + $2 where id = $1").await.unwrap();
        let note = "insert into transfers (id, debit, credit, amount) values ($1, $2, $3, $4)";
        let note = client.prepare(note).await.unwrap();
        HandWritten { client, lock, change, note }
    }

    /// Both accounts are locked in order, then changed, and the transfer is noted.
    async fn transfer(&mut self, number: u64) {
        let mixed = mix(number);
        let debit = Spread::Zipf.account(mixed >> 32) as i64;
        let credit = (debit + 1 + i64::from(mixed as u32) % (ACCOUNTS as i64 - 1)) % ACCOUNTS as i64;
        let (id, amount) = (number as i64, (mixed % 10_000 + 1) as i64);
        let transaction = self.client.transaction().await.unwrap();
        assert_eq!(transaction.query(&self.lock, &[&debit, &credit]).await.unwrap().len(), 2);
        transaction.execute(&self.change, &[&debit, &-amount]).await.unwrap();
        transaction.execute(&self.change, &[&credit, &amount]).await.unwrap();
        transaction.execute(&self.note, &[&id, &debit, &credit, &amount]).await.unwrap();
        transaction.commit().await.unwrap();
    }
}
