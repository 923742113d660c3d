//! Proxying: what a request costs the proxy's processor, beside nginx with the same upstream.

#![allow(clippy::expect_used, reason = "what fails ends the measurement")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use test_support::client::Client;
use test_support::process::Process;

use crate::row::{Measured, Row, in_turns};
use crate::server::program;

pub(crate) const ROWS: &[Row] = &[Row {
    name: "gateway-cpu",
    what: "processor time of a proxied request of 1 KiB on one pinned core, plain route; peer: nginx",
    run: proxied,
}];

const ROUNDS: usize = 5;
/// Connections of the client, each with one request at a time.
const CONNECTIONS: usize = 8;
/// Requests of a round.
const REQUESTS: usize = 24_000;

const UPSTREAM: &str = "127.0.0.1:18081";
const NGINX: &str = "127.0.0.1:18082";

/// A server of nginx's in one process; killed when dropped.
struct Nginx(Child);

impl Nginx {
    fn start(folder: &Path, name: &str, http: &str) -> Nginx {
        let (config, log) = (folder.join(format!("{name}.conf")), folder.join(format!("{name}.log")));
        let text = format!(
            "daemon off; master_process off; error_log {log} warn; pid {folder}/{name}.pid;
             events {{ worker_connections 1024; }}
             http {{ access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/{name}-body;
             proxy_temp_path {folder}/{name}-proxy; fastcgi_temp_path {folder}/{name}-fastcgi;
             uwsgi_temp_path {folder}/{name}-uwsgi; scgi_temp_path {folder}/{name}-scgi; {http} }}",
            log = log.display(),
            folder = folder.display(),
        );
        fs::write(&config, text).expect("a configuration");
        let path = std::env::var("PATH").unwrap_or_default();
        let started = Command::new("nginx")
            .env("PATH", format!("{path}:/usr/sbin"))
            .arg("-c")
            .arg(&config)
            .stderr(Stdio::null())
            .spawn();
        Nginx(started.expect("nginx, from `cargo xtask peers`"))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn proxied() -> Measured {
    let folder = tempfile::tempdir_in(".").expect("a folder");
    let at = folder.path().canonicalize().expect("a path");
    let body = "x".repeat(1_024);
    let upstream = format!("server {{ listen {UPSTREAM}; location / {{ return 200 \"{body}\"; }} }}");
    let upstream = Nginx::start(&at, "upstream", &upstream);
    let proxy = format!(
        "upstream up {{ server {UPSTREAM}; keepalive 64; keepalive_requests 100000000; }}
         server {{ listen {NGINX}; location / {{ proxy_pass http://up; proxy_http_version 1.1;
         proxy_set_header Connection \"\"; proxy_set_header X-Forwarded-For $remote_addr; }} }}"
    );
    let nginx = Nginx::start(&at, "proxy", &proxy);
    let ours = Process::start(&program(), &at.join("data"), &[("PLATFORM__LOG__REQUESTS", "false")]);
    let token = ours.setup_token.clone().expect("a setup token");
    let mut client = ours.client();
    let admin = json!({"token": token, "email": "admin@example.com", "password": "a long enough password"});
    let pair = client.send("POST", "/v1/setup", Some(&admin)).expect("set up").json();
    let token = pair.get("access_token").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let target = json!({"upstreams": [format!("http://{UPSTREAM}")]});
    let route = json!({"match": {"path": "/bench"}, "access": "open", "target": target});
    let made = client.with_token(&token).send("PUT", "/v1/gateway/routes/bench", Some(&route));
    assert!(made.expect("an answer").status < 300, "the route is made");
    pin(upstream.0.id(), 1);
    pin(std::process::id(), 1);
    pin(nginx.0.id(), 0);
    pin(ours.id(), 0);
    let address: SocketAddr = NGINX.parse().expect("an address");
    await_listening(address);
    let (a, b) = in_turns(ROUNDS, || cost(ours.id(), ours.address), || cost(nginx.0.id(), address));
    ours.stop();
    Measured::against(a, "µs", "nginx", b)
}

/// Microseconds of processor that one request costs a process.
fn cost(process: u32, address: SocketAddr) -> f64 {
    send(address, REQUESTS / 10);
    let before = processor_ns(process);
    send(address, REQUESTS);
    (processor_ns(process) - before) / 1e3 / REQUESTS as f64
}

fn send(address: SocketAddr, requests: usize) {
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(move || {
                let mut client = Client::new(address);
                for _ in 0..requests / CONNECTIONS {
                    let answer = client.send("GET", "/bench", None).expect("an answer");
                    assert_eq!((answer.status, answer.body.len()), (200, 1_024));
                }
            });
        }
    });
}

/// Nanoseconds that the threads of a process have run.
fn processor_ns(process: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a Linux system");
    let ran = tasks.flatten().filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    ran.sum()
}

/// Lets all threads of a process run on one core only.
fn pin(process: u32, core: usize) {
    let (core, process) = (core.to_string(), process.to_string());
    let done = Command::new("taskset").args(["-a", "-c", "-p", &core, &process]).output();
    assert!(done.expect("taskset").status.success(), "a process is pinned");
}

fn await_listening(address: SocketAddr) {
    let begin = Instant::now();
    while std::net::TcpStream::connect(address).is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{address} listens");
        std::thread::sleep(Duration::from_millis(20));
    }
}
