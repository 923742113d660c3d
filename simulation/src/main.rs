//! `simulation`: runs seeds, and says which of them fail.

use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use simulation::{Outcome, run};

/// Runs the whole core on seeds, and checks it after every step.
#[derive(Parser)]
struct Options {
    /// How many seeds; without it and without --seconds, one.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; a fresh one when absent.
    #[arg(long)]
    from: Option<u64>,
    /// Stop after so many seconds: for hours, 3600 each.
    #[arg(long)]
    seconds: Option<u64>,
    /// Commands of a seed.
    #[arg(long, default_value_t = 1_000)]
    commands: u64,
    /// Threads; as many as cores when absent.
    #[arg(long)]
    threads: Option<usize>,
    /// Every so many seeds one is run once more by another process, and the traces are compared; 0: none.
    #[arg(long, default_value_t = 10)]
    twice_every: u64,
    /// Say the trace's hash of each seed, and nothing else.
    #[arg(long)]
    hashes: bool,
    /// A file of seeds that failed once, one a line: they are run, too.
    #[arg(long)]
    known: Option<std::path::PathBuf>,
    /// Write down everything that happens.
    #[arg(long)]
    print: bool,
    /// Also prove that each planted fault is found.
    #[cfg(feature = "planted-faults")]
    #[arg(long)]
    planted: bool,
}

/// What all threads count.
#[derive(Default)]
struct Sum {
    seeds: AtomicU64,
    twice: AtomicU64,
    commands: AtomicU64,
    starts: AtomicU64,
    virtual_s: AtomicU64,
    ends: [AtomicU64; 3],
    failed: Mutex<Vec<Outcome>>,
    stop: AtomicBool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let known = match &options.known {
        None => Vec::new(),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => {
                text.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
            }
            Err(error) => return fail(&format!("{}: {error}", path.display())),
        },
    };
    let first = options.from.unwrap_or_else(fresh);
    let count = options.seeds.unwrap_or(if options.seconds.is_some() { u64::MAX - first } else { 1 });
    let threads = options.threads.unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from));
    let (sum, next, began) = (Sum::default(), AtomicU64::new(0), Instant::now());
    if !options.hashes {
        say(&format!("seeds from {first}, {} known ones, {threads} threads", known.len()));
    }
    let seed_at = |at: u64| match known.get(usize::try_from(at).unwrap_or(usize::MAX)) {
        Some(seed) => Some(*seed),
        None => {
            let fresh = at - known.len() as u64;
            (fresh < count).then(|| first.wrapping_add(fresh))
        }
    };
    // What panics is a failure of its seed and is told with it.
    std::panic::set_hook(Box::new(|_| {}));
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !sum.stop.load(Ordering::Relaxed)
                    && options.seconds.is_none_or(|seconds| began.elapsed() < Duration::from_secs(seconds))
                    && let Some(seed) = seed_at(next.fetch_add(1, Ordering::Relaxed))
                {
                    sum.take(&options, seed);
                }
            });
        }
    });
    #[cfg(feature = "planted-faults")]
    if options.planted
        && let Err(why) = simulation::planted::prove(threads, say)
    {
        return fail(&why);
    }
    match options.hashes {
        true => ExitCode::SUCCESS,
        false => sum.report(began.elapsed()),
    }
}

impl Sum {
    fn take(&self, options: &Options, seed: u64) {
        let mut outcome = run(seed, options.commands, options.print);
        let hash = outcome.hash.map(|hash| hash.to_string()).unwrap_or_default();
        if options.hashes {
            return say(&hash);
        }
        if options.twice_every > 0 && seed.is_multiple_of(options.twice_every) {
            match elsewhere(seed, options.commands) {
                Ok(again) if again == hash => {
                    self.twice.fetch_add(1, Ordering::Relaxed);
                }
                Ok(again) => outcome.violations.push(format!("trace: the same seed gave {hash} and {again}")),
                Err(error) => outcome.violations.push(format!("trace: no other process: {error}")),
            }
        }
        self.seeds.fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(outcome.commands, Ordering::Relaxed);
        self.starts.fetch_add(u64::from(outcome.starts), Ordering::Relaxed);
        self.virtual_s.fetch_add(outcome.elapsed.as_secs(), Ordering::Relaxed);
        for (sum, count) in self.ends.iter().zip(outcome.ends) {
            sum.fetch_add(count, Ordering::Relaxed);
        }
        if !outcome.violations.is_empty() {
            say(&format!("seed {seed} failed: {}", outcome.violations.join("; ")));
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.push(outcome);
            if failed.len() >= 20 {
                self.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn report(&self, took: Duration) -> ExitCode {
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let (seeds, commands) = (self.seeds.load(Ordering::Relaxed), self.commands.load(Ordering::Relaxed));
        let ends: Vec<u64> = self.ends.iter().map(|end| end.load(Ordering::Relaxed)).collect();
        say(&format!(
            "{seeds} seeds ({:.1} a second), {} of them with the same trace in another process, {commands} commands (answered, refused, neither: {ends:?}), {} starts of nodes, {} s of virtual time, {} failed",
            seeds as f64 / took.as_secs_f64(),
            self.twice.load(Ordering::Relaxed),
            self.starts.load(Ordering::Relaxed),
            self.virtual_s.load(Ordering::Relaxed),
            failed.len(),
        ));
        if failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        let seeds: Vec<String> = failed.iter().map(|outcome| outcome.seed.to_string()).collect();
        fail(&format!("failed seeds: {}", seeds.join(" ")))
    }
}

/// The trace's hash of a seed as another process finds it: with other addresses, another hasher of maps, and
/// nothing that a seed before it left behind.
fn elsewhere(seed: u64, commands: u64) -> std::io::Result<String> {
    let (from, commands) = (seed.to_string(), commands.to_string());
    let arguments = ["--hashes", "--threads", "1", "--seeds", "1", "--from", &from, "--commands", &commands];
    let said = Command::new(std::env::current_exe()?).args(arguments).output()?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}

/// A seed that nobody has seen yet.
fn fresh() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

#[allow(clippy::print_stdout, reason = "it is what the program says")]
fn say(line: &str) {
    println!("{line}");
}

fn fail(line: &str) -> ExitCode {
    say(line);
    ExitCode::FAILURE
}
