//! The audit trail over HTTP: what happened stands in it, and a stranger can prove that it does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::Running;
use platform_core::audit::tlog::EntryBundle;
use platform_core::audit::{Checkpoint, VerifierKey};
use platform_core::kernel::merkle::{MerkleHash, leaf_hash, root, verify_consistency, verify_inclusion};
use platform_server::http_server::Limits;
use serde_json::{Value, json};
use test_support::client::{Answer, Client};

const PASSWORD: &str = "correct horse battery staple";

fn administrator(running: &Running) -> Client {
    let setup = json!({"token": running.setup_token(), "email": "root@example.org", "password": PASSWORD});
    let answer = running.client().send("POST", "/v1/setup", Some(&setup)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    running.client().with_token(answer.json()["access_token"].as_str().unwrap())
}

fn get(client: &mut Client, path: &str) -> Answer {
    let answer = client.send("GET", path, None).unwrap();
    assert_eq!(answer.status, 200, "{path}: {answer:?}");
    answer
}

/// Entries become visible a moment after what they tell of.
fn entry(client: &mut Client, query: &str) -> Value {
    let begin = Instant::now();
    loop {
        let found = get(client, &format!("/v1/audit/events?{query}")).json();
        if let Some(first) = found["items"].as_array().unwrap().first() {
            return first.clone();
        }
        assert!(begin.elapsed() < Duration::from_secs(10), "no entry for {query}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hashes(list: &Value) -> Vec<MerkleHash> {
    serde_json::from_value(list.clone()).unwrap()
}

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn what_happened_stands_in_the_log_and_can_be_proven_by_a_stranger() {
    let running = Running::start(Limits::default());
    let mut root_client = administrator(&running);
    let flag = json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"});
    assert_eq!(root_client.send("PUT", "/v1/flags/dark", Some(&flag)).unwrap().status, 200);
    let changed = entry(&mut root_client, "subject=flag:dark");
    assert_eq!((&changed["outcome"], &changed["source"]["store"]), (&json!("success"), &json!("flags")));
    let actor = changed["actor"].as_str().unwrap();
    assert!(actor.starts_with("user:user_"), "{actor}");
    let user = actor.trim_start_matches("user:");
    assert_eq!(entry(&mut root_client, &format!("actor={user}&subject=flag:dark")), changed);

    let key: VerifierKey = text(&get(&mut root_client, "/v1/audit/key")).trim().parse().unwrap();
    let index = changed["index"].as_u64().unwrap();
    let proof = get(&mut root_client, &format!("/v1/audit/events/{index}/proof")).json();
    let checkpoint = Checkpoint::open(proof["checkpoint"].as_str().unwrap(), &key).unwrap();
    let leaf = leaf_hash(proof["entry"].as_str().unwrap().as_bytes());
    assert!(verify_inclusion(index, checkpoint.size, &leaf, &hashes(&proof["proof"]), &checkpoint.root));
    assert_eq!(serde_json::from_str::<Value>(proof["entry"].as_str().unwrap()).unwrap(), changed);

    assert_eq!(root_client.send("DELETE", "/v1/flags/dark", None).unwrap().status, 204);
    running.block_on(running.platform.settled()).unwrap();
    let consistency =
        get(&mut root_client, &format!("/v1/audit/consistency?from={}", checkpoint.size)).json();
    let later = Checkpoint::open(consistency["checkpoint"].as_str().unwrap(), &key).unwrap();
    assert!(later.size > checkpoint.size);
    let (from, to) = (checkpoint.size, consistency["to"].as_u64().unwrap());
    assert_eq!(to, later.size);
    assert!(verify_consistency(from, to, &hashes(&consistency["proof"]), &checkpoint.root, &later.root));

    let signed = Checkpoint::open(text(&get(&mut root_client, "/v1/audit/checkpoint")), &key).unwrap();
    let path = format!("/v1/audit/log/tile/entries/000.p/{}", signed.size);
    let bundle = get(&mut root_client, &path);
    assert_eq!(bundle.header("content-type"), Some("application/octet-stream"));
    let entries = EntryBundle::entries(&bundle.body).unwrap();
    assert_eq!(root(entries.into_iter().map(leaf_hash)), signed.root);
}

#[test]
fn who_may_not_read_the_log_is_written_into_it() {
    let running = Running::start(Limits::default());
    let mut root_client = administrator(&running);
    let registration = json!({"email": "ada@example.org", "password": PASSWORD});
    let id = running.client().send("POST", "/v1/auth/register", Some(&registration)).unwrap().json();
    let login = running.client().send("POST", "/v1/auth/login", Some(&registration)).unwrap().json();
    let mut ada = running.client().with_token(login["access_token"].as_str().unwrap());
    for path in
        ["events", "events/0", "events/0/proof", "checkpoint", "key", "consistency?from=1", "log/checkpoint"]
    {
        let path = format!("/v1/audit/{path}");
        assert_eq!(ada.send("GET", &path, None).unwrap().code(), "auth.forbidden", "{path}");
        assert_eq!(running.client().send("GET", &path, None).unwrap().code(), "auth.not_signed_in", "{path}");
    }
    let user = id["user_id"].as_str().unwrap();
    let denied = entry(&mut root_client, &format!("actor={user}&action=GET%20/v1/audit/key"));
    assert_eq!((&denied["outcome"], &denied["data"]["code"]), (&json!("denied"), &json!("auth.forbidden")));
    let stranger = entry(&mut root_client, "actor=anonymous&action=GET%20/v1/audit/key");
    assert_eq!(stranger["data"]["code"], "auth.not_signed_in");
    assert!(!stranger.to_string().contains("127.0.0.1"), "the address is sealed");
    let failed = json!({"email": "ada@example.org", "password": "something else entirely"});
    assert_eq!(running.client().send("POST", "/v1/auth/login", Some(&failed)).unwrap().status, 401);
    entry(&mut root_client, "action=POST%20/v1/auth/login");
}

#[test]
fn whose_data_somebody_was_shown_is_written_into_it() {
    let running = Running::start(Limits::default());
    let mut root_client = administrator(&running);
    let registration = json!({"email": "ada@example.org", "password": PASSWORD});
    let id = running.client().send("POST", "/v1/auth/register", Some(&registration)).unwrap().json();
    let ada = id["user_id"].as_str().unwrap();
    let login = running.client().send("POST", "/v1/auth/login", Some(&registration)).unwrap().json();
    let mut own = running.client().with_token(login["access_token"].as_str().unwrap());
    for path in
        ["/v1/users/me".to_owned(), format!("/v1/users/{ada}"), format!("/v1/users/{ada}/preferences")]
    {
        get(&mut own, &path);
    }
    get(&mut root_client, &format!("/v1/users/{ada}"));
    get(&mut root_client, "/v1/users?email_prefix=ada");
    get(&mut root_client, &format!("/v1/users/{ada}/preferences"));
    get(&mut root_client, &format!("/v1/notifications?user_id={ada}"));
    let me = get(&mut root_client, "/v1/users/me").json()["id"].as_str().unwrap().to_owned();
    for (action, subject) in [
        ("users.profile_read", ada),
        ("users.profiles_searched", "users"),
        ("notifications.preferences_read", ada),
        ("notifications.deliveries_listed", ada),
    ] {
        let shown = entry(&mut root_client, &format!("action={action}&subject={subject}"));
        assert_eq!((&shown["actor"], &shown["outcome"]), (&json!(format!("user:{me}")), &json!("success")));
        if action != "notifications.deliveries_listed" {
            assert_eq!(shown["data"]["people"], json!([ada]));
        }
        let all = get(&mut root_client, &format!("/v1/audit/events?action={action}")).json();
        assert_eq!(all["items"].as_array().unwrap().len(), 1, "nobody else read it: {all}");
    }
}

#[test]
fn wrong_questions_get_a_stable_code() {
    let running = Running::start(Limits::default());
    let mut root_client = administrator(&running);
    for (path, status, code) in [
        ("events/18446744073709551615", 404, "audit.not_found"),
        ("events/18446744073709551616", 400, "request.invalid_path"),
        ("events/-1/proof", 400, "request.invalid_path"),
        ("events/4000000000/proof", 404, "audit.not_found"),
        ("events?limit=0", 400, "request.invalid_limit"),
        ("events?cursor=AAAA", 400, "request.invalid_cursor"),
        ("events?from=yesterday", 400, "request.invalid_query"),
        ("events?unknown=1", 400, "request.invalid_query"),
        ("consistency", 400, "request.invalid_query"),
        ("consistency?from=0", 400, "audit.invalid_range"),
        ("consistency?from=2&to=1", 400, "audit.invalid_range"),
        ("consistency?from=1&to=18446744073709551615", 400, "audit.invalid_range"),
        ("log/tile/0/000.p/0", 400, "audit.invalid_path"),
        ("log/tile/0/x999/999", 404, "audit.not_found"),
        ("log/keys.db", 400, "audit.invalid_path"),
    ] {
        let answer = root_client.send("GET", &format!("/v1/audit/{path}"), None).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{path}");
    }
}
