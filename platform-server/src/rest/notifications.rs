//! `/v1/notifications`, and what users want to receive.

use platform_core::gateway::Access;
use platform_core::kernel::{Cursor, Error, NotificationId, Page, Result, UserId};
use platform_core::notifications::{
    NotificationView, PreferencesView, PreviewRequest, Rendered, SEND, SendRequest, TEMPLATES, Template,
    TemplateName, TemplateSpec,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Body, Call, Created, Endpoint, IfMatch, Json, Path, Path2, Query, page};

const TEMPLATE: &str = "/v1/notifications/templates/{name}";
const REVISIONS: &str = "/v1/notifications/templates/{name}/revisions";
const REVISION: &str = "/v1/notifications/templates/{name}/revisions/{revision}";
const PREVIEW: &str = "/v1/notifications/templates/{name}/preview";
const PREFERENCES: &str = "/v1/users/{id}/preferences";

pub(super) fn endpoints() -> Vec<Endpoint> {
    let templates = || Access::Permission(TEMPLATES);
    vec![
        Endpoint::post(
            "/v1/notifications",
            Access::Permission(SEND),
            "Sends a message made from a template",
            send,
        )
        .idempotent(),
        Endpoint::get("/v1/notifications", Access::SignedIn, "Lists notifications, the newest first", list),
        Endpoint::post(
            "/v1/notifications/{id}/retry",
            Access::Permission(SEND),
            "Begins a dead delivery anew",
            retry,
        )
        .idempotent(),
        Endpoint::get("/v1/notifications/{id}", Access::SignedIn, "Tells what became of a notification", get),
        Endpoint::get(
            "/v1/notifications/templates",
            templates(),
            "Lists the stored templates",
            list_templates,
        ),
        Endpoint::get(TEMPLATE, templates(), "Reads a template", get_template),
        Endpoint::put(TEMPLATE, templates(), "Writes a new revision of a template", put_template),
        Endpoint::get(
            REVISIONS,
            templates(),
            "Lists a template's revisions, the newest first",
            list_revisions,
        ),
        Endpoint::get(REVISION, templates(), "Reads a revision of a template", get_revision),
        Endpoint::post(PREVIEW, templates(), "Fills a template and sends nothing", preview),
        Endpoint::get(PREFERENCES, Access::SignedIn, "Reads what a user wants to receive", get_preferences),
        Endpoint::put(PREFERENCES, Access::SignedIn, "Sets what a user wants to receive", put_preferences),
    ]
}

async fn send(call: Call, Body(request): Body<SendRequest>) -> Result<Created<NotificationView>> {
    Ok(Created::new(call.platform().notifications().send(&call.context, request).await?))
}

/// There is nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Retry {}

async fn retry(
    call: Call,
    Path(id): Path<NotificationId>,
    Body(Retry {}): Body<Retry>,
) -> Result<Json<NotificationView>> {
    Ok(Json::new(call.platform().notifications().retry(&call.context, id).await?))
}

async fn get(call: Call, Path(id): Path<NotificationId>) -> Result<Json<NotificationView>> {
    Ok(Json::new(call.platform().notifications().get(&call.context, id).await?))
}

/// Which notifications.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Only those of this user.
    user_id: Option<UserId>,
    limit: Option<usize>,
    cursor: Option<Cursor>,
}

async fn list(call: Call, Query(query): Query<ListQuery>) -> Result<Json<Page<NotificationView>>> {
    let page = page(query.limit, query.cursor)?;
    Ok(Json::new(call.platform().notifications().list(&call.context, query.user_id, page).await?))
}

/// Which page.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct PageQuery {
    limit: Option<usize>,
    cursor: Option<Cursor>,
}

async fn list_templates(call: Call, Query(query): Query<PageQuery>) -> Result<Json<Page<Template>>> {
    let page = page(query.limit, query.cursor)?;
    Ok(Json::new(call.platform().notifications().templates(&call.context, page).await?))
}

async fn get_template(call: Call, Path(name): Path<TemplateName>) -> Result<Json<Template>> {
    let template = call.platform().notifications().template(&call.context, &name).await?;
    let revision = template.revision.into();
    Ok(Json::new(template).etag(revision))
}

async fn put_template(
    call: Call,
    Path(name): Path<TemplateName>,
    IfMatch(version): IfMatch,
    Body(spec): Body<TemplateSpec>,
) -> Result<Json<Template>> {
    let stale = |_| Error::precondition("request.stale_version", "the ETag is not the present one");
    let expected = version.map(u32::try_from).transpose().map_err(stale)?;
    let template = call.platform().notifications().put_template(&call.context, name, spec, expected).await?;
    let revision = template.revision.into();
    Ok(Json::new(template).etag(revision))
}

async fn list_revisions(
    call: Call,
    Path(name): Path<TemplateName>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<Template>>> {
    let page = page(query.limit, query.cursor)?;
    Ok(Json::new(call.platform().notifications().template_revisions(&call.context, &name, page).await?))
}

async fn get_revision(call: Call, Path2(name, revision): Path2<TemplateName, u32>) -> Result<Json<Template>> {
    Ok(Json::new(call.platform().notifications().template_revision(&call.context, &name, revision).await?))
}

async fn preview(
    call: Call,
    Path(name): Path<TemplateName>,
    Body(request): Body<PreviewRequest>,
) -> Result<Json<Rendered>> {
    Ok(Json::new(call.platform().notifications().preview(&call.context, &name, request).await?))
}

async fn get_preferences(call: Call, Path(user): Path<UserId>) -> Result<Json<PreferencesView>> {
    let stored = call.platform().notifications().preferences(&call.context, user).await?;
    Ok(Json::new(stored.value).etag(stored.version))
}

async fn put_preferences(
    call: Call,
    Path(user): Path<UserId>,
    IfMatch(expected): IfMatch,
    Body(preferences): Body<PreferencesView>,
) -> Result<Json<PreferencesView>> {
    let service = call.platform().notifications();
    let stored = service.put_preferences(&call.context, user, preferences, expected).await?;
    Ok(Json::new(stored.value).etag(stored.version))
}
