//! What changes accounts, sessions and keys.

mod keys;
mod login;
mod logout;
mod password;
mod refresh;
mod register;
mod setup;

pub(super) use keys::open_ring;
pub use login::{LoginRequest, TokenPair};
pub use logout::LogoutRequest;
pub use password::ChangePasswordRequest;
pub use refresh::RefreshRequest;
pub use register::{RegisterRequest, Registered};
pub use setup::SetupRequest;
