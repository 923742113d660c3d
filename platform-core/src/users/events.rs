//! What this domain publishes. Personal data are sealed under the person's key.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::kernel::{EventData, Permission, Sealed, UserId};

use super::{RoleName, Status};

/// A profile was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileCreated {
    /// The user.
    pub user_id: UserId,
    /// The address as a JSON string, sealed under the user's key, bound to [`ProfileCreated::EMAIL_PLACE`].
    pub email: Sealed,
    /// The name as a JSON string, sealed under the user's key, bound to [`ProfileCreated::NAME_PLACE`].
    pub name: Option<Sealed>,
}

impl ProfileCreated {
    /// What the sealed address is bound to.
    pub const EMAIL_PLACE: &'static str = "users.profile_created/email";
    /// What the sealed name is bound to.
    pub const NAME_PLACE: &'static str = "users.profile_created/name";
}

/// Fields of a profile changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileUpdated {
    /// The user.
    pub user_id: UserId,
    /// The names of the fields, not their values.
    pub changed: Vec<String>,
}

/// A user was deactivated or activated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusChanged {
    /// The user.
    pub user_id: UserId,
    /// What the user is now.
    pub status: Status,
}

/// A person was erased: the profile is deleted and the person's key destroyed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProfileErased {
    /// Who it was.
    pub user_id: UserId,
}

/// A user got or lost a role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleChanged {
    /// The user.
    pub user_id: UserId,
    /// The role.
    pub role: RoleName,
    /// Whether it is held from now on.
    pub granted: bool,
}

/// A role was defined, or defined anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleDefined {
    /// The role.
    pub role: RoleName,
    /// Its own permissions.
    pub permissions: BTreeSet<Permission>,
    /// The roles that it contains.
    pub includes: BTreeSet<RoleName>,
}

/// A role was deleted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleDeleted {
    /// The role.
    pub role: RoleName,
}

macro_rules! about_a_user {
    ($($event:ty => $name:literal),+ $(,)?) => {$(
        impl EventData for $event {
            const TYPE: &'static str = $name;

            fn subject(&self) -> String {
                self.user_id.to_string()
            }
        }
    )+};
}

about_a_user! {
    ProfileCreated => "users.profile_created",
    ProfileUpdated => "users.profile_updated",
    StatusChanged => "users.status_changed",
    ProfileErased => "users.profile_erased",
    RoleChanged => "users.role_changed",
}

impl EventData for RoleDefined {
    const TYPE: &'static str = "users.role_defined";

    fn subject(&self) -> String {
        format!("role:{}", self.role)
    }
}

impl EventData for RoleDeleted {
    const TYPE: &'static str = "users.role_deleted";

    fn subject(&self) -> String {
        format!("role:{}", self.role)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RawId;

    #[test]
    fn events_keep_their_form() {
        let user_id = UserId(RawId([0; 16]));
        let created = ProfileCreated { user_id, email: Sealed::from_bytes(vec![1, 2]), name: None };
        assert_eq!(
            serde_json::to_string(&created).unwrap(),
            r#"{"user_id":"user_00000000000000000000000000","email":"AQI=","name":null}"#
        );
        let changed = RoleChanged { user_id, role: RoleName::admin(), granted: true };
        assert_eq!(
            serde_json::to_string(&changed).unwrap(),
            r#"{"user_id":"user_00000000000000000000000000","role":"admin","granted":true}"#
        );
        assert_eq!(changed.key(), user_id.to_string());
    }
}
