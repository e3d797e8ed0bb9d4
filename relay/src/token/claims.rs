//! What a token says: who holds it, until when, and which documents they may read or write.

use std::sync::Arc;

use inkwire_protocol::Role;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Pattern, PatternError};

/// A role that this relay does not know.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown role {0:?}: the roles are viewer and editor")]
pub struct UnknownRole(pub String);

/// The role of that name.
pub(super) fn parse_role(name: &str) -> Result<Role, UnknownRole> {
    Role::from_name(name).ok_or_else(|| UnknownRole(name.to_owned()))
}

/// One grant: a role on the documents that a pattern names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    /// The documents.
    pub documents: Pattern,
    /// What may be done with them.
    pub role: Role,
}

/// What a verified token allows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Access {
    /// Who holds the token; actors are bound to it.
    pub subject: Arc<str>,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires_unix_millis: u64,
    /// What it allows.
    pub grants: Arc<[Grant]>,
}

impl Access {
    /// The highest role that any grant gives on `document`, or `None` where none names it.
    pub fn role(&self, document: &str) -> Option<Role> {
        self.grants.iter().filter(|grant| grant.documents.matches(document)).map(|grant| grant.role).max()
    }
}

/// The claims as they stand in the token, typed strictly: a claim of a wrong type makes the token invalid instead of being
/// skipped.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) aud: Audience,
    pub(super) sub: String,
    #[serde(deserialize_with = "exp")]
    pub(super) exp: NumericDate,
    #[serde(default, deserialize_with = "nbf", skip_serializing_if = "Option::is_none")]
    pub(super) nbf: Option<NumericDate>,
    pub(super) grants: Vec<GrantClaim>,
}

/// RFC 7519 section 4.1.3: one string or a list of them.
#[derive(Debug, Deserialize, Serialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

/// RFC 7519 section 2: seconds since the Unix epoch, possibly with a fraction.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum NumericDate {
    Whole(u64),
    Fraction(f64),
}

/// The last second of the year 9999: a date beyond it is a mistake, milliseconds perhaps.
const LAST_DATE_SECONDS: u64 = 253_402_300_799;

fn exp<'de, D: Deserializer<'de>>(deserializer: D) -> Result<NumericDate, D::Error> {
    date("exp", &serde_json::Value::deserialize(deserializer)?)
}

fn nbf<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NumericDate>, D::Error> {
    date("nbf", &serde_json::Value::deserialize(deserializer)?).map(Some)
}

fn date<E: de::Error>(claim: &str, value: &serde_json::Value) -> Result<NumericDate, E> {
    let date = match (value.as_u64(), value.as_f64()) {
        (Some(seconds), _) => (seconds <= LAST_DATE_SECONDS).then_some(NumericDate::Whole(seconds)),
        (None, Some(seconds)) => {
            (0.0..=LAST_DATE_SECONDS as f64).contains(&seconds).then_some(NumericDate::Fraction(seconds))
        }
        (None, None) => None,
    };
    date.ok_or_else(|| {
        let mut value = value.to_string();
        value.truncate(value.floor_char_boundary(64));
        E::custom(format!(
            "{claim} is {value}: seconds since the Unix epoch are expected, a number from 0 to {LAST_DATE_SECONDS}"
        ))
    })
}

impl NumericDate {
    /// Milliseconds since the Unix epoch.
    pub(super) fn unix_millis(self) -> u64 {
        match self {
            NumericDate::Whole(seconds) => seconds.saturating_mul(1000),
            NumericDate::Fraction(seconds) => (seconds * 1000.0) as u64,
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
pub(super) struct GrantClaim {
    pub(super) documents: String,
    pub(super) role: String,
}

/// A grant that cannot be understood.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum GrantError {
    /// Its pattern is none.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// Its role is none.
    #[error(transparent)]
    Role(#[from] UnknownRole),
}

impl TryFrom<&GrantClaim> for Grant {
    type Error = GrantError;

    fn try_from(claim: &GrantClaim) -> Result<Self, GrantError> {
        Ok(Grant { documents: claim.documents.parse()?, role: parse_role(&claim.role)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_matching_grant_counts() {
        let grant = |documents: &str, role| Grant { documents: documents.parse().unwrap(), role };
        let access = Access {
            subject: "ada".into(),
            expires_unix_millis: 0,
            grants: vec![
                grant("acme/**", Role::Viewer),
                grant("acme/specs/*", Role::Editor),
                grant("acme/specs/**", Role::Viewer),
            ]
            .into(),
        };
        assert_eq!(access.role("acme/specs/roadmap"), Some(Role::Editor));
        assert_eq!(access.role("acme/specs/old/roadmap"), Some(Role::Viewer));
        assert_eq!(access.role("acme/readme"), Some(Role::Viewer));
        assert_eq!(access.role("other/readme"), None);
    }
}
