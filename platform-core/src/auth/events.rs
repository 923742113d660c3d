//! What this domain publishes. Personal data are sealed under the person's key; neither an address
//! nor a password nor a token is ever in clear.

use serde::{Deserialize, Serialize};

use crate::kernel::{EventData, Sealed, SessionId, Timestamp, UserId};

/// An account is complete: the profile exists, and the user can sign in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccountRegistered {
    /// The user.
    pub user_id: UserId,
    /// The address as a JSON string, sealed under the user's key, bound to [`AccountRegistered::EMAIL_PLACE`].
    pub email: Sealed,
    /// The name as a JSON string, sealed under the user's key, bound to [`AccountRegistered::NAME_PLACE`].
    pub name: Option<Sealed>,
}

impl AccountRegistered {
    /// What the sealed address is bound to.
    pub const EMAIL_PLACE: &'static str = "auth.account_registered/email";
    /// What the sealed name is bound to.
    pub const NAME_PLACE: &'static str = "auth.account_registered/name";
}

/// Somebody signed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoginSucceeded {
    /// The user.
    pub user_id: UserId,
    /// The new session.
    pub session_id: SessionId,
}

/// Why a login failed. The caller is never told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginFailure {
    /// No account has this address.
    UnknownAccount,
    /// The password is another.
    WrongPassword,
    /// The password is right, the user is deactivated.
    Deactivated,
}

/// A login failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LoginFailed {
    /// The user, when the address is one of ours.
    pub user_id: Option<UserId>,
    /// Why.
    pub cause: LoginFailure,
    /// Failures in a row from this network to this address, this one included.
    pub failures: u32,
    /// Until when further attempts are refused.
    pub locked_until: Option<Timestamp>,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SessionEnd {
    /// The user signed out.
    Logout,
    /// Somebody with the right to do so ended it.
    Revoked,
    /// A refresh token came a second time: it may have been stolen, so the whole family ends.
    RefreshTokenReused,
    /// The password was changed in another session.
    PasswordChanged,
    /// The user was deactivated.
    Deactivated,
    /// The user was erased.
    Erased,
}

/// A session ended before its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRevoked {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
    /// Why.
    pub cause: SessionEnd,
}

/// A password was changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PasswordChanged {
    /// The user.
    pub user_id: UserId,
}

/// Access tokens are signed with a new key from now on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SigningKeyRotated {
    /// The new key's id: its thumbprint (RFC 7638).
    pub key_id: String,
}

macro_rules! about_a_user {
    ($($event:ty => $name:literal),+ $(,)?) => {$(
        impl EventData for $event {
            const TYPE: &'static str = $name;

            fn subject(&self) -> String {
                self.user_id.to_string()
            }
        }
    )+};
}

about_a_user! {
    AccountRegistered => "auth.account_registered",
    LoginSucceeded => "auth.login_succeeded",
    SessionRevoked => "auth.session_revoked",
    PasswordChanged => "auth.password_changed",
}

impl EventData for LoginFailed {
    const TYPE: &'static str = "auth.login_failed";

    fn subject(&self) -> String {
        self.user_id.map_or_else(|| "anonymous".to_owned(), |user| user.to_string())
    }
}

impl EventData for SigningKeyRotated {
    const TYPE: &'static str = "auth.signing_key_rotated";

    fn subject(&self) -> String {
        format!("key:{}", self.key_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::RawId;

    #[test]
    fn events_keep_their_form() {
        let user_id = UserId(RawId([0; 16]));
        let registered = AccountRegistered {
            user_id,
            email: Sealed::from_bytes(vec![1, 2]),
            name: Some(Sealed::from_bytes(vec![3])),
        };
        assert_eq!(
            serde_json::to_string(&registered).unwrap(),
            r#"{"user_id":"user_00000000000000000000000000","email":"AQI=","name":"Aw=="}"#
        );
        let failed = LoginFailed {
            user_id: None,
            cause: LoginFailure::UnknownAccount,
            failures: 1,
            locked_until: None,
        };
        assert_eq!(
            serde_json::to_string(&failed).unwrap(),
            r#"{"user_id":null,"cause":"unknown_account","failures":1,"locked_until":null}"#
        );
        assert_eq!(failed.subject(), "anonymous");
        let revoked = SessionRevoked {
            user_id,
            session_id: SessionId(RawId([0; 16])),
            cause: SessionEnd::RefreshTokenReused,
        };
        assert_eq!(
            serde_json::to_string(&revoked).unwrap(),
            r#"{"user_id":"user_00000000000000000000000000","session_id":"session_00000000000000000000000000","cause":"refresh_token_reused"}"#
        );
    }
}
