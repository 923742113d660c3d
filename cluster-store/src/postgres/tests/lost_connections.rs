//! Connections that are lost, above all in the middle of COMMIT.

use platform_core::kernel::Timestamp;
use test_support::servers::{Proxy, Rule};

use super::*;

/// The request that ends a transaction, and what the server says when it is committed.
const COMMIT: &[u8] = b"commit\0";
const COMMITTED: &[u8] = b"COMMIT\0";
/// The request that locks the head, by what it is preceded by.
const BEGIN: &[u8] = b"begin\0";

/// A store behind a proxy, and another node that needs none.
async fn behind_a_proxy() -> (Proxy, Arc<dyn Store>, Arc<dyn Store>) {
    let server = Postgres::shared().unwrap();
    let url = server.new_database().unwrap();
    let proxy = Proxy::to(server.port()).unwrap();
    let other = node(&url).await;
    let store = node(&url.replace(&server.port().to_string(), &proxy.port().to_string())).await;
    store.commit(writes(vec![put("first", "first")])).await.unwrap();
    (proxy, store, other)
}

#[tokio::test]
async fn a_commit_whose_request_was_lost_is_made_again() {
    let (proxy, store, other) = behind_a_proxy().await;
    proxy.set(Rule::LoseRequest(COMMIT));
    assert_eq!(store.commit(writes(vec![put("a", "a")])).await.unwrap().position, 2);
    assert_eq!(version(&*other, "a").await, Some(2));
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_out() {
    let (proxy, store, other) = behind_a_proxy().await;
    proxy.set(Rule::LoseAnswer(COMMIT, COMMITTED));
    assert_eq!(store.commit(writes(vec![put("a", "a")])).await.unwrap().position, 2);
    assert_eq!(store.commit(writes(vec![put("b", "b")])).await.unwrap().position, 3);
    assert_eq!(version(&*other, "a").await, Some(2));
    assert_eq!(*store.committed().borrow(), 3);
}

#[tokio::test]
async fn a_connection_that_is_lost_before_anything_was_written_is_replaced() {
    let (proxy, store, other) = behind_a_proxy().await;
    proxy.set(Rule::LoseRequest(BEGIN));
    assert_eq!(store.commit(writes(vec![put("a", "a")])).await.unwrap().position, 2);
    proxy.set(Rule::Cut);
    proxy.set(Rule::Pass);
    assert_eq!(store.commit(writes(vec![put("b", "b")])).await.unwrap().position, 3);
    assert_eq!(version(&*store, "a").await, Some(2));
    assert_eq!(version(&*other, "b").await, Some(3));
}

#[tokio::test]
async fn nothing_was_applied_where_nobody_can_be_reached() {
    let (proxy, store, other) = behind_a_proxy().await;
    proxy.set(Rule::Cut);
    let refused = store.commit(writes(vec![put("a", "a")])).await.unwrap_err();
    assert!(matches!(refused, CommitError::Unavailable { maybe_applied: false, .. }), "{refused:?}");
    assert_eq!(store.get(&[thing("first")]).await.unwrap_err().code(), "store.unavailable");
    proxy.set(Rule::Pass);
    assert_eq!(store.commit(writes(vec![put("a", "a")])).await.unwrap().position, 2);
    assert_eq!(version(&*other, "a").await, Some(2));
}

/// Committed, and nobody can be asked: the caller is told so, and its idempotency key settles the repetition.
#[tokio::test]
async fn what_may_have_been_applied_is_told_so_and_settled_by_its_key() {
    let (proxy, store, other) = behind_a_proxy().await;
    let now = Timestamp::from_secs(1_700_000_000);
    let request = Batch {
        writes: vec![put("a", "a")],
        idempotency: Some(Idempotency {
            scope: "user_1|test".into(),
            key: "key".into(),
            fingerprint: [1; 32],
            response: b"answer".to_vec(),
            now,
            expires_at: now.plus(Duration::from_secs(60)),
        }),
        ..Batch::default()
    };
    proxy.set(Rule::LoseAnswerForGood(COMMIT, COMMITTED));
    let unknown = store.commit(request.clone()).await.unwrap_err();
    assert!(matches!(unknown, CommitError::Unavailable { maybe_applied: true, .. }), "{unknown:?}");
    proxy.set(Rule::Pass);
    let again = store.commit(request).await.unwrap();
    assert_eq!((again.position, again.replayed.as_deref()), (2, Some(b"answer".as_slice())));
    assert_eq!(version(&*other, "a").await, Some(2));
    assert_eq!(other.commit(writes(vec![put("b", "b")])).await.unwrap().position, 3);
}

/// A node that is cut off while it holds the head: the server ends its transaction, and the others go on.
#[tokio::test]
async fn a_node_that_falls_silent_in_a_commit_holds_nobody_up_for_long() {
    let (proxy, store, other) = behind_a_proxy().await;
    proxy.set(Rule::Silence);
    let silent = tokio::spawn(async move { store.commit(writes(vec![put("a", "a")])).await });
    for number in 0..20 {
        let id = format!("b{number}");
        let done = tokio::time::timeout(Duration::from_secs(9), other.commit(writes(vec![put(&id, &id)])));
        done.await.expect("in time").unwrap();
    }
    proxy.set(Rule::Pass);
    silent.await.unwrap().unwrap();
    assert!(version(&*other, "a").await.is_some());
}

#[tokio::test]
async fn a_restart_of_the_server_loses_nothing_that_was_acknowledged() {
    let mut server = Postgres::start(&[]).unwrap();
    let url = server.new_database().unwrap();
    let store = node(&url).await;
    for number in 0..10_u64 {
        let id = format!("a{number}");
        assert_eq!(store.commit(writes(vec![put(&id, &id)])).await.unwrap().position, number + 1);
        if number % 4 == 3 {
            server.restart().unwrap();
        }
    }
    for number in 0..10 {
        assert_eq!(version(&*store, &format!("a{number}")).await, Some(number + 1));
    }
}
