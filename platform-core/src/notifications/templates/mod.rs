//! Templates: what a message says, in several parts and languages, in immutable revisions.

mod builtin;
mod check;
mod model;
mod render;

pub use model::{Locale, Parts, TemplateName, TemplateSpec};
pub use render::Rendered;
