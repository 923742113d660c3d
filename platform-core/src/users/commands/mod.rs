//! What changes users and roles.

mod grants;
mod profiles;
mod roles;

pub use profiles::NewProfile;
