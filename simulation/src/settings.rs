//! What one seed is like: each draws its own mixture, so that rare faults meet quiet surroundings and
//! all faults together meet each other (swarm testing: Groce and others, 2012).

use crate::random::Random;

/// How often a store fails, per thousand calls.
#[derive(Debug, Clone, Default)]
pub struct StoreRates {
    /// A commit meets a conflict that is none.
    pub conflict: u64,
    /// Nothing is applied, and that is told.
    pub refused: u64,
    /// Nothing is applied, but nobody knows.
    pub lost: u64,
    /// All is applied, but nobody knows.
    pub silent: u64,
    /// Nobody knows, and it is applied later, when its sender may be gone.
    pub late: u64,
    /// A read fails.
    pub read: u64,
    /// A call takes its time, before and after it takes effect.
    pub slow: u64,
    /// An fsync fails: the store acknowledges nothing more until the node is started anew. Per million.
    pub poisoned: u64,
}

/// How often the log fails, per thousand calls.
#[derive(Debug, Clone, Default)]
pub struct LogRates {
    /// Nothing is appended.
    pub refused: u64,
    /// All is appended, but nobody knows.
    pub silent: u64,
    /// All is appended twice.
    pub twice: u64,
    /// Nobody knows, and it is appended later: old records behind new ones.
    pub late: u64,
    /// A read fails.
    pub read: u64,
    /// A call takes its time; a read sees less than there is.
    pub slow: u64,
}

/// How often a send fails, per thousand.
#[derive(Debug, Clone, Default)]
pub struct ChannelRates {
    /// The address does not exist.
    pub permanent: u64,
    /// Not now.
    pub transient: u64,
    /// Nobody knows; it went out, or not.
    pub ambiguous: u64,
    /// It takes seconds.
    pub slow: u64,
    /// It takes longer than the platform waits.
    pub hangs: u64,
}

/// What one seed is like.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The seed.
    pub seed: u64,
    /// Commands to run at least.
    pub commands: u64,
    /// The stores.
    pub store: StoreRates,
    /// The log.
    pub log: LogRates,
    /// The channel.
    pub channel: ChannelRates,
    /// A signal is lost on its way to its own node, or comes twice, per thousand; to another node a quarter
    /// as many are lost.
    pub signals: u64,
    /// Per thousand rounds: the node ends at some await, and is started anew.
    pub crash: u64,
    /// Per thousand rounds: another node takes over while the old one goes on working.
    pub take_over: u64,
    /// Per thousand rounds: a node hears no signals for a while.
    pub cut_off: u64,
    /// Per thousand rounds: the wall clock jumps.
    pub clock_jump: u64,
    /// Per thousand rounds: nothing is asked for seconds to minutes.
    pub pause: u64,
    /// Partitions of the log's topics.
    pub partitions: u16,
    /// Frames of the ledger in memory.
    pub segment_frames: usize,
    /// Commands that are sent together, at most.
    pub together: u64,
    /// How much of each domain's commands is in the mixture.
    pub weights: [u64; 6],
}

impl Settings {
    /// What this seed is like.
    pub fn draw(seed: u64, commands: u64) -> Settings {
        let random = &mut Random::new(seed, 1);
        // A third of the faults is off in any seed, and one seed in ten has none at all.
        let calm = random.happens(100);
        let mut rate = |most: u64| match calm || random.happens(333) {
            true => 0,
            false => random.within(1, most),
        };
        Settings {
            seed,
            commands,
            store: StoreRates {
                conflict: rate(60),
                refused: rate(20),
                lost: rate(20),
                silent: rate(20),
                late: rate(15),
                read: rate(10),
                slow: rate(200),
                poisoned: rate(1_000),
            },
            log: LogRates {
                refused: rate(60),
                silent: rate(60),
                twice: rate(100),
                late: rate(60),
                read: rate(20),
                slow: rate(200),
            },
            channel: ChannelRates {
                permanent: rate(100),
                transient: rate(300),
                ambiguous: rate(200),
                slow: rate(300),
                hangs: rate(30),
            },
            signals: rate(300),
            crash: rate(40),
            take_over: rate(25),
            cut_off: rate(40),
            clock_jump: rate(15),
            pause: rate(60),
            partitions: random.within(1, 4) as u16,
            segment_frames: random.within(32, 512) as usize,
            together: random.within(1, 8),
            weights: [(); 6].map(|()| random.within(1, 10)),
        }
    }
}
