//! Users: profiles, search, roles and permissions.
//!
//! - A role holds permissions and contains other roles; what it comes to is compiled once per change
//!   and read without a lock. What a user may do is answered from memory, and a change is effective
//!   before it is answered.
//! - Nobody gives, takes or governs more than they hold themselves; the last administrator stays one.
//! - Whoever reads another's profile, or searches, is told to the audit trail.
//! - Erasing a person deletes the profile and destroys the person's key.

mod access;
mod commands;
mod email;
mod epoch;
mod error;
pub mod events;
mod merge_patch;
mod model;
mod queries;
mod role;
mod tables;
mod worker;

pub use access::Access;
pub use commands::NewProfile;
pub use email::Email;
pub use epoch::{Epochs, Seen};
pub use model::{Profile, ProfilePatch, Status, check_name};
pub use queries::{PermissionsView, ProfileSearch, RoleView};
pub use role::{RoleDefinition, RoleName, RoleSnapshot, covers};

use std::sync::Arc;

use crate::kernel::{Permission, Result};
use crate::ports::disclosure::Disclosures;
use crate::ports::signals::Signals;
use crate::ports::store::Schema;
use crate::ports::{Backends, Database};

use access::AccessMemory;

/// Reads profiles of others, and what they may do.
pub const USERS_READ: Permission = Permission::literal("users:read");
/// Makes, changes, deactivates and erases profiles of others.
pub const USERS_WRITE: Permission = Permission::literal("users:write");
/// Reads roles.
pub const ROLES_READ: Permission = Permission::literal("roles:read");
/// Defines, deletes, gives and takes roles.
pub const ROLES_WRITE: Permission = Permission::literal("roles:write");

/// The users domain. Cloning is cheap.
#[derive(Clone)]
pub struct Users {
    db: Database,
    access: Arc<AccessMemory>,
    signals: Arc<dyn Signals>,
    disclosures: Disclosures,
}

impl Users {
    /// What the store `users` holds.
    pub fn schema() -> Schema {
        tables::schema()
    }

    /// Opens the store `users` and compiles the roles.
    ///
    /// # Errors
    /// As [`crate::ports::store::Stores::open`].
    pub async fn open(backends: &Backends) -> Result<Users> {
        let db = Database::open(backends, &Users::schema()).await?;
        let users = Users::over(db, Arc::clone(&backends.signals)).await?;
        Ok(Users { disclosures: backends.disclosures.clone(), ..users })
    }

    /// Over a store that is open; nobody is told of what it shows.
    pub(crate) async fn over(db: Database, signals: Arc<dyn Signals>) -> Result<Users> {
        let access = Arc::new(AccessMemory::load(&db, Arc::clone(&signals)).await?);
        Ok(Users { db, access, signals, disclosures: Disclosures::default() })
    }

    /// The store.
    pub fn database(&self) -> &Database {
        &self.db
    }
}

#[cfg(test)]
mod tests;
