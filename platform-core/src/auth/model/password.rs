//! Passwords: the policy, and Argon2id (RFC 9106) in PHC strings.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};

use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine};

use crate::kernel::{Error, Result, Secret, limits};
use crate::users::Email;

use super::super::Argon2Config;
use super::hash_memory::HashMemory;

/// Checks a new password: 15 to 1,024 bytes, not the e-mail address. No rule of composition
/// (NIST SP 800-63B-4, 3.1.1.2).
///
/// # Errors
/// `auth.password_too_weak`, `auth.password_too_long`.
pub(in crate::auth) fn check_policy(password: &Secret, email: &Email) -> Result<()> {
    let typed = password.expose();
    if typed.len() < limits::PASSWORD_MIN_BYTES {
        return Err(Error::invalid("auth.password_too_weak", "a password has at least 15 characters"));
    }
    if typed.len() > limits::PASSWORD_MAX_BYTES {
        return Err(Error::invalid("auth.password_too_long", "a password has at most 1,024 bytes"));
    }
    if typed.to_lowercase() == email.normalised() {
        return Err(Error::invalid("auth.password_too_weak", "a password is not the e-mail address"));
    }
    Ok(())
}

/// Hashes a password, exactly as it was typed.
///
/// # Errors
/// `auth.hash_failed` when the parameters are refused or memory is short.
pub(in crate::auth) fn hash(
    memory: &HashMemory,
    config: Argon2Config,
    password: &Secret,
    salt: &[u8; 16],
) -> Result<String> {
    let params = Params::new(config.memory_kib, config.iterations, config.parallelism, None)
        .map_err(|error| failed().because(error))?;
    let output = output(memory, &params, password, salt)?;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(|error| failed().because(error))?,
        salt: Some(Salt::new(salt).map_err(|error| failed().because(error))?),
        hash: Some(output),
    };
    Ok(hash.to_string())
}

/// The hash itself.
fn output(memory: &HashMemory, params: &Params, password: &Secret, salt: &[u8]) -> Result<Output> {
    let context = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
    memory
        .with(params.block_count(), |blocks| {
            context.hash_password_into_with_memory(password.expose().as_bytes(), salt, &mut output, blocks)
        })
        .map_err(|error| failed().because(error))?;
    Output::new(&output).map_err(|error| failed().because(error))
}

/// What a comparison of a password with a hash came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::auth) enum Verdict {
    /// Another password.
    Wrong,
    /// The password.
    Right,
    /// The password, hashed at another cost than is configured now.
    RightButOutdated,
}

/// Compares in constant time, at the cost that the hash names.
///
/// # Errors
/// `auth.hash_invalid` for what is not an Argon2id hash.
pub(in crate::auth) fn verify(
    memory: &HashMemory,
    config: Argon2Config,
    password: &Secret,
    stored: &str,
) -> Result<Verdict> {
    let invalid = || Error::data_loss("auth.hash_invalid", "a stored password hash cannot be read");
    let hash = PasswordHash::new(stored).map_err(|error| invalid().because(error))?;
    let is_ours = hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version.is_none_or(|version| version == u32::from(Version::V0x13));
    let (Some(salt), Some(expected), true) = (&hash.salt, &hash.hash, is_ours) else {
        return Err(invalid());
    };
    if expected.as_bytes().len() != Params::DEFAULT_OUTPUT_LEN {
        return Err(invalid());
    }
    let used = Params::try_from(&hash).map_err(|error| invalid().because(error))?;
    let output = output(memory, &used, password, salt)?;
    // In constant time.
    if output != *expected {
        return Ok(Verdict::Wrong);
    }
    let now = (config.memory_kib, config.iterations, config.parallelism);
    let same = (used.m_cost(), used.t_cost(), used.p_cost()) == now;
    Ok(if same { Verdict::Right } else { Verdict::RightButOutdated })
}

/// A hash that no password has: random bytes in the form of a hash at the configured cost. A
/// comparison with it takes as long as with a real one.
pub(in crate::auth) fn nobodys_hash(config: Argon2Config, salt: [u8; 16], output: [u8; 32]) -> String {
    let Argon2Config { memory_kib, iterations, parallelism } = config;
    let (salt, output) = (BASE64_STANDARD_NO_PAD.encode(salt), BASE64_STANDARD_NO_PAD.encode(output));
    format!("$argon2id$v=19$m={memory_kib},t={iterations},p={parallelism}${salt}${output}")
}

fn failed() -> Error {
    Error::internal("auth.hash_failed", "a password could not be hashed")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Argon2Config = Argon2Config { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn secret(text: &str) -> Secret {
        Secret::new(text)
    }

    #[test]
    fn length_and_the_address_decide_and_nothing_else() {
        let email: Email = "somebody@example.org".parse().unwrap();
        let check = |text: &str| check_policy(&secret(text), &email).map_err(|error| error.code());
        assert_eq!(check("fourteen chars"), Err("auth.password_too_weak"));
        assert_eq!(check("fifteen chars.."), Ok(()));
        assert_eq!(check(&"x".repeat(1_024)), Ok(()));
        assert_eq!(check(&"x".repeat(1_025)), Err("auth.password_too_long"));
        assert_eq!(check("SomeBody@example.org"), Err("auth.password_too_weak"));
        assert_eq!(check("ÄÖÜ пароль 密码"), Ok(()));
    }

    #[test]
    fn a_password_is_verified_exactly_as_typed() {
        let stored = hash(&HashMemory::default(), CHEAP, &secret(" Correct Horse "), &[7; 16]).unwrap();
        assert_eq!(
            verify(&HashMemory::default(), CHEAP, &secret(" Correct Horse "), &stored).unwrap(),
            Verdict::Right
        );
        for other in ["Correct Horse", " correct horse ", " Correct Horse", " Correct Horse \0", ""] {
            assert_eq!(
                verify(&HashMemory::default(), CHEAP, &secret(other), &stored).unwrap(),
                Verdict::Wrong,
                "{other:?}"
            );
        }
        let long = "x".repeat(1_024);
        let stored = hash(&HashMemory::default(), CHEAP, &secret(&long), &[7; 16]).unwrap();
        assert_eq!(
            verify(&HashMemory::default(), CHEAP, &secret(&long[..1_023]), &stored).unwrap(),
            Verdict::Wrong
        );
    }

    #[test]
    fn a_hash_at_another_cost_is_right_but_outdated() {
        let stored = hash(&HashMemory::default(), CHEAP, &secret("correct horse battery"), &[7; 16]).unwrap();
        let dearer = Argon2Config { memory_kib: 128, ..CHEAP };
        assert_eq!(
            verify(&HashMemory::default(), dearer, &secret("correct horse battery"), &stored).unwrap(),
            Verdict::RightButOutdated
        );
        assert_eq!(
            verify(&HashMemory::default(), dearer, &secret("wrong horse battery.."), &stored).unwrap(),
            Verdict::Wrong
        );
    }

    #[test]
    fn the_stored_form_is_a_phc_string_at_the_configured_cost() {
        let stored =
            hash(&HashMemory::default(), Argon2Config::default(), &secret("correct horse battery"), &[0; 16])
                .unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$"), "{stored}");
    }

    #[test]
    fn nobodys_hash_has_the_form_and_cost_of_any_other_and_no_password() {
        let nobody = nobodys_hash(CHEAP, [1; 16], [2; 32]);
        let somebody =
            hash(&HashMemory::default(), CHEAP, &secret("correct horse battery"), &[1; 16]).unwrap();
        assert_eq!(nobody.len(), somebody.len());
        assert_eq!(nobody.rsplit_once('$').unwrap().0, somebody.rsplit_once('$').unwrap().0);
        assert_eq!(
            verify(&HashMemory::default(), CHEAP, &secret("correct horse battery"), &nobody).unwrap(),
            Verdict::Wrong
        );
    }

    #[test]
    fn what_is_no_argon2id_hash_is_damage() {
        for stored in
            ["", "plain", "$argon2i$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA"]
        {
            assert_eq!(
                verify(&HashMemory::default(), CHEAP, &secret("x"), stored).unwrap_err().code(),
                "auth.hash_invalid"
            );
        }
    }
}
