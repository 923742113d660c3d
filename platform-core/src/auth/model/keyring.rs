//! The keys that sign access tokens, and the JWK set (RFC 7517) that others verify with.

use std::collections::BTreeMap;
use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::Serialize;

use crate::kernel::{Error, Result};

/// The fixed head of an Ed25519 key in PKCS #8 (RFC 8410, section 7), before the 32 bytes of the seed.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// One Ed25519 key.
#[derive(Clone)]
pub(in crate::auth) struct SigningKey {
    id: String,
    x: String,
    signing: EncodingKey,
    verifying: DecodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

impl SigningKey {
    /// From 32 random bytes.
    ///
    /// # Errors
    /// `auth.signing_key_invalid` when the library refuses the seed.
    pub(in crate::auth) fn from_seed(seed: &[u8; 32]) -> Result<SigningKey> {
        let invalid = || Error::data_loss("auth.signing_key_invalid", "a signing key cannot be read");
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| invalid())?;
        let public = pair.public_key().as_ref();
        let x = BASE64_URL_SAFE_NO_PAD.encode(public);
        let mut pkcs8 = PKCS8_HEAD.to_vec();
        pkcs8.extend_from_slice(seed);
        let signing = EncodingKey::from_ed_der(&pkcs8);
        zeroize::Zeroize::zeroize(&mut pkcs8);
        Ok(SigningKey { id: thumbprint(&x), signing, verifying: DecodingKey::from_ed_der(public), x })
    }

    /// The key's id: its thumbprint.
    pub(in crate::auth) fn id(&self) -> &str {
        &self.id
    }

    /// The half that signs.
    pub(in crate::auth) fn signing(&self) -> &EncodingKey {
        &self.signing
    }
}

/// The SHA-256 thumbprint of an Ed25519 public key (RFC 7638, RFC 8037 appendix A.3).
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

/// The current key, and those before it whose tokens have not ended.
#[derive(Debug, Clone)]
pub(in crate::auth) struct KeyRing {
    current: SigningKey,
    all: BTreeMap<String, SigningKey>,
}

impl KeyRing {
    pub(in crate::auth) fn new(current: SigningKey, older: impl IntoIterator<Item = SigningKey>) -> KeyRing {
        let all = older.into_iter().chain([current.clone()]).map(|key| (key.id.clone(), key)).collect();
        KeyRing { current, all }
    }

    /// The key that signs.
    pub(in crate::auth) fn current(&self) -> &SigningKey {
        &self.current
    }

    /// The public half of a key that we know.
    pub(in crate::auth) fn verifying(&self, id: &str) -> Option<&DecodingKey> {
        self.all.get(id).map(|key| &key.verifying)
    }

    /// The public halves, for others.
    pub(in crate::auth) fn jwks(&self) -> Jwks {
        let keys = self.all.values().map(|key| Jwk {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: key.x.clone(),
            kid: key.id.clone(),
            key_use: "sig".to_owned(),
            alg: "EdDSA".to_owned(),
        });
        Jwks { keys: keys.collect() }
    }
}

/// A JWK set (RFC 7517, section 5).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// An Ed25519 public key (RFC 8037, section 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Jwk {
    /// `OKP`.
    pub kty: String,
    /// `Ed25519`.
    pub crv: String,
    /// The public key, base64url.
    pub x: String,
    /// The thumbprint (RFC 7638).
    pub kid: String,
    /// `sig`.
    #[serde(rename = "use")]
    pub key_use: String,
    /// `EdDSA`.
    pub alg: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::Algorithm;

    /// RFC 8037, appendix A.1.
    fn rfc_8037_key() -> SigningKey {
        let d = BASE64_URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
        SigningKey::from_seed(&d.try_into().unwrap()).unwrap()
    }

    #[test]
    fn rfc_8037_appendix_a_public_key_and_thumbprint() {
        let ring = KeyRing::new(rfc_8037_key(), []);
        assert_eq!(
            serde_json::to_string(&ring.jwks()).unwrap(),
            r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k","use":"sig","alg":"EdDSA"}]}"#
        );
    }

    #[test]
    fn rfc_8037_appendix_a_signature_is_made_and_verified() {
        let key = rfc_8037_key();
        let message = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature =
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let made = jsonwebtoken::crypto::sign(message.as_bytes(), key.signing(), Algorithm::EdDSA).unwrap();
        assert_eq!(made, signature);
        let ring = KeyRing::new(key.clone(), []);
        let verifying = ring.verifying(key.id()).unwrap();
        let verified = |message: &str| {
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), verifying, Algorithm::EdDSA).unwrap()
        };
        assert!(verified(message));
        assert!(!verified("eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmd"));
    }

    #[test]
    fn an_older_key_verifies_and_does_not_sign() {
        let (old, new) = (SigningKey::from_seed(&[1; 32]).unwrap(), SigningKey::from_seed(&[2; 32]).unwrap());
        let ring = KeyRing::new(new.clone(), [old.clone()]);
        assert_eq!(ring.current().id(), new.id());
        assert!(ring.verifying(old.id()).is_some());
        assert!(ring.verifying("unknown").is_none());
        assert_eq!(ring.jwks().keys.len(), 2);
        assert_eq!(format!("{old:?}"), format!("SigningKey({})", old.id()));
    }
}
