//! What is asked after a restart.

use serde_json::Value;
use test_support::client::Client;

use crate::world::{World, cents};

pub(crate) fn after_a_restart(world: &World, client: &mut Client) {
    repeat_unanswered(world, client);
    balances(world, client);
    replaced(world, client);
    users(world, client);
    refused(world, client);
    audit_log(world, client);
    let fresh = std::mem::take(&mut world.record.lock().unwrap().fresh);
    created(world, &fresh, client);
}

/// Everything that was ever acknowledged.
pub(crate) fn at_the_end(world: &World, client: &mut Client) {
    let all: Vec<String> = world.record.lock().unwrap().created.keys().cloned().collect();
    created(world, &all, client);
}

/// What was not answered is sent again under its key: whether or not it was carried out before, it is
/// carried out once.
fn repeat_unanswered(world: &World, client: &mut Client) {
    let unanswered = std::mem::take(&mut world.record.lock().unwrap().unanswered);
    for (path, key, body) in unanswered {
        let ids: Vec<Value> = (0..2)
            .map(|_| {
                let sent = client.send_with("POST", path, &[("idempotency-key", &key)], Some(&body));
                let answer = sent.unwrap();
                assert_eq!(answer.status, 201, "{:?}", answer.json());
                answer.json()["id"].clone()
            })
            .collect();
        assert_eq!(ids[0], ids[1], "one key, one effect");
        world.made(path, ids[0].as_str().unwrap(), body);
    }
}

/// The accounts hold what the acknowledged transfers come to: none is lost, doubled, or there though refused.
fn balances(world: &World, client: &mut Client) {
    let mut expected = world.record.lock().unwrap().balances.clone();
    expected.insert(world.empty.clone(), 0);
    for (account, balance) in expected {
        let answer = client.send("GET", &format!("/v1/accounts/{account}"), None).unwrap();
        assert_eq!(cents(&answer.json()["posted"]), balance, "the ledger is what was acknowledged");
    }
}

fn created(world: &World, places: &[String], client: &mut Client) {
    for place in places {
        let body = world.record.lock().unwrap().created[place].clone();
        let found = client.send("GET", place, None).unwrap();
        assert_eq!(found.status, 200, "{place} was acknowledged: {:?}", found.json());
        for field in ["debit_account", "credit_account", "asset", "amount", "channel", "template"] {
            if !body[field].is_null() {
                assert_eq!(found.json()[field], body[field], "{place}");
            }
        }
    }
}

/// Whether `found` says all that `written` says.
fn says(found: &Value, written: &Value) -> bool {
    match (found, written) {
        (Value::Object(found), Value::Object(written)) => {
            written.iter().all(|(name, value)| found.get(name).is_some_and(|found| says(found, value)))
        }
        _ => found == written,
    }
}

fn replaced(world: &World, client: &mut Client) {
    for (path, versions) in &mut world.record.lock().unwrap().replaced {
        let found = client.send("GET", path, None).unwrap();
        assert!(found.status == 404 || found.status == 200, "{:?}", found.json());
        let found = (found.status == 200).then(|| found.json());
        let fits = |version: &Option<Value>| match (version, &found) {
            (Some(written), Some(found)) => says(found, written),
            (None, None) => true,
            _ => false,
        };
        let now = versions.iter().find(|version| fits(version)).cloned();
        *versions = vec![now.unwrap_or_else(|| panic!("{path} is {found:?}, it may be {versions:?}"))];
    }
}

fn users(world: &World, client: &mut Client) {
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

fn refused(world: &World, client: &mut Client) {
    let refused = std::mem::take(&mut world.record.lock().unwrap().refused);
    for path in refused {
        let found = client.send("GET", &path, None).unwrap();
        let is_empty = found.json()["items"].as_array().is_some_and(Vec::is_empty);
        assert!(found.status == 404 || is_empty, "{path} was refused: {:?}", found.json());
    }
}

/// What was signed stays signed.
fn audit_log(world: &World, client: &mut Client) {
    let answer = client.send("GET", "/v1/audit/checkpoint", None).unwrap();
    assert_eq!(answer.status, 200);
    let text = String::from_utf8(answer.body).unwrap();
    let size: u64 = text.lines().nth(1).unwrap().parse().unwrap();
    let signed = &mut world.record.lock().unwrap().signed;
    assert!(size >= *signed, "the audit log had {signed} entries, now it has {size}");
    *signed = size;
}
