//! The methods of notifications.

use std::collections::BTreeMap;

use platform_core::kernel::{NotificationId, UserId};
use platform_core::notifications::{
    Category, PreferencesView, PreviewRequest, SendRequest, Template, TemplateName, TemplateSpec,
};
use serde_json::Value;

use crate::shapes::{gathered, plain, versioned};
use crate::table::methods;

methods! { notifications:
    call send(; request: SendRequest) |platform, context|
        platform.notifications().send(&context, request).await => plain;
    call retry(id: NotificationId) |platform, context| platform.notifications().retry(&context, id).await => plain;
    call get(id: NotificationId) |platform, context| platform.notifications().get(&context, id).await => plain;
    list list(user: Option<UserId>) |platform, context, page|
        platform.notifications().list(&context, user, page).await => plain;
    call put_template(name: TemplateName, expected: Option<u32>; spec: TemplateSpec) |platform, context|
        platform.notifications().put_template(&context, name, spec, expected).await => template;
    call template(name: TemplateName) |platform, context|
        platform.notifications().template(&context, &name).await => template;
    call template_revision(name: TemplateName, revision: u32) |platform, context|
        platform.notifications().template_revision(&context, &name, revision).await => template;
    list template_revisions(name: TemplateName) |platform, context, page|
        platform.notifications().template_revisions(&context, &name, page).await => template;
    list templates() |platform, context, page|
        platform.notifications().templates(&context, page).await => template;
    call preview(name: TemplateName; request: PreviewRequest) |platform, context|
        platform.notifications().preview(&context, &name, request).await => plain;
    call preferences(user: UserId) |platform, context|
        platform.notifications().preferences(&context, user).await => versioned;
    call put_preferences(user: UserId, categories: BTreeMap<Category, bool>, expected: Option<u64>)
        |platform, context| {
            let preferences = PreferencesView { categories };
            platform.notifications().put_preferences(&context, user, preferences, expected).await
        } => versioned;
    call attempts() |platform, context| platform.notifications().attempts(&context) => |counts|
        plain(counts.outcomes.into_iter().collect::<BTreeMap<_, _>>());
}

/// The fields that are no parts of what is said.
const OTHERS: [&str; 8] =
    ["name", "revision", "category", "if_unknown", "locales", "created_at", "created_by", "reason"];

fn template(template: Template) -> Value {
    gathered(plain(template), &OTHERS, "parts")
}
