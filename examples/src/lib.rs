//! Two applications of the library.
//!
//! - [`story`]: all seven domains in one process, without a server.
//! - [`orders`]: an application's own domain, with the promises that the platform's domains have.
//!
//! The same story over HTTP is `story.sh`.

pub mod orders;
pub mod story;
