//! Setup, registration, login, sessions and keys.

use platform_core::auth::{
    ChangePasswordRequest, Jwks, LoginRequest, LogoutRequest, ROTATE_KEYS, RefreshRequest, RegisterRequest,
    Registered, SessionView, SetupRequest, TokenPair,
};
use platform_core::kernel::{Page, Result, Secret, SessionId, UserId};

use super::extract::Extract;
use super::openapi::Operation;
use super::{Access, Body, Call, Created, Endpoint, Json, NoContent, Paging, Path, Query, Received, bearer};

/// The endpoints of the auth domain.
pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::post("/v1/setup", Access::Open, "Makes the first administrator and signs in", setup),
        Endpoint::post("/v1/auth/register", Access::Open, "Registers an account", register).idempotent(),
        Endpoint::post("/v1/auth/login", Access::Open, "Signs in", login),
        Endpoint::post("/v1/auth/refresh", Access::Open, "Exchanges a refresh token for a new pair", refresh),
        Endpoint::post(
            "/v1/auth/logout",
            Access::Open,
            "Ends the session of the access or refresh token",
            logout,
        ),
        Endpoint::post("/v1/auth/password", Access::SignedIn, "Changes one's own password", change_password),
        Endpoint::get("/v1/auth/sessions", Access::SignedIn, "Lists one's own sessions", sessions),
        Endpoint::delete("/v1/auth/sessions/{id}", Access::SignedIn, "Ends a session", revoke_session),
        Endpoint::get(
            "/v1/users/{id}/sessions",
            Access::SignedIn,
            "Lists the sessions of a user",
            sessions_of,
        ),
        Endpoint::post(
            "/v1/auth/keys/rotate",
            Access::Permission(ROTATE_KEYS),
            "Signs access tokens with a new key from now on",
            rotate_keys,
        ),
        Endpoint::get("/.well-known/jwks.json", Access::Open, "The keys that verify access tokens", jwks),
    ]
}

/// The access token of a call that is open to everybody.
struct Bearer(Option<Secret>);

impl Extract for Bearer {
    fn describe(operation: &mut Operation) {
        operation.header_parameter("Authorization", "`Bearer` and an access token");
    }

    fn extract(received: &Received) -> Result<Self> {
        bearer(&received.headers).map(|token| Bearer(token.map(|token| token.to_secret())))
    }
}

async fn setup(call: Call, Body(request): Body<SetupRequest>) -> Result<Json<TokenPair>> {
    Ok(Json::new(call.platform().auth().setup(&call.context, &request).await?))
}

async fn register(call: Call, Body(request): Body<RegisterRequest>) -> Result<Created<Registered>> {
    Ok(Created::new(call.platform().auth().register(&call.context, &request).await?))
}

async fn login(call: Call, Body(request): Body<LoginRequest>) -> Result<Json<TokenPair>> {
    Ok(Json::new(call.platform().auth().login(&call.context, &request).await?))
}

async fn refresh(call: Call, Body(request): Body<RefreshRequest>) -> Result<Json<TokenPair>> {
    Ok(Json::new(call.platform().auth().refresh(&call.context, &request).await?))
}

async fn logout(
    mut call: Call,
    Bearer(token): Bearer,
    Body(request): Body<LogoutRequest>,
) -> Result<NoContent> {
    // With a refresh token the access token may have expired: who signs out is often late.
    if let (Some(token), None) = (token, &request.refresh_token) {
        call.context.principal = call.platform().auth().authenticate(token.expose()).await?;
    }
    call.platform().auth().logout(&call.context, &request).await?;
    Ok(NoContent)
}

async fn change_password(call: Call, Body(request): Body<ChangePasswordRequest>) -> Result<NoContent> {
    call.platform().auth().change_password(&call.context, &request).await?;
    Ok(NoContent)
}

async fn sessions(call: Call, Query(paging): Query<Paging>) -> Result<Json<Page<SessionView>>> {
    let user = call.context.user()?;
    list(&call, user, paging).await
}

async fn sessions_of(
    call: Call,
    Path(user): Path<UserId>,
    Query(paging): Query<Paging>,
) -> Result<Json<Page<SessionView>>> {
    list(&call, user, paging).await
}

async fn list(call: &Call, user: UserId, paging: Paging) -> Result<Json<Page<SessionView>>> {
    let page = paging.page()?;
    Ok(Json::new(call.platform().auth().sessions(&call.context, user, &page).await?))
}

async fn revoke_session(call: Call, Path(session): Path<SessionId>) -> Result<NoContent> {
    call.platform().auth().revoke_session(&call.context, session).await?;
    Ok(NoContent)
}

async fn rotate_keys(call: Call) -> Result<NoContent> {
    call.platform().auth().rotate_keys(&call.context).await?;
    Ok(NoContent)
}

async fn jwks(call: Call) -> Result<Json<Jwks>> {
    Ok(Json::new(call.platform().auth().jwks()))
}
