//! The whole platform as one value: a handle per domain, and one switch for all that runs beside the
//! requests.

mod domains;
#[cfg(all(feature = "transactions", feature = "audit"))]
mod transfer_proof;

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::backbone::{Backbone, DeadLetters, HandlerLag, OutboxLag, PARTITIONS, Parts, Subscriber};
use crate::kernel::{BoxFuture, Context, Permission, Positions, Result};
use crate::ports::store::{Schema, Store};
use crate::ports::{Backends, Database};
use domains::{Domains, Settings};
#[cfg(all(feature = "transactions", feature = "audit"))]
pub use transfer_proof::{FrameProof, ProvenTransfer, TransferProof, verify_transfer_proof};

/// May have a projection rebuilt.
const REBUILD: Permission = Permission::literal("projections:rebuild");

/// A domain of an application: a store of its own, and the same promises that ours have.
pub trait Domain: Send + Sync + 'static {
    /// What the application calls: [`Platform::domain`] returns it.
    type Facade: Send + Sync + 'static;

    /// What its store holds.
    fn schema(&self) -> Schema;

    /// Builds the facade over the opened store. The platform's own domains are ready, other
    /// applications' domains those that were added before.
    ///
    /// # Errors
    /// Whatever keeps the platform from being built.
    fn build<'a>(
        self,
        database: Database,
        platform: &'a Platform,
    ) -> BoxFuture<'a, Result<(Self::Facade, Parts)>>;
}

/// The platform. Cheap to clone; all clones are the same.
///
/// ```
/// use platform_core::Platform;
/// use platform_core::ports::{MemoryBackends, runtime::SimRuntime};
/// let world = SimRuntime::new(1);
/// let memory = MemoryBackends::new(world.runtime());
/// world.block_on(async {
///     let platform = Platform::builder(memory.backends().await?).build().await?;
///     platform.start().await?;
///     platform.stop().await;
///     Ok::<_, platform_core::kernel::Error>(())
/// }).unwrap();
/// ```
#[derive(Clone)]
pub struct Platform(Arc<Inner>);

struct Inner {
    backbone: Backbone,
    #[allow(dead_code, reason = "a build without any domain reads nothing of it")]
    domains: Domains,
    applications: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// Collects what a platform is made of.
pub struct Builder {
    backends: Backends,
    partitions: u16,
    settings: Settings,
    applications: Vec<Box<dyn Application>>,
}

/// A method per domain of this build.
macro_rules! handles {
    ($($feature:literal $name:ident: $facade:ty, $doc:literal;)*) => {
        impl Platform {$(
            #[doc = $doc]
            #[cfg(feature = $feature)]
            pub fn $name(&self) -> &$facade {
                &self.0.domains.$name
            }
        )*}
    };
}

handles! {
    "users" users: crate::users::Users, "Profiles, roles, permissions.";
    "auth" auth: crate::auth::Auth, "Accounts, logins, sessions, tokens.";
    "transactions" transactions: crate::transactions::Transactions, "The ledger.";
    "notifications" notifications: crate::notifications::Notifications, "Messages to people.";
    "flags" flags: crate::flags::Flags, "Feature flags.";
    "gateway" gateway: crate::gateway::Gateway, "Routes, and who may use them.";
    "audit" audit: crate::audit::Audit, "The audit trail.";
}

/// A setting per domain of this build that has some.
macro_rules! settings {
    ($($feature:literal $name:ident: $config:ty, $doc:literal;)*) => {
        impl Builder {$(
            #[doc = $doc]
            #[cfg(feature = $feature)]
            #[must_use]
            pub fn $name(mut self, config: $config) -> Builder {
                self.settings.$name = config;
                self
            }
        )*}
    };
}

settings! {
    "auth" auth: crate::auth::AuthConfig, "Configures auth.";
    "transactions" ledger: crate::transactions::LedgerConfig, "Configures the ledger.";
    "gateway" own_limits: crate::gateway::OwnLimits, "Limits the platform's own endpoints.";
    "audit" audit: crate::audit::AuditConfig, "Configures the audit trail.";
}

impl Platform {
    /// A platform over these ports.
    pub fn builder(backends: Backends) -> Builder {
        Builder { backends, partitions: PARTITIONS, settings: Settings::default(), applications: Vec::new() }
    }

    /// Starts relays, handlers and workers.
    ///
    /// # Errors
    /// `backbone.running` when it was started already.
    pub async fn start(&self) -> Result<()> {
        self.0.backbone.start().await
    }

    /// Ends relays, handlers and workers, and waits until they have ended. What they left undone is
    /// done after the next start.
    pub async fn stop(&self) {
        self.0.backbone.stop().await;
    }

    /// Waits until every handler has seen every event published so far, and those that these caused.
    /// An event that fails is waited for until it is handled or given up.
    ///
    /// # Errors
    /// `backbone.not_running` when nothing runs, or it is stopped meanwhile.
    pub async fn settled(&self) -> Result<()> {
        self.0.backbone.settled().await
    }

    /// Waits until every handler has handled the events of all commits up to these positions, at most
    /// `within`: so a read sees what a command has caused elsewhere, without waiting for everybody else as
    /// [`Platform::settled`] does. See [`Backbone::wait_for`] for what it does not wait for.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use platform_core::{Platform, kernel::{Context, PageRequest}, users::NewProfile};
    /// # use platform_core::audit::EventsQuery;
    /// # use platform_core::ports::{MemoryBackends, runtime::SimRuntime};
    /// # let world = SimRuntime::new(1);
    /// # let memory = MemoryBackends::new(world.runtime());
    /// # world.block_on(async {
    /// # let platform = Platform::builder(memory.backends().await?).build().await?;
    /// # platform.start().await?;
    /// let ctx = Context::service("shop");
    /// let new = NewProfile { id: None, email: "ada@example.org".parse()?, name: None };
    /// let ada = platform.users().create(&ctx, &new).await?;
    /// platform.wait_for(&ctx.positions(), Duration::from_secs(5)).await?;
    /// let query = EventsQuery { subject: Some(ada.id.to_string()), ..EventsQuery::default() };
    /// let entries = platform.audit().events(&ctx, &query, &PageRequest::default()).await?;
    /// assert_eq!(entries.items.len(), 1);
    /// # platform.stop().await;
    /// # Ok::<_, platform_core::kernel::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Backbone::wait_for`]: `positions.not_reached`, `positions.unknown_store`,
    /// `backbone.not_running`.
    pub async fn wait_for(&self, positions: &Positions, within: Duration) -> Result<()> {
        self.0.backbone.wait_for(positions, within).await
    }

    /// Events that could not be handled.
    pub fn dead_letters(&self) -> DeadLetters<'_> {
        self.0.backbone.dead_letters()
    }

    /// Subscribes to events, for who has no domain of their own: see [`Backbone::subscribe`].
    ///
    /// ```
    /// # use platform_core::{Platform, kernel::Context, users::NewProfile};
    /// # use platform_core::ports::{MemoryBackends, runtime::SimRuntime};
    /// # let world = SimRuntime::new(1);
    /// # let memory = MemoryBackends::new(world.runtime());
    /// # world.block_on(async {
    /// # let platform = Platform::builder(memory.backends().await?).build().await?;
    /// # platform.start().await?;
    /// let ctx = Context::service("mailer");
    /// let new = NewProfile { id: None, email: "ada@example.org".parse()?, name: None };
    /// platform.users().create(&ctx, &new).await?;
    /// let mut events = platform.subscribe(&ctx, Some("mailer"), &["users".to_owned()]).await?;
    /// let delivered = events.next(1).await?;
    /// assert_eq!(delivered[0].event.event_type, "users.profile_created");
    /// events.done(&delivered[0]).await?;
    /// # platform.stop().await;
    /// # Ok::<_, platform_core::kernel::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`Backbone::subscribe`].
    pub async fn subscribe(
        &self,
        ctx: &Context,
        name: Option<&str>,
        stores: &[String],
    ) -> Result<Subscriber> {
        self.0.backbone.subscribe(ctx, name, stores).await
    }

    /// Rebuilds a projection from the first event: see [`Backbone::rebuild`].
    ///
    /// # Errors
    /// `auth.forbidden`, `auth.not_signed_in`; as [`Backbone::rebuild`].
    pub async fn rebuild(&self, ctx: &Context, projection: &str) -> Result<()> {
        ctx.require(&REBUILD)?;
        self.0.backbone.rebuild(projection).await
    }

    /// The ports.
    pub fn backends(&self) -> &Backends {
        self.0.backbone.backends()
    }

    /// The stores of all domains, an application's too.
    pub fn stores(&self) -> Vec<Arc<dyn Store>> {
        self.0.backbone.stores()
    }

    /// How far the events of each store are behind on their way to the log.
    ///
    /// # Errors
    /// As [`Backbone::outbox_lag`].
    pub async fn outbox_lag(&self) -> Result<Vec<OutboxLag>> {
        self.0.backbone.outbox_lag().await
    }

    /// How far each handler is behind the log.
    ///
    /// # Errors
    /// As [`Backbone::handler_lag`].
    pub async fn handler_lag(&self) -> Result<Vec<HandlerLag>> {
        self.0.backbone.handler_lag().await
    }

    /// The facade of an application's domain, if it was added.
    pub fn domain<D: Domain>(&self) -> Option<Arc<D::Facade>> {
        let facade = self.0.applications.lock().get(&TypeId::of::<D>()).cloned()?;
        facade.downcast().ok()
    }
}

impl Builder {
    /// Adds a domain of the application.
    #[must_use]
    pub fn domain<D: Domain>(mut self, domain: D) -> Builder {
        self.applications.push(Box::new(domain));
        self
    }

    /// Partitions of the log's topics, 1 to 256: how many keys a handler works on side by side. Fixed
    /// from the first start over a log on; [`PARTITIONS`] when nothing is said.
    #[must_use]
    pub fn partitions(mut self, partitions: u16) -> Builder {
        self.partitions = partitions;
        self
    }

    /// Opens all stores and builds all domains. Nothing runs before [`Platform::start`].
    ///
    /// # Errors
    /// What opening a store returns; `backbone.duplicate_name`.
    pub async fn build(self) -> Result<Platform> {
        let backbone = Backbone::new(self.backends).with_partitions(self.partitions);
        let domains = Domains::open(&backbone, self.settings).await?;
        let platform = Platform(Arc::new(Inner { backbone, domains, applications: Mutex::default() }));
        for application in self.applications {
            application.build(&platform).await?;
        }
        Ok(platform)
    }
}

/// A [`Domain`] of whatever type.
trait Application: Send + Sync {
    fn build<'a>(self: Box<Self>, platform: &'a Platform) -> BoxFuture<'a, Result<()>>;
}

impl<D: Domain> Application for D {
    fn build<'a>(self: Box<Self>, platform: &'a Platform) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let database = Database::open(platform.backends(), &self.schema()).await?;
            let (facade, parts) = (*self).build(database.clone(), platform).await?;
            platform.0.backbone.add(&database, parts)?;
            platform.0.applications.lock().insert(TypeId::of::<D>(), Arc::new(facade));
            Ok(())
        })
    }
}
