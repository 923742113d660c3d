//! What this domain publishes. No address and no content is in any of it.

use serde::{Deserialize, Serialize};

use super::delivery::Outcome;
use super::model::Category;
use super::templates::TemplateName;
use crate::kernel::{EventData, NotificationId, Timestamp, UserId};

/// A notification was stored: it will reach one of its final states.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationAccepted {
    /// The notification.
    pub notification_id: NotificationId,
    /// The recipient, when it is a user.
    pub user_id: Option<UserId>,
    /// `email`.
    pub channel: String,
    /// The template.
    pub template: TemplateName,
    /// Its revision.
    pub revision: u32,
    /// The category.
    pub category: Category,
}

/// An attempt to send failed, and there will be another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// The notification.
    pub notification_id: NotificationId,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Why.
    pub cause: Option<String>,
    /// When the next one is due.
    pub due_at: Timestamp,
}

/// A dead delivery was begun anew on request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationRetried {
    /// The notification.
    pub notification_id: NotificationId,
    /// The recipient, when it is a user.
    pub user_id: Option<UserId>,
    /// The attempts that had failed.
    pub attempts: u32,
}

/// The channel took a notification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationSent {
    /// The notification.
    pub notification_id: NotificationId,
    /// The recipient, when it is a user.
    pub user_id: Option<UserId>,
    /// Attempts, this one included.
    pub attempts: u32,
    /// The channel's own name for the message.
    pub receipt: Option<String>,
}

/// A notification ended without having been taken for certain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationNotSent {
    /// The notification.
    pub notification_id: NotificationId,
    /// The recipient, when it is a user.
    pub user_id: Option<UserId>,
    /// `failed`, `expired`, `suppressed`, `dead` or `unknown`.
    pub state: String,
    /// Why.
    pub cause: Option<String>,
}

/// A template got a new revision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TemplateChanged {
    /// The template.
    pub template: TemplateName,
    /// The new revision.
    pub revision: u32,
    /// Why, if that was said.
    pub reason: Option<String>,
}

/// A user's preferences changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreferencesChanged {
    /// The user.
    pub user_id: UserId,
    /// The categories that are switched off.
    pub switched_off: Vec<Category>,
}

macro_rules! about {
    ($($event:ty, $subject:ident => $name:literal;)+) => {$(
        impl EventData for $event {
            const TYPE: &'static str = $name;

            fn subject(&self) -> String {
                self.$subject.to_string()
            }
        }
    )+};
}

about! {
    NotificationAccepted, notification_id => "notifications.accepted";
    AttemptFailed, notification_id => "notifications.attempt_failed";
    NotificationRetried, notification_id => "notifications.retried";
    NotificationSent, notification_id => "notifications.sent";
    NotificationNotSent, notification_id => "notifications.not_sent";
    PreferencesChanged, user_id => "notifications.preferences_changed";
}

impl EventData for TemplateChanged {
    const TYPE: &'static str = "notifications.template_changed";

    fn subject(&self) -> String {
        format!("template:{}", self.template)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RawId;

    #[test]
    fn events_keep_their_form() {
        let event = NotificationNotSent {
            notification_id: NotificationId(RawId([0; 16])),
            user_id: None,
            state: "dead".into(),
            cause: Some("451 4.3.0".into()),
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"notification_id":"notification_00000000000000000000000000","user_id":null,"state":"dead","cause":"451 4.3.0"}"#
        );
        let event = AttemptFailed {
            notification_id: NotificationId(RawId([0; 16])),
            attempt: 1,
            outcome: Outcome::Deferred,
            cause: None,
            due_at: Timestamp::from_secs(1),
        };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"notification_id":"notification_00000000000000000000000000","attempt":1,"outcome":"deferred","cause":null,"due_at":"1970-01-01T00:00:01Z"}"#
        );
        let event = TemplateChanged { template: "welcome".parse().unwrap(), revision: 2, reason: None };
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            r#"{"template":"welcome","revision":2,"reason":null}"#
        );
        assert_eq!(event.subject(), "template:welcome");
    }
}
