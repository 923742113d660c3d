//! Money movement over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::Duration;

use common::Running;
use platform_core::audit::VerifierKey;
use platform_core::{TransferProof, verify_transfer_proof};
use platform_server::http_server::Limits;
use serde_json::{Value, json};
use test_support::client::Client;

fn administrator(running: &Running) -> Client {
    let password = "correct horse battery staple";
    let setup = json!({"token": running.setup_token(), "email": "root@example.org", "password": password});
    let answer = running.client().send("POST", "/v1/setup", Some(&setup)).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    running.client().with_token(answer.json()["access_token"].as_str().unwrap())
}

/// The body of an answer, which must have this status.
fn send(client: &mut Client, method: &str, path: &str, body: Option<Value>, status: u16) -> Value {
    let answer = client.send(method, path, body.as_ref()).unwrap();
    assert_eq!(answer.status, status, "{method} {path}: {answer:?}");
    answer.json()
}

fn account(client: &mut Client, body: Value) -> String {
    send(client, "POST", "/v1/accounts", Some(body), 201)["id"].as_str().unwrap().to_owned()
}

#[test]
fn accounts_and_transfers_go_their_way() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    let bank = account(&mut root, json!({"asset": "EUR", "name": "Bank"}));
    let ada = account(&mut root, json!({"asset": "EUR", "min_balance": "0"}));
    let move_ = |amount: &str| json!({"debit_account": bank, "credit_account": ada, "asset": "EUR", "amount": amount});
    let spend = |amount: &str| json!({"debit_account": ada, "credit_account": bank, "asset": "EUR", "amount": amount});

    let made = send(&mut root, "POST", "/v1/transfers", Some(move_("100")), 201);
    assert_eq!(made["amount"], "100.00");
    assert_eq!(made["debit_balance"], json!({"posted": "-100.00", "pending": "0.00"}));
    assert_eq!(made["credit_balance"], json!({"posted": "100.00", "pending": "0.00"}));
    let path = format!("/v1/transfers/{}", made["id"].as_str().unwrap());
    assert_eq!(send(&mut root, "GET", &path, None, 200), made);
    let short = send(&mut root, "POST", "/v1/transfers", Some(spend("100.01")), 409);
    assert_eq!(short["code"], "ledger.insufficient_funds");

    let mut pending = spend("80");
    pending["pending"] = json!(true);
    let held = send(&mut root, "POST", "/v1/transfers", Some(pending.clone()), 201);
    assert_eq!(held["status"], "pending");
    let path = format!("/v1/transfers/{}/post", held["id"].as_str().unwrap());
    let posted = send(&mut root, "POST", &path, Some(json!({"amount": "30"})), 201);
    assert_eq!(
        (&posted["id"], &posted["status"], &posted["posted_amount"]),
        (&held["id"], &json!("posted"), &json!("30.00"))
    );
    let held = send(&mut root, "POST", "/v1/transfers", Some(pending.clone()), 409);
    assert_eq!(held["code"], "ledger.insufficient_funds");
    pending["amount"] = json!("1");
    let held = send(&mut root, "POST", "/v1/transfers", Some(pending), 201);
    let path = format!("/v1/transfers/{}/void", held["id"].as_str().unwrap());
    assert_eq!(send(&mut root, "POST", &path, None, 201)["status"], "voided");
    assert_eq!(send(&mut root, "POST", &path, None, 409)["code"], "ledger.already_voided");

    let linked = json!({"linked": true, "transfers": [move_("5"), spend("500")]});
    assert_eq!(
        send(&mut root, "POST", "/v1/transfers/batch", Some(linked), 409)["code"],
        "ledger.insufficient_funds"
    );
    let loose = json!({"transfers": [move_("5"), spend("500")]});
    let items = send(&mut root, "POST", "/v1/transfers/batch", Some(loose), 201)["items"].clone();
    assert_eq!((&items[0]["result"], &items[0]["amount"]), (&json!("created"), &json!("5.00")));
    assert_eq!(
        (&items[1]["result"], &items[1]["code"]),
        (&json!("rejected"), &json!("ledger.insufficient_funds"))
    );

    let now = send(&mut root, "GET", &format!("/v1/accounts/{ada}"), None, 200);
    assert_eq!(
        (&now["posted"], &now["pending"], &now["min_balance"]),
        (&json!("75.00"), &json!("0.00"), &json!("0.00"))
    );
    let at = made["created_at"].as_str().unwrap();
    assert_eq!(send(&mut root, "GET", &format!("/v1/accounts/{ada}?at={at}"), None, 200)["posted"], "100.00");
    let list = send(&mut root, "GET", &format!("/v1/accounts/{ada}/transfers?limit=2"), None, 200);
    assert_eq!(list["items"][0]["amount"], "5.00");
    let next =
        format!("/v1/accounts/{ada}/transfers?limit=2&cursor={}", list["next_cursor"].as_str().unwrap());
    assert_eq!(send(&mut root, "GET", &next, None, 200)["items"][1], made);
    assert_eq!(send(&mut root, "GET", "/v1/ledger/check", None, 200)["balanced"], true);
    send(&mut root, "GET", "/v1/ledger/verification", None, 200);
    assert_eq!(send(&mut root, "GET", "/v1/accounts", None, 200)["items"].as_array().unwrap().len(), 2);
}

#[test]
fn a_transfer_is_proven_to_a_stranger_who_has_nothing_but_the_key() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    let bank = account(&mut root, json!({"asset": "EUR"}));
    let ada = account(&mut root, json!({"asset": "EUR"}));
    let body = json!({"debit_account": bank, "credit_account": ada, "asset": "EUR", "amount": "12.34", "pending": true});
    let held = send(&mut root, "POST", "/v1/transfers", Some(body), 201);
    let path = format!("/v1/transfers/{}", held["id"].as_str().unwrap());
    send(&mut root, "POST", &format!("{path}/post"), Some(json!({"amount": "10"})), 201);
    let key = root.send("GET", "/v1/audit/key", None).unwrap();
    let key: VerifierKey = std::str::from_utf8(&key.body).unwrap().trim().parse().unwrap();
    let mut answer = send(&mut root, "GET", &format!("{path}/proof"), None, 200);
    let proof: TransferProof = serde_json::from_value(answer.clone()).unwrap();
    let proven = verify_transfer_proof(&proof, &key).unwrap();
    assert_eq!(proven.created.amount.minor(), 1_234);
    assert_eq!(proven.ended.unwrap().amount.minor(), 1_000);
    answer["created"]["page"]["frame"] = answer["ended"]["page"]["frame"].clone();
    let forged: TransferProof = serde_json::from_value(answer).unwrap();
    assert_eq!(verify_transfer_proof(&forged, &key).unwrap_err().code(), "transactions.proof_invalid");
    let path = format!("{path}/proof");
    assert_eq!(running.client().send("GET", &path, None).unwrap().code(), "auth.not_signed_in");
    let missing = "/v1/transfers/transfer_01040g2081040g2081040g2081/proof";
    assert_eq!(send(&mut root, "GET", missing, None, 404)["code"], "ledger.transfer_not_found");
}

#[test]
fn assets_are_registered_and_what_is_wrong_has_its_code() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    let asset = send(&mut root, "PUT", "/v1/assets/BTC", Some(json!({"scale": 8})), 200);
    assert_eq!(asset, json!({"id": "BTC", "scale": 8}));
    assert_eq!(send(&mut root, "GET", "/v1/assets/JPY", None, 200)["scale"], 0);
    let code = |client: &mut Client, method: &str, path: &str, body: Value, status: u16| {
        send(client, method, path, Some(body), status)["code"].as_str().unwrap().to_owned()
    };
    assert_eq!(
        code(&mut root, "PUT", "/v1/assets/BTC", json!({"scale": 7}), 409),
        "ledger.asset_scale_fixed"
    );
    assert_eq!(
        code(&mut root, "POST", "/v1/accounts", json!({"asset": "XXX"}), 404),
        "ledger.asset_not_found"
    );
    assert_eq!(
        code(&mut running.client(), "POST", "/v1/accounts", json!({"asset": "EUR"}), 401),
        "auth.not_signed_in"
    );
}

#[test]
fn a_pending_transfer_expires_over_http() {
    let running = Running::start(Limits::default());
    let mut root = administrator(&running);
    let bank = account(&mut root, json!({"asset": "EUR"}));
    let ada = account(&mut root, json!({"asset": "EUR"}));
    let body = json!({"debit_account": bank, "credit_account": ada, "asset": "EUR", "amount": "1", "pending": true, "expires_in_s": 60});
    let held = send(&mut root, "POST", "/v1/transfers", Some(body), 201);
    running.pass(Duration::from_secs(61));
    let path = format!("/v1/transfers/{}/post", held["id"].as_str().unwrap());
    assert_eq!(send(&mut root, "POST", &path, None, 409)["code"], "ledger.expired");
}
