//! Tokens: who may do what. Verification, the grants a token carries, and development tokens.

mod claims;
mod development;
mod pattern;
#[cfg(test)]
mod tests;
mod verify;

pub use claims::{Access, Grant, GrantError, UnknownRole};
pub use development::{DevelopmentTokens, MAX_TTL_SECONDS, RequestError, TokenRequest};
pub use pattern::{MAX_PATTERN_BYTES, Pattern, PatternError};
pub use verify::{KeyAlgorithm, KeyError, KeySource, MIN_SECRET_BYTES, TokenError, Verifier, VerifyingKey};
