//! The methods of auth.

use platform_core::auth::{
    ChangePasswordRequest, LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest, SetupRequest,
};
use platform_core::kernel::{Principal, Result, Secret, SessionId, UserId};
use serde_json::{Value, json};

use crate::shapes::plain;
use crate::table::methods;

methods! { auth:
    call register(; request: RegisterRequest) |platform, context|
        platform.auth().register(&context, &request).await => |registered| plain(registered.user_id);
    call login(; request: LoginRequest) |platform, context|
        platform.auth().login(&context, &request).await => plain;
    call refresh(; request: RefreshRequest) |platform, context|
        platform.auth().refresh(&context, &request).await => plain;
    call logout(; request: LogoutRequest) |platform, context|
        platform.auth().logout(&context, &request).await => plain;
    call change_password(; request: ChangePasswordRequest) |platform, context|
        platform.auth().change_password(&context, &request).await => plain;
    call authenticate(bearer_token: Secret) |platform, _context|
        platform.auth().authenticate(bearer_token.expose()).await => principal;
    list sessions(user: UserId) |platform, context, page|
        platform.auth().sessions(&context, user, &page).await => plain;
    call revoke_session(session: SessionId) |platform, context|
        platform.auth().revoke_session(&context, session).await => plain;
    call rotate_keys() |platform, context| platform.auth().rotate_keys(&context).await => plain;
    call jwks() |platform, _context| Result::Ok(platform.auth().jwks().keys) => plain;
    call setup_token() |platform, _context|
        platform.auth().setup_token().await => |token| plain(token.as_ref().map(Secret::expose));
    call setup(; request: SetupRequest) |platform, context|
        platform.auth().setup(&context, &request).await => plain;
}

fn principal(principal: Principal) -> Value {
    json!({"actor": principal.actor})
}
