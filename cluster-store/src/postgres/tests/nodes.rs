//! Several nodes over one database.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_write_at_once_share_gapless_positions() {
    const NODES: u64 = 3;
    const EACH: u64 = 60;
    let url = Postgres::shared().unwrap().new_database().unwrap();
    let mut writers = Vec::new();
    for number in 0..NODES {
        let store = node(&url).await;
        writers.push(tokio::spawn(async move {
            let commits = (0..EACH).map(|at| {
                let id = format!("{number}-{at}");
                let count = Write::Add { key: DocKey::new("counts", "all"), delta: 1, min: 0, max: i64::MAX };
                store.commit(writes(vec![put(&id, &id), count]))
            });
            let done = futures_util::future::join_all(commits).await;
            (store.name().to_owned(), done.into_iter().map(|commit| commit.unwrap()).collect::<Vec<_>>())
        }));
    }
    let (mut positions, mut counts) = (Vec::new(), Vec::new());
    for writer in writers {
        for commit in writer.await.unwrap().1 {
            positions.push(commit.position);
            counts.extend(commit.counters);
        }
    }
    positions.sort_unstable();
    counts.sort_unstable();
    assert!(positions.iter().copied().eq(1..=NODES * EACH));
    assert!(counts.iter().copied().eq(1..=(NODES * EACH) as i64));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_nodes_that_decide_on_one_version_one_wins() {
    let url = Postgres::shared().unwrap().new_database().unwrap();
    let (one, other) = (node(&url).await, node(&url).await);
    one.commit(writes(vec![put("a", "start")])).await.unwrap();
    for round in 0..20 {
        let before = version(&*one, "a").await.unwrap();
        let decide = |name: String| Batch {
            expects: vec![(thing("a"), Expect::Version(before))],
            writes: vec![put("a", &name)],
            ..Batch::default()
        };
        let done = tokio::join!(
            one.commit(decide(format!("one{round}"))),
            other.commit(decide(format!("other{round}")))
        );
        let (won, lost) = match done {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            done => panic!("both: {done:?}"),
        };
        assert_eq!(won.position, before + 1);
        assert!(matches!(lost, CommitError::Conflict { .. }), "{lost:?}");
    }
}

#[tokio::test]
async fn a_unique_entry_is_unique_over_all_nodes() {
    let url = Postgres::shared().unwrap().new_database().unwrap();
    let (one, other) = (node(&url).await, node(&url).await);
    one.commit(writes(vec![put("a", "name")])).await.unwrap();
    let refused = other.commit(writes(vec![put("b", "name")])).await.unwrap_err();
    assert!(matches!(refused, CommitError::Unique { index: "by_name", .. }), "{refused:?}");
}

/// Its entries would be missing in what the other one has added.
#[tokio::test]
async fn a_node_that_does_not_know_the_tables_any_more_writes_nothing() {
    let url = Postgres::shared().unwrap().new_database().unwrap();
    let old = node(&url).await;
    fn reindex(_: &[u8], body: &Body) -> Result<Vec<Entry>> {
        Ok(vec![Entry::new("by_body", body.as_bytes())])
    }
    const INDEXES: &[Index] = &[Index::one("by_body")];
    let changed = Schema::new("nodes", 1, &[Collection::json("things").indexed(INDEXES, reindex)]);
    let stores = PostgresStores::new(PostgresConfig::new(&url)).unwrap();
    let new = stores.open(&changed).await.unwrap();
    let refused = old.commit(writes(vec![put("a", "a")])).await.unwrap_err();
    let CommitError::Unavailable { maybe_applied: false, cause } = refused else { panic!("{refused:?}") };
    assert_eq!(cause.code(), "store.newer_schema");
    assert_eq!(version(&*new, "a").await, None);
}

/// What the database refuses is found by its batch, and the others of its group go on.
#[tokio::test]
async fn a_surprise_fails_the_batch_that_caused_it_alone() {
    let url = Postgres::shared().unwrap().new_database().unwrap();
    let store = node(&url).await;
    sql(&url, "alter table nodes.things add check (convert_from(by_name, 'UTF8') <> '\"b\"')").await;
    let ids = ["a", "b", "c"];
    let done = futures_util::future::join_all(ids.map(|id| store.commit(writes(vec![put(id, id)])))).await;
    assert!(matches!(done[1], Err(CommitError::Unavailable { maybe_applied: false, .. })), "{done:?}");
    assert!(done[0].is_ok() && done[2].is_ok(), "{done:?}");
    assert_eq!(store.commit(writes(vec![put("d", "d")])).await.unwrap().position, 3);
}

#[tokio::test]
async fn a_domain_may_have_a_database_of_its_own() {
    let (first, second) = (
        Postgres::shared().unwrap().new_database().unwrap(),
        Postgres::shared().unwrap().new_database().unwrap(),
    );
    let stores = PostgresStores::new(PostgresConfig::new(&first)).unwrap();
    let stores = stores.on("nodes", PostgresConfig::new(&second)).unwrap();
    let store = stores.open(&schema()).await.unwrap();
    store.commit(writes(vec![put("a", "a")])).await.unwrap();
    assert_eq!(version(&*node(&second).await, "a").await, Some(1));
    assert_eq!(version(&*node(&first).await, "a").await, None);
}

async fn sql(url: &str, text: &str) {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(text).await.unwrap();
}
