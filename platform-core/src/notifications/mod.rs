//! Notifications: templates, and messages that are delivered, with a state that says what became of each.

mod delivery;
mod error;
mod model;
mod templates;
mod word;

pub use delivery::{Attempt, Delivery, Outcome, State};
pub use model::{Category, IfUnknown};
pub use templates::{Locale, Parts, Rendered, TemplateName, TemplateSpec};
