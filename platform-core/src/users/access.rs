//! What a user may do, from memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use parking_lot::RwLock;

use crate::kernel::{Permissions, Result, UserId};
use crate::ports::Database;
use crate::ports::signals::{Signal, Signals};
use crate::ports::store::Document;
use crate::ports::store::IndexRange;

use super::tables::{Role, RoleGuard, profile_id};
use super::{Epochs, Profile, RoleSnapshot, Seen, Status, error};

/// Signals that a user's profile, status or roles changed; the subject is the user's id.
pub(super) const USER_CHANGED: &str = "users.user";
/// Signals that a role changed.
pub(super) const ROLES_CHANGED: &str = "users.roles";

/// Roles that there may be: what one scan reads from one snapshot.
pub(super) const ROLES_MAX: usize = crate::kernel::limits::SCAN_DOCUMENTS;

/// Users whose access is remembered: about 200 bytes each. Beyond that, all are forgotten.
const REMEMBERED_USERS: usize = 16_384;

/// What an active user may do, and the epochs that this depends on.
#[derive(Debug, Clone)]
pub struct Access {
    /// What the user may do.
    pub permissions: Permissions,
    /// The user's and the roles' epochs, as they were before anything was read.
    pub seen: [Seen; 2],
}

/// What was found for a user; no permissions for nobody and for one who is deactivated.
struct Remembered {
    permissions: Option<Permissions>,
    seen: [Seen; 2],
}

impl Remembered {
    fn access(&self) -> Option<Access> {
        let permissions = self.permissions.clone()?;
        Some(Access { permissions, seen: self.seen.clone() })
    }
}

/// Roles as they were when they were read.
struct ReadRoles {
    compiled: Arc<RoleSnapshot>,
    /// Changes of roles before they were read: they have these, and perhaps newer ones.
    changes: u64,
}

/// The compiled roles, and what users may do by them.
pub(super) struct AccessMemory {
    roles: ArcSwap<ReadRoles>,
    /// Changes of roles that were told.
    told: AtomicU64,
    /// Those of them that are in `roles`: as long as they are fewer, nothing is decided by `roles`.
    read: AtomicU64,
    reloading: tokio::sync::Mutex<()>,
    users: Epochs<UserId>,
    roles_epoch: Epochs<()>,
    remembered: RwLock<BTreeMap<UserId, Remembered>>,
    signals: Arc<dyn Signals>,
}

impl AccessMemory {
    pub(super) async fn load(db: &Database, signals: Arc<dyn Signals>) -> Result<AccessMemory> {
        Ok(AccessMemory {
            roles: ArcSwap::from_pointee(read_roles(db).await?),
            told: AtomicU64::default(),
            read: AtomicU64::default(),
            reloading: tokio::sync::Mutex::default(),
            users: Epochs::default(),
            roles_epoch: Epochs::default(),
            remembered: RwLock::default(),
            signals,
        })
    }

    /// The compiled roles, with every change that was told; with every change at all where nobody can be heard.
    /// Whoever cannot read them decides nothing: a denial is safe, an old permission is not.
    pub(super) async fn roles(&self, db: &Database) -> Result<Arc<RoleSnapshot>> {
        let changes = if self.signals.connected() { 0 } else { read_changes(db).await? };
        if self.has_old_roles(changes) {
            let _one = self.reloading.lock().await;
            if self.has_old_roles(changes) {
                let told = self.told.load(Ordering::Acquire);
                self.roles.store(Arc::new(read_roles(db).await?));
                self.read.store(told, Ordering::Release);
            }
        }
        Ok(Arc::clone(&self.roles.load().compiled))
    }

    /// Whether a change was told, or one of so many has happened, that the roles do not have.
    fn has_old_roles(&self, changes: u64) -> bool {
        self.read.load(Ordering::Acquire) < self.told.load(Ordering::Acquire)
            || self.roles.load().changes < changes
    }

    /// What a user may do; `None` for one who is deactivated or does not exist.
    pub(super) async fn of(&self, db: &Database, user: UserId) -> Result<Option<Access>> {
        if self.signals.connected()
            && let Some(found) = self.remembered.read().get(&user)
            && found.seen.iter().all(Seen::is_current)
        {
            return Ok(found.access());
        }
        let seen = [self.users.seen(&user), self.roles_epoch.seen(&())];
        let profile = db.get::<Profile>(profile_id(user)).await?;
        let roles = self.roles(db).await?;
        let permissions = profile
            .filter(|profile| profile.status == Status::Active)
            .map(|profile| roles.permissions(&profile.roles));
        let found = Remembered { permissions, seen };
        let access = found.access();
        let mut remembered = self.remembered.write();
        if remembered.len() >= REMEMBERED_USERS {
            remembered.clear();
        }
        remembered.insert(user, found);
        Ok(access)
    }

    /// After a commit that changed a user, before it is answered.
    pub(super) fn user_changed(&self, user: UserId) {
        self.users.advance(&user);
        self.signals.send(Signal::new(USER_CHANGED, &user.to_string()));
    }

    /// After a command on a user, before it is answered: one that failed may have happened.
    pub(super) fn user_perhaps_changed<T>(&self, user: UserId, done: &Result<T>) {
        if done.as_ref().map_or_else(|error| error.may_have_happened(), |_| true) {
            self.user_changed(user);
        }
    }

    /// After a command on a role, before it is answered: one that failed may have happened.
    pub(super) fn roles_perhaps_changed<T>(&self, done: &Result<T>) {
        if done.as_ref().map_or_else(|error| error.may_have_happened(), |_| true) {
            self.forget_roles();
            self.signals.send(Signal::new(ROLES_CHANGED, ""));
        }
    }

    /// What is decided from now on is decided by roles that are read from now on.
    fn forget_roles(&self) {
        self.told.fetch_add(1, Ordering::AcqRel);
        self.roles_epoch.advance(&());
    }

    /// A signal of another node. Nothing is waited for: the next one may take something away, too.
    pub(super) fn heard(&self, signal: &Signal) {
        match (&*signal.topic, signal.subject.parse::<UserId>()) {
            (USER_CHANGED, Ok(user)) => self.users.advance(&user),
            (ROLES_CHANGED, _) => self.forget_roles(),
            _ => {}
        }
    }

    /// Signals were missed: nothing that is remembered can be trusted.
    pub(super) fn missed_signals(&self) {
        self.users.advance_all();
        self.forget_roles();
    }
}

/// Changes of roles so far.
async fn read_changes(db: &Database) -> Result<u64> {
    Ok(db.get::<RoleGuard>(RoleGuard::ID).await?.map_or(0, |guard| guard.changes))
}

async fn read_roles(db: &Database) -> Result<ReadRoles> {
    let changes = read_changes(db).await?;
    let page = db.scan::<Role>(&IndexRange::ids(Role::COLLECTION.name).limit(ROLES_MAX)).await?;
    if page.next_cursor.is_some() {
        return Err(error::too_many_roles());
    }
    let roles = page.items.into_iter().map(|role| (role.value.name, role.value.definition)).collect();
    Ok(ReadRoles { compiled: Arc::new(RoleSnapshot::compile(&roles)?), changes })
}
