//! What this domain stores.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::delivery::{Delivery, State};
use super::model::Category;
use super::templates::{Locale, Rendered, TemplateName, TemplateSpec};
use crate::kernel::{Actor, CorrelationId, Error, NotificationId, Result, Sealed, Timestamp, UserId};
use crate::ports::Database;
use crate::ports::store::{Collection, Document, Entry, Index, KeyWriter, Schema};

/// The store of this domain.
pub(super) fn schema() -> Schema {
    Schema::new(
        "notifications",
        1,
        &[
            Template::COLLECTION,
            TemplateRevision::COLLECTION,
            Notification::COLLECTION,
            Preferences::COLLECTION,
        ],
    )
}

/// A template as it is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Template {
    /// Its name.
    pub name: TemplateName,
    /// Grows by one with every change; 0 is the built-in template.
    pub revision: u32,
    /// What it says.
    #[serde(flatten)]
    pub spec: TemplateSpec,
    /// When this revision was made; absent for a built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// Who made it; absent for a built-in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<Actor>,
    /// Why, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Document for Template {
    const COLLECTION: Collection = Collection::json("templates");

    fn id(&self) -> Vec<u8> {
        self.name.as_str().into()
    }
}

/// A revision of a template: written once, never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct TemplateRevision(pub(super) Template);

impl TemplateRevision {
    /// The id of a revision: newest last.
    pub(super) fn key_of(name: &TemplateName, revision: u32) -> Vec<u8> {
        KeyWriter::new().text(name.as_str()).u64(revision.into()).finish()
    }
}

impl Document for TemplateRevision {
    const COLLECTION: Collection = Collection::json("template_revisions");

    fn id(&self) -> Vec<u8> {
        TemplateRevision::key_of(&self.0.name, self.0.revision)
    }
}

/// A notification with its delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Notification {
    pub(super) id: NotificationId,
    /// The recipient, when it is a user.
    pub(super) user_id: Option<UserId>,
    /// The address as it was given, sealed; absent for a user, whose address is asked for when it is sent.
    pub(super) to: Option<Sealed>,
    pub(super) channel: String,
    pub(super) template: TemplateName,
    pub(super) revision: u32,
    pub(super) category: Category,
    /// What it says, sealed; forgotten when the delivery has ended and cannot be retried.
    pub(super) content: Option<Sealed>,
    pub(super) delivery: Delivery,
    pub(super) created_at: Timestamp,
    pub(super) created_by: Actor,
    pub(super) correlation_id: CorrelationId,
}

impl Notification {
    pub(super) const BY_DUE: &'static str = "by_due";
    pub(super) const BY_USER: &'static str = "by_user";
    /// What is being sent, by the process that sends it.
    pub(super) const BY_CLAIM: &'static str = "by_claim";

    /// Forgets address and content.
    pub(super) fn forget(&mut self) {
        self.content = None;
        self.to = None;
    }

    /// Whose key its personal data are sealed under.
    fn person(&self) -> String {
        self.user_id.map_or_else(|| self.id.to_string(), |user| user.to_string())
    }

    /// Seals an address and a content for this notification.
    pub(super) async fn seal(&mut self, db: &Database, to: Option<&str>, content: &Rendered) -> Result<()> {
        let person = self.person();
        let text = serde_json::to_vec(content).map_err(|error| {
            Error::internal("notifications.unwritable", "a content cannot be written as JSON").because(error)
        })?;
        self.content = Some(db.keys.seal_for(&person, &self.place("content"), &text).await?);
        if let Some(to) = to {
            self.to = Some(db.keys.seal_for(&person, &self.place("to"), to.as_bytes()).await?);
        }
        Ok(())
    }

    /// The content; `None` when the person was erased.
    pub(super) async fn open_content(&self, db: &Database) -> Result<Option<Rendered>> {
        let Some(sealed) = &self.content else { return Ok(None) };
        let Some(text) = db.keys.open_for(&self.person(), &self.place("content"), sealed).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&text).map(Some).map_err(|error| unreadable().because(error))
    }

    /// The address that was given; `None` when there was none, or the person was erased.
    pub(super) async fn open_to(&self, db: &Database) -> Result<Option<String>> {
        let Some(sealed) = &self.to else { return Ok(None) };
        let text = db.keys.open_for(&self.person(), &self.place("to"), sealed).await?;
        text.map(String::from_utf8).transpose().map_err(|_| unreadable())
    }

    fn place(&self, what: &str) -> String {
        format!("notifications/{}/{what}", self.id)
    }
}

fn unreadable() -> Error {
    Error::data_loss("notifications.damaged", "a stored content does not read")
}

impl Document for Notification {
    const COLLECTION: Collection = Collection::json("notifications").indexed(
        &[
            Index::one(Notification::BY_DUE),
            Index::one(Notification::BY_USER),
            Index::one(Notification::BY_CLAIM),
        ],
        Notification::reindex_body,
    );

    fn id(&self) -> Vec<u8> {
        self.id.as_bytes().to_vec()
    }

    fn entries(&self) -> Vec<Entry> {
        let due = self.delivery.due_at(self.created_at);
        due.map(|at| Entry::new(Notification::BY_DUE, KeyWriter::new().time(at).finish()))
            .into_iter()
            .chain(self.user_id.map(|user| Entry::new(Notification::BY_USER, user.as_bytes().to_vec())))
            .chain(match &self.delivery.state {
                State::Claimed { by, .. } => {
                    Some(Entry::new(Notification::BY_CLAIM, KeyWriter::new().text(by).finish()))
                }
                _ => None,
            })
            .collect()
    }
}

/// What a user wants to receive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Preferences {
    pub(super) user_id: UserId,
    pub(super) categories: BTreeMap<Category, bool>,
}

impl Preferences {
    pub(super) fn wants(&self, category: &Category) -> bool {
        !category.can_be_switched_off() || self.categories.get(category).copied().unwrap_or(true)
    }
}

impl Document for Preferences {
    const COLLECTION: Collection = Collection::json("preferences");

    fn id(&self) -> Vec<u8> {
        self.user_id.as_bytes().to_vec()
    }
}

/// What a sender asks for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SendRequest {
    /// The recipient, when it is a user: either this or `to`.
    #[serde(default)]
    pub user_id: Option<UserId>,
    /// The recipient's address, when it is not a user.
    #[serde(default)]
    pub to: Option<String>,
    /// `email`.
    pub channel: String,
    /// The template.
    pub template: TemplateName,
    /// What the template inserts: at most 32 KiB.
    #[serde(default)]
    pub data: BTreeMap<String, serde_json::Value>,
    /// The recipient's language.
    #[serde(default)]
    pub locale: Option<Locale>,
    /// Not before this moment.
    #[serde(default)]
    pub send_at: Option<Timestamp>,
    /// Not after this moment.
    #[serde(default)]
    pub deadline: Option<Timestamp>,
}
