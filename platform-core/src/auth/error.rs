//! The errors of this domain. What is said of a login, a token or a code never tells which half was wrong.

use std::time::Duration;

use crate::kernel::{Error, Retry, SessionId};

pub(super) fn invalid_credentials() -> Error {
    Error::unauthenticated("auth.invalid_credentials", "the e-mail address or the password is wrong")
}

pub(super) fn too_many_attempts(wait: Duration) -> Error {
    Error::limit("auth.too_many_attempts", "too many failed attempts: wait before the next")
        .retry(Retry::After(wait))
}

pub(super) fn email_taken() -> Error {
    Error::already_exists("auth.email_taken", "an account has this e-mail address")
}

pub(super) fn registration_closed() -> Error {
    Error::forbidden("auth.registration_closed", "nobody can register by themselves here")
}

pub(super) fn invalid_token() -> Error {
    Error::unauthenticated("auth.invalid_token", "the access token is not valid")
}

pub(super) fn token_expired() -> Error {
    Error::unauthenticated("auth.token_expired", "the access token has expired")
}

pub(super) fn session_ended() -> Error {
    Error::unauthenticated("auth.session_ended", "the session has ended: sign in again")
}

pub(super) fn invalid_refresh_token() -> Error {
    Error::unauthenticated("auth.invalid_refresh_token", "the refresh token is not valid: sign in again")
}

pub(super) fn session_not_found(session: SessionId) -> Error {
    Error::not_found("auth.session_not_found", "there is no such session").with("session_id", session)
}

pub(super) fn invalid_setup_token() -> Error {
    Error::unauthenticated("auth.invalid_setup_token", "the setup token is wrong")
}

pub(super) fn already_set_up() -> Error {
    Error::conflict("auth.already_set_up", "there is an administrator already")
}
