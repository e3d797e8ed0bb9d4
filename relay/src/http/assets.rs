//! The demo page and the client's files, embedded in the binary.

use std::collections::HashMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use super::responses::{Caching, Reply, none_match, reply, text};

/// A file as the build script embeds it.
struct Embedded {
    /// Its path below `client-wasm/dist`, with `/`.
    path: &'static str,
    content: &'static [u8],
    /// The same compressed, where that is smaller.
    gzip: Option<&'static [u8]>,
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// What is shown where the page was not built into the relay.
const PLACEHOLDER: &str = "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Inkwire</title>\n\
    <body style=\"font: 16px/1.5 system-ui; max-width: 40rem; margin: 4rem auto; padding: 0 1rem\">\n\
    <h1>Inkwire is running, without its page</h1>\n\
    <p>This relay was built without the browser client. Build it with the client and the demo editor embedded:</p>\n\
    <pre><code>cargo xtask build</code></pre>\n</body></html>\n";

const ENTRY_MODULE: &str = "/client/inkwire.js";

/// A file that can be served.
struct Asset {
    content: Bytes,
    gzip: Option<Bytes>,
    content_type: &'static str,
    etag: String,
    /// The compressed form's own: the two are different bytes (RFC 9110 section 8.8.3.3).
    gzip_etag: String,
    caching: Caching,
}

/// Every file by the path of its URL.
pub struct Assets {
    files: HashMap<String, Asset>,
}

impl Assets {
    /// The files that were built into this binary.
    pub fn embedded() -> Self {
        let mut files: HashMap<String, Asset> = EMBEDDED
            .iter()
            .filter_map(|file| {
                Some((
                    url_path(file.path)?,
                    Asset::new(file.path, file.content.into(), file.gzip.map(Bytes::from_static)),
                ))
            })
            .collect();
        files
            .entry("/".to_owned())
            .or_insert_with(|| Asset::new("page/index.html", Bytes::from_static(PLACEHOLDER.as_bytes()), None));
        Self { files }
    }

    /// Answers a request for `path`, if it is for a file.
    pub fn answer(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Reply> {
        let Some(asset) = self.files.get(path) else {
            return (path == ENTRY_MODULE).then(|| {
                text(StatusCode::NOT_FOUND, "this relay was built without the browser client: run `cargo xtask build`")
            });
        };
        if method != Method::GET && method != Method::HEAD {
            return Some(super::responses::wrong_method("GET, HEAD"));
        }
        Some(asset.answer(headers, path.starts_with("/client/")))
    }
}

impl Asset {
    fn new(path: &str, content: Bytes, gzip: Option<Bytes>) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &content);
        let hash: String = digest.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self {
            content_type: content_type(path),
            etag: format!("\"{hash}\""),
            gzip_etag: format!("\"{hash}-gzip\""),
            caching: if has_content_hash(path) { Caching::Immutable } else { Caching::Revalidate },
            content,
            gzip,
        }
    }

    fn answer(&self, headers: &HeaderMap, shared: bool) -> Reply {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(headers));
        let etag = if gzip.is_some() { &self.gzip_etag } else { &self.etag };
        let unchanged = none_match(headers, etag);
        let (status, body) = match (unchanged, gzip) {
            (true, _) => (StatusCode::NOT_MODIFIED, Bytes::new()),
            (false, Some(gzip)) => (StatusCode::OK, gzip.clone()),
            (false, None) => (StatusCode::OK, self.content.clone()),
        };
        let mut response = reply(status, self.content_type, self.caching, body);
        let headers = response.headers_mut();
        if let Ok(etag) = HeaderValue::from_str(etag) {
            headers.insert(header::ETAG, etag);
        }
        if self.gzip.is_some() {
            headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        }
        if gzip.is_some() && !unchanged {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if shared {
            // Pages of other origins load the client as a module, which browsers allow only with this. The files are public.
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        response
    }
}

fn url_path(path: &str) -> Option<String> {
    match path {
        "page/index.html" => Some("/".to_owned()),
        _ => path
            .strip_prefix("page/assets/")
            .map(|rest| format!("/assets/{rest}"))
            .or_else(|| path.strip_prefix("client/").map(|rest| format!("/client/{rest}")))
            .or_else(|| path.strip_prefix("page/").map(|rest| format!("/{rest}"))),
    }
}

/// Whether the file's name ends in a hash of its content: `NAME-HASH.EXTENSION`, of at least eight letters and digits.
fn has_content_hash(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.split('.').next().unwrap_or(name);
    stem.rsplit_once('-').is_some_and(|(_, hash)| {
        hash.len() >= 8 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "json" | "map" => "application/json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "ts" | "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, quality) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("gzip")
                && !matches!(quality.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assets() -> Assets {
        let file = |path: &str, content: &'static [u8], gzip: Option<&'static [u8]>| {
            (url_path(path).unwrap(), Asset::new(path, content.into(), gzip.map(Bytes::from_static)))
        };
        Assets {
            files: HashMap::from([
                file("page/index.html", b"<page>", Some(b"zip")),
                file("page/assets/editor-0A1b2C3d.js", b"code", None),
                file("client/inkwire.js", b"entry", None),
                file("client/core-deadbeef.wasm", b"\0asm", None),
                file("client/notes.txt", b"notes", None),
            ]),
        }
    }

    fn get(path: &str, headers: &[(header::HeaderName, &str)]) -> Reply {
        let headers =
            headers.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect();
        assets().answer(&Method::GET, path, &headers).unwrap()
    }

    #[test]
    fn each_kind_of_file_is_cached_by_its_rule() {
        for (path, caching, content_type) in [
            ("/", "no-cache", "text/html; charset=utf-8"),
            ("/client/inkwire.js", "no-cache", "text/javascript; charset=utf-8"),
            ("/client/notes.txt", "no-cache", "text/plain; charset=utf-8"),
            ("/client/core-deadbeef.wasm", "public, max-age=31536000, immutable", "application/wasm"),
            ("/assets/editor-0A1b2C3d.js", "public, max-age=31536000, immutable", "text/javascript; charset=utf-8"),
        ] {
            let response = get(path, &[]);
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            assert_eq!(response.headers()[header::CACHE_CONTROL], caching, "{path}");
            assert_eq!(response.headers()[header::CONTENT_TYPE], content_type, "{path}");
            assert_eq!(
                response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some(),
                path.starts_with("/client/"),
                "{path}"
            );
            let etag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
            for (sent, status) in [
                (etag.clone(), StatusCode::NOT_MODIFIED),
                (format!("\"x\", W/{etag}"), StatusCode::NOT_MODIFIED),
                ("\"x\"".to_owned(), StatusCode::OK),
            ] {
                let response = get(path, &[(header::IF_NONE_MATCH, &sent)]);
                assert_eq!(response.status(), status, "{path} {sent}");
                assert_eq!(response.headers()[header::ETAG], *etag);
                assert_eq!(response.headers()[header::CACHE_CONTROL], caching);
            }
        }
        assert!(assets().answer(&Method::GET, "/assets/none.js", &HeaderMap::new()).is_none());
        assert!(assets().answer(&Method::GET, "/page/index.html", &HeaderMap::new()).is_none());
        let post = assets().answer(&Method::POST, "/", &HeaderMap::new()).unwrap();
        assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[test]
    fn compression_is_used_where_it_is_accepted() {
        for (accept, used) in [("gzip, br", true), ("br;q=1, GZIP;q=0.5", true), ("br", false), ("gzip;q=0", false)] {
            let response = get("/", &[(header::ACCEPT_ENCODING, accept)]);
            assert_eq!(response.headers().get(header::CONTENT_ENCODING).is_some(), used, "{accept}");
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
        }
        // Two forms, two tags: a cache that holds one is not told that it may use it as the other.
        let tag = |accept| get("/", &[(header::ACCEPT_ENCODING, accept)]).headers()[header::ETAG].clone();
        let (plain, compressed) = (tag("identity"), tag("gzip"));
        assert_ne!(plain, compressed);
        for (accept, sent, status) in [
            ("gzip", &compressed, StatusCode::NOT_MODIFIED),
            ("gzip", &plain, StatusCode::OK),
            ("identity", &compressed, StatusCode::OK),
            ("identity", &plain, StatusCode::NOT_MODIFIED),
        ] {
            let sent = sent.to_str().unwrap();
            let response = get("/", &[(header::ACCEPT_ENCODING, accept), (header::IF_NONE_MATCH, sent)]);
            assert_eq!(response.status(), status, "{accept} {sent}");
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
        }
        assert!(
            get("/client/inkwire.js", &[(header::ACCEPT_ENCODING, "gzip")])
                .headers()
                .get(header::CONTENT_ENCODING)
                .is_none()
        );
    }

    #[test]
    fn there_is_always_a_page() {
        let response = Assets::embedded().answer(&Method::GET, "/", &HeaderMap::new()).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        // With or without the client built in, its path answers something that says what is there.
        assert!(Assets::embedded().answer(&Method::GET, ENTRY_MODULE, &HeaderMap::new()).is_some());
    }
}
