//! Access tokens: JWTs (RFC 7519) of type `at+jwt` (RFC 9068), signed with EdDSA (RFC 8037).

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::kernel::{Error, RawId, Result, Secret, SessionId, Timestamp, UserId};

use super::super::error;
use super::keyring::KeyRing;

/// The `typ` of our access tokens: no other JWT of ours, now or later, is taken for one.
const TYPE: &str = "at+jwt";
/// Longer than any token of ours, short enough to be read by whoever wants.
pub(in crate::auth) const TOKEN_BYTES: usize = 2 * 1024;
/// How far the clocks of two nodes may differ.
pub(in crate::auth) const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::auth) struct Claims {
    /// Who issued it.
    pub iss: String,
    /// For whom.
    pub aud: String,
    /// The user.
    pub sub: UserId,
    /// The session.
    pub sid: SessionId,
    /// The token: 128 random bits in base 32.
    pub jti: String,
    /// When it was issued, in seconds since 1970.
    pub iat: u64,
    /// When it ends, in seconds since 1970.
    pub exp: u64,
}

/// Issues and verifies access tokens of one issuer for one audience.
#[derive(Debug)]
pub(in crate::auth) struct Tokens {
    issuer: String,
    audience: String,
    validation: Validation,
}

impl Tokens {
    pub(in crate::auth) fn new(issuer: &str, audience: &str) -> Tokens {
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // Time is checked below, against the injected clock.
        validation.validate_exp = false;
        Tokens { issuer: issuer.to_owned(), audience: audience.to_owned(), validation }
    }

    /// A token for a session, signed with the ring's current key.
    ///
    /// # Errors
    /// `auth.signing_failed`.
    pub(in crate::auth) fn issue(
        &self,
        ring: &KeyRing,
        user: UserId,
        session: SessionId,
        id: RawId,
        now: Timestamp,
        ends_at: Timestamp,
    ) -> Result<Secret> {
        let claims = Claims {
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            sub: user,
            sid: session,
            jti: id.to_base32(),
            iat: now.as_secs(),
            exp: ends_at.as_secs(),
        };
        let key = ring.current();
        sign(key.id(), key.signing(), &claims).map(Secret::new)
    }

    /// Checks type, algorithm, key, signature, issuer, audience and time.
    ///
    /// # Errors
    /// `auth.invalid_token` for what is not a valid token of ours, whatever the reason;
    /// `auth.token_expired` for one that was.
    pub(in crate::auth) fn verify(&self, ring: &KeyRing, token: &str, now: Timestamp) -> Result<Claims> {
        if token.len() > TOKEN_BYTES {
            return Err(error::invalid_token());
        }
        let header = jsonwebtoken::decode_header(token).map_err(refused)?;
        let own_kind = header.alg == Algorithm::EdDSA
            && header.typ.as_deref() == Some(TYPE)
            && header.crit.is_none()
            && header.jku.is_none()
            && header.jwk.is_none()
            && header.x5u.is_none()
            && header.x5c.is_none();
        let key = header.kid.as_deref().filter(|_| own_kind).and_then(|id| ring.verifying(id));
        let key = key.ok_or_else(error::invalid_token)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(refused)?.claims;
        if claims.iss != self.issuer || claims.aud != self.audience {
            return Err(error::invalid_token());
        }
        if claims.iat > now.plus(CLOCK_SKEW).as_secs() {
            return Err(error::invalid_token());
        }
        if claims.exp <= now.as_secs() {
            return Err(error::token_expired());
        }
        Ok(claims)
    }
}

fn sign(key_id: &str, key: &EncodingKey, claims: &impl Serialize) -> Result<String> {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key_id.to_owned());
    jsonwebtoken::encode(&header, claims, key)
        .map_err(|error| Error::internal("auth.signing_failed", "a token could not be signed").because(error))
}

/// The library's reason goes to the source, never to the caller: it may quote the token.
fn refused(_: jsonwebtoken::errors::Error) -> Error {
    error::invalid_token()
}

#[cfg(test)]
mod tests {
    use super::super::keyring::SigningKey;
    use super::*;
    use crate::testdata;
    use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&[seed; 32]).unwrap()
    }

    fn ring() -> KeyRing {
        KeyRing::new(key(1), [])
    }

    fn tokens() -> Tokens {
        Tokens::new("issuer", "audience")
    }

    fn issued() -> String {
        let (user, session) = (UserId(RawId([3; 16])), SessionId(RawId([4; 16])));
        tokens()
            .issue(&ring(), user, session, RawId([5; 16]), NOW, NOW.plus(Duration::from_secs(900)))
            .unwrap()
            .expose()
            .to_owned()
    }

    fn code(token: &str) -> Result<Claims, &'static str> {
        tokens().verify(&ring(), token, NOW).map_err(|error| error.code())
    }

    fn claims() -> Value {
        json!({
            "iss": "issuer", "aud": "audience", "sub": UserId(RawId([3; 16])), "sid": SessionId(RawId([4; 16])),
            "jti": "j", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 900,
        })
    }

    /// A token with any header and claims, signed by `with`.
    fn forge(header: &Value, claims: &Value, with: &SigningKey) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), with.signing(), Algorithm::EdDSA).unwrap();
        format!("{message}.{signature}")
    }

    fn header() -> Value {
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": key(1).id()})
    }

    fn changed(mut value: Value, field: &str, to: Value) -> Value {
        value[field] = to;
        value
    }

    #[test]
    fn a_token_of_ours_says_who_and_which_session() {
        let claims = code(&issued()).unwrap();
        assert_eq!(claims.sub, UserId(RawId([3; 16])));
        assert_eq!(claims.sid, SessionId(RawId([4; 16])));
        assert_eq!(claims.exp, NOW.as_secs() + 900);
        assert!(code(&forge(&header(), &self::claims(), &key(1))).is_ok());
    }

    #[test]
    fn the_header_names_type_key_and_algorithm() {
        let header = jsonwebtoken::decode_header(issued()).unwrap();
        assert_eq!(header.typ.as_deref(), Some("at+jwt"));
        assert_eq!(header.kid.as_deref(), Some(key(1).id()));
        assert_eq!(header.alg, Algorithm::EdDSA);
    }

    #[test]
    fn a_token_ends_with_its_last_second() {
        let verify = |at| tokens().verify(&ring(), &issued(), at).map_err(|error| error.code());
        assert!(verify(NOW.plus(Duration::from_secs(899))).is_ok());
        assert_eq!(verify(NOW.plus(Duration::from_secs(900))), Err("auth.token_expired"));
        assert!(verify(NOW.minus(Duration::from_secs(30))).is_ok());
        assert_eq!(verify(NOW.minus(Duration::from_secs(31))), Err("auth.invalid_token"));
    }

    #[test]
    fn foreign_headers_are_refused_however_well_they_are_signed() {
        let x = key(1);
        for (field, value) in [
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("alg", json!("ES256")),
            ("alg", json!("RS256")),
            ("typ", json!("JWT")),
            ("typ", json!("at+JWT2")),
            ("typ", Value::Null),
            ("kid", json!("another")),
            ("kid", Value::Null),
            ("kid", json!("../../../../dev/null")),
            ("crit", json!(["exp"])),
            ("jku", json!("https://example.org/keys")),
            ("x5u", json!("https://example.org/chain")),
            (
                "jwk",
                json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
            ),
        ] {
            let token = forge(&changed(header(), field, value.clone()), &claims(), &x);
            assert_eq!(code(&token), Err("auth.invalid_token"), "{field}: {value}");
        }
    }

    #[test]
    fn foreign_and_incomplete_claims_are_refused() {
        for (field, value) in [
            ("iss", json!("another")),
            ("aud", json!("another")),
            ("aud", json!(["audience", "another"])),
            ("iss", json!(["issuer", "another"])),
            ("iss", Value::Null),
            ("aud", Value::Null),
            ("sub", Value::Null),
            ("sid", Value::Null),
            ("exp", Value::Null),
            ("iat", Value::Null),
            ("exp", json!("soon")),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("sub", json!("account_00000000000000000000000000")),
        ] {
            let token = forge(&header(), &changed(claims(), field, value.clone()), &key(1));
            assert_eq!(code(&token), Err("auth.invalid_token"), "{field}: {value}");
        }
        let expired = changed(claims(), "exp", json!(NOW.as_secs()));
        assert_eq!(code(&forge(&header(), &expired, &key(1))), Err("auth.token_expired"));
    }

    #[test]
    fn the_public_key_is_no_shared_secret() {
        let x = ring().jwks().keys[0].x.clone();
        let public = BASE64_URL_SAFE_NO_PAD.decode(x).unwrap();
        for secret in [public.clone(), BASE64_URL_SAFE_NO_PAD.encode(&public).into_bytes()] {
            let mut header = Header::new(Algorithm::HS256);
            header.typ = Some(TYPE.to_owned());
            header.kid = Some(key(1).id().to_owned());
            let token = jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret)).unwrap();
            assert_eq!(code(&token), Err("auth.invalid_token"));
        }
    }

    #[test]
    fn another_key_or_no_signature_is_refused() {
        assert_eq!(code(&forge(&header(), &claims(), &key(2))), Err("auth.invalid_token"));
        let own = issued();
        let (message, _) = own.rsplit_once('.').unwrap();
        for token in [
            message.to_owned(),
            format!("{message}."),
            format!("{own}="),
            format!("{own}."),
            format!(" {own}"),
        ] {
            assert_eq!(code(&token), Err("auth.invalid_token"), "{token}");
        }
        assert_eq!(code(&"a.".repeat(TOKEN_BYTES)), Err("auth.invalid_token"));
    }

    /// None of the vectors is signed with EdDSA, so each is an attempt with a foreign algorithm, key,
    /// type or form, and every one has to fail, those that are valid elsewhere included.
    #[test]
    fn every_token_of_the_wycheproof_files_is_refused() {
        let Some(folder) = testdata::folder() else {
            eprintln!("skipped: no test data");
            return;
        };
        for (file, number) in
            [("json_web_signature_test", 401), ("json_web_key_test", 26), ("json_web_crypto_test", 83)]
        {
            let text = std::fs::read_to_string(folder.join(format!("wycheproof/{file}.json"))).unwrap();
            let vectors: Value = serde_json::from_str(&text).unwrap();
            let mut tried = 0;
            for case in vectors["testGroups"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|group| group["tests"].as_array().unwrap())
            {
                let token = ["jws", "jwe"].iter().find_map(|field| case.get(field)).unwrap();
                let token = token.as_str().map_or_else(|| token.to_string(), str::to_owned);
                assert_eq!(
                    code(&token),
                    Err("auth.invalid_token"),
                    "{file} {}: {}",
                    case["tcId"],
                    case["comment"]
                );
                tried += 1;
            }
            assert_eq!(tried, number);
        }
    }

    proptest! {
        #[test]
        fn one_changed_character_makes_it_invalid(at in any::<proptest::sample::Index>(), to in "[A-Za-z0-9_.-]") {
            let own = issued();
            let at = at.index(own.len());
            let mut token = own.clone();
            token.replace_range(at..=at, &to);
            if token != own {
                prop_assert_eq!(code(&token), Err("auth.invalid_token"));
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            prop_assert!(code(&text).is_err());
        }
    }
}
