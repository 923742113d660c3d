//! Users: profiles, search, roles and permissions.
//!
//! A role holds permissions and contains other roles; what it comes to is compiled once per change
//! and read without a lock. Nobody gives, takes or governs more than they hold themselves.

mod email;
mod error;
pub mod events;
mod merge_patch;
mod model;
mod role;

pub use email::Email;
pub use model::{Profile, ProfilePatch, Status};
pub use role::{RoleDefinition, RoleName, RoleSnapshot, covers};
