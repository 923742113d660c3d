//! What a notification is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::delivery::{Attempt, State};
use super::error;
use super::tables::Notification;
use super::templates::{Locale, TemplateName};
use super::word::word;
use crate::kernel::{Actor, NotificationId, Timestamp, UserId};

word! {
    /// What recipients switch off as one: lower-case letters, digits, `-` and `_`, at most 64.
    Category, 64,
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte),
    error::invalid_category
}

impl Category {
    /// What concerns the safety of an account. Nobody can switch it off.
    pub fn security() -> Category {
        Category("security".to_owned())
    }

    /// What concerns an account otherwise.
    pub fn account() -> Category {
        Category("account".to_owned())
    }

    /// Whether a recipient may switch it off.
    pub fn can_be_switched_off(&self) -> bool {
        *self != Category::security()
    }
}

impl Default for Category {
    fn default() -> Category {
        Category("general".to_owned())
    }
}

/// What to do when it is not known whether a message went out: the connection broke between the end of
/// the message and the answer (RFC 1047), or the process died there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum IfUnknown {
    /// Send it again, under the same Message-ID: a second copy does less harm than none.
    #[default]
    Resend,
    /// Leave it as `unknown`: a second copy does harm.
    Hold,
}

/// A notification as it is shown: what became of it, without address and content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NotificationView {
    /// Its id.
    pub id: NotificationId,
    /// The recipient, when it is a user.
    pub user_id: Option<UserId>,
    /// `email`.
    pub channel: String,
    /// The template.
    pub template: TemplateName,
    /// Its revision; 0 is the built-in template.
    pub revision: u32,
    /// The category.
    pub category: Category,
    /// `accepted`, `scheduled`, `claimed`, `sent`, `failed`, `expired`, `suppressed`, `dead` or `unknown`.
    pub state: String,
    /// When it is tried next, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_at: Option<Timestamp>,
    /// When it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// After this it is not sent any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// The attempts so far, the oldest first.
    pub attempts: Vec<Attempt>,
    /// Why it ended as it did, unless it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: Actor,
}

impl From<&Notification> for NotificationView {
    fn from(notification: &Notification) -> NotificationView {
        let delivery = &notification.delivery;
        NotificationView {
            id: notification.id,
            user_id: notification.user_id,
            channel: notification.channel.clone(),
            template: notification.template.clone(),
            revision: notification.revision,
            category: notification.category.clone(),
            state: delivery.state.name().to_owned(),
            due_at: match delivery.state {
                State::Accepted | State::Scheduled { .. } => delivery.due_at(notification.created_at),
                _ => None,
            },
            sent_at: match delivery.state {
                State::Sent { at } => Some(at),
                _ => None,
            },
            deadline: delivery.deadline,
            attempts: delivery.attempts.clone(),
            cause: delivery.cause.clone(),
            created_at: notification.created_at,
            created_by: notification.created_by.clone(),
        }
    }
}

/// What a user wants to receive, by category.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreferencesView {
    /// `false` switches a category off; what is not named is on. `security` is always on.
    pub categories: BTreeMap<Category, bool>,
}

/// What a template would say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PreviewRequest {
    /// What the template inserts.
    #[serde(default)]
    pub data: BTreeMap<String, serde_json::Value>,
    /// The language.
    #[serde(default)]
    pub locale: Option<Locale>,
}
