//! What changes something: sending, templates, preferences.

use super::delivery::{Delivery, NotRetried};
use super::events;
use super::model::{NotificationView, PreferencesView};
use super::tables::{Notification, Preferences, SendRequest, Template, TemplateRevision};
use super::templates::{Locale, TemplateName, TemplateSpec};
use super::{Inner, error};
use crate::kernel::{Context, ErrorKind, NotificationId, Position, Result, Timestamp, UserId};
use crate::ports::store::{Stored, Work, command};
use crate::users::{Email, Profile, Status};

/// Bytes of the data of a notification, as JSON.
const DATA_BYTES: usize = 32 * 1024;
/// Categories in a user's preferences.
const CATEGORIES: usize = 100;

/// The one channel that there is by now; others are refused.
pub(super) const EMAIL: &str = "email";

impl Inner {
    pub(super) async fn send(&self, context: &Context, request: &SendRequest) -> Result<NotificationView> {
        let done = command(&self.db, context, "notifications.send", request, |mut work| async move {
            let language = self.check(request, work.now()).await?;
            let notification = accept(&mut work, request, language.as_ref(), None).await?;
            work.reply(NotificationView::from(&notification))
        })
        .await?;
        Ok(done.value)
    }

    pub(super) async fn retry(&self, context: &Context, id: NotificationId) -> Result<NotificationView> {
        let done = command(&self.db, context, "notifications.retry", &id, |mut work| async move {
            let stored = work.load::<Notification>(*id.as_bytes()).await?.ok_or_else(error::not_found)?;
            let mut notification = stored.value;
            let attempts = notification.delivery.attempts.len() as u32;
            notification.delivery.retry(work.now()).map_err(|refused| match refused {
                NotRetried::NotDead => error::not_dead(notification.delivery.state.name()),
                NotRetried::Late => error::past_deadline(),
                NotRetried::Forgotten => error::content_forgotten(),
            })?;
            if !self.channels.contains_key(&notification.channel) {
                return Err(error::channel_not_configured(&notification.channel));
            }
            let user_id = notification.user_id;
            work.publish(&events::NotificationRetried { notification_id: id, user_id, attempts })?;
            work.put(&notification)?;
            work.reply(NotificationView::from(&notification))
        })
        .await?;
        Ok(done.value)
    }

    /// Whether a request makes sense; returns the language to write in.
    async fn check(&self, request: &SendRequest, now: Timestamp) -> Result<Option<Locale>> {
        if request.channel != EMAIL {
            return Err(error::unknown_channel(&request.channel));
        }
        if !self.channels.contains_key(&request.channel) {
            return Err(error::channel_not_configured(&request.channel));
        }
        if serde_json::to_vec(&request.data).map_or(usize::MAX, |json| json.len()) > DATA_BYTES {
            return Err(error::data_too_large());
        }
        let earliest = request.send_at.map_or(now, |send_at| send_at.max(now));
        if request.deadline.is_some_and(|deadline| deadline <= earliest) {
            return Err(error::deadline_passed());
        }
        let profile = match (request.user_id, &request.to) {
            (Some(user), None) => Some(self.recipient(user).await?.ok_or_else(error::unknown_recipient)?),
            (None, Some(to)) => to.parse::<Email>().map(|_| None)?,
            _ => return Err(error::invalid_recipient()),
        };
        let known = profile.and_then(|profile| profile.locale).and_then(|tag| tag.parse().ok());
        Ok(request.locale.clone().or(known))
    }

    /// The profile of an active user.
    pub(super) async fn recipient(&self, user: UserId) -> Result<Option<Profile>> {
        match self.users.get(&Context::system(), user).await {
            Ok(profile) if profile.status == Status::Active => Ok(Some(profile.value)),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a new revision of a template. With `expected` only if the present revision is that one.
    pub(super) async fn put_template(
        &self,
        context: &Context,
        name: &TemplateName,
        spec: &TemplateSpec,
        expected: Option<u32>,
    ) -> Result<Template> {
        spec.check()?;
        let request = (name, spec, expected);
        let done =
            command(&self.db, context, "notifications.put_template", &request, |mut work| async move {
                let present = work.load::<Template>(name.as_str()).await?;
                let revision = present.as_ref().map_or(0, |template| template.value.revision);
                if let Some(expected) = expected.filter(|expected| *expected != revision) {
                    return Err(error::stale(expected.into(), revision.into()));
                }
                let template = Template {
                    name: name.clone(),
                    revision: revision + 1,
                    spec: spec.clone(),
                    created_at: Some(work.now()),
                    created_by: Some(work.context().principal.actor.clone()),
                    reason: work.context().reason.clone(),
                };
                work.put(&template)?;
                work.create(&TemplateRevision(template.clone()))?;
                work.publish(&events::TemplateChanged {
                    template: template.name.clone(),
                    revision: template.revision,
                    reason: template.reason.clone(),
                })?;
                work.reply(template)
            })
            .await?;
        Ok(done.value)
    }

    /// Replaces a user's preferences. With `expected` only if their version is that one.
    pub(super) async fn put_preferences(
        &self,
        context: &Context,
        user_id: UserId,
        view: &PreferencesView,
        expected: Option<Position>,
    ) -> Result<Stored<PreferencesView>> {
        if view.categories.len() > CATEGORIES {
            return Err(error::too_many_categories());
        }
        if view.categories.iter().any(|(category, on)| !on && !category.can_be_switched_off()) {
            return Err(error::category_required());
        }
        let request = (user_id, view, expected);
        let done =
            command(&self.db, context, "notifications.put_preferences", &request, |mut work| async move {
                let present = work.load::<Preferences>(*user_id.as_bytes()).await?;
                let version = present.map_or(0, |preferences| preferences.version);
                if let Some(expected) = expected.filter(|expected| *expected != version) {
                    return Err(error::stale(expected, version));
                }
                work.put(&Preferences { user_id, categories: view.categories.clone() })?;
                let switched_off = view
                    .categories
                    .iter()
                    .filter(|(_, on)| !**on)
                    .map(|(category, _)| category.clone())
                    .collect();
                work.publish(&events::PreferencesChanged { user_id, switched_off })?;
                work.reply(())
            })
            .await?;
        Ok(Stored { version: done.position, value: view.clone() })
    }
}

/// Stores a notification within a work: rendered, sealed and due. `failed` ends it at once, with this cause.
pub(super) async fn accept(
    work: &mut Work,
    request: &SendRequest,
    language: Option<&Locale>,
    failed: Option<&str>,
) -> Result<Notification> {
    let template = match work.load::<Template>(request.template.as_str()).await? {
        Some(template) => template.value,
        None => built_in(&request.template)?,
    };
    let content = template.spec.render(language, &request.data)?;
    let spec = template.spec;
    let mut notification = Notification {
        id: work.new_id(),
        user_id: request.user_id,
        to: None,
        channel: request.channel.clone(),
        template: template.name,
        revision: template.revision,
        category: spec.category,
        content: None,
        delivery: Delivery::new(work.now(), request.send_at, request.deadline, spec.if_unknown),
        created_at: work.now(),
        created_by: work.context().principal.actor.clone(),
        correlation_id: work.context().correlation_id.clone(),
    };
    work.publish(&events::NotificationAccepted {
        notification_id: notification.id,
        user_id: notification.user_id,
        channel: notification.channel.clone(),
        template: notification.template.clone(),
        revision: notification.revision,
        category: notification.category.clone(),
    })?;
    if !wanted(work, &notification).await? {
        notification.delivery.suppress("the recipient switched the category off");
    } else if let Some(cause) = failed {
        notification.delivery.fail(cause);
    }
    match notification.delivery.state.is_final() {
        true => ended(work, &notification)?,
        false => notification.seal(work.database(), request.to.as_deref(), &content).await?,
    }
    work.create(&notification)?;
    Ok(notification)
}

/// A built-in template as if it were stored.
pub(super) fn built_in(name: &TemplateName) -> Result<Template> {
    let spec = TemplateSpec::builtin(name).ok_or_else(|| error::template_not_found(name))?;
    Ok(Template { name: name.clone(), revision: 0, spec, created_at: None, created_by: None, reason: None })
}

/// Whether the recipient wants this category.
pub(super) async fn wanted(work: &mut Work, notification: &Notification) -> Result<bool> {
    let Some(user) = notification.user_id else { return Ok(true) };
    let preferences = work.load::<Preferences>(*user.as_bytes()).await?;
    Ok(preferences.is_none_or(|preferences| preferences.wants(&notification.category)))
}

/// Publishes how a notification ended.
pub(super) fn ended(work: &mut Work, notification: &Notification) -> Result<()> {
    let delivery = &notification.delivery;
    if let super::State::Sent { .. } = delivery.state {
        work.publish(&events::NotificationSent {
            notification_id: notification.id,
            user_id: notification.user_id,
            attempts: delivery.attempts.len() as u32,
            receipt: delivery.attempts.last().and_then(|attempt| attempt.receipt.clone()),
        })?;
    } else {
        work.publish(&events::NotificationNotSent {
            notification_id: notification.id,
            user_id: notification.user_id,
            state: delivery.state.name().to_owned(),
            cause: delivery.cause.clone(),
        })?;
    }
    Ok(())
}
