//! Sign-in, profiles and roles over HTTP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::Running;
use platform_server::http_server::Limits;
use serde_json::{Value, json};
use test_support::client::{Answer, Client};

const PASSWORD: &str = "correct horse battery staple";

struct Story {
    running: Running,
}

impl Story {
    fn new() -> Story {
        Story { running: Running::start(Limits::default()) }
    }

    fn anyone(&self) -> Client {
        self.running.client()
    }

    fn post(&self, path: &str, body: Value) -> Answer {
        self.anyone().send("POST", path, Some(&body)).unwrap()
    }

    fn register(&self, email: &str) -> String {
        let answer =
            self.post("/v1/auth/register", json!({"email": email, "password": PASSWORD, "name": "Ada"}));
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()["user_id"].as_str().unwrap().to_owned()
    }

    fn login(&self, email: &str) -> Value {
        let answer = self.post("/v1/auth/login", json!({"email": email, "password": PASSWORD}));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn signed_in(&self, email: &str) -> Client {
        self.anyone().with_token(self.login(email)["access_token"].as_str().unwrap())
    }

    /// The first administrator.
    fn administrator(&self) -> Client {
        let auth = self.running.server.platform().auth().clone();
        let token = self.running.block_on(async { auth.setup_token().await }).unwrap().unwrap();
        let answer = self.post(
            "/v1/setup",
            json!({"token": token.expose(), "email": "root@example.org", "password": PASSWORD}),
        );
        assert_eq!(answer.status, 200, "{answer:?}");
        self.anyone().with_token(answer.json()["access_token"].as_str().unwrap())
    }
}

fn refused(answer: &Answer) -> (u16, String) {
    (answer.status, answer.code())
}

#[test]
fn from_setup_to_a_role_that_is_effective_at_once() {
    let story = Story::new();
    let mut root = story.administrator();
    let again =
        story.post("/v1/setup", json!({"token": "x", "email": "eve@example.org", "password": PASSWORD}));
    assert_eq!(refused(&again), (409, "auth.already_set_up".into()));

    let id = story.register("ada@example.org");
    let taken = story.post("/v1/auth/register", json!({"email": "ADA@example.org", "password": PASSWORD}));
    assert_eq!(refused(&taken), (409, "auth.email_taken".into()));
    let mut ada = story.signed_in("ada@example.org");
    let me = ada.send("GET", "/v1/users/me", None).unwrap();
    assert_eq!((me.status, me.json()["id"].as_str().unwrap()), (200, id.as_str()));
    assert_eq!(me.json()["email"], "ada@example.org");

    let forbidden = ada.send("GET", "/v1/users?email_prefix=ada", None).unwrap();
    assert_eq!(refused(&forbidden), (403, "auth.forbidden".into()));
    let definition = json!({"permissions": ["users:read"], "includes": []});
    assert_eq!(root.send("PUT", "/v1/roles/support", Some(&definition)).unwrap().status, 200);
    let granted = root.send("PUT", &format!("/v1/users/{id}/roles/support"), None).unwrap();
    assert_eq!((granted.status, &granted.json()["roles"]), (200, &json!(["support"])));
    let found = ada.send("GET", "/v1/users?email_prefix=ADA", None).unwrap();
    assert_eq!((found.status, found.json()["items"].as_array().unwrap().len()), (200, 1));
    assert_eq!(root.send("DELETE", &format!("/v1/users/{id}/roles/support"), None).unwrap().status, 200);
    assert_eq!(ada.send("GET", "/v1/users", None).unwrap().status, 403);
}

#[test]
fn a_stale_etag_is_412_and_a_fresh_one_is_304() {
    let story = Story::new();
    story.register("ada@example.org");
    let mut ada = story.signed_in("ada@example.org");
    let me = ada.send("GET", "/v1/users/me", None).unwrap();
    let tag = me.header("etag").unwrap().to_owned();
    let same = ada.send_with("GET", "/v1/users/me", &[("if-none-match", &tag)], None).unwrap();
    assert_eq!(same.status, 304);
    let patch = json!({"name": null, "attributes": {"team": "blue"}});
    let patched = ada.send_with("PATCH", "/v1/users/me", &[("if-match", &tag)], Some(&patch)).unwrap();
    assert_eq!((patched.status, patched.json().get("name")), (200, None));
    let stale = ada.send_with("PATCH", "/v1/users/me", &[("if-match", &tag)], Some(&patch)).unwrap();
    assert_eq!(refused(&stale), (412, "users.version_mismatch".into()));
}

#[test]
fn sessions_are_listed_refreshed_and_ended_for_the_very_next_request() {
    let story = Story::new();
    story.register("ada@example.org");
    let pair = story.login("ada@example.org");
    let mut ada = story.anyone().with_token(pair["access_token"].as_str().unwrap());
    let sessions = ada.send("GET", "/v1/auth/sessions", None).unwrap().json();
    assert_eq!(sessions["items"].as_array().unwrap().len(), 1);
    let session = sessions["items"][0]["id"].as_str().unwrap().to_owned();
    let refresh = json!({"refresh_token": pair["refresh_token"]});
    let next = story.post("/v1/auth/refresh", refresh.clone());
    let twice = story.post("/v1/auth/refresh", refresh);
    assert_eq!(next.status, 200);
    assert_eq!(next.json()["refresh_token"], twice.json()["refresh_token"]);
    assert_eq!(ada.send("DELETE", &format!("/v1/auth/sessions/{session}"), None).unwrap().status, 204);
    assert_eq!(refused(&ada.send("GET", "/v1/users/me", None).unwrap()), (401, "auth.session_ended".into()));
    let ended = story.post("/v1/auth/refresh", json!({"refresh_token": next.json()["refresh_token"]}));
    assert_eq!(refused(&ended), (401, "auth.invalid_refresh_token".into()));

    let mut here = story.signed_in("ada@example.org");
    assert_eq!(here.send("POST", "/v1/auth/logout", None).unwrap().status, 204);
    assert_eq!(here.send("GET", "/v1/users/me", None).unwrap().status, 401);
    assert_eq!(refused(&story.post("/v1/auth/logout", json!({}))), (401, "auth.not_signed_in".into()));
    let late = story.login("ada@example.org");
    let logout = json!({"refresh_token": late["refresh_token"]});
    assert_eq!(story.post("/v1/auth/logout", logout).status, 204);
}

#[test]
fn a_password_is_changed_and_the_old_one_is_refused_like_any_wrong_one() {
    let story = Story::new();
    story.register("ada@example.org");
    let mut ada = story.signed_in("ada@example.org");
    let weak = json!({"current_password": PASSWORD, "new_password": "short"});
    let weak = ada.send("POST", "/v1/auth/password", Some(&weak)).unwrap();
    assert_eq!(refused(&weak), (400, "auth.password_too_weak".into()));
    let change = json!({"current_password": PASSWORD, "new_password": "a new password of mine"});
    assert_eq!(ada.send("POST", "/v1/auth/password", Some(&change)).unwrap().status, 204);
    assert_eq!(ada.send("GET", "/v1/users/me", None).unwrap().status, 200);
    let old = story.post("/v1/auth/login", json!({"email": "ada@example.org", "password": PASSWORD}));
    let nobody = story.post("/v1/auth/login", json!({"email": "bob@example.org", "password": PASSWORD}));
    assert_eq!(refused(&old), (401, "auth.invalid_credentials".into()));
    assert_eq!(refused(&old), refused(&nobody));
    assert_eq!(old.json()["detail"], nobody.json()["detail"]);
}

#[test]
fn foreign_and_forged_tokens_are_401_and_the_keys_are_public() {
    let story = Story::new();
    story.register("ada@example.org");
    let token = story.login("ada@example.org")["access_token"].as_str().unwrap().to_owned();
    let (message, _) = token.rsplit_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.";
    for forged in
        [format!("{message}."), format!("{message}.AAAA"), format!("{token}A"), none.to_owned(), "x".into()]
    {
        let answer = story.anyone().with_token(&forged).send("GET", "/v1/users/me", None).unwrap();
        assert_eq!(refused(&answer), (401, "auth.invalid_token".into()), "{forged}");
    }
    assert_eq!(
        refused(&story.anyone().send("GET", "/v1/users/me", None).unwrap()),
        (401, "auth.not_signed_in".into())
    );
    let keys = story.anyone().send("GET", "/.well-known/jwks.json", None).unwrap().json();
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["alg"]), (&json!("OKP"), &json!("EdDSA")));
    assert!(keys["keys"][0].get("d").is_none());
}

#[test]
fn an_erased_person_is_gone_and_the_address_is_free() {
    let story = Story::new();
    let id = story.register("ada@example.org");
    let mut ada = story.signed_in("ada@example.org");
    assert_eq!(ada.send("DELETE", &format!("/v1/users/{id}"), None).unwrap().status, 204);
    assert_eq!(ada.send("GET", "/v1/users/me", None).unwrap().status, 401);
    let platform = story.running.server.platform().clone();
    story.running.block_on(async { platform.settled().await }).unwrap();
    assert_ne!(story.register("ada@example.org"), id);
}
