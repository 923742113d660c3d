//! Sign-in: what a request pays for its token, and what a login costs beyond its hash.

use std::future::Future;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use embedded_store::SystemRuntime;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use platform_core::Platform;
use platform_core::auth::{Auth, LoginRequest, RegisterRequest};
use platform_core::kernel::{Context, CorrelationId, Permission, RawId, Secret, UserId};
use platform_core::ports::MemoryBackends;
use platform_core::users::NewProfile;
use serde_json::Value;

use crate::row::{Measured, Row, median};

pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "token_check",
        what: "an access token that was seen before (median of 5,000 batches of 200); peer: its signature alone",
        run: token_check,
    },
    Row {
        name: "permission_check",
        what: "whether a user holds a permission, by roles within roles, among 100,000 users and 1,000 roles (median of 5,000 batches of 200)",
        run: permission_check,
    },
    Row {
        name: "revoke-refused",
        what: "from the answer of ending a session to its first refused check, by a task that checks all the time (99th percentile of 300)",
        run: revoke_refused,
    },
    Row {
        name: "logins",
        what: "logins at 19 MiB, t=2, p=1 for 4 seconds; peer: bare Argon2id on as many threads as cores",
        run: logins,
    },
];

const PASSWORD: &str = "correct horse battery staple";
const EMAIL: &str = "ada@example.org";

fn anyone() -> Context {
    Context::anonymous(CorrelationId::from_raw(RawId([0; 16])))
}

#[allow(clippy::expect_used)]
fn login() -> LoginRequest {
    LoginRequest { email: EMAIL.parse().expect("an address"), password: Secret::new(PASSWORD) }
}

/// A platform in memory with one user.
#[allow(clippy::expect_used)]
fn with_user<T, F: Future<Output = T>>(run: impl FnOnce(Platform, UserId) -> F) -> T {
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    threads.block_on(async {
        let memory = MemoryBackends::new(Arc::new(SystemRuntime::current()));
        let backends = memory.backends().await.expect("ports");
        let platform = Platform::builder(backends).build().await.expect("a platform");
        let email = EMAIL.parse().expect("an address");
        let request = RegisterRequest { email, password: Secret::new(PASSWORD), name: None };
        let user = platform.auth().register(&anyone(), &request).await.expect("registered").user_id;
        run(platform, user).await
    })
}

/// Nanoseconds of one call.
async fn nanoseconds<T, F: Future<Output = T>>(call: impl Fn() -> F) -> f64 {
    // Short batches: on a busy machine most of them are not interrupted.
    const CALLS: u32 = 200;
    let mut samples = Vec::new();
    for _ in 0..5_000 {
        let begin = Instant::now();
        for _ in 0..CALLS {
            std::hint::black_box(call().await);
        }
        samples.push(begin.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
    }
    median(samples)
}

#[allow(clippy::expect_used)]
fn token_check() -> Measured {
    with_user(|platform, _| async move {
        let auth = platform.auth();
        let token = auth.login(&anyone(), &login()).await.expect("signed in").access_token;
        auth.authenticate(&token).await.expect("valid");
        let ours = nanoseconds(|| auth.authenticate(&token)).await;
        Measured::against(ours, "ns", "jsonwebtoken", signature_alone(auth, &token))
    })
}

#[allow(clippy::expect_used)]
fn signature_alone(auth: &Auth, token: &str) -> f64 {
    let keys = auth.jwks().keys;
    let key = DecodingKey::from_ed_components(&keys.first().expect("a key").x).expect("a key");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&["platform"]);
    let samples = (0..500).map(|_| {
        let begin = Instant::now();
        jsonwebtoken::decode::<Value>(token, &key, &validation).expect("valid");
        begin.elapsed().as_secs_f64() * 1e9
    });
    median(samples.collect::<Vec<_>>())
}

#[allow(clippy::expect_used)]
fn permission_check() -> Measured {
    with_user(|platform, user| async move {
        let (users, system) = (platform.users(), Context::system());
        let permission: Permission = "ledger:read".parse().expect("a permission");
        for depth in 0..8_u8 {
            let definition = match depth.checked_sub(1) {
                Some(inner) => serde_json::json!({"includes": [format!("role{inner}")]}),
                None => serde_json::json!({"permissions": ["ledger:read"]}),
            };
            let (name, definition) = (format!("role{depth}"), serde_json::from_value(definition));
            let (name, definition) = (name.parse().expect("a name"), definition.expect("a definition"));
            users.put_role(&system, &name, None, &definition).await.expect("defined");
        }
        users.grant(&system, user, &"role7".parse().expect("a name")).await.expect("granted");
        for role in 8..1_000 {
            let definition = serde_json::json!({"permissions": [format!("team{role}:read")]});
            let (name, definition) = (format!("role{role}"), serde_json::from_value(definition));
            let (name, definition) = (name.parse().expect("a name"), definition.expect("a definition"));
            users.put_role(&system, &name, None, &definition).await.expect("defined");
        }
        for number in 0..100_000 {
            let email = format!("person{number}@example.org").parse().expect("an address");
            let new = NewProfile { id: None, email, name: None };
            let id = users.create(&system, &new).await.expect("created").id;
            let role = format!("role{}", number % 1_000).parse().expect("a name");
            users.grant(&system, id, &role).await.expect("granted");
        }
        Measured::alone(nanoseconds(|| users.check(&system, user, &permission)).await, "ns")
    })
}

#[allow(clippy::expect_used)]
fn revoke_refused() -> Measured {
    with_user(|platform, _| async move {
        let mut taken = Vec::new();
        for _ in 0..300 {
            let auth = platform.auth().clone();
            let token = auth.login(&anyone(), &login()).await.expect("signed in").access_token;
            let principal = auth.authenticate(&token).await.expect("valid");
            let session = principal.session.expect("a session");
            let ctx = Context::new(principal, CorrelationId::from_raw(RawId([0; 16])));
            let checking = tokio::spawn({
                let auth = auth.clone();
                async move {
                    while auth.authenticate(&token).await.is_ok() {
                        tokio::task::yield_now().await;
                    }
                    Instant::now()
                }
            });
            tokio::time::sleep(Duration::from_millis(2)).await;
            auth.revoke_session(&ctx, session).await.expect("ended");
            let answered = Instant::now();
            let refused = checking.await.expect("no panic");
            taken.push(refused.saturating_duration_since(answered).as_secs_f64() * 1e3);
        }
        taken.sort_by(f64::total_cmp);
        Measured::alone(taken.get(taken.len() * 99 / 100).copied().unwrap_or_default(), "ms")
    })
}

#[allow(clippy::expect_used)]
fn logins() -> Measured {
    const SPAN: Duration = Duration::from_secs(4);
    let ours = with_user(|platform, _| async move {
        let end = Instant::now() + SPAN;
        let tasks: Vec<_> = (0..16)
            .map(|_| {
                let platform = platform.clone();
                tokio::spawn(async move {
                    let mut done = 0_u32;
                    while Instant::now() < end {
                        platform.auth().login(&anyone(), &login()).await.expect("signed in");
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.expect("a task");
        }
        f64::from(done) / SPAN.as_secs_f64()
    });
    let cores = available_parallelism().map_or(1, |cores| cores.get());
    let threads: Vec<_> = (0..cores).map(|_| std::thread::spawn(move || bare_hashes(SPAN))).collect();
    let theirs: u32 = threads.into_iter().map(|thread| thread.join().expect("a thread")).sum();
    Measured::against(ours, "logins/s", "argon2", f64::from(theirs) / SPAN.as_secs_f64())
}

#[allow(clippy::expect_used)]
fn bare_hashes(span: Duration) -> u32 {
    let params = argon2::Params::new(19 * 1024, 2, 1, None).expect("parameters");
    let argon2 = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let (end, mut done) = (Instant::now() + span, 0);
    while Instant::now() < end {
        argon2.hash_password_into(PASSWORD.as_bytes(), b"sixteen bytes...", &mut [0; 32]).expect("hashed");
        done += 1;
    }
    done
}
