//! Access tokens.

use std::sync::LazyLock;

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use platform_core::auth::fuzzing::TokenCheck;
use platform_core::kernel::{RawId, SessionId, Timestamp, UserId};
use serde_json::Value;

use crate::input::{refused, split_once, text};

const SEED: [u8; 32] = [7; 32];
const USER: UserId = UserId(RawId([1; 16]));
const SESSION: SessionId = SessionId(RawId([2; 16]));
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ENDS_AT: Timestamp = Timestamp::from_secs(1_800_000_900);

static CHECK: LazyLock<(TokenCheck, String)> = LazyLock::new(|| {
    let check = TokenCheck::new(&SEED).unwrap();
    let token = check.issue(USER, SESSION, NOW, ENDS_AT).unwrap().expose().to_owned();
    (check, token)
});

/// A token; or, with a line break, a header and claims that are signed with the true key.
pub(crate) fn access_token(bytes: &[u8]) {
    let (check, issued) = &*CHECK;
    let codes = ["auth.invalid_token", "auth.token_expired"];
    if bytes.contains(&b'\n') {
        let (header, claims) = split_once(bytes, b'\n');
        let signed = sign(header, claims);
        match check.verify(&signed, NOW) {
            Ok((user, session)) => {
                let claims: Value = serde_json::from_slice(claims).expect("claims are JSON");
                let header: Value = serde_json::from_slice(header).expect("a header is JSON");
                assert_eq!((&claims["iss"], &claims["aud"]), (&"issuer".into(), &"audience".into()));
                assert_eq!((&header["alg"], &header["typ"]), (&"EdDSA".into(), &"at+jwt".into()));
                assert!(["crit", "jku", "jwk", "x5u", "x5c"].iter().all(|name| header[name].is_null()));
                assert_eq!(claims["sub"], user.to_string().as_str());
                assert_eq!(claims["sid"], session.to_string().as_str());
                assert!(claims["exp"].as_u64().expect("exp is a number") > NOW.as_secs());
                assert!(claims["iat"].as_u64().expect("iat is a number") <= NOW.as_secs() + 30);
            }
            Err(error) => refused(&error, &codes),
        }
    }
    let Some(text) = text(bytes) else { return };
    match check.verify(text, NOW) {
        Ok(whose) => {
            assert_eq!(text, issued, "there is one token");
            assert_eq!(whose, (USER, SESSION));
            assert!(check.verify(text, ENDS_AT).is_err(), "it has ended");
        }
        Err(error) => {
            refused(&error, &codes);
            assert_ne!(text, issued);
            assert!(text.len() < 20 || !format!("{error:?}").contains(text), "an error repeats a token");
        }
    }
}

fn sign(header: &[u8], claims: &[u8]) -> String {
    let text = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let key = Ed25519KeyPair::from_seed_unchecked(&SEED).unwrap();
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()));
    format!("{text}.{signature}")
}
