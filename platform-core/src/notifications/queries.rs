//! What is read.

use super::commands::built_in;
use super::model::{NotificationView, PreferencesView, PreviewRequest};
use super::tables::{Notification, Preferences, Template, TemplateRevision};
use super::templates::{Rendered, TemplateName};
use super::{Inner, error};
use crate::kernel::{NotificationId, Page, PageRequest, Result, UserId};
use crate::ports::store::{Document, IndexRange, KeyWriter, Stored};

impl Inner {
    pub(super) async fn notification(&self, id: NotificationId) -> Result<NotificationView> {
        let found = self.db.get::<Notification>(*id.as_bytes()).await?.ok_or_else(error::not_found)?;
        Ok(NotificationView::from(&found.value))
    }

    /// The newest first: of a user, or of all.
    pub(super) async fn notifications(
        &self,
        user: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<NotificationView>> {
        let collection = Notification::COLLECTION.name;
        let range = match user {
            Some(user) => IndexRange::index(collection, Notification::BY_USER).exactly(user.as_bytes()),
            None => IndexRange::ids(collection),
        };
        let range = range.backward().limit(page.limit()?).after(page.cursor.clone());
        let found = self.db.scan::<Notification>(&range).await?;
        Ok(found.map(|stored| NotificationView::from(&stored.value)))
    }

    pub(super) async fn template(&self, name: &TemplateName) -> Result<Template> {
        match self.db.get::<Template>(name.as_str()).await? {
            Some(template) => Ok(template.value),
            None => built_in(name),
        }
    }

    pub(super) async fn revision(&self, name: &TemplateName, revision: u32) -> Result<Template> {
        if revision == 0 {
            return built_in(name);
        }
        let found = self.db.get::<TemplateRevision>(TemplateRevision::key_of(name, revision)).await?;
        found
            .map(|stored| stored.value.0)
            .ok_or_else(|| error::template_not_found(name).with("revision", revision))
    }

    /// The newest first.
    pub(super) async fn revisions(&self, name: &TemplateName, page: &PageRequest) -> Result<Page<Template>> {
        let range = IndexRange::ids(TemplateRevision::COLLECTION.name)
            .prefix(&KeyWriter::new().text(name.as_str()).finish())
            .backward()
            .limit(page.limit()?)
            .after(page.cursor.clone());
        let found = self.db.scan::<TemplateRevision>(&range).await?;
        Ok(found.map(|stored| stored.value.0))
    }

    /// The stored ones in the order of their names.
    pub(super) async fn templates(&self, page: &PageRequest) -> Result<Page<Template>> {
        let range =
            IndexRange::ids(Template::COLLECTION.name).limit(page.limit()?).after(page.cursor.clone());
        Ok(self.db.scan::<Template>(&range).await?.map(|stored| stored.value))
    }

    pub(super) async fn preview(&self, name: &TemplateName, request: &PreviewRequest) -> Result<Rendered> {
        self.template(name).await?.spec.render(request.locale.as_ref(), &request.data)
    }

    /// Version 0 when nothing was ever said.
    pub(super) async fn preferences(&self, user: UserId) -> Result<Stored<PreferencesView>> {
        let found = self.db.get::<Preferences>(*user.as_bytes()).await?;
        Ok(match found {
            Some(stored) => Stored {
                version: stored.version,
                value: PreferencesView { categories: stored.value.categories },
            },
            None => Stored { version: 0, value: PreferencesView { categories: Default::default() } },
        })
    }
}
