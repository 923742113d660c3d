//! An open platform: its tokio runtime, the calls that are under way, its servers, and how all of it ends.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, RwLock};
use platform_core::Platform;
use platform_core::kernel::{Error, Result, Secret};
use platform_core::ports::channel::{Channel, MemoryChannel};
use platform_server::smtp::SmtpChannel;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle, Runtime};

use crate::call::Completion;
use crate::error::{closed, forked};
use crate::events::Stream;
use crate::fork::{Open, generation, is_heir};
use crate::serving::{Running, Wanted};

/// How long a closing waits for calls of other threads, and for its own tasks.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// An open platform, shared by everything that was made from it. The last one to go closes it.
pub(crate) struct Core {
    generation: u64,
    place: Place,
    handle: Handle,
    calls: Arc<Calls>,
    /// `None` when it is closed.
    platform: RwLock<Option<Platform>>,
    runtime: Mutex<Option<Runtime>>,
    delivery: Mutex<Option<mpsc::Sender<Completion>>>,
    servers: Mutex<Vec<Arc<Running>>>,
    streams: Mutex<Vec<Weak<Stream>>>,
    /// Until everything of it has ended.
    open: Mutex<Option<Open>>,
}

/// Where mail goes: the server's URL, and who it is from.
#[derive(Clone)]
pub(crate) struct Mail {
    pub(crate) smtp_url: Secret,
    pub(crate) from: String,
}

/// Where a platform stands.
#[derive(Clone)]
pub(crate) enum Place {
    /// In a data folder, with a way out for mail.
    Folder(PathBuf, Option<Mail>),
    /// In memory, with what it sends.
    Memory(Arc<MemoryChannel>),
}

/// What is open, for the end of the interpreter.
static OPEN: Mutex<Vec<Weak<Core>>> = Mutex::new(Vec::new());

/// Closes everything that is open. Not to be called with the interpreter held.
pub(crate) fn close_all() {
    // In a child of a fork whoever held the lock may have stayed behind: and there is nothing to be closed.
    let open = OPEN.try_lock_for(CLOSE_WITHIN / 10).map(|mut open| std::mem::take(&mut *open));
    for core in open.unwrap_or_default().iter().filter_map(Weak::upgrade) {
        core.close();
    }
}

/// Calls under way.
#[derive(Default)]
struct Calls {
    number: AtomicUsize,
    lock: Mutex<()>,
    ended: Condvar,
}

/// One call under way: a closing waits until it is dropped.
pub(crate) struct UnderWay(Arc<Calls>);

impl Core {
    /// Opens a platform, with a runtime of its own.
    ///
    /// # Errors
    /// As [`embedded_store::open`]; `platform.forked`, `platform.no_threads`.
    pub(crate) fn open(place: Place) -> Result<Arc<Core>> {
        if is_heir() {
            return Err(forked());
        }
        let open = Open::count();
        let no_threads = |error| {
            Error::unavailable("platform.no_threads", "the platform's threads cannot be started")
                .because(error)
        };
        let runtime =
            Builder::new_multi_thread().enable_all().thread_name("platform").build().map_err(no_threads)?;
        let platform = runtime.block_on(async {
            match &place {
                Place::Folder(path, mail) => open_folder(path, mail.as_ref()).await,
                Place::Memory(mail) => embedded_store::open_in_memory(vec![Arc::clone(mail) as _]).await,
            }
        })?;
        let (sender, finished) = mpsc::channel::<Completion>();
        // Tasks of the runtime never wait for the interpreter: this thread does, for all of them.
        let deliver = move || {
            while let Ok(first) = finished.recv() {
                // No interpreter any more, nobody who waits.
                let _ = Python::try_attach(|py| {
                    first.wake(py);
                    finished.try_iter().for_each(|next| next.wake(py));
                });
            }
        };
        std::thread::Builder::new().name("platform-wake".to_owned()).spawn(deliver).map_err(no_threads)?;
        let core = Arc::new(Core {
            generation: generation(),
            place,
            handle: runtime.handle().clone(),
            calls: Arc::default(),
            platform: RwLock::new(Some(platform)),
            runtime: Mutex::new(Some(runtime)),
            delivery: Mutex::new(Some(sender)),
            servers: Mutex::default(),
            streams: Mutex::default(),
            open: Mutex::new(Some(open)),
        });
        let mut all = OPEN.lock();
        all.retain(|core| core.strong_count() > 0);
        all.push(Arc::downgrade(&core));
        Ok(core)
    }

    /// The platform for one call, which a closing waits for.
    ///
    /// # Errors
    /// `platform.forked`, `platform.closed`.
    pub(crate) fn begin(&self) -> Result<(Platform, UnderWay)> {
        self.check_process()?;
        let platform = self.platform.read();
        let platform = platform.as_ref().ok_or_else(closed)?.clone();
        self.calls.number.fetch_add(1, Ordering::Relaxed);
        Ok((platform, UnderWay(Arc::clone(&self.calls))))
    }

    /// What answers from memory: without a trace among the calls.
    ///
    /// # Errors
    /// As [`Core::begin`].
    pub(crate) fn with<T>(&self, call: impl FnOnce(&Platform) -> Result<T>) -> Result<T> {
        self.check_process()?;
        call(self.platform.read().as_ref().ok_or_else(closed)?)
    }

    /// Ends a subscription when it closes.
    ///
    /// # Errors
    /// As [`Core::begin`].
    pub(crate) fn keep(&self, stream: &Arc<Stream>) -> Result<()> {
        let (_platform, _under_way) = self.begin()?;
        let mut streams = self.streams.lock();
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(stream));
        Ok(())
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_foreign() || self.platform.read().is_none()
    }

    /// Where to send what wakes whoever awaits a call; `None` when it is closed.
    pub(crate) fn delivery(&self) -> Option<mpsc::Sender<Completion>> {
        self.delivery.lock().clone()
    }

    /// Lets the calls under way end, then stops and closes everything; a second time it does nothing. Not to be
    /// called with the interpreter held, nor by a task of the runtime.
    pub(crate) fn close(&self) {
        if self.is_foreign() {
            return;
        }
        let Some(platform) = self.platform.write().take() else { return };
        let streams = std::mem::take(&mut *self.streams.lock());
        let streams: Vec<Arc<Stream>> = streams.iter().filter_map(Weak::upgrade).collect();
        // Whoever waits for an event is a call under way.
        streams.iter().for_each(|stream| stream.end());
        self.calls.wait(CLOSE_WITHIN);
        let runtime = self.runtime.lock().take();
        if let Some(runtime) = runtime {
            let servers = std::mem::take(&mut *self.servers.lock());
            end(&runtime, platform, servers, streams);
            self.delivery.lock().take();
            runtime.shutdown_timeout(CLOSE_WITHIN);
            self.open.lock().take();
        }
    }

    /// Serves the platform in this process.
    ///
    /// # Errors
    /// As [`Core::begin`] and [`Running::begin`].
    pub(crate) fn serve(&self, wanted: &Wanted) -> Result<Arc<Running>> {
        let (platform, _under_way) = self.begin()?;
        let _entered = self.handle.enter();
        let running = Arc::new(Running::begin(wanted, platform)?);
        let mut servers = self.servers.lock();
        servers.retain(|server| !server.is_over());
        servers.push(Arc::clone(&running));
        Ok(running)
    }

    /// Whether this is a child of the process that opened it: its threads are not here, its locks may be held by
    /// nobody for ever. Nothing but this may be asked then.
    fn is_foreign(&self) -> bool {
        self.generation != generation()
    }

    fn check_process(&self) -> Result<()> {
        if self.is_foreign() { Err(forked()) } else { Ok(()) }
    }
}

async fn open_folder(path: &Path, mail: Option<&Mail>) -> Result<Platform> {
    let mail = mail.map(|mail| SmtpChannel::new(&mail.smtp_url, &mail.from)).transpose()?;
    let channels = mail.into_iter().map(|channel| Arc::new(channel) as Arc<dyn Channel>).collect();
    let platform = Platform::builder(embedded_store::open_backends(path, channels).await?).build().await?;
    platform.start().await?;
    Ok(platform)
}

/// Stops the servers and the subscriptions, then what runs beside the calls.
fn end(runtime: &Runtime, platform: Platform, servers: Vec<Arc<Running>>, streams: Vec<Arc<Stream>>) {
    runtime.block_on(async {
        for stream in streams {
            stream.close().await;
        }
        for server in servers {
            // One that ended by a fault has ended.
            let _ = server.stop().await;
        }
        platform.stop().await;
    });
    // The stores close with the last handle: this one.
    drop(platform);
}

impl Drop for Core {
    fn drop(&mut self) {
        if self.is_foreign() {
            // Closing would wait for threads that are not here, and write to the parent's files.
            std::mem::forget(self.platform.get_mut().take());
            std::mem::forget(self.runtime.get_mut().take());
            std::mem::forget(self.delivery.get_mut().take());
            std::mem::forget(std::mem::take(self.servers.get_mut()));
            std::mem::forget(std::mem::take(self.streams.get_mut()));
            std::mem::forget(self.open.get_mut().take());
            return;
        }
        if self.platform.get_mut().is_none() {
            return;
        }
        if Handle::try_current().is_ok() {
            // A runtime cannot wait for its own end.
            let (platform, runtime) = (self.platform.get_mut().take(), self.runtime.get_mut().take());
            let (servers, open) = (std::mem::take(self.servers.get_mut()), self.open.get_mut().take());
            let streams = self.streams.get_mut().iter().filter_map(Weak::upgrade).collect();
            std::thread::spawn(move || {
                let _open = open;
                if let (Some(platform), Some(runtime)) = (platform, runtime) {
                    end(&runtime, platform, servers, streams);
                    runtime.shutdown_timeout(CLOSE_WITHIN);
                }
            });
            return;
        }
        let core: &Core = self;
        if Python::try_attach(|py| py.detach(|| core.close())).is_none() {
            core.close();
        }
    }
}

impl Calls {
    fn wait(&self, within: Duration) {
        let until = Instant::now() + within;
        let mut lock = self.lock.lock();
        while self.number.load(Ordering::Acquire) > 0 {
            if self.ended.wait_until(&mut lock, until).timed_out() {
                return;
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.number.fetch_sub(1, Ordering::Release) == 1 {
            let _lock = self.0.lock.lock();
            self.0.ended.notify_all();
        }
    }
}
