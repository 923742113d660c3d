//! A Kafka server: broker and controller in one JVM.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Server, free_port, new_folder};

/// Where `cargo xtask test` puts its jars, below the home folder.
const JARS: &str = ".cache/platform-tests/kafka";

/// The identity of its data folder, as `kafka-storage format` would make it: so no second JVM has to.
const IDENTITY: &str =
    "version=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\nnode.id=1\ndirectory.id=JhmlhVVGTI6WlfLV0PXKAQ\n";

/// Small, and quick to start: what runs for a minute gains nothing from the best compiler.
const JVM: [&str; 8] = [
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-cp",
];

/// What it says when it takes requests.
const READY: &str = "Kafka Server started";

/// One of everything; groups form at once; a member is missed soon; the clock of the records is not this machine's, so
/// the server itself removes nothing.
const SETTINGS: &str = "\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
auto.create.topics.enable=false
log.retention.check.interval.ms=86400000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
controller.quorum.election.timeout.ms=200
controller.quorum.fetch.timeout.ms=500
broker.heartbeat.interval.ms=200
broker.session.timeout.ms=1000
initial.broker.registration.timeout.ms=30000
log.segment.delete.delay.ms=1000
log.index.size.max.bytes=65536
";

/// A Kafka server that ends with this process.
#[derive(Debug)]
pub struct Kafka {
    server: Option<Server>,
    folder: PathBuf,
    port: u16,
    prefixes: AtomicU32,
}

impl Kafka {
    /// An empty one.
    ///
    /// # Errors
    /// When it is not installed, or does not start.
    pub fn start() -> io::Result<Kafka> {
        let (folder, port, controller) = (new_folder("kafka")?, free_port()?, free_port()?);
        let data = folder.join("data");
        std::fs::create_dir(&data)?;
        std::fs::write(data.join("meta.properties"), IDENTITY)?;
        let places = format!(
            "listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
             controller.quorum.voters=1@127.0.0.1:{controller}\nlog.dirs={}\n",
            data.display()
        );
        std::fs::write(folder.join("server.properties"), format!("{SETTINGS}{places}"))?;
        let mut kafka = Kafka { server: None, folder, port, prefixes: AtomicU32::default() };
        kafka.run()?;
        Ok(kafka)
    }

    /// The one that all tests of this process share, each with a prefix of its own.
    ///
    /// # Errors
    /// As [`Kafka::start`].
    pub fn shared() -> io::Result<&'static Kafka> {
        static SHARED: OnceLock<Result<Kafka, String>> = OnceLock::new();
        let shared = SHARED.get_or_init(|| Kafka::start().map_err(|error| error.to_string()));
        shared.as_ref().map_err(|error| io::Error::other(error.clone()))
    }

    /// Where it listens, as `host:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A prefix of topics that no other test has.
    pub fn new_prefix(&self) -> String {
        format!("test{}", self.prefixes.fetch_add(1, Ordering::Relaxed))
    }

    /// Ends it at once, as a crash does, and starts it over the same data.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        self.run()
    }

    /// Ends it at once, as a crash does. [`Kafka::restart`] starts it again.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> io::Result<()> {
        self.server.take().map_or(Ok(()), Server::end)
    }

    /// Lets it hang: it takes connections and answers nothing. [`Kafka::thaw`] lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn freeze(&self) -> io::Result<()> {
        self.server.as_ref().map_or(Ok(()), |server| server.signal("STOP"))
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn thaw(&self) -> io::Result<()> {
        self.server.as_ref().map_or(Ok(()), |server| server.signal("CONT"))
    }

    fn run(&mut self) -> io::Result<()> {
        let jars = installed()?;
        let mut arguments: Vec<String> = JVM.map(str::to_owned).to_vec();
        arguments.extend([format!("{}/*", jars.display()), "kafka.Kafka".to_owned()]);
        arguments.push(self.folder.join("server.properties").display().to_string());
        let before = self.times_ready();
        let server = Server::run(self.folder.clone(), "KILL", Path::new("java"), &arguments)?;
        server.wait_until(|| self.times_ready() > before)?;
        self.server = Some(server);
        Ok(())
    }

    /// How often it said that it is ready.
    fn times_ready(&self) -> usize {
        let log = std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default();
        log.matches(READY).count()
    }
}

impl Drop for Kafka {
    /// One that was stopped has left its folder.
    fn drop(&mut self) {
        if self.server.is_none() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// The folder with the jars.
fn installed() -> io::Result<PathBuf> {
    let home = std::env::var_os("HOME").ok_or_else(|| io::Error::other("no home folder"))?;
    let jars = PathBuf::from(home).join(JARS).join("lib");
    match jars.is_dir() {
        true => Ok(jars),
        false => {
            let missing = format!("Kafka is not there ({}): `cargo xtask kafka` gets it", jars.display());
            Err(io::Error::other(missing))
        }
    }
}
