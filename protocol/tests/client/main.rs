//! The client's half against a relay that follows a script: each test says every frame that the relay sends.

mod acknowledgements;
mod copies;
mod documents;
mod peer;
mod presence;
mod rebuilding;
mod resuming;
mod sessions;
mod twins;
