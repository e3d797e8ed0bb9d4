//! What a page of the relay's may load and connect to.

use http::header;
use http::{HeaderMap, HeaderValue};

/// Adds the policy to an answer that is a page.
///
/// Everything comes from the relay itself. Scripts may compile WebAssembly, the client's core. The editor makes its styles
/// at run time, so inline ones are allowed. `'self'` does not reach sessions in every browser, so their schemes are named
/// with the host that the page was asked of.
pub(super) fn add(headers: &mut HeaderMap, authority: Option<&str>) {
    let is_page = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if !is_page {
        return;
    }
    let sessions = match authority.filter(|authority| is_plain(authority)) {
        Some(host) => format!(" https://{host} wss://{host} ws://{host}"),
        None => String::new(),
    };
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; \
         img-src 'self' data:; font-src 'self'; connect-src 'self'{sessions}; base-uri 'none'; form-action 'self'; \
         frame-ancestors 'self'"
    );
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
}

/// `Host` is the client's word: nothing of it may end the directive that it stands in.
fn is_plain(authority: &str) -> bool {
    !authority.is_empty()
        && authority
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']'))
}
