//! A real relay among clients that break every rule, and an honest pair that must not notice.
//!
//! `INKWIRE_HOSTILE_SEED` says which frames are sent, as far as the operating system's timing lets it; it is printed.
//! `INKWIRE_HOSTILE_FRAMES` says how many (1,000,000).

mod floods;
mod growth;
#[path = "../support/http.rs"]
mod http;
mod peer;
#[path = "../support/relay.rs"]
mod relay;
mod scene;
mod wrong;
