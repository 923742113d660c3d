//! Three equal nodes over one PostgreSQL, one Redis and one Kafka: what one has done holds on all.

#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::{Duration, Instant};

use cluster_store::kafka::KafkaConfig;
use cluster_store::postgres::PostgresConfig;
use cluster_store::redis::RedisConfig;
use cluster_store::{ClusterConfig, connect};
use platform_core::Platform;
use platform_core::audit::EventsQuery;
use platform_core::auth::{LoginRequest, RegisterRequest, SetupRequest, TokenPair};
use platform_core::flags::EvaluationContext;
use platform_core::kernel::{Context, CorrelationId, PageRequest, RawId, Secret, UserId};
use platform_core::transactions::{NewAccount, TransferRequest};
use serde_json::json;
use test_support::servers::{Kafka, Postgres, Redis};

/// Within this, what one node has answered is in force on all: a round of signals, or the time after which a node that hears
/// nothing trusts nothing.
const IN_FORCE: Duration = Duration::from_millis(250);
const PASSWORD: &str = "a long enough password";

struct Cluster {
    database: String,
    prefix: String,
    key: tempfile::NamedTempFile,
}

impl Cluster {
    fn new() -> Cluster {
        let mut key = tempfile::NamedTempFile::new().unwrap();
        writeln!(key, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=").unwrap();
        Cluster {
            database: Postgres::shared().unwrap().new_database().unwrap(),
            prefix: Kafka::shared().unwrap().new_prefix(),
            key,
        }
    }

    fn config(&self, node: &str) -> ClusterConfig {
        let kafka = KafkaConfig::new([Kafka::shared().unwrap().address()], node);
        let mut redis = RedisConfig::new(&Redis::shared().unwrap().url()).unwrap();
        redis.prefix = format!("{}:", self.prefix);
        ClusterConfig {
            store: PostgresConfig { connections: 8, ..PostgresConfig::new(&self.database) },
            stores: BTreeMap::new(),
            redis,
            kafka: KafkaConfig { topic_prefix: self.prefix.clone(), ..kafka },
            key_file: Some(self.key.path().to_owned()),
        }
    }

    async fn node(&self, name: &str) -> Platform {
        connect(&self.config(name)).await.unwrap()
    }
}

fn request_id() -> CorrelationId {
    CorrelationId::from_raw(RawId([7; 16]))
}

fn nobody() -> Context {
    Context::anonymous(request_id())
}

async fn signed_in(node: &Platform, pair: &TokenPair) -> Context {
    Context::new(node.auth().authenticate(&pair.access_token).await.unwrap(), request_id())
}

fn parsed<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

async fn administrator(node: &Platform) -> Context {
    let token = node.auth().setup_token().await.unwrap().unwrap();
    let setup =
        SetupRequest { token, email: "root@example.org".parse().unwrap(), password: Secret::new(PASSWORD) };
    signed_in(node, &node.auth().setup(&nobody(), &setup).await.unwrap()).await
}

async fn register(node: &Platform, email: &str) -> UserId {
    let (email, password) = (email.parse().unwrap(), Secret::new(PASSWORD));
    node.auth().register(&nobody(), &RegisterRequest { email, password, name: None }).await.unwrap().user_id
}

async fn login(node: &Platform, email: &str) -> TokenPair {
    let request = LoginRequest { email: email.parse().unwrap(), password: Secret::new(PASSWORD) };
    node.auth().login(&nobody(), &request).await.unwrap()
}

/// Waits until something holds, and says how long it took.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < Duration::from_secs(10), "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_has_done_holds_on_all() {
    let cluster = Cluster::new();
    let nodes = [cluster.node("one").await, cluster.node("two").await, cluster.node("three").await];
    let [one, two, three] = &nodes;
    let admin = administrator(one).await;

    // Identity: registered here, signed in there, known everywhere, and out everywhere.
    let ada = register(one, "ada@example.org").await;
    let pair = login(two, "ada@example.org").await;
    assert_eq!(signed_in(three, &pair).await.user().unwrap(), ada);
    let teller = "teller".parse().unwrap();
    let role = json!({"permissions": ["ledger:accounts", "ledger:transfer", "ledger:read"], "includes": []});
    one.users().put_role(&admin, &teller, None, &parsed(role)).await.unwrap();
    two.users().grant(&admin, ada, &teller).await.unwrap();
    let permission = "ledger:transfer".parse().unwrap();
    let took =
        until("the role is known", async || three.users().check(&admin, ada, &permission).await.unwrap());
    assert!(took.await <= IN_FORCE);
    let ada_ctx = signed_in(three, &pair).await;

    // Money: transfers through all nodes at once; every one counts once.
    let account = |value| parsed::<NewAccount>(value);
    let bank = account(json!({"asset": "EUR", "name": "bank"}));
    let bank = one.transactions().open_account(&ada_ctx, &bank).await.unwrap().id;
    let purse = account(json!({"asset": "EUR", "name": "purse", "min_balance": "0.00"}));
    let purse = two.transactions().open_account(&ada_ctx, &purse).await.unwrap().id;
    let transfer = |amount: &str| TransferRequest {
        id: None,
        debit_account: bank,
        credit_account: purse,
        asset: "EUR".to_owned(),
        amount: amount.to_owned(),
        pending: false,
        expires_in_s: None,
    };
    for round in 0..10 {
        let node = &nodes[round % nodes.len()];
        node.transactions().transfer(&ada_ctx, &transfer("1.25")).await.unwrap();
    }
    for node in &nodes {
        let seen = until("the balance is known", async || {
            node.transactions().account(&ada_ctx, purse, None).await.unwrap().posted == "12.50"
        });
        seen.await;
    }

    // A flag switched here is switched there.
    let flag = "new-shop".parse().unwrap();
    let on = json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"});
    one.flags().put(&admin, &flag, None, &on).await.unwrap();
    let subject = EvaluationContext::of_key(&ada.to_string());
    let took = until("the flag is known", async || {
        three
            .flags()
            .evaluate(&ada_ctx, "new-shop", &subject)
            .is_ok_and(|given| serde_json::to_value(&given).is_ok_and(|given| given["value"] == json!(true)))
    });
    assert!(took.await <= IN_FORCE);

    // Everything is in the one audit log, whoever asks.
    for node in &nodes {
        node.settled().await.unwrap();
        let about = EventsQuery { subject: Some(ada.to_string()), ..EventsQuery::default() };
        let entries = node.audit().events(&admin, &about, &PageRequest::default()).await.unwrap().items;
        let registered: Vec<_> =
            entries.iter().filter(|entry| entry.what.action == "auth.account_registered").collect();
        assert_eq!(registered.len(), 1, "{entries:?}");
        let index = registered[0].index;
        assert_eq!(node.audit().proof(&admin, index).await.unwrap().index, index);
    }

    // A session that ends on one node has ended on all.
    let session = two.auth().authenticate(&pair.access_token).await.unwrap().session.unwrap();
    one.auth().revoke_session(&admin, session).await.unwrap();
    for node in &nodes {
        let took = until("the session has ended", async || {
            node.auth().authenticate(&pair.access_token).await.is_err()
        });
        assert!(took.await <= IN_FORCE);
    }
    for node in &nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_comes_later_goes_on_where_the_others_stopped() {
    let cluster = Cluster::new();
    let first = cluster.node("one").await;
    let admin = administrator(&first).await;
    let ada = register(&first, "ada@example.org").await;
    first.stop().await;
    drop(first);
    let second = cluster.node("two").await;
    assert!(second.auth().setup_token().await.unwrap().is_none(), "there is an administrator");
    assert_eq!(second.users().get(&admin, ada).await.unwrap().email.as_str(), "ada@example.org");
    second.settled().await.unwrap();
    let about = EventsQuery { subject: Some(ada.to_string()), ..EventsQuery::default() };
    let entries = second.audit().events(&admin, &about, &PageRequest::default()).await.unwrap().items;
    assert!(entries.iter().any(|entry| entry.what.action == "auth.account_registered"), "{entries:?}");
    second.stop().await;
}

#[tokio::test]
async fn a_node_without_the_key_does_not_start() {
    let cluster = Cluster::new();
    let without = ClusterConfig { key_file: None, ..cluster.config("one") };
    assert_eq!(connect(&without).await.err().unwrap().code(), "keys.missing");
    let missing = ClusterConfig { key_file: Some("missing".into()), ..cluster.config("one") };
    assert_eq!(connect(&missing).await.err().unwrap().code(), "keys.missing");
}
