//! What this domain stores.

use serde::{Deserialize, Serialize};

use crate::kernel::{Result, UserId};
use crate::ports::Database;
use crate::ports::store::{Body, Collection, DocKey, Document, Entry, Expect, Index, Schema, Work, Write};

use super::{Profile, RoleDefinition, RoleName};

/// Bytes of a name that are searched: an entry of an index has its limit, and nobody types more.
const SEARCHED_NAME_BYTES: usize = 400;

/// Profiles in order of their addresses, without regard to case; unique.
pub(super) const BY_EMAIL: &str = "by_email";
/// Profiles in order of their names, without regard to case.
pub(super) const BY_NAME: &str = "by_name";
/// Profiles by the roles that they hold.
pub(super) const BY_ROLE: &str = "by_role";

/// Numbers that change without a conflict.
const COUNTERS: Collection = Collection::json("counters");

/// The store of this domain.
pub(super) fn schema() -> Schema {
    Schema::new("users", 1, &[Profile::COLLECTION, Role::COLLECTION, RoleGuard::COLLECTION, COUNTERS])
}

impl Document for Profile {
    const COLLECTION: Collection = Collection::json("profiles").indexed(
        &[Index::unique(BY_EMAIL), Index::one(BY_NAME), Index::many(BY_ROLE)],
        Profile::reindex_body,
    );

    fn id(&self) -> Vec<u8> {
        self.id.as_bytes().to_vec()
    }

    fn entries(&self) -> Vec<Entry> {
        let email = [Entry::new(BY_EMAIL, self.email.normalised())];
        let name = self.searched_name().map(|mut name| {
            name.truncate(name.floor_char_boundary(SEARCHED_NAME_BYTES));
            Entry::new(BY_NAME, name)
        });
        let roles = self.roles.iter().map(|role| Entry::new(BY_ROLE, role.as_str()));
        email.into_iter().chain(name).chain(roles).collect()
    }
}

/// A role under its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Role {
    pub name: RoleName,
    pub definition: RoleDefinition,
}

impl Document for Role {
    const COLLECTION: Collection = Collection::json("roles");

    fn id(&self) -> Vec<u8> {
        self.name.as_str().into()
    }
}

/// Written with every change of a role: two changes that together would make a circle conflict here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct RoleGuard {
    /// Changes so far.
    pub changes: u64,
}

impl RoleGuard {
    /// Its only id.
    pub(super) const ID: &'static str = "roles";
}

impl Document for RoleGuard {
    const COLLECTION: Collection = Collection::json("guards");

    fn id(&self) -> Vec<u8> {
        RoleGuard::ID.into()
    }
}

/// How many hold something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter<'a> {
    /// Active users with the role `admin`.
    Administrators,
    /// Users with this role.
    Holders(&'a RoleName),
}

impl Counter<'_> {
    fn key(self) -> DocKey {
        match self {
            Counter::Administrators => DocKey::new(COUNTERS.name, "administrators"),
            Counter::Holders(role) => DocKey::new(COUNTERS.name, format!("holders/{role}")),
        }
    }

    /// Adds one; the result is at most `max`.
    pub(super) fn increment(self, work: &mut Work, max: i64) {
        work.write(Write::Add { key: self.key(), delta: 1, min: 0, max });
    }

    /// Takes one away; the result is at least `min`.
    pub(super) fn decrement(self, work: &mut Work, min: i64) {
        work.write(Write::Add { key: self.key(), delta: -1, min, max: i64::MAX });
    }

    /// Its value now.
    pub(super) async fn value(self, db: &Database) -> Result<i64> {
        self.read(db).await.map(|(value, _)| value)
    }

    /// Its value, which has to be the same at the commit.
    pub(super) async fn expected_value(self, work: &mut Work) -> Result<i64> {
        let (value, expect) = self.read(work.database()).await?;
        work.expect(self.key(), expect);
        Ok(value)
    }

    async fn read(self, db: &Database) -> Result<(i64, Expect)> {
        let doc = db.store.get(&[self.key()]).await?.pop().flatten();
        let Some(doc) = doc else { return Ok((0, Expect::Absent)) };
        let value = match &doc.body {
            Body::Json(text) => text.parse().ok(),
            Body::Binary(_) => None,
        };
        value.map(|value| (value, Expect::Version(doc.version))).ok_or_else(super::error::damaged_counter)
    }
}

/// Key of a profile.
pub(super) fn profile_id(user: UserId) -> Vec<u8> {
    user.as_bytes().to_vec()
}
