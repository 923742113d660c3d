//! Values as they cross the border: ids, names, times, amounts, JSON.
//!
//! Each is a newtype over what the core has, with its conversions and its type in the stubs. What is not what it
//! ought to be raises the core's own error (an id with a wrong prefix: `InvalidInputError`); what has a wrong
//! Python type raises `TypeError`.

mod amount;
mod bytes;
mod id;
mod json;
mod keep;
mod literal;
mod many;
mod mapping;
mod name;
mod secret;
mod set;
mod time;

pub(crate) use amount::Decimal;
pub(crate) use bytes::Bytes;
pub(crate) use id::{IDS, Id};
pub(crate) use json::{Json, JsonObject};
pub(crate) use keep::Keep;
pub(crate) use literal::literal;
pub(crate) use many::Many;
pub(crate) use mapping::Mapping;
pub(crate) use name::Name;
pub(crate) use secret::Secret;
pub(crate) use set::Set;
pub(crate) use time::Time;
