//! The seven domains: opened in the order in which they know each other.

#[cfg(feature = "audit")]
use crate::audit::{Audit, AuditConfig};
#[cfg(feature = "auth")]
use crate::auth::{Auth, AuthConfig};
use crate::backbone::Backbone;
#[cfg(feature = "flags")]
use crate::flags::Flags;
#[cfg(feature = "gateway")]
use crate::gateway::{Gateway, OwnLimits};
use crate::kernel::Result;
#[cfg(feature = "notifications")]
use crate::notifications::Notifications;
#[cfg(feature = "transactions")]
use crate::transactions::{LedgerConfig, Transactions};
#[cfg(feature = "users")]
use crate::users::Users;

/// Settings of the domains.
#[derive(Default)]
pub(super) struct Settings {
    #[cfg(feature = "auth")]
    pub(super) auth: AuthConfig,
    #[cfg(feature = "transactions")]
    pub(super) ledger: LedgerConfig,
    #[cfg(feature = "audit")]
    pub(super) audit: AuditConfig,
    #[cfg(feature = "gateway")]
    pub(super) own_limits: OwnLimits,
}

/// A facade per domain.
pub(super) struct Domains {
    #[cfg(feature = "users")]
    pub(super) users: Users,
    #[cfg(feature = "auth")]
    pub(super) auth: Auth,
    #[cfg(feature = "transactions")]
    pub(super) transactions: Transactions,
    #[cfg(feature = "notifications")]
    pub(super) notifications: Notifications,
    #[cfg(feature = "flags")]
    pub(super) flags: Flags,
    #[cfg(feature = "gateway")]
    pub(super) gateway: Gateway,
    #[cfg(feature = "audit")]
    pub(super) audit: Audit,
}

impl Domains {
    /// Opens every domain of this build and adds what it contributes.
    #[allow(unused_variables, reason = "a build without any domain uses nothing")]
    pub(super) async fn open(backbone: &Backbone, settings: Settings) -> Result<Domains> {
        let ports = backbone.backends();
        macro_rules! open {
            ($feature:literal $name:ident: $facade:expr) => {
                #[cfg(feature = $feature)]
                let $name = {
                    let facade = $facade.await?;
                    backbone.add(facade.database(), facade.parts())?;
                    facade
                };
            };
        }
        open!("users" users: Users::open(ports));
        open!("auth" auth: Auth::open(ports, &users, settings.auth));
        open!("transactions" transactions: Transactions::open(ports, settings.ledger));
        open!("notifications" notifications: Notifications::open(ports, &users));
        open!("flags" flags: Flags::open(ports));
        open!("gateway" gateway: Gateway::open(ports, &flags, settings.own_limits));
        open!("audit" audit: Audit::open(ports, settings.audit));
        Ok(Domains {
            #[cfg(feature = "users")]
            users,
            #[cfg(feature = "auth")]
            auth,
            #[cfg(feature = "transactions")]
            transactions,
            #[cfg(feature = "notifications")]
            notifications,
            #[cfg(feature = "flags")]
            flags,
            #[cfg(feature = "gateway")]
            gateway,
            #[cfg(feature = "audit")]
            audit,
        })
    }
}
