//! The whole platform as one value: a handle per domain, and one switch for all that runs beside the
//! requests.

use std::any::{Any, TypeId};
use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

#[cfg(feature = "audit")]
use crate::audit::{Audit, AuditConfig};
#[cfg(feature = "auth")]
use crate::auth::{Auth, AuthConfig};
use crate::backbone::{Backbone, Parts};
#[cfg(feature = "flags")]
use crate::flags::Flags;
#[cfg(feature = "gateway")]
use crate::gateway::{Gateway, OwnLimits};
use crate::kernel::{BoxFuture, Result};
use crate::ports::store::Schema;
use crate::ports::{Backends, Database};
#[cfg(feature = "transactions")]
use crate::transactions::{LedgerConfig, Transactions};
#[cfg(feature = "users")]
use crate::users::Users;

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
    #[cfg(feature = "users")]
    users: Users,
    #[cfg(feature = "auth")]
    auth: Auth,
    #[cfg(feature = "transactions")]
    transactions: Transactions,
    #[cfg(feature = "audit")]
    audit: Audit,
    #[cfg(feature = "flags")]
    flags: Flags,
    #[cfg(feature = "gateway")]
    gateway: Gateway,
    applications: Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>,
}

/// Collects what a platform is made of.
pub struct Builder {
    backends: Backends,
    #[cfg(feature = "auth")]
    auth: AuthConfig,
    #[cfg(feature = "transactions")]
    ledger: LedgerConfig,
    #[cfg(feature = "audit")]
    audit: AuditConfig,
    #[cfg(feature = "gateway")]
    own_limits: OwnLimits,
    applications: Vec<Box<dyn Application>>,
}

impl Platform {
    /// A platform over these ports.
    pub fn builder(backends: Backends) -> Builder {
        Builder {
            backends,
            #[cfg(feature = "auth")]
            auth: AuthConfig::default(),
            #[cfg(feature = "transactions")]
            ledger: LedgerConfig::default(),
            #[cfg(feature = "audit")]
            audit: AuditConfig::default(),
            #[cfg(feature = "gateway")]
            own_limits: OwnLimits::default(),
            applications: Vec::new(),
        }
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

    /// The ports.
    pub fn backends(&self) -> &Backends {
        self.0.backbone.backends()
    }

    /// Profiles, roles and permissions.
    #[cfg(feature = "users")]
    pub fn users(&self) -> &Users {
        &self.0.users
    }

    /// Accounts, sessions and tokens.
    #[cfg(feature = "auth")]
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// Money movement.
    #[cfg(feature = "transactions")]
    pub fn transactions(&self) -> &Transactions {
        &self.0.transactions
    }

    /// The audit trail.
    #[cfg(feature = "audit")]
    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    /// Feature flags.
    #[cfg(feature = "flags")]
    pub fn flags(&self) -> &Flags {
        &self.0.flags
    }

    /// Routes, and the policy of requests.
    #[cfg(feature = "gateway")]
    pub fn gateway(&self) -> &Gateway {
        &self.0.gateway
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

    /// Configures sign-in.
    #[cfg(feature = "auth")]
    #[must_use]
    pub fn auth(mut self, config: AuthConfig) -> Builder {
        self.auth = config;
        self
    }

    /// Configures the ledger.
    #[cfg(feature = "transactions")]
    #[must_use]
    pub fn ledger(mut self, config: LedgerConfig) -> Builder {
        self.ledger = config;
        self
    }

    /// Configures the audit trail.
    #[cfg(feature = "audit")]
    #[must_use]
    pub fn audit(mut self, config: AuditConfig) -> Builder {
        self.audit = config;
        self
    }

    /// Limits the platform's own endpoints.
    #[cfg(feature = "gateway")]
    #[must_use]
    pub fn own_limits(mut self, limits: OwnLimits) -> Builder {
        self.own_limits = limits;
        self
    }

    /// Opens all stores and builds all domains. Nothing runs before [`Platform::start`].
    ///
    /// # Errors
    /// What opening a store returns; `backbone.duplicate_name`.
    pub async fn build(self) -> Result<Platform> {
        let backbone = Backbone::new(self.backends);
        #[cfg(feature = "users")]
        let users = Users::open(backbone.backends()).await?;
        #[cfg(feature = "users")]
        backbone.add(users.database(), users.parts())?;
        #[cfg(feature = "auth")]
        let auth = Auth::open(backbone.backends(), &users, self.auth).await?;
        #[cfg(feature = "auth")]
        backbone.add(auth.database(), auth.parts())?;
        #[cfg(feature = "transactions")]
        let transactions = Transactions::open(backbone.backends(), self.ledger).await?;
        #[cfg(feature = "transactions")]
        backbone.add(transactions.database(), transactions.parts())?;
        #[cfg(feature = "audit")]
        let audit = Audit::open(backbone.backends(), self.audit).await?;
        #[cfg(feature = "audit")]
        backbone.add(audit.database(), audit.parts())?;
        #[cfg(feature = "flags")]
        let flags = Flags::open(backbone.backends()).await?;
        #[cfg(feature = "flags")]
        backbone.add(flags.database(), flags.parts())?;
        #[cfg(feature = "gateway")]
        let gateway = Gateway::open(backbone.backends(), &flags, self.own_limits).await?;
        #[cfg(feature = "gateway")]
        backbone.add(gateway.database(), gateway.parts())?;
        let platform = Platform(Arc::new(Inner {
            backbone,
            #[cfg(feature = "users")]
            users,
            #[cfg(feature = "auth")]
            auth,
            #[cfg(feature = "transactions")]
            transactions,
            #[cfg(feature = "audit")]
            audit,
            #[cfg(feature = "flags")]
            flags,
            #[cfg(feature = "gateway")]
            gateway,
            applications: Mutex::default(),
        }));
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
