//! The verification table: every way a token can be wrong, each against a verifier that accepts its sound twin.

use inkwire_protocol::Role;
use inkwire_protocol::limits::{MAX_SUBJECT_BYTES, MAX_TOKEN_BYTES};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::*;

const NOW_SECONDS: u64 = 1_800_000_000;
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn sound() -> Value {
    json!({
        "iss": "https://app.example", "aud": "inkwire", "sub": "ada", "exp": NOW_SECONDS + 60,
        "grants": [{"documents": "acme/**", "role": "editor"}],
    })
}

/// The sound claims with one of them changed, or taken out by null.
fn with(claim: &str, value: Value) -> Value {
    let mut claims = sound();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(claim),
        value => claims.as_object_mut().unwrap().insert(claim.to_owned(), value),
    };
    claims
}

fn signed(claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET)).unwrap()
}

fn verifier() -> Verifier {
    Verifier::new("https://app.example", "inkwire", vec![VerifyingKey::secret(SECRET)])
}

fn verify(token: &str) -> Result<Access, TokenError> {
    verifier().verify(token, NOW_SECONDS * 1000)
}

#[test]
fn a_sound_token_says_what_it_allows() {
    let access = verify(&signed(&sound())).unwrap();
    assert_eq!(&*access.subject, "ada");
    assert_eq!(access.expires_unix_millis, (NOW_SECONDS + 60) * 1000);
    assert_eq!(access.role("acme/plan"), Some(Role::Editor));
    for claims in [
        with("aud", json!(["other", "inkwire"])),
        with("exp", json!(NOW_SECONDS as f64 + 0.5)),
        with("nbf", json!(NOW_SECONDS + 10)),
        with("jti", json!("anything")),
        with("grants", json!([])),
    ] {
        verify(&signed(&claims)).unwrap_or_else(|error| panic!("{claims}: {error}"));
    }
}

#[test]
fn every_wrong_claim_is_refused() {
    for claims in [
        with("iss", Value::Null),
        with("aud", Value::Null),
        with("exp", Value::Null),
        with("sub", Value::Null),
        with("grants", Value::Null),
        with("iss", json!("https://evil.example")),
        with("iss", json!(["https://app.example"])),
        with("aud", json!("other")),
        with("aud", json!(["other"])),
        with("aud", json!([])),
        with("aud", json!(7)),
        with("exp", json!((NOW_SECONDS + 60).to_string())),
        with("exp", json!([NOW_SECONDS + 60])),
        with("exp", json!(-1)),
        with("exp", json!(true)),
        with("nbf", json!(NOW_SECONDS + 3600)),
        with("nbf", json!("soon")),
        with("sub", json!("")),
        with("sub", json!(7)),
        with("sub", json!("s".repeat(MAX_SUBJECT_BYTES + 1))),
        with("grants", json!({})),
        with("grants", json!([{"documents": "a//b", "role": "editor"}])),
        with("grants", json!([{"documents": "a", "role": "owner"}])),
        with("grants", json!([{"documents": "a"}])),
        with("grants", json!([{"role": "editor"}])),
    ] {
        assert!(matches!(verify(&signed(&claims)), Err(TokenError::Invalid(_))), "{claims}");
    }
}

#[test]
fn a_wrong_date_is_told_with_its_value() {
    for (claim, value, told) in [
        ("exp", json!("soon"), "exp is \"soon\": seconds since the Unix epoch"),
        ("exp", json!([1]), "exp is [1]: "),
        ("exp", json!(-1), "exp is -1: "),
        ("exp", json!(NOW_SECONDS * 1000), "a number from 0 to 253402300799"),
        ("exp", json!(1e300), "exp is 1e+300: "),
        ("exp", json!(u64::MAX), "exp is 18446744073709551615: "),
        ("nbf", json!("soon"), "nbf is \"soon\": "),
    ] {
        let error = verify(&signed(&with(claim, value))).unwrap_err().to_string();
        assert!(error.contains(told), "{told}: {error}");
    }
}

#[test]
fn an_expired_token_is_told_apart() {
    for exp in [NOW_SECONDS, NOW_SECONDS - 1, 0] {
        assert!(matches!(verify(&signed(&with("exp", json!(exp)))), Err(TokenError::Expired)), "{exp}");
    }
}

#[test]
fn a_key_verifies_only_its_algorithm() {
    use base64::Engine as _;
    let base64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("public.pem");
    std::fs::write(&file, pair.public_key_pem()).unwrap();
    let key = || VerifyingKey::read(&KeySource { algorithm: KeyAlgorithm::EdDsa, file: file.clone() }).unwrap();
    let verifier = Verifier::new("https://app.example", "inkwire", vec![key()]);
    let good = jsonwebtoken::encode(
        &Header::new(Algorithm::EdDSA),
        &sound(),
        &EncodingKey::from_ed_der(&pair.serialize_der()),
    )
    .unwrap();
    verifier.verify(&good, NOW_SECONDS * 1000).unwrap();

    // The classic confusion: an HMAC keyed with the public key that everybody knows.
    let confused = jsonwebtoken::encode(
        &Header::new(Algorithm::HS256),
        &sound(),
        &EncodingKey::from_secret(pair.public_key_pem().as_bytes()),
    )
    .unwrap();
    let unsigned =
        format!("{}.{}.", base64.encode(br#"{"alg":"none","typ":"JWT"}"#), base64.encode(sound().to_string()));
    let mut broken = good.clone();
    broken.truncate(good.len() - 4);
    let crit = format!("{}.{}", base64.encode(br#"{"alg":"EdDSA","crit":["b64"]}"#), good.split_once('.').unwrap().1);
    for token in [
        confused,
        unsigned,
        broken,
        crit,
        signed(&sound()),
        String::new(),
        "a.b".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(MAX_TOKEN_BYTES + 1),
    ] {
        assert!(matches!(verifier.verify(&token, NOW_SECONDS * 1000), Err(TokenError::Invalid(_))), "{token}");
    }
    // Several keys of one algorithm: either may have signed, as while keys are rotated.
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let other_file = directory.path().join("other.pem");
    std::fs::write(&other_file, other.public_key_pem()).unwrap();
    let second = VerifyingKey::read(&KeySource { algorithm: KeyAlgorithm::EdDsa, file: other_file }).unwrap();
    Verifier::new("https://app.example", "inkwire", vec![second, key()]).verify(&good, NOW_SECONDS * 1000).unwrap();
}

#[test]
fn es256_keys_verify() {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("public.pem");
    std::fs::write(&file, pair.public_key_pem()).unwrap();
    let key = VerifyingKey::read(&KeySource { algorithm: KeyAlgorithm::Es256, file }).unwrap();
    let token = jsonwebtoken::encode(
        &Header::new(Algorithm::ES256),
        &sound(),
        &EncodingKey::from_ec_der(&pair.serialize_der()),
    )
    .unwrap();
    Verifier::new("https://app.example", "inkwire", vec![key]).verify(&token, NOW_SECONDS * 1000).unwrap();
}

#[test]
fn key_files_that_cannot_serve_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    for (algorithm, content) in [
        (KeyAlgorithm::Hs256, "x".repeat(31)),
        (KeyAlgorithm::Hs256, format!("{}\n", "x".repeat(31))),
        (KeyAlgorithm::EdDsa, "nonsense".to_owned()),
        (KeyAlgorithm::EdDsa, pair.serialize_pem()),
        (KeyAlgorithm::Es256, pair.public_key_pem()),
    ] {
        std::fs::write(&file, &content).unwrap();
        let source = KeySource { algorithm, file: file.clone() };
        assert!(VerifyingKey::read(&source).is_err(), "{algorithm:?} {content}");
    }
    for text in ["HS256", "HS256:", "RS256:key", "none:key", "hs256:key"] {
        assert!(text.parse::<KeySource>().is_err(), "{text}");
    }
}

#[test]
fn development_tokens_are_of_their_own_kind() {
    let tokens = DevelopmentTokens::new([7; 32]);
    let token = tokens.issue(&TokenRequest::default(), NOW_SECONDS).unwrap();
    let access = tokens.verifier().verify(&token, NOW_SECONDS * 1000).unwrap();
    assert!(access.subject.starts_with("dev-"));
    assert_eq!(access.role("any/document"), Some(Role::Editor));
    assert_eq!(access.expires_unix_millis, (NOW_SECONDS + 3600) * 1000);
    assert!(verify(&token).is_err(), "the application's verifier does not take it");
    assert!(
        DevelopmentTokens::new([8; 32]).verifier().verify(&token, NOW_SECONDS * 1000).is_err(),
        "another data directory's relay does not take it"
    );
    let request = TokenRequest {
        subject: Some("ada".to_owned()),
        document: Some("acme/*".to_owned()),
        role: Some("viewer".to_owned()),
        ttl: Some(5),
    };
    let access = tokens.verifier().verify(&tokens.issue(&request, NOW_SECONDS).unwrap(), NOW_SECONDS * 1000).unwrap();
    assert_eq!((&*access.subject, access.role("acme/a")), ("ada", Some(Role::Viewer)));
    assert_eq!(access.expires_unix_millis, (NOW_SECONDS + 5) * 1000);
    for wrong in [
        TokenRequest { subject: Some(String::new()), ..TokenRequest::default() },
        TokenRequest { document: Some("a//b".to_owned()), ..TokenRequest::default() },
        TokenRequest { role: Some("owner".to_owned()), ..TokenRequest::default() },
        TokenRequest { ttl: Some(0), ..TokenRequest::default() },
        TokenRequest { ttl: Some(MAX_TTL_SECONDS + 1), ..TokenRequest::default() },
    ] {
        assert!(matches!(tokens.issue(&wrong, NOW_SECONDS), Err(RequestError::Field(_))), "{wrong:?}");
    }
}
