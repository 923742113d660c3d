//! Every endpoint against bad input, generated from the OpenAPI document: always a 4xx with a stable code,
//! never a 5xx, never a hang.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use std::time::{Duration, Instant};

use common::Running;
use platform_server::http_server::Limits;
use platform_server::rest;
use serde_json::{Map, Value, json};
use test_support::client::{Answer, Client};

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    parameters: Vec<(String, String)>,
    body: Option<Value>,
    is_open: bool,
}

impl Operation {
    /// The path with these values for its parameters.
    fn with_values(&self, value: impl Fn(&str) -> String) -> String {
        let names = self.parameters.iter().filter(|(_, place)| place == "path");
        names.fold(self.path.clone(), |path, (name, _)| path.replace(&format!("{{{name}}}"), &value(name)))
    }

    /// The path with ids that are well formed and belong to nothing.
    fn plausible(&self) -> String {
        let index = |name: &str| matches!(name, "index" | "n" | "revision");
        self.with_values(
            |name| if index(name) { "9999999".to_owned() } else { id_for(&self.path).to_owned() },
        )
    }

    fn has_query(&self) -> bool {
        self.parameters.iter().any(|(_, place)| place == "query")
    }

    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// A well-formed id of the kind that a path speaks of.
fn id_for(path: &str) -> &'static str {
    match path.split('/').nth(2).unwrap_or_default() {
        "users" => "user_01h455vb4pex5vsknk084sn02q",
        "accounts" => "account_01h455vb4pex5vsknk084sn02q",
        "transfers" => "transfer_01h455vb4pex5vsknk084sn02q",
        "notifications" if path.contains("templates") => "nothing",
        "notifications" => "notification_01h455vb4pex5vsknk084sn02q",
        "auth" => "session_01h455vb4pex5vsknk084sn02q",
        "dead-letters" => "deadletter_01h455vb4pex5vsknk084sn02q",
        "assets" => "NONE",
        _ => "nothing",
    }
}

fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let text = |value: &Value, name: &str| value[name].as_str().unwrap_or_default().to_owned();
            let parameters = operation["parameters"].as_array().unwrap();
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                parameters: parameters.iter().map(|one| (text(one, "name"), text(one, "in"))).collect(),
                body: operation.pointer("/requestBody/content/application~1json/schema").cloned(),
                is_open: operation["security"] == json!([]),
            });
        }
    }
    operations
}

/// A server with an administrator.
struct World {
    running: Running,
    token: String,
    document: Value,
}

impl World {
    fn new() -> World {
        let running = Running::start(Limits::default());
        let setup = running.setup_token();
        let request =
            json!({"token": setup, "email": "admin@example.com", "password": "correct horse battery"});
        let answer = running.client().send("POST", "/v1/setup", Some(&request)).unwrap();
        assert!(answer.status < 300, "{}", answer.json());
        let token = answer.json()["access_token"].as_str().unwrap().to_owned();
        World { token, document: rest::document(&rest::table()), running }
    }

    /// A session of its own, for operations that may end it.
    fn fresh_token(&self) -> String {
        let request = json!({"email": "admin@example.com", "password": "correct horse battery"});
        let answer = self.running.client().send("POST", "/v1/auth/login", Some(&request)).unwrap();
        answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.json())).to_owned()
    }

    fn client(&self) -> Client {
        self.running.client().with_token(&self.token)
    }

    fn operations(&self) -> Vec<Operation> {
        operations(&self.document)
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.document.pointer(reference.trim_start_matches('#')).unwrap(),
            None => schema,
        }
    }
}

/// The code of an error, in our form or in OFREP's.
fn code(answer: &Answer) -> String {
    let body = answer.json();
    body["code"].as_str().or(body["errorCode"].as_str()).unwrap_or_default().to_owned()
}

/// Sends, and demands an answer in time that is no fault of ours.
fn send(client: &mut Client, what: &str, request: &[u8]) -> Answer {
    let begin = Instant::now();
    let answer = client.exchange(request).unwrap_or_else(|error| panic!("{what}: no answer: {error}"));
    assert!(begin.elapsed() < Duration::from_secs(10), "{what}: it hung");
    assert!(answer.status < 500, "{what}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
    if answer.status >= 400 {
        let code = code(&answer);
        let stable =
            !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_'));
        assert!(
            stable,
            "{what}: {} without a stable code: {}",
            answer.status,
            String::from_utf8_lossy(&answer.body)
        );
    }
    answer
}

fn refused(client: &mut Client, what: &str, request: &[u8]) -> Answer {
    let answer = send(client, what, request);
    assert!(answer.status >= 400, "{what}: accepted: {}", String::from_utf8_lossy(&answer.body));
    answer
}

fn request(operation: &Operation, path: &str, token: Option<&str>, headers: &str, body: &[u8]) -> Vec<u8> {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "{} {path} HTTP/1.1\r\nhost: a\r\n{token}{headers}content-length: {length}\r\n\r\n",
        operation.method
    );
    [head.as_bytes(), body].concat()
}

const JSON: &str = "content-type: application/json\r\n";

#[test]
fn bodies_that_are_not_json_of_the_right_form_are_refused() {
    let world = World::new();
    let deep = "[".repeat(5_000);
    let deep_object = r#"{"a":"#.repeat(40) + "1" + &"}".repeat(40);
    let bodies: [(&str, &[u8]); 14] = [
        ("half an object", b"{"),
        ("no JSON", b"hello"),
        ("two values", b"{}{}"),
        ("a comma too many", br#"{"a":1,}"#),
        ("not UTF-8", b"{\"a\":\"\xff\xfe\"}"),
        ("UTF-16", b"\xff\xfe{\0}\0"),
        ("a byte order mark", b"\xef\xbb\xbf{}"),
        ("half a surrogate", br#"{"a":"\ud800"}"#),
        ("a key twice", br#"{"a":1,"a":2}"#),
        ("too deep", deep.as_bytes()),
        ("an object too deep", deep_object.as_bytes()),
        ("a number that is none", br#"{"a":1e99999}"#),
        ("a list", b"[]"),
        ("a text", br#""text""#),
    ];
    let mut client = world.running.client();
    let mut count = 0;
    for operation in world.operations().iter().filter(|operation| operation.body.is_some()) {
        for (name, body) in bodies {
            let what = format!("{}: {name}", operation.name());
            let bytes = request(operation, &operation.plausible(), Some(&world.token), JSON, body);
            let answer = refused(&mut client, &what, &bytes);
            assert_eq!(answer.status, 400, "{what}: {}", answer.json());
            count += 1;
        }
        let unknown =
            request(operation, &operation.plausible(), Some(&world.token), JSON, br#"{"no_such_field":1}"#);
        let what = format!("{}: an unknown field", operation.name());
        // OFREP demands that servers ignore what they do not know.
        let is_closed = !operation.path.starts_with("/ofrep/");
        let answer = send(&mut client, &what, &unknown);
        assert!(answer.status >= 400 || !is_closed, "{what}: accepted");
        for (kind, status) in [
            ("content-type: text/plain\r\n", 415),
            ("content-type: application/json; charset=utf-16\r\n", 415),
            ("", 415),
        ] {
            let bytes = request(operation, &operation.plausible(), Some(&world.token), kind, b"{}");
            let answer = refused(&mut client, &format!("{}: {kind:?}", operation.name()), &bytes);
            // OFREP has one status for whatever it cannot read.
            let status = if is_closed { status } else { 400 };
            assert_eq!(answer.status, status, "{}: {kind:?}", operation.name());
        }
        let gzip = format!("{JSON}content-encoding: gzip\r\n");
        let bytes = request(operation, &operation.plausible(), Some(&world.token), &gzip, b"\x1f\x8b\x08");
        assert_eq!(refused(&mut client, &operation.name(), &bytes).status, 415);
    }
    assert!(count > 0);
}

#[test]
fn bodies_above_the_limit_are_413() {
    let world = World::new();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    for operation in world.operations().iter().filter(|operation| operation.body.is_some()) {
        let declared = format!(
            "{} {} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n{JSON}content-length: {}\r\n\r\n",
            operation.method,
            operation.plausible(),
            world.token,
            large.len()
        );
        // It is refused by its declared length, before it is sent.
        let answer = refused(&mut world.running.client(), &operation.name(), declared.as_bytes());
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (413, "request.body_too_large"),
            "{}",
            operation.name()
        );
    }
}

/// Values that are rarely right.
fn strange() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        serde_json::from_str("123456789012345678901234567890").unwrap(),
        json!(""),
        json!("x"),
        json!("\u{0}"),
        json!("\u{202e}\u{10ffff}'\";--<script>{{7*7}}%s%n"),
        json!("../../etc/passwd"),
        json!("9".repeat(400)),
        json!("é".repeat(5_000)),
        json!([]),
        json!([null]),
        json!({}),
        json!({"$ref": "x"}),
        Value::Array(vec![json!({}); 20_000]),
    ]
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Whether a schema says that it does not take values of this type.
fn excludes(world: &World, schema: &Value, value: &Value) -> bool {
    let schema = world.resolve(schema);
    let takes = |name: &str| name == type_of(value) || (name == "number" && type_of(value) == "integer");
    match &schema["type"] {
        Value::String(name) => !takes(name),
        Value::Array(names) => !names.iter().filter_map(Value::as_str).any(takes),
        _ => false,
    }
}

/// Something that fits a schema, as far as its types say.
fn example(world: &World, schema: &Value) -> Value {
    let schema = world.resolve(schema);
    let name = match &schema["type"] {
        Value::Array(names) => names[0].as_str().unwrap_or_default().to_owned(),
        name => name.as_str().unwrap_or_default().to_owned(),
    };
    match name.as_str() {
        "string" => json!("example"),
        "integer" | "number" => json!(1),
        "boolean" => json!(true),
        "array" => json!([]),
        "object" => {
            let required: Vec<&str> =
                schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let kept = properties.iter().filter(|(name, _)| required.contains(&name.as_str()));
            Value::Object(kept.map(|(name, property)| (name.clone(), example(world, property))).collect())
        }
        _ => Value::Null,
    }
}

#[test]
fn wrong_types_and_strange_values_are_refused_or_harmless() {
    let world = World::new();
    let mut client = world.running.client();
    let mut count = 0;
    for operation in world.operations() {
        let Some(schema) = &operation.body else { continue };
        let token = world.fresh_token();
        let schema = world.resolve(schema).clone();
        let properties = schema["properties"].as_object().cloned().unwrap_or_default();
        for (name, property) in &properties {
            for value in strange() {
                let mut body: Map<String, Value> =
                    example(&world, &schema).as_object().cloned().unwrap_or_default();
                body.insert(name.clone(), value.clone());
                let text = Value::Object(body).to_string();
                let shown = value.to_string().chars().take(40).collect::<String>();
                let what = format!("{}: {name} = {shown}", operation.name());
                let bytes = request(&operation, &operation.plausible(), Some(&token), JSON, text.as_bytes());
                let answer = send(&mut client, &what, &bytes);
                let is_optional =
                    !schema["required"].as_array().is_some_and(|all| all.contains(&json!(name)));
                if excludes(&world, property, &value) && !(is_optional && value.is_null()) {
                    assert!(answer.status >= 400, "{what}: accepted against its schema");
                }
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

#[test]
fn foreign_and_malformed_ids_in_paths_and_queries_are_refused() {
    let world = World::new();
    let mut client = world.running.client();
    let long = "x".repeat(3_000);
    let values = [
        "x",
        "0",
        "-1",
        "user_",
        "%00",
        "%ff",
        "%F0%9F%92%A9",
        "a%20b",
        "'--",
        "user_8zzzzzzzzzzzzzzzzzzzzzzzzz",
        &long,
    ];
    for operation in world.operations() {
        let body: &[u8] = if operation.body.is_some() { b"{}" } else { b"" };
        if operation.parameters.iter().any(|(_, place)| place == "path") {
            for value in values {
                let path = operation.with_values(|_| value.to_owned());
                let bytes = request(&operation, &path, Some(&world.token), JSON, body);
                send(&mut client, &format!("{} at {path}", operation.name()), &bytes);
            }
            let what = format!("{}: a foreign id", operation.name());
            let bytes = request(&operation, &operation.plausible(), Some(&world.token), JSON, body);
            send(&mut client, &what, &bytes);
        }
        if operation.has_query() {
            for query in [
                "no_such_parameter=1",
                "limit=0",
                "limit=501",
                "limit=x",
                "limit=-1",
                "limit=1&limit=2",
                "cursor=%00",
                "cursor=***",
            ] {
                let path = format!("{}?{query}", operation.plausible());
                let bytes = request(&operation, &path, Some(&world.token), JSON, body);
                let what = format!("{} with {query}", operation.name());
                refused(&mut client, &what, &bytes);
            }
            for query in ["cursor=AAAA", "from=x&to=y", "at=yesterday", "%ff=%fe"] {
                let path = format!("{}?{query}", operation.plausible());
                let bytes = request(&operation, &path, Some(&world.token), JSON, body);
                send(&mut client, &format!("{} with {query}", operation.name()), &bytes);
            }
        }
        for header in [
            "if-match: nonsense\r\n",
            "idempotency-key: \u{e9}\r\n",
            "x-request-id: \u{e9}\u{e9}\r\n",
            "traceparent: 00-zz\r\n",
            "x-change-reason: \u{e9}\r\n",
        ] {
            let bytes = request(
                &operation,
                &operation.plausible(),
                Some(&world.token),
                &format!("{JSON}{header}"),
                body,
            );
            send(&mut client, &format!("{} with {header:?}", operation.name()), &bytes);
        }
    }
}

#[test]
fn foreign_methods_are_405_and_foreign_paths_404() {
    let world = World::new();
    let mut client = world.client();
    let operations = world.operations();
    for operation in &operations {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if operations.iter().any(|other| other.path == operation.path && other.method == method) {
                continue;
            }
            let answer = client.send(method, &operation.plausible(), None).unwrap();
            assert_eq!(code(&answer), "request.method_not_allowed", "{method} {}", operation.path);
            assert!(answer.header("allow").is_some());
        }
    }
    for path in
        ["/v1", "/v1/", "/v1/none", "/v1/users/me/none/none", "/ofrep/v2/x", "/.well-known/none", "/livez/x"]
    {
        let answer = client.send("GET", path, None).unwrap();
        assert_eq!((answer.status, code(&answer).as_str()), (404, "request.no_such_path"), "{path}");
    }
}

/// base64url without padding.
fn encoded(bytes: &[u8]) -> String {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn decoded(text: &str) -> Vec<u8> {
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// Tokens that were not made by us, from one that was.
fn forged(world: &World) -> Vec<(&'static str, String)> {
    let [header, claims, signature] = world.token.split('.').collect::<Vec<_>>().try_into().unwrap();
    let original: Value = serde_json::from_slice(&decoded(header)).unwrap();
    let head = |change: &dyn Fn(&mut Value)| {
        let mut changed = original.clone();
        change(&mut changed);
        encoded(changed.to_string().as_bytes())
    };
    let body = |change: &dyn Fn(&mut Value)| {
        let mut changed: Value = serde_json::from_slice(&decoded(claims)).unwrap();
        change(&mut changed);
        encoded(changed.to_string().as_bytes())
    };
    let mut client = world.running.client();
    let keys = client.send("GET", "/.well-known/jwks.json", None).unwrap().json();
    let public = decoded(keys["keys"][0]["x"].as_str().unwrap());
    let hmac = |header: &str| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
        let input = format!("{header}.{claims}");
        format!("{input}.{}", encoded(aws_lc_rs::hmac::sign(&key, input.as_bytes()).as_ref()))
    };
    let stranger = |header: &str, claims: &str| {
        use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
        let pair = Ed25519KeyPair::generate().unwrap();
        let input = format!("{header}.{claims}");
        let _ = pair.public_key();
        format!("{input}.{}", encoded(pair.sign(input.as_bytes()).as_ref()))
    };
    let none = head(&|header| header["alg"] = json!("none"));
    let hs = head(&|header| header["alg"] = json!("HS256"));
    let foreign = head(&|header| header["kid"] = json!("foreign"));
    let traversal = head(&|header| header["kid"] = json!("../../dev/null"));
    let no_kid = head(&|header| {
        header.as_object_mut().unwrap().remove("kid");
    });
    let with_jwk =
        head(&|header| header["jwk"] = json!({"kty": "OKP", "crv": "Ed25519", "x": encoded(&public)}));
    let with_jku = head(&|header| header["jku"] = json!("http://127.0.0.1:1/keys"));
    let with_crit = head(&|header| header["crit"] = json!(["exp"]));
    let later = body(&|claims| claims["exp"] = json!(4_102_444_800u64));
    vec![
        ("alg none", format!("{none}.{claims}.")),
        ("alg none with the signature", format!("{none}.{claims}.{signature}")),
        ("key confusion", hmac(&hs)),
        ("a foreign kid", format!("{foreign}.{claims}.{signature}")),
        ("a kid that is a path", format!("{traversal}.{claims}.{signature}")),
        ("no kid", format!("{no_kid}.{claims}.{signature}")),
        ("its own key", stranger(&with_jwk, claims)),
        ("a key to fetch", stranger(&with_jku, claims)),
        ("critical extensions", stranger(&with_crit, claims)),
        ("another's signature", stranger(header, claims)),
        ("changed claims", format!("{header}.{later}.{signature}")),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{header}.{claims}.{signature}.x")),
        ("no token", "x".to_owned()),
        ("an endless token", "x".repeat(20_000)),
    ]
}

#[test]
fn without_a_token_of_ours_nothing_that_is_not_open_answers() {
    let world = World::new();
    let mut client = world.running.client();
    let forged = forged(&world);
    for operation in world.operations().iter().filter(|operation| !operation.is_open) {
        let body: &[u8] = if operation.body.is_some() { b"{}" } else { b"" };
        let answer = refused(
            &mut client,
            &operation.name(),
            &request(operation, &operation.plausible(), None, JSON, body),
        );
        assert_eq!(
            (answer.status, code(&answer).as_str()),
            (401, "auth.not_signed_in"),
            "{}",
            operation.name()
        );
        for (name, token) in &forged {
            let what = format!("{}: {name}", operation.name());
            let bytes = request(operation, &operation.plausible(), Some(token), JSON, body);
            let answer = refused(&mut client, &what, &bytes);
            assert_eq!(answer.status, 401, "{what}: {}", answer.json());
            assert!(code(&answer).starts_with("auth."), "{what}: {}", code(&answer));
        }
    }
    // The token itself is good, so the refusals above were for the right reason.
    let answer = client
        .exchange(
            format!("GET /v1/users/me HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {}\r\n\r\n", world.token)
                .as_bytes(),
        )
        .unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn schemes_that_are_not_bearer_are_refused() {
    let world = World::new();
    for value in ["Basic YWRtaW46YWRtaW4=", "Bearer", "Bearer  ", "Digest x", ""] {
        let request = format!("GET /v1/users/me HTTP/1.1\r\nhost: a\r\nauthorization: {value}\r\n\r\n");
        let answer = refused(&mut world.running.client(), value, request.as_bytes());
        assert_eq!(answer.status, 401, "{value}");
    }
}

#[test]
fn a_token_that_has_expired_or_whose_session_has_ended_is_refused() {
    let world = World::new();
    let ended = world.fresh_token();
    let mut client = world.running.client().with_token(&ended);
    assert_eq!(client.send("GET", "/v1/users/me", None).unwrap().status, 200);
    assert!(client.send("POST", "/v1/auth/logout", None).unwrap().status < 300);
    let answer = client.send("GET", "/v1/users/me", None).unwrap();
    assert_eq!((answer.status, code(&answer).as_str()), (401, "auth.session_ended"));
    let mut client = world.client();
    assert_eq!(client.send("GET", "/v1/users/me", None).unwrap().status, 200);
    world.running.pass(Duration::from_secs(16 * 60));
    let answer = client.send("GET", "/v1/users/me", None).unwrap();
    assert_eq!((answer.status, code(&answer).as_str()), (401, "auth.token_expired"));
}
