//! Development tokens: what the relay signs itself while it listens on loopback alone.

use inkwire_protocol::Role;
use inkwire_protocol::limits::MAX_SUBJECT_BYTES;
use serde::Deserialize;

use super::claims::{Audience, Claims, GrantClaim, NumericDate, parse_role};
use super::pattern::Pattern;
use super::verify::{Verifier, VerifyingKey};

/// Issuer and audience of development tokens.
const NAME: &str = "inkwire-development";

/// The longest life of a development token, in seconds: 30 days.
pub const MAX_TTL_SECONDS: u64 = 30 * 24 * 3600;

/// What a development token should say. Every field is optional, as in the body of `POST /dev/token`.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// Who: a fresh `dev-…` if absent.
    pub subject: Option<String>,
    /// The pattern of the documents: `**` if absent.
    pub document: Option<String>,
    /// The role on them: `editor` if absent.
    pub role: Option<String>,
    /// Life in seconds: 3,600 if absent.
    pub ttl: Option<u64>,
}

/// Why no development token was made.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// A field of the request is not acceptable.
    #[error("{0}")]
    Field(String),
    /// The token could not be signed, or no random subject could be had.
    #[error("cannot make a token: {0}")]
    Sign(String),
}

/// Signs and verifies development tokens with a secret of the data directory, so that tokens outlive a restart of the relay
/// and `inkwire token` can make them too.
pub struct DevelopmentTokens {
    secret: [u8; 32],
}

impl DevelopmentTokens {
    /// Uses this secret.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret }
    }

    /// What verifies them.
    pub fn verifier(&self) -> Verifier {
        Verifier::new(NAME, NAME, vec![VerifyingKey::secret(&self.secret)])
    }

    /// Makes a token at `now_unix_seconds`.
    pub fn issue(&self, request: &TokenRequest, now_unix_seconds: u64) -> Result<String, RequestError> {
        let subject = match &request.subject {
            Some(subject) if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES => {
                return Err(RequestError::Field(format!(
                    "the subject has {} bytes, 1 to {MAX_SUBJECT_BYTES} are allowed",
                    subject.len()
                )));
            }
            Some(subject) => subject.clone(),
            None => fresh_subject()?,
        };
        let document = request.document.as_deref().unwrap_or("**");
        document.parse::<Pattern>().map_err(|error| RequestError::Field(error.to_string()))?;
        let role = parse_role(request.role.as_deref().unwrap_or(Role::Editor.as_str()))
            .map_err(|error| RequestError::Field(error.to_string()))?;
        let ttl = request.ttl.unwrap_or(3600);
        if ttl == 0 || ttl > MAX_TTL_SECONDS {
            return Err(RequestError::Field(format!("the ttl is {ttl} s, 1 to {MAX_TTL_SECONDS} are allowed")));
        }
        let claims = Claims {
            iss: NAME.to_owned(),
            aud: Audience::One(NAME.to_owned()),
            sub: subject,
            exp: NumericDate::Whole(now_unix_seconds + ttl),
            nbf: None,
            grants: vec![GrantClaim { documents: document.to_owned(), role: role.as_str().to_owned() }],
        };
        jsonwebtoken::encode(
            &jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256),
            &claims,
            &jsonwebtoken::EncodingKey::from_secret(&self.secret),
        )
        .map_err(|error| RequestError::Sign(error.to_string()))
    }
}

fn fresh_subject() -> Result<String, RequestError> {
    let random = getrandom::u64().map_err(|error| RequestError::Sign(error.to_string()))?;
    Ok(format!("dev-{random:016x}"))
}
