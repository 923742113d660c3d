//! Auth: accounts, passwords, sessions, tokens.

pub mod events;
