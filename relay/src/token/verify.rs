//! Which keys sign tokens, and the one check that turns a token into what it allows.

use std::fmt;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;

use inkwire_protocol::limits::{MAX_SUBJECT_BYTES, MAX_TOKEN_BYTES};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};

use super::claims::{Access, Claims, Grant, GrantError};

/// The shortest HS256 secret, in bytes (RFC 7518 section 3.2: as long as the hash's output).
pub const MIN_SECRET_BYTES: usize = 32;

/// How far in the future `nbf` may lie: issuers put their own clock's time there, and clocks differ.
const NOT_BEFORE_LEEWAY_MILLIS: u64 = 60_000;

/// The algorithms a key may be bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyAlgorithm {
    /// Ed25519, by a public key in PEM.
    EdDsa,
    /// ECDSA on P-256 with SHA-256, by a public key in PEM.
    Es256,
    /// HMAC with SHA-256, by a secret of at least [`MIN_SECRET_BYTES`].
    Hs256,
}

impl KeyAlgorithm {
    fn jwt(self) -> Algorithm {
        match self {
            KeyAlgorithm::EdDsa => Algorithm::EdDSA,
            KeyAlgorithm::Es256 => Algorithm::ES256,
            KeyAlgorithm::Hs256 => Algorithm::HS256,
        }
    }
}

/// Where a key is: `ALGORITHM:FILE`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySource {
    /// The only algorithm that the key verifies.
    pub algorithm: KeyAlgorithm,
    /// Its file.
    pub file: PathBuf,
}

impl FromStr for KeySource {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (algorithm, file) = text.split_once(':').ok_or_else(|| format!("{text:?} is not ALGORITHM:FILE"))?;
        let algorithm = match algorithm {
            "EdDSA" => KeyAlgorithm::EdDsa,
            "ES256" => KeyAlgorithm::Es256,
            "HS256" => KeyAlgorithm::Hs256,
            other => return Err(format!("unknown algorithm {other:?}: EdDSA, ES256 and HS256 are known")),
        };
        if file.is_empty() {
            return Err(format!("{text:?} names no file"));
        }
        Ok(Self { algorithm, file: file.into() })
    }
}

/// Why a key file cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("cannot read the token key {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no public key of its algorithm in PEM.
    #[error("the token key {file} is no public key in PEM for its algorithm: {reason}")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Its secret is too short to be safe.
    #[error("the token secret {file} has {bytes} bytes, at least {MIN_SECRET_BYTES} are needed")]
    ShortSecret {
        /// The file.
        file: PathBuf,
        /// How long it is.
        bytes: usize,
    },
}

/// A key that verifies tokens, bound to one algorithm for good: what a token's header names never chooses the check.
pub struct VerifyingKey {
    algorithm: KeyAlgorithm,
    key: DecodingKey,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VerifyingKey").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl VerifyingKey {
    /// Reads a key from its file.
    ///
    /// A secret is the file's bytes without a line end after them.
    pub fn read(source: &KeySource) -> Result<Self, KeyError> {
        let file = || source.file.clone();
        let bytes = fs::read(&source.file).map_err(|source| KeyError::Read { file: file(), source })?;
        let malformed =
            |error: jsonwebtoken::errors::Error| KeyError::Malformed { file: file(), reason: error.to_string() };
        let key = match source.algorithm {
            KeyAlgorithm::EdDsa | KeyAlgorithm::Es256 if !is_public_pem(&bytes) => {
                return Err(KeyError::Malformed {
                    file: file(),
                    reason: "it must begin with -----BEGIN PUBLIC KEY-----".to_owned(),
                });
            }
            KeyAlgorithm::EdDsa => DecodingKey::from_ed_pem(&bytes).map_err(malformed)?,
            KeyAlgorithm::Es256 => DecodingKey::from_ec_pem(&bytes).map_err(malformed)?,
            KeyAlgorithm::Hs256 => {
                let secret = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
                if secret.len() < MIN_SECRET_BYTES {
                    return Err(KeyError::ShortSecret { file: file(), bytes: secret.len() });
                }
                DecodingKey::from_secret(secret)
            }
        };
        Ok(Self { algorithm: source.algorithm, key })
    }

    /// A shared secret for HS256, of any length: development tokens use one of their own.
    pub fn secret(bytes: &[u8]) -> Self {
        Self { algorithm: KeyAlgorithm::Hs256, key: DecodingKey::from_secret(bytes) }
    }
}

/// A private key in the relay's hands would be a mistake of the operator worth an error, not a warning.
fn is_public_pem(bytes: &[u8]) -> bool {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    bytes[start..].starts_with(b"-----BEGIN PUBLIC KEY-----")
}

/// Why a token is refused.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It has ended: a new one is needed, nothing else is wrong.
    #[error("the token has expired")]
    Expired,
    /// It is not a token that this relay accepts; the text says why.
    #[error("the token is not valid: {0}")]
    Invalid(String),
}

/// Verifies tokens of one issuer for one audience.
#[derive(Debug)]
pub struct Verifier {
    issuer: String,
    audience: String,
    keys: Vec<VerifyingKey>,
}

impl Verifier {
    /// A verifier that accepts what any of `keys` signed for `audience` in the name of `issuer`.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>, keys: Vec<VerifyingKey>) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), keys }
    }

    /// Checks a token at `now_unix_millis` and says what it allows.
    ///
    /// Claims are looked at only after the signature. `iss`, `aud`, `exp`, `sub` and `grants` are required and of their types.
    /// `exp` has no leeway: a session ends when its token says so.
    pub fn verify(&self, token: &str, now_unix_millis: u64) -> Result<Access, TokenError> {
        let invalid = |reason: &str| TokenError::Invalid(reason.to_owned());
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::Invalid(format!(
                "it has {} bytes, at most {MAX_TOKEN_BYTES} are allowed",
                token.len()
            )));
        }
        let claims = self.verified_claims(token)?;
        if claims.exp.unix_millis() <= now_unix_millis {
            return Err(TokenError::Expired);
        }
        if let Some(not_before) = claims.nbf
            && not_before.unix_millis() > now_unix_millis.saturating_add(NOT_BEFORE_LEEWAY_MILLIS)
        {
            return Err(invalid("its nbf lies in the future"));
        }
        if claims.sub.is_empty() || claims.sub.len() > MAX_SUBJECT_BYTES {
            return Err(TokenError::Invalid(format!(
                "its sub has {} bytes, 1 to {MAX_SUBJECT_BYTES} are allowed",
                claims.sub.len()
            )));
        }
        let grants: Result<Vec<Grant>, GrantError> = claims.grants.iter().map(Grant::try_from).collect();
        Ok(Access {
            subject: claims.sub.into(),
            expires_unix_millis: claims.exp.unix_millis(),
            grants: grants.map_err(|error| TokenError::Invalid(error.to_string()))?.into(),
        })
    }

    fn verified_claims(&self, token: &str) -> Result<Claims, TokenError> {
        let header = jsonwebtoken::decode_header(token)
            .map_err(|error| TokenError::Invalid(format!("its header cannot be read: {error}")))?;
        // RFC 7515 section 4.1.11: what is critical and not understood makes the token invalid.
        if header.crit.is_some() {
            return Err(TokenError::Invalid("it has critical header fields".to_owned()));
        }
        let mut reason = format!("no key is configured for its algorithm {:?}", header.alg);
        for key in self.keys.iter().filter(|key| key.algorithm.jwt() == header.alg) {
            match jsonwebtoken::decode::<Claims>(token, &key.key, &self.validation(key.algorithm)) {
                Ok(data) => return Ok(data.claims),
                Err(error) => match error.kind() {
                    jsonwebtoken::errors::ErrorKind::ExpiredSignature => return Err(TokenError::Expired),
                    _ => reason = error.to_string(),
                },
            }
        }
        Err(TokenError::Invalid(reason))
    }

    fn validation(&self, algorithm: KeyAlgorithm) -> Validation {
        let mut validation = Validation::new(algorithm.jwt());
        validation.set_required_spec_claims(&["iss", "aud", "exp", "sub"]);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[&self.audience]);
        // Times are compared by `verify`, on the caller's clock.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation
    }
}
