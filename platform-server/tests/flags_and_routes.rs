//! Flags, OFREP and routes over real HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::{Running, Upstream};
use platform_core::auth::{LoginRequest, RegisterRequest, SetupRequest};
use platform_core::kernel::{Context, CorrelationId, Secret};
use platform_server::http_server::Limits;
use serde_json::{Value, json};
use test_support::client::{Answer, Client};

const PASSWORD: &str = "correct horse battery staple";

/// Who asks before being signed in.
fn nobody() -> Context {
    Context::anonymous("req_1".parse::<CorrelationId>().unwrap())
}

/// The first administrator, signed in.
fn administrator(running: &Running) -> Client {
    let token = running.setup_token();
    let request = SetupRequest {
        token: Secret::new(token),
        email: "root@example.com".parse().unwrap(),
        password: Secret::new(PASSWORD.to_owned()),
    };
    let pair = running.block_on(running.platform.auth().setup(&nobody(), &request)).unwrap();
    running.client().with_token(&pair.access_token)
}

/// Somebody without any permission, signed in.
fn somebody(running: &Running, email: &str) -> Client {
    let password = || Secret::new(PASSWORD.to_owned());
    let auth = running.platform.auth();
    let register = RegisterRequest { email: email.parse().unwrap(), password: password(), name: None };
    running.block_on(auth.register(&nobody(), &register)).unwrap();
    let login = LoginRequest { email: email.parse().unwrap(), password: password() };
    let pair = running.block_on(auth.login(&nobody(), &login)).unwrap();
    running.client().with_token(&pair.access_token)
}

fn switch(default: &str) -> Value {
    json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": default})
}

fn is(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (status, code), "{}", answer.json());
}

#[test]
fn a_flag_is_set_changed_restored_killed_and_deleted() {
    let running = Running::start(Limits::default());
    let mut admin = administrator(&running);
    is(&admin.send("GET", "/v1/flags/checkout", None).unwrap(), 404, "flags.not_found");
    let reason = [("x-change-reason", "launch")];
    let first = admin.send_with("PUT", "/v1/flags/checkout", &reason, Some(&switch("off"))).unwrap();
    assert_eq!((first.status, first.header("etag")), (200, Some("\"1\"")));
    let shown = admin.send("GET", "/v1/flags/checkout", None).unwrap();
    assert_eq!(shown.json(), first.json());
    assert_eq!((&shown.json()["key"], &shown.json()["defaultVariant"]), (&json!("checkout"), &json!("off")));
    let unchanged =
        admin.send_with("GET", "/v1/flags/checkout", &[("if-none-match", "\"1\"")], None).unwrap();
    assert_eq!(unchanged.status, 304);

    let mut sent_back = shown.json();
    sent_back["defaultVariant"] = json!("on");
    assert_eq!(admin.send("PUT", "/v1/flags/checkout", Some(&sent_back)).unwrap().json()["revision"], 2);
    let stale = [("if-match", "\"1\"")];
    let refused = admin.send_with("PUT", "/v1/flags/checkout", &stale, Some(&switch("off"))).unwrap();
    is(&refused, 412, "flags.stale_revision");

    let killed = admin.send("POST", "/v1/flags/checkout/kill", None).unwrap();
    assert_eq!((killed.status, &killed.json()["state"]), (200, &json!("DISABLED")));
    let restored = admin.send("POST", "/v1/flags/checkout/revisions/1/restore", None).unwrap();
    assert_eq!((restored.status, &restored.json()["defaultVariant"]), (200, &json!("off")));
    is(
        &admin.send("POST", "/v1/flags/checkout/revisions/9/restore", None).unwrap(),
        404,
        "flags.revision_not_found",
    );
    assert_eq!(admin.send("DELETE", "/v1/flags/checkout", None).unwrap().status, 204);

    let revisions = admin.send("GET", "/v1/flags/checkout/revisions?limit=10", None).unwrap().json();
    let changes: Vec<&str> =
        revisions["items"].as_array().unwrap().iter().map(|item| item["change"].as_str().unwrap()).collect();
    assert_eq!(changes, ["delete", "restore", "kill", "put", "put"]);
    assert_eq!(revisions["items"][4]["reason"], "launch");
    assert!(revisions["items"][4]["author"].as_str().unwrap().starts_with("user:user_"));
}

#[test]
fn a_fault_is_named_by_its_place() {
    let running = Running::start(Limits::default());
    let mut admin = administrator(&running);
    for (definition, pointer) in [
        (json!({"variants": {"a": 1}}), "/state"),
        (json!({"state": "ENABLED", "variants": {"a": 1, "b": "x"}}), "/variants/b"),
        (
            json!({"state": "ENABLED", "variants": {"a": 1}, "targeting": {"if": [{"nothing": []}, "a"]}}),
            "/targeting/if/0/nothing",
        ),
    ] {
        let answer = admin.send("PUT", "/v1/flags/x", Some(&definition)).unwrap();
        is(&answer, 400, "flags.invalid_definition");
        assert_eq!(answer.json()["context"]["pointer"], pointer);
    }
    is(
        &admin.send("PUT", "/v1/flag-set", Some(&json!({"bucketing": "v9"}))).unwrap(),
        400,
        "request.invalid_body",
    );
    let set = json!({"bucketing": "v3", "$evaluators": {"vip": {"==": [{"var": "tier"}, "vip"]}}});
    assert_eq!(admin.send("PUT", "/v1/flag-set", Some(&set)).unwrap().json(), set);
    assert_eq!(admin.send("GET", "/v1/flag-set", None).unwrap().json(), set);
}

#[test]
fn whoever_is_signed_in_evaluates_and_nobody_else() {
    let running = Running::start(Limits::default());
    let (mut admin, mut user) = (administrator(&running), somebody(&running, "ada@example.com"));
    let flag = json!({
        "state": "ENABLED", "variants": {"one": 1.0, "two": 2.5}, "defaultVariant": "one", "metadata": {"owner": "ada"},
        "targeting": {"if": [{"ends_with": [{"var": "email"}, "@example.com"]}, "two"]}
    });
    assert_eq!(admin.send("PUT", "/v1/flags/price", Some(&flag)).unwrap().status, 200);
    is(&user.send("PUT", "/v1/flags/price", Some(&flag)).unwrap(), 403, "auth.forbidden");
    is(&user.send("GET", "/v1/flags/price", None).unwrap(), 403, "auth.forbidden");
    let path = "/ofrep/v1/evaluate/flags/price";
    is(&running.client().send("POST", path, Some(&json!({}))).unwrap(), 401, "auth.not_signed_in");

    let found = user
        .send("POST", path, Some(&json!({"context": {"targetingKey": "u", "email": "b@example.com"}})))
        .unwrap();
    assert_eq!(found.header("content-type"), Some("application/json"));
    assert_eq!(
        (found.status, found.json()),
        (
            200,
            json!({"key": "price", "value": 2.5, "reason": "TARGETING_MATCH", "variant": "two", "metadata": {"owner": "ada"}})
        )
    );
    // A strict client wants a float to look like one.
    let plain = user.send("POST", path, Some(&json!({}))).unwrap();
    assert!(String::from_utf8(plain.body.clone()).unwrap().contains("\"value\":1.0"));
    assert_eq!(plain.json()["reason"], "DEFAULT");

    let missing = user.send("POST", "/ofrep/v1/evaluate/flags/none", Some(&json!({"context": {}}))).unwrap();
    assert_eq!((missing.status, &missing.json()["errorCode"]), (404, &json!("FLAG_NOT_FOUND")));
    assert!(missing.json()["errorDetails"].is_string());
    let wrong = user.send("POST", path, Some(&json!({"context": [1]}))).unwrap();
    assert_eq!((wrong.status, &wrong.json()["errorCode"]), (400, &json!("INVALID_CONTEXT")));
    let broken = user.send("POST", path, Some(&json!([]))).unwrap();
    assert_eq!((broken.status, &broken.json()["errorCode"]), (400, &json!("PARSE_ERROR")));

    let counts = admin.send("GET", "/v1/flags/price/evaluations", None).unwrap().json();
    assert_eq!(counts, json!({"items": [{"variant": "one", "count": 1}, {"variant": "two", "count": 1}]}));
}

#[test]
fn all_flags_come_with_a_tag_that_stands_for_flags_and_context() {
    let running = Running::start(Limits::default());
    let mut admin = administrator(&running);
    for name in ["b", "a"] {
        admin.send("PUT", &format!("/v1/flags/{name}"), Some(&switch("on"))).unwrap();
    }
    let mut all = |key: &str, known: &str| {
        let body = json!({"context": {"targetingKey": key}});
        admin.send_with("POST", "/ofrep/v1/evaluate/flags", &[("if-none-match", known)], Some(&body)).unwrap()
    };
    let first = all("u", "\"x\"");
    let tag = first.header("etag").unwrap().to_owned();
    let keys: Vec<Value> =
        first.json()["flags"].as_array().unwrap().iter().map(|flag| flag["key"].clone()).collect();
    assert_eq!((first.status, keys), (200, vec![json!("a"), json!("b")]));
    let again = all("u", &tag);
    assert_eq!((again.status, again.header("etag"), again.body.len()), (304, Some(tag.as_str()), 0));
    assert_eq!(all("v", &tag).status, 200);
    admin.send("PUT", "/v1/flags/a", Some(&switch("off"))).unwrap();
    let body = json!({"context": {"targetingKey": "u"}});
    let changed =
        admin.send_with("POST", "/ofrep/v1/evaluate/flags", &[("if-none-match", &tag)], Some(&body)).unwrap();
    assert_eq!((changed.status, &changed.json()["flags"][0]["variant"]), (200, &json!("off")));
}

#[test]
fn a_route_is_in_force_when_it_is_answered_and_a_flag_switches_it() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let running = Running::start(Limits::default());
    let mut admin = administrator(&running);
    let route = json!({
        "match": {"path": "/shop/{*rest}"}, "access": "open", "target": {"upstreams": [old.url()]},
        "flag": {"key": "new-shop", "variants": {"on": {"upstreams": [new.url()]}}}
    });
    let mut client = running.client();
    let mut said = |path: &str| String::from_utf8(client.send("GET", path, None).unwrap().body).unwrap();
    assert!(said("/shop/x").contains("gateway.no_route"));
    let set = admin.send("PUT", "/v1/gateway/routes/shop", Some(&route)).unwrap();
    assert_eq!((set.status, set.header("etag"), &set.json()["name"]), (200, Some("\"1\""), &json!("shop")));
    assert_eq!(said("/shop/x"), "old");
    admin.send("PUT", "/v1/flags/new-shop", Some(&switch("on"))).unwrap();
    assert_eq!(said("/shop/x"), "new");
    admin.send("POST", "/v1/flags/new-shop/kill", None).unwrap();
    assert_eq!(said("/shop/x"), "old");
    let other =
        json!({"match": {"path": "/shop/{*all}"}, "access": "open", "target": {"upstreams": [old.url()]}});
    let conflict = admin.send("PUT", "/v1/gateway/routes/other", Some(&other)).unwrap();
    is(&conflict, 409, "gateway.route_conflict");
    assert_eq!(conflict.json()["context"]["route"], "shop");
    let reserved =
        json!({"match": {"path": "/v1/x"}, "access": "open", "target": {"upstreams": [old.url()]}});
    is(&admin.send("PUT", "/v1/gateway/routes/own", Some(&reserved)).unwrap(), 400, "gateway.invalid_route");
    assert_eq!(admin.send("GET", "/v1/gateway/routes", None).unwrap().json()["items"][0], set.json());
    assert_eq!(admin.send("DELETE", "/v1/gateway/routes/shop", None).unwrap().status, 204);
    assert!(said("/shop/x").contains("gateway.no_route"));
}

#[test]
fn an_open_route_knows_the_user_when_its_flag_chooses_by_user() {
    let (old, new) = (Upstream::saying("old"), Upstream::saying("new"));
    let running = Running::start(Limits::default());
    let (mut admin, mut user) = (administrator(&running), somebody(&running, "ada@example.com"));
    let flag = json!({
        "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
        "targeting": {"if": [{"==": [{"var": "signed_in"}, "true"]}, "on"]}
    });
    admin.send("PUT", "/v1/flags/beta", Some(&flag)).unwrap();
    let route = json!({
        "match": {"path": "/shop"}, "access": "open", "target": {"upstreams": [old.url()]},
        "flag": {"key": "beta", "variants": {"on": {"upstreams": [new.url()]}}}
    });
    admin.send("PUT", "/v1/gateway/routes/shop", Some(&route)).unwrap();
    assert_eq!(user.send("GET", "/shop", None).unwrap().body, b"new");
    assert_eq!(running.client().send("GET", "/shop", None).unwrap().body, b"old");
    // A token that is not ours may be meant for the upstream.
    let mut foreign = running.client().with_token("not-ours");
    assert_eq!(foreign.send("GET", "/shop", None).unwrap().body, b"old");
}

#[test]
fn access_and_limits_of_a_route_are_kept() {
    let upstream = Upstream::saying("x");
    let running = Running::start(Limits::default());
    let (mut admin, mut user) = (administrator(&running), somebody(&running, "ada@example.com"));
    let route = |path: &str, access: &str, limit: Value| {
        json!({
            "match": {"path": path}, "access": access, "target": {"upstreams": [upstream.url()]}, "limit": limit
        })
    };
    let by = |by: &str| json!({"per": "hour", "rate": 1, "burst": 2, "by": by});
    admin.send("PUT", "/v1/gateway/routes/in", Some(&route("/in", "signed_in", by("user")))).unwrap();
    admin.send("PUT", "/v1/gateway/routes/may", Some(&route("/may", "orders:read", Value::Null))).unwrap();
    admin.send("PUT", "/v1/gateway/routes/all", Some(&route("/all", "open", by("address")))).unwrap();
    is(&running.client().send("GET", "/in", None).unwrap(), 401, "auth.not_signed_in");
    is(&user.send("GET", "/may", None).unwrap(), 403, "auth.forbidden");
    assert_eq!(admin.send("GET", "/may", None).unwrap().status, 200);
    let first = user.send("GET", "/in", None).unwrap();
    assert_eq!((first.status, first.header("ratelimit-policy")), (200, Some("\"in\";q=2;w=7200")));
    assert_eq!(first.header("ratelimit"), Some("\"in\";r=1;t=3600"));
    assert_eq!(user.send("GET", "/in", None).unwrap().status, 200);
    let refused = user.send("GET", "/in", None).unwrap();
    is(&refused, 429, "gateway.rate_limited");
    assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() > 3_000);
    assert_eq!(admin.send("GET", "/in", None).unwrap().status, 200);
    let statuses: Vec<u16> =
        (0..3).map(|_| running.client().send("GET", "/all", None).unwrap().status).collect();
    assert_eq!(statuses, [200, 200, 429]);
}
