//! `platform.auth`.

use platform_core::auth::{
    ChangePasswordRequest, Jwk as CoreJwk, LoginRequest, LogoutRequest, RefreshRequest, RegisterRequest,
    SessionView, SetupRequest, TokenPair as CorePair,
};
use platform_core::kernel::{Result, SessionId, UserId};
use platform_core::users::Email;

use crate::domain::domain;
use crate::principal::Principal;
use crate::record::record;
use crate::values::{Id, Many, Name, Secret, Time};

record! {
    /// The answer to a login or a refresh (RFC 6749, 5.1).
    TokenPair(it: CorePair) {
        /// For the header ``Authorization: Bearer``.
        access_token: Secret = Secret::new(&it.access_token);
        /// ``Bearer``.
        token_type: String = it.token_type.clone();
        /// Seconds for which the access token is valid.
        expires_in: u64 = it.expires_in;
        /// Exchanged, once, for the next pair.
        refresh_token: Secret = Secret::new(&it.refresh_token);
    }
}

record! {
    /// A session as its user sees it.
    Session(it: SessionView) {
        /// The session.
        id: Id<SessionId> = Id(it.id);
        /// When the user signed in.
        created_at: Time = Time(it.created_at);
        /// When it was refreshed last.
        last_used_at: Time = Time(it.last_used_at);
        /// When it ends unless it is refreshed before.
        ends_at: Time = Time(it.ends_at);
        /// The address of the last login or refresh.
        address: Option<String> = it.address.clone();
        /// The program of the last login or refresh.
        user_agent: Option<String> = it.user_agent.clone();
        /// Whether whoever asks belongs to it.
        current: bool = it.current;
    }
}

record! {
    /// An Ed25519 public key (RFC 8037, section 2).
    Jwk(it: CoreJwk) {
        /// ``OKP``.
        kty: String = it.kty.clone();
        /// ``Ed25519``.
        crv: String = it.crv.clone();
        /// The public key, base64url.
        x: String = it.x.clone();
        /// The thumbprint (RFC 7638).
        kid: String = it.kid.clone();
        /// ``sig``.
        use_: String = it.key_use.clone();
        /// ``EdDSA``.
        alg: String = it.alg.clone();
    }
}

domain! {
    /// Accounts, logins, sessions and tokens.
    Auth, AsyncAuth;

    /// Registers: makes a profile with a password, usable for a login at once. The password has 15 to 1,024 bytes.
    ///
    /// Raises ``AlreadyExistsError`` (``auth.email_taken``), ``InvalidInputError`` (``auth.password_too_weak`` and others),
    /// ``UnavailableError`` (``runtime.busy``).
    command register(email: Name<Email>, password: Secret; name: Option<String> = None) -> Id<UserId>,
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password", name="Grace")
        /// >>> p.users.get(grace).name
        /// 'Grace'
    },
    |platform, context| {
        let request = RegisterRequest { email: email.0, password: password.0, name };
        platform.auth().register(&context, &request).await.map(|registered| Id(registered.user_id))
    };

    /// Signs in with address and password. ``acting_as(Principal.anonymous(), address=…)`` says from where, which the lockout
    /// goes by.
    ///
    /// Raises ``UnauthenticatedError`` (``auth.invalid_credentials``), ``LimitExceededError`` (``auth.too_many_attempts``),
    /// ``UnavailableError`` (``runtime.busy``).
    query login(email: Name<Email>, password: Secret) -> TokenPair,
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password")
        /// >>> p.auth.login("grace@example.org", "a long enough password").token_type
        /// 'Bearer'
    },
    |platform, context| {
        let request = LoginRequest { email: email.0, password: password.0 };
        platform.auth().login(&context, &request).await
    };

    /// Exchanges a refresh token for a new pair. A token is spent once.
    ///
    /// Raises ``UnauthenticatedError`` (``auth.invalid_refresh_token`` and others).
    query refresh(refresh_token: Secret) -> TokenPair,
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password")
        /// >>> pair = p.auth.login("grace@example.org", "a long enough password")
        /// >>> p.auth.refresh(pair.refresh_token).refresh_token != pair.refresh_token
        /// True
    },
    |platform, context| {
        let request = RefreshRequest { refresh_token: refresh_token.0 };
        platform.auth().refresh(&context, &request).await
    };

    /// Ends the session of whoever acts, or that of the refresh token. One that has ended already stays so.
    ///
    /// Raises ``UnauthenticatedError`` (``auth.not_signed_in``, ``auth.invalid_refresh_token``).
    query logout(; refresh_token: Option<Secret> = None) -> (),
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password")
        /// >>> pair = p.auth.login("grace@example.org", "a long enough password")
        /// >>> p.acting_as(p.auth.authenticate(pair.access_token)).auth.logout()
    },
    |platform, context| {
        let request = LogoutRequest { refresh_token: refresh_token.map(|token| token.0) };
        platform.auth().logout(&context, &request).await
    };

    /// Changes one's own password, and ends every other session of the user.
    ///
    /// Raises ``UnauthenticatedError`` (``auth.invalid_credentials``), ``LimitExceededError``
    /// (``auth.too_many_attempts``), ``InvalidInputError`` (``auth.password_too_weak``).
    query change_password(current_password: Secret, new_password: Secret) -> (),
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password")
        /// >>> pair = p.auth.login("grace@example.org", "a long enough password")
        /// >>> themselves = p.acting_as(p.auth.authenticate(pair.access_token))
        /// >>> themselves.auth.change_password("a long enough password", "another long password")
    },
    |platform, context| {
        let request =
            ChangePasswordRequest { current_password: current_password.0, new_password: new_password.0 };
        platform.auth().change_password(&context, &request).await
    };

    /// Whose access token it is, with what they may do at this moment: to be given to ``acting_as``. A token that was
    /// verified before is answered from memory; whatever ends or changes what it stands for is effective at once.
    ///
    /// Raises ``UnauthenticatedError`` (``auth.invalid_token``, ``auth.token_expired``, ``auth.session_ended``).
    recall authenticate(bearer_token: Secret) -> Principal,
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password")
        /// >>> pair = p.auth.login("grace@example.org", "a long enough password")
        /// >>> p.auth.authenticate(pair.access_token).user_id == grace
        /// True
    },
    |platform, _context| platform.auth().authenticate(bearer_token.0.expose()).await;

    /// The sessions of a user that have not ended: one's own, or with the permission ``sessions:read``.
    pages sessions(user: Id<UserId>) -> Session,
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password")
        /// >>> pair = p.auth.login("grace@example.org", "a long enough password")
        /// >>> [session.current for session in p.auth.sessions(grace)]
        /// [False]
    },
    |platform, context, page| platform.auth().sessions(&context, user.0, &page).await;

    /// Ends a session: one's own, or with the permission ``sessions:write``. Effective for its very next request.
    ///
    /// Raises ``NotFoundError`` (``auth.session_not_found``).
    query revoke_session(session: Id<SessionId>) -> (),
    example {
        /// >>> grace = p.auth.register("grace@example.org", "a long enough password")
        /// >>> pair = p.auth.login("grace@example.org", "a long enough password")
        /// >>> for session in p.auth.sessions(grace):
        /// ...     p.auth.revoke_session(session.id)
    },
    |platform, context| platform.auth().revoke_session(&context, session.0).await;

    /// Makes a new key for signing; the one before still verifies (permission ``auth:rotate_keys``).
    query rotate_keys() -> (),
    example {
        /// >>> p.auth.rotate_keys()
        /// >>> len(p.auth.jwks())
        /// 2
    },
    |platform, context| platform.auth().rotate_keys(&context).await;

    /// The public keys that verify access tokens (RFC 7517).
    memory jwks() -> Many<CoreJwk, Jwk>,
    example {
        /// >>> p.auth.jwks()[0].alg
        /// 'EdDSA'
    },
    |platform, _context| Result::Ok(platform.auth().jwks().keys);

    /// The setup token, until there is an administrator: whoever has it may make the first one. It is made anew whenever the
    /// folder is opened.
    query setup_token() -> Option<Secret>,
    example {
        /// >>> p.auth.setup_token() is None
        /// False
    },
    |platform, _context| platform.auth().setup_token().await.map(|token| token.map(Secret));

    /// Makes the first administrator (role ``admin``, which holds every permission), and signs them in.
    ///
    /// Raises ``UnauthenticatedError`` (``auth.invalid_setup_token``), ``ConflictError`` (``auth.already_set_up``).
    query setup(token: Secret, email: Name<Email>, password: Secret) -> TokenPair,
    example {
        /// >>> pair = p.auth.setup(p.auth.setup_token(), "root@example.org", "a long enough password")
        /// >>> p.users.has_administrator()
        /// True
    },
    |platform, context| {
        let request = SetupRequest { token: token.0, email: email.0, password: password.0 };
        platform.auth().setup(&context, &request).await
    };
}
