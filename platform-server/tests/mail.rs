//! Mail from the real binary to a real mail server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use platform_core::kernel::Timestamp;
use serde_json::{Value, json};
use test_support::client::{Answer, Client};
use test_support::process::Process;
use test_support::smtp::{Fault, Mail, Options, SmtpServer};

const PASSWORD: &str = "correct horse battery staple";

/// A mail server, a folder, a platform over both, and its administrator.
struct World {
    runtime: tokio::runtime::Runtime,
    mail: SmtpServer,
    folder: tempfile::TempDir,
    process: Process,
    root: Client,
    token: String,
}

fn start(folder: &Path, mail: &SmtpServer) -> Process {
    let url = mail.url();
    let environment = [
        ("PLATFORM__NOTIFICATIONS__SMTP_URL", url.as_str()),
        ("PLATFORM__NOTIFICATIONS__FROM", "Shop <shop@example.org>"),
    ];
    Process::start(Path::new(env!("CARGO_BIN_EXE_platform")), folder, &environment)
}

impl World {
    fn new(options: Options) -> World {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mail = runtime.block_on(SmtpServer::start(options)).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let process = start(&folder.path().join("data"), &mail);
        let setup = json!({"token": process.setup_token, "email": "root@example.org", "password": PASSWORD});
        let answer = process.client().send("POST", "/v1/setup", Some(&setup)).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        let root = process.client().with_token(&token);
        let world = World { runtime, mail, folder, process, root, token };
        // The administrator is welcomed, too.
        assert_eq!(world.wait_for(1).len(), 1);
        world
    }

    fn wait_for(&self, count: usize) -> Vec<Mail> {
        self.runtime.block_on(self.mail.wait_for(count))
    }

    fn call(&mut self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.root.send(method, path, body.as_ref()).unwrap()
    }

    fn send(&mut self, body: Value) -> Answer {
        self.call("POST", "/v1/notifications", Some(body))
    }

    /// Asks until the notification is in this state.
    fn until(&mut self, id: &str, state: &str) -> Value {
        let begin = Instant::now();
        loop {
            let view = self.call("GET", &format!("/v1/notifications/{id}"), None).json();
            if view["state"] == state {
                return view;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{view}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn accepted(answer: &Answer) -> String {
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()["id"].as_str().unwrap().to_owned()
}

fn mail_to(address: &str) -> Value {
    json!({"to": address, "channel": "email", "template": "shipped", "data": {"number": 7, "name": "<Grüße>"}})
}

fn template() -> Value {
    json!({
        "subject": "Order {{ number }}", "text": "{{ name }}: on its way\n.\n", "html": "<p>{{ name }}</p>",
        "category": "orders", "locales": {"de": {"subject": "Bestellung {{ number }}", "text": "unterwegs"}},
    })
}

#[test]
fn a_template_becomes_a_mail_once() {
    let mut world = World::new(Options { starttls: true, ..Options::default() });
    let put = world.call("PUT", "/v1/notifications/templates/shipped", Some(template()));
    assert_eq!((put.status, put.header("etag")), (200, Some("\"1\"")), "{put:?}");
    let preview = json!({"data": {"number": 1, "name": "x"}, "locale": "de-AT"});
    let preview = world.call("POST", "/v1/notifications/templates/shipped/preview", Some(preview));
    assert_eq!(preview.json()["subject"], "Bestellung 1");

    let mut ids = Vec::new();
    for _ in 0..2 {
        let headers = [("Idempotency-Key", "order-7")];
        let body = mail_to("ada@example.org");
        ids.push(accepted(
            &world.root.send_with("POST", "/v1/notifications", &headers, Some(&body)).unwrap(),
        ));
    }
    assert_eq!(ids[0], ids[1]);
    let view = world.until(&ids[0], "sent");
    assert_eq!((view["attempts"].as_array().unwrap().len(), &view["revision"]), (1, &json!(1)));
    let mails = world.wait_for(2);
    assert_eq!(mails.len(), 2);
    let mail = &mails[1];
    assert_eq!(mail.to, ["ada@example.org"]);
    assert_eq!(mail.header("Subject"), "Order 7");
    assert_eq!(mail.header("From"), "Shop <shop@example.org>");
    assert_eq!(mail.header("Message-ID"), format!("<{}@example.org>", ids[0]));
    assert!(mail.text().starts_with("<Grüße>: on its way\n.\n"), "{}", mail.text());
    assert!(mail.html().contains("&lt;Grüße&gt;"));
    assert!(mail.encrypted);
    assert_eq!(world.mail.violations(), [""; 0]);
}

#[test]
fn what_became_of_a_mail_is_told_truthfully() {
    let mut world = World::new(Options::default());
    world.call("PUT", "/v1/notifications/templates/shipped", Some(template()));
    world.mail.fail_next([Fault::RefuseRecipient(550)]);
    let id = accepted(&world.send(mail_to("nobody@example.org")));
    assert_eq!(world.until(&id, "failed")["cause"], "RCPT: 550");
    let retry = world.call("POST", &format!("/v1/notifications/{id}/retry"), None);
    assert_eq!((retry.status, retry.code().as_str()), (409, "notifications.not_dead"));
    world.mail.fail_next([Fault::RefuseContent(451)]);
    let id = accepted(&world.send(mail_to("ada@example.org")));
    let view = world.until(&id, "scheduled");
    assert_eq!(
        (&view["attempts"][0]["outcome"], &view["attempts"][0]["cause"]),
        (&json!("deferred"), &json!("message: 451"))
    );
    let soon = world.call("GET", "/v1/notifications?limit=2", None).json();
    assert_eq!(soon["items"][0]["id"], json!(id));
    assert_eq!(world.mail.mails().len(), 1);
}

#[test]
fn recipients_choose_and_mistakes_have_their_codes() {
    let mut world = World::new(Options::default());
    world.call("PUT", "/v1/notifications/templates/shipped", Some(template()));
    let register = json!({"email": "ada@example.org", "password": PASSWORD});
    let ada = world.process.client().send("POST", "/v1/auth/register", Some(&register)).unwrap().json();
    let ada = ada["user_id"].as_str().unwrap().to_owned();
    world.wait_for(2);
    let path = format!("/v1/users/{ada}/preferences");
    let off = |category: &str| Some(json!({"categories": {category: false}}));
    assert_eq!(world.call("PUT", &path, off("orders")).status, 200);
    let to_ada = json!({"user_id": ada, "channel": "email", "template": "shipped", "data": {"number": 1, "name": "Ada"}});
    let answer = world.send(to_ada);
    assert_eq!((answer.status, &answer.json()["state"]), (201, &json!("suppressed")));
    assert_eq!(world.call("PUT", &path, off("security")).code(), "notifications.category_required");
    let mut stale = |tag: &str| {
        let body = json!({"categories": {}});
        world.root.send_with("PUT", &path, &[("If-Match", tag)], Some(&body)).unwrap().status
    };
    assert_eq!(stale("\"999\""), 412);

    for (change, status, code) in [
        (json!({"template": "nothing"}), 404, "notifications.template_not_found"),
        (json!({"channel": "pigeon"}), 400, "notifications.unknown_channel"),
        (json!({"data": {}}), 400, "notifications.render_failed"),
        (json!({"to": "nobody"}), 400, "users.invalid_email"),
        (json!({"user_id": "user_00000000000000000000000000"}), 400, "notifications.invalid_recipient"),
        (json!({"deadline": "2020-01-01T00:00:00Z"}), 400, "notifications.deadline_passed"),
        (json!({"surprise": 1}), 400, "request.invalid_body"),
        (json!({"send_at": "tomorrow"}), 400, "request.invalid_body"),
    ] {
        let mut body = mail_to("ada@example.org");
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        let answer = world.send(body);
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{change}");
    }
    let broken =
        world.call("PUT", "/v1/notifications/templates/x", Some(json!({"subject": "s", "text": "{{ a"})));
    assert_eq!((broken.status, broken.code().as_str()), (400, "notifications.template_invalid"));
    let stranger =
        world.process.client().send("POST", "/v1/notifications", Some(&mail_to("a@b.example"))).unwrap();
    assert_eq!(stranger.status, 401);
    assert_eq!(world.mail.mails().len(), 2, "nothing but the two welcomes");
}

#[test]
fn what_was_accepted_is_sent_after_a_crash() {
    let mut world = World::new(Options::default());
    world.call("PUT", "/v1/notifications/templates/shipped", Some(template()));
    let mut ids = Vec::new();
    for number in 0..20 {
        let mut body = mail_to(&format!("user{number}@example.org"));
        // Far enough away that the crash comes first, on a machine that has other things to do.
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        body["send_at"] = json!(Timestamp::from_secs(since_1970.as_secs() + 3));
        ids.push(accepted(&world.send(body)));
    }
    let World { runtime, mail, folder, process, token, .. } = world;
    process.kill();
    let process = start(&folder.path().join("data"), &mail);
    let root = process.client().with_token(&token);
    let mut world = World { runtime, mail, folder, process, root, token };
    for id in &ids {
        world.until(id, "sent");
    }
    let mut addresses: Vec<_> = world.wait_for(21).into_iter().skip(1).flat_map(|mail| mail.to).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!((addresses.len(), world.mail.mails().len()), (20, 21));
}

#[test]
fn a_mail_that_was_being_sent_in_a_crash_is_put_off_at_once_as_one_that_may_have_gone_out() {
    let mut world = World::new(Options::default());
    world.call("PUT", "/v1/notifications/templates/shipped", Some(template()));
    world.mail.fail_next([Fault::Hang]);
    let id = accepted(&world.send(mail_to("ada@example.org")));
    world.until(&id, "claimed");
    let World { runtime, mail, folder, process, token, .. } = world;
    process.kill();
    let process = start(&folder.path().join("data"), &mail);
    let root = process.client().with_token(&token);
    let mut world = World { runtime, mail, folder, process, root, token };
    let view = world.until(&id, "scheduled");
    assert_eq!(view["attempts"][0]["outcome"], "ambiguous");
}
