//! Notifications: templates, and messages that are delivered, with a state that says what became of each.
//!
//! What is accepted reaches one of the final states `sent`, `failed`, `expired`, `suppressed`, `dead` or
//! `unknown`, whatever crashes in between. A message is rendered and sealed when it is accepted; the address
//! of a user is asked for when it is sent. After the end neither is kept; only of a `dead` one, which certainly
//! did not go out, the content is kept for a week (at most until its deadline), so that it can be retried.
//!
//! Sending is at least once: between the end of a message and its acknowledgement nobody can know (RFC 1047).
//! Each attempt carries the same Message-ID; a template that says `"if_unknown": "hold"` is not sent twice.

mod attempts;
mod commands;
mod delivery;
mod error;
pub mod events;
mod model;
mod queries;
mod reactions;
mod tables;
mod templates;
#[cfg(test)]
mod tests;
mod word;
mod worker;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use attempts::AttemptCounts;
pub use delivery::{Attempt, Delivery, Outcome, State};
pub use model::{Category, IfUnknown, NotificationView, PreferencesView, PreviewRequest};
pub use tables::{SendRequest, Template};
pub use templates::{Locale, Parts, Rendered, TemplateName, TemplateSpec};

use crate::backbone::Task;
use crate::kernel::{Context, NotificationId, Page, PageRequest, Permission, Position, Result, UserId};
use crate::ports::channel::Channel;
use crate::ports::disclosure::Disclosures;
use crate::ports::store::{Schema, Stored};
use crate::ports::{Backends, Database};
use crate::users::Users;

/// To send.
pub const SEND: Permission = Permission::literal("notifications:send");
/// To see what became of notifications, and others' preferences.
pub const READ: Permission = Permission::literal("notifications:read");
/// To read and write templates.
pub const TEMPLATES: Permission = Permission::literal("notifications:templates");

/// The domain.
#[derive(Clone)]
pub struct Notifications(Arc<Inner>);

struct Inner {
    db: Database,
    channels: BTreeMap<String, Arc<dyn Channel>>,
    users: Users,
    attempts: attempts::Attempts,
    disclosures: Disclosures,
    /// The name of this process in claims.
    process: String,
    /// Whether no other process has the store.
    alone: bool,
}

impl Notifications {
    /// What this domain stores.
    pub fn schema() -> Schema {
        tables::schema()
    }

    /// Opens the domain over a platform's ports.
    ///
    /// # Errors
    /// As [`crate::ports::store::Stores::open`].
    pub async fn open(backends: &Backends, users: &Users) -> Result<Notifications> {
        let db = Database::open(backends, &Notifications::schema()).await?;
        let channels = backends
            .channels
            .iter()
            .map(|channel| (channel.name().to_owned(), Arc::clone(channel)))
            .collect();
        Ok(Notifications(Arc::new(Inner {
            db,
            channels,
            users: users.clone(),
            attempts: attempts::Attempts::default(),
            disclosures: backends.disclosures.clone(),
            process: backends.runtime.new_id().to_base32(),
            alone: backends.stores.are_held_alone(),
        })))
    }

    /// What runs beside the requests: the worker that sends, the welcome to new accounts, and what is due to
    /// erased persons.
    pub fn parts(&self) -> crate::backbone::Parts {
        let inner = Arc::clone(&self.0);
        let deliver =
            Task::new("notifications.deliver", move |shutdown| Box::pin(Arc::clone(&inner).work(shutdown)));
        crate::backbone::Parts::none()
            .task(deliver)
            .handler(reactions::Welcome(Arc::clone(&self.0)))
            .handler(reactions::Forget(Arc::clone(&self.0)))
    }

    /// The store of this domain.
    pub fn database(&self) -> &Database {
        &self.0.db
    }

    /// What became of the attempts to send since the start.
    ///
    /// # Errors
    /// As [`Context::require`].
    pub fn attempts(&self, context: &Context) -> Result<AttemptCounts> {
        context.require(&READ)?;
        Ok(self.0.attempts.read())
    }

    /// Accepts a notification: rendered, stored, and from then on certain to reach a final state.
    ///
    /// # Errors
    /// `notifications.invalid_recipient`, `.unknown_recipient`, `.unknown_channel`,
    /// `.channel_not_configured`, `.template_not_found`, `.render_failed`, `.data_too_large`,
    /// `.deadline_passed`, `users.invalid_email`; as [`Context::require`] and
    /// [`crate::ports::store::command`].
    pub async fn send(&self, context: &Context, request: SendRequest) -> Result<NotificationView> {
        context.require(&SEND)?;
        self.0.send(context, &request).await
    }

    /// Begins a dead delivery anew, with all its attempts.
    ///
    /// # Errors
    /// `notifications.not_found`, `.not_dead`, `.past_deadline`, `.content_forgotten` a week after it died,
    /// `.channel_not_configured`; as [`Context::require`] and [`crate::ports::store::command`].
    pub async fn retry(&self, context: &Context, id: NotificationId) -> Result<NotificationView> {
        context.require(&SEND)?;
        self.0.retry(context, id).await
    }

    /// What became of a notification. Users may look at their own.
    ///
    /// # Errors
    /// `notifications.not_found`; as [`Context::require`].
    pub async fn get(&self, context: &Context, id: NotificationId) -> Result<NotificationView> {
        let allowed = context.require(&READ);
        if allowed.is_err() && context.user().is_err() {
            return Err(allowed.err().unwrap_or_else(error::not_found));
        }
        let view = self.0.notification(id).await?;
        match allowed {
            Err(_) if view.user_id != context.user().ok() => return Err(error::not_found()),
            _ => {}
        }
        match view.user_id {
            Some(user) => self.0.disclosures.of(context, "notifications.delivery_read", user),
            None => self.0.disclosures.among(context, "notifications.delivery_read", id.to_string(), 1, []),
        }
        Ok(view)
    }

    /// Notifications, the newest first: of a user, or of all. Users may list their own.
    ///
    /// # Errors
    /// As [`Context::require`]; `request.invalid_cursor`, `request.invalid_limit`.
    pub async fn list(
        &self,
        context: &Context,
        user: Option<UserId>,
        page: PageRequest,
    ) -> Result<Page<NotificationView>> {
        match user {
            Some(user) => context.require_self_or(user, &READ)?,
            None => context.require(&READ)?,
        }
        let found = self.0.notifications(user, &page).await?;
        if user.is_none() || user != context.user().ok() {
            let subject = user.map_or_else(|| "notifications".to_owned(), |user| user.to_string());
            let people = found.items.iter().filter_map(|view| view.user_id);
            let shown = found.items.len() as u64;
            self.0.disclosures.among(context, "notifications.deliveries_listed", subject, shown, people);
        }
        Ok(found)
    }

    /// Writes a new revision of a template. With `expected` only if the present revision is that one.
    ///
    /// # Errors
    /// `notifications.template_invalid`, `notifications.version_mismatch`; as [`Context::require`].
    pub async fn put_template(
        &self,
        context: &Context,
        name: TemplateName,
        spec: TemplateSpec,
        expected: Option<u32>,
    ) -> Result<Template> {
        context.require(&TEMPLATES)?;
        self.0.put_template(context, &name, &spec, expected).await
    }

    /// A template as it is now, stored or built in.
    ///
    /// # Errors
    /// `notifications.template_not_found`; as [`Context::require`].
    pub async fn template(&self, context: &Context, name: &TemplateName) -> Result<Template> {
        context.require(&TEMPLATES)?;
        self.0.template(name).await
    }

    /// A revision of a template.
    ///
    /// # Errors
    /// As [`Notifications::template`].
    pub async fn template_revision(
        &self,
        context: &Context,
        name: &TemplateName,
        revision: u32,
    ) -> Result<Template> {
        context.require(&TEMPLATES)?;
        self.0.revision(name, revision).await
    }

    /// The revisions of a template, the newest first.
    ///
    /// # Errors
    /// As [`Context::require`]; `request.invalid_cursor`, `request.invalid_limit`.
    pub async fn template_revisions(
        &self,
        context: &Context,
        name: &TemplateName,
        page: PageRequest,
    ) -> Result<Page<Template>> {
        context.require(&TEMPLATES)?;
        self.0.revisions(name, &page).await
    }

    /// The stored templates, by name.
    ///
    /// # Errors
    /// As [`Notifications::template_revisions`].
    pub async fn templates(&self, context: &Context, page: PageRequest) -> Result<Page<Template>> {
        context.require(&TEMPLATES)?;
        self.0.templates(&page).await
    }

    /// What a template would say with some data. Nothing is stored or sent.
    ///
    /// # Errors
    /// `notifications.template_not_found`, `notifications.render_failed`; as [`Context::require`].
    pub async fn preview(
        &self,
        context: &Context,
        name: &TemplateName,
        request: PreviewRequest,
    ) -> Result<Rendered> {
        context.require(&TEMPLATES)?;
        self.0.preview(name, &request).await
    }

    /// What a user wants to receive, with its version (0 when nothing was ever said). Users may read their own.
    ///
    /// # Errors
    /// As [`Context::require_self_or`].
    pub async fn preferences(&self, context: &Context, user: UserId) -> Result<Stored<PreferencesView>> {
        context.require_self_or(user, &READ)?;
        let preferences = self.0.preferences(user).await?;
        self.0.disclosures.of(context, "notifications.preferences_read", user);
        Ok(preferences)
    }

    /// Replaces what a user wants to receive. With `expected` only if the version is that one. Users write their
    /// own; to write another's takes the permission to send.
    ///
    /// # Errors
    /// `notifications.category_required` for switching off `security`, `notifications.too_many_categories`,
    /// `notifications.unknown_recipient`, `notifications.version_mismatch`; as [`Context::require_self_or`].
    pub async fn put_preferences(
        &self,
        context: &Context,
        user: UserId,
        preferences: PreferencesView,
        expected: Option<Position>,
    ) -> Result<Stored<PreferencesView>> {
        context.require_self_or(user, &SEND)?;
        self.0.put_preferences(context, user, &preferences, expected).await
    }
}
