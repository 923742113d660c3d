//! A server in this process, and upstreams that do what a test says.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use embedded_store::SystemRuntime;
use platform_core::Platform;
use platform_core::kernel::{BoxFuture, Context, Result, Timestamp};
use platform_core::ports::MemoryBackends;
use platform_core::ports::runtime::{Job, Runtime};
use platform_server::app::App;
use platform_server::http_server::{HttpServer, Limits, Tls};
use platform_server::rest;
use platform_server::server::Server;
use serde_json::Value;
use test_support::client::Client;

/// A server that ends with the value.
pub struct Running {
    pub address: SocketAddr,
    pub server: Arc<Server>,
    pub platform: Platform,
    clock: Arc<Clock>,
    stop: tokio::sync::watch::Sender<bool>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Running {
    pub fn start(limits: Limits) -> Running {
        Running::start_with(limits, None)
    }

    pub fn start_with(limits: Limits, tls: Option<Tls>) -> Running {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let clock = runtime.block_on(async {
            Arc::new(Clock { machine: SystemRuntime::current(), ahead_s: AtomicU64::new(0) })
        });
        let platform = runtime.block_on(async {
            let memory = MemoryBackends::new(Arc::clone(&clock) as Arc<dyn Runtime>);
            let platform = Platform::builder(memory.backends().await.unwrap()).build().await.unwrap();
            platform.start().await.unwrap();
            platform
        });
        let server = Arc::new(Server::new(platform.clone(), Vec::new()));
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let http =
            runtime.block_on(async { HttpServer::bind(([127, 0, 0, 1], 0).into(), limits, tls) }).unwrap();
        let address = http.address().unwrap();
        runtime.spawn(http.run(Arc::new(App::new(Arc::clone(&server), &rest::table())), stopped));
        Running { address, server, platform, clock, stop, runtime: Some(runtime) }
    }

    /// With these routes: `[(name, route)]`.
    pub fn with_routes(routes: &[(&str, Value)]) -> Running {
        let running = Running::start(Limits::default());
        running.set_routes(routes);
        running
    }

    pub fn set_routes(&self, routes: &[(&str, Value)]) {
        let context = Context::service("test");
        self.block_on(async {
            for (name, route) in routes {
                let route = serde_json::from_value(route.clone()).unwrap();
                self.platform.gateway().put(&context, &name.parse().unwrap(), None, &route).await.unwrap();
            }
        });
    }

    /// The token with which the first administrator is made.
    pub fn setup_token(&self) -> String {
        self.block_on(self.platform.auth().setup_token()).unwrap().unwrap().expose().to_owned()
    }

    /// Lets time pass.
    pub fn pass(&self, time: Duration) {
        self.clock.ahead_s.fetch_add(time.as_secs(), SeqCst);
    }

    /// Tells the server to stop.
    pub fn stop(&self) {
        self.stop.send(true).unwrap();
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    pub fn client(&self) -> Client {
        Client::new(self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The machine, with a clock that can be put ahead.
struct Clock {
    machine: SystemRuntime,
    ahead_s: AtomicU64,
}

impl Runtime for Clock {
    fn now(&self) -> Timestamp {
        self.machine.now().plus(Duration::from_secs(self.ahead_s.load(SeqCst)))
    }

    fn monotonic(&self) -> Duration {
        self.machine.monotonic() + Duration::from_secs(self.ahead_s.load(SeqCst))
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.machine.fill_random(bytes);
    }

    fn spawn(&self, name: &'static str, task: BoxFuture<'static, ()>) {
        self.machine.spawn(name, task);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.machine.sleep(duration)
    }

    fn compute(&self, job: Job) -> Result<()> {
        self.machine.compute(job)
    }

    fn waiting(&self) -> usize {
        self.machine.waiting()
    }
}

/// A request as an upstream saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// An upstream: what it saw, and what it does.
pub struct Upstream {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Upstream {
    /// Answers each request with what `answer` says; an empty answer breaks the connection.
    pub fn start(answer: impl Fn(&Seen, usize) -> Vec<u8> + Send + Sync + 'static) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, kept) = (Arc::new(answer), Arc::clone(&seen));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                std::thread::spawn(move || talk(stream.unwrap(), &*answer, &kept));
            }
        });
        Upstream { address, seen }
    }

    /// Answers 200 with this text.
    pub fn saying(text: &'static str) -> Upstream {
        Upstream::start(move |_, _| ok(text))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub fn ok(text: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{text}", text.len()).into_bytes()
}

fn talk(mut stream: TcpStream, answer: &dyn Fn(&Seen, usize) -> Vec<u8>, kept: &Mutex<Vec<Seen>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(seen) = read_request(&mut reader) {
        let count = {
            let mut kept = kept.lock().unwrap();
            kept.push(seen.clone());
            kept.len()
        };
        let bytes = answer(&seen, count);
        if bytes.is_empty() || stream.write_all(&bytes).is_err() {
            return;
        }
    }
}

fn read_request(reader: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut headers = Vec::new();
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim_end();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let find = |name: &str| headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.clone());
    let mut body = Vec::new();
    if find("transfer-encoding").as_deref() == Some("chunked") {
        loop {
            let mut size = String::new();
            reader.read_line(&mut size).ok()?;
            let size = usize::from_str_radix(size.trim(), 16).ok()?;
            let mut chunk = vec![0; size + 2];
            reader.read_exact(&mut chunk).ok()?;
            chunk.truncate(size);
            if size == 0 {
                break;
            }
            body.append(&mut chunk);
        }
    } else if let Some(length) = find("content-length") {
        body = vec![0; length.parse().ok()?];
        reader.read_exact(&mut body).ok()?;
    }
    Some(Seen { line: line.trim_end().to_owned(), headers, body })
}
