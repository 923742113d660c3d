//! Reading what was just written, everywhere: an answer's token, sent with the next request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::Running;
use platform_server::http_server::Limits;
use serde_json::{Value, json};
use test_support::client::{Answer, Client};

const PASSWORD: &str = "correct horse battery staple";
const TOKEN: &str = "consistency-token";

fn administrator(running: &Running) -> Client {
    let setup = json!({"token": running.setup_token(), "email": "root@example.org", "password": PASSWORD});
    let answer = running.client().send("POST", "/v1/setup", Some(&setup)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    running.client().with_token(answer.json()["access_token"].as_str().unwrap())
}

fn token(answer: &Answer) -> String {
    assert!(answer.status < 300, "{answer:?}");
    answer.header(TOKEN).unwrap_or_else(|| panic!("no token: {answer:?}")).to_owned()
}

/// The audit entries that fit, asked once.
fn entries(client: &mut Client, tokens: &[&str], query: &str) -> Vec<Value> {
    let headers: Vec<_> = tokens.iter().map(|token| (TOKEN, *token)).collect();
    let answer = client.send_with("GET", &format!("/v1/audit/events?{query}"), &headers, None).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["items"].as_array().unwrap().clone()
}

#[test]
fn an_audit_query_with_the_token_sees_the_entry_of_that_very_command() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    for number in 0..40 {
        let flag = json!({"state": "ENABLED", "variants": {"on": true}, "defaultVariant": "on"});
        let path = format!("/v1/flags/flag-{number}");
        let token = token(&root.send("PUT", &path, Some(&flag)).unwrap());
        assert_eq!(entries(&mut root, &[&token], &format!("subject=flag:flag-{number}")).len(), 1);
    }
}

#[test]
fn commands_of_every_domain_answer_with_a_token_that_reads_take() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    let mut send = |method: &str, path: &str, body: Value| {
        let answer = root.send(method, path, Some(&body)).unwrap();
        (token(&answer), answer.json())
    };
    let (registered, who) =
        send("POST", "/v1/auth/register", json!({"email": "ada@example.org", "password": PASSWORD}));
    assert!(registered.contains("auth:") && registered.contains("users:"), "{registered}");
    let user = who["user_id"].as_str().unwrap();
    let (profile, _) = send("PATCH", &format!("/v1/users/{user}"), json!({"name": "Ada"}));
    let account = || json!({"asset": "EUR", "name": "cash"});
    let (_, debit) = send("POST", "/v1/accounts", account());
    let (_, credit) = send("POST", "/v1/accounts", account());
    let transfer = json!({"debit_account": debit["id"], "credit_account": credit["id"], "asset": "EUR", "amount": "1.00"});
    let (transferred, _) = send("POST", "/v1/transfers", transfer);
    let template = json!({"subject": "Hello", "text": "Hello", "category": "greetings"});
    let written = send("PUT", "/v1/notifications/templates/hello", template).0;
    let route =
        json!({"match": {"path": "/x"}, "access": "open", "target": {"upstreams": ["http://127.0.0.1:9"]}});
    let (routed, _) = send("PUT", "/v1/gateway/routes/x", route);
    let stores = [
        (&profile, "users"),
        (&transferred, "transactions"),
        (&written, "notifications"),
        (&routed, "gateway"),
    ];
    for (token, store) in stores {
        assert!(token.starts_with(&format!("{store}:")), "{token}");
    }
    // Several tokens, in headers of their own and with commas between.
    let joined = format!("{profile}, {transferred}");
    for (query, least) in [(format!("subject={user}"), 2), ("action=transactions.page_committed".into(), 3)] {
        let found = entries(&mut root, &[&registered, &joined, &routed], &query).len();
        assert!(found >= least, "{query}: {found}");
    }
    let read = root.send("GET", &format!("/v1/users/{user}"), None).unwrap();
    assert_eq!(read.header(TOKEN), None, "a read writes nothing");
}

#[test]
fn what_is_no_token_is_refused_before_anything_happens() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    let long = "users:1,".repeat(500);
    let bad = [
        "",
        "users",
        "users:x",
        "users:-1",
        "users:1;flags:1",
        "users:99999999999999999999",
        "\u{e9}:1",
        &long,
    ];
    for token in bad {
        let body = json!({"scale": 2});
        let answer = root.send_with("PUT", "/v1/assets/XTK", &[(TOKEN, token)], Some(&body)).unwrap();
        assert_eq!((answer.status, answer.code().as_str()), (400, "positions.invalid"), "{token:?}");
    }
    let answer = root.send_with("GET", "/v1/users/me", &[(TOKEN, "elsewhere:1")], None).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (400, "positions.unknown_store"));
    assert_eq!(root.send("GET", "/v1/assets/XTK", None).unwrap().status, 404);
}

#[test]
fn a_position_that_is_not_reached_is_a_503_in_time() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    let begin = Instant::now();
    let token = format!("users:{}", u64::MAX);
    let answer = root.send_with("GET", "/v1/users/me", &[(TOKEN, &token)], None).unwrap();
    assert_eq!((answer.status, answer.code().as_str()), (503, "positions.not_reached"));
    assert_eq!(answer.header("retry-after"), Some("1"));
    assert!((4..15).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(root.send("GET", "/v1/users/me", None).unwrap().status, 200);
}

#[test]
fn who_may_not_call_does_not_wait_either() {
    let running = Running::start(Limits::default());
    let begin = Instant::now();
    let token = format!("users:{}", u64::MAX);
    let answer = running.client().send_with("GET", "/v1/users/me", &[(TOKEN, &token)], None).unwrap();
    assert_eq!(answer.status, 401);
    assert!(begin.elapsed() < Duration::from_secs(4));
}

#[test]
fn the_openapi_document_tells_of_the_token() {
    let running = Running::start(Limits::default());
    let document = running.client().send("GET", "/openapi.json", None).unwrap().json();
    let patch = &document["paths"]["/v1/users/me"]["patch"];
    let names =
        |reference: &Value| document.pointer(&reference.as_str().unwrap()[1..]).unwrap()["schema"].clone();
    let parameter = patch["parameters"].as_array().unwrap().last().unwrap();
    assert_eq!(names(&parameter["$ref"]), json!({"type": "string"}));
    let header = &patch["responses"]["200"]["headers"]["Consistency-Token"];
    assert_eq!(names(&header["$ref"]), json!({"type": "string"}));
}
