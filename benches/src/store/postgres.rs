//! PostgreSQL: one transaction per command, hand-written with tokio-postgres, each writer on a connection of its own.

use std::time::Instant;

use cluster_store::postgres::{PostgresConfig, PostgresStores};
use test_support::servers::Postgres;
use tokio_postgres::{Client, NoTls};

use super::{Sample, ours, per_second, runtime, sample};
use crate::row::{Measured, in_turns};

const PEER: &str = "tokio-postgres";
/// Writers of both sides.
const WRITERS: usize = 64;
/// Commits of one round.
const COMMITS: usize = 10_000;
/// Rounds of each side.
const ROUNDS: usize = 5;

const TABLES: &str = "
    create table people (id bytea primary key, by_mail bytea not null unique, body json not null);
    create table outbox (place bigserial primary key, event json not null)";

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A writer: what most programs do, with prepared statements.
async fn write(mut client: Client, numbers: impl Iterator<Item = usize>) {
    let insert = "insert into people (id, by_mail, body) values ($1, $2, $3::text::json)";
    let insert = client.prepare(insert).await.unwrap();
    let publish = client.prepare("insert into outbox (event) values ($1::text::json)").await.unwrap();
    for number in numbers {
        let Sample { id, mail, body, event } = sample(number as u64);
        let event = String::from_utf8(event.to_json().unwrap()).unwrap();
        let transaction = client.transaction().await.unwrap();
        transaction.execute(&insert, &[&id.as_slice(), &mail.as_bytes(), &body]).await.unwrap();
        transaction.execute(&publish, &[&event]).await.unwrap();
        transaction.commit().await.unwrap();
    }
}

fn hand_written(runtime: &tokio::runtime::Runtime, url: &str) -> f64 {
    let clients = runtime.block_on(async {
        connect(url).await.batch_execute(TABLES).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..WRITERS {
            clients.push(connect(url).await);
        }
        clients
    });
    let begin = Instant::now();
    let writers: Vec<_> = clients
        .into_iter()
        .enumerate()
        .map(|(writer, client)| runtime.spawn(write(client, (writer..COMMITS).step_by(WRITERS))))
        .collect();
    runtime.block_on(async {
        for writer in writers {
            writer.await.unwrap();
        }
    });
    per_second(COMMITS, begin)
}

pub(super) fn writers() -> Measured {
    let (runtime, server) = (runtime(), Postgres::start(&[]).unwrap());
    let (ours, theirs) = in_turns(
        ROUNDS,
        || {
            let stores = PostgresStores::new(PostgresConfig::new(server.new_database().unwrap())).unwrap();
            // As many tasks as writers: two for each commit of a group.
            ours::grouped(&runtime, &stores, WRITERS / 2, COMMITS)
        },
        || hand_written(&runtime, &server.new_database().unwrap()),
    );
    Measured::against(ours, "commits/s", PEER, theirs)
}
