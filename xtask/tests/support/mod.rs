//! What the suites with real relay processes share.

pub(crate) mod ledger;
pub(crate) mod people;
pub(crate) mod relay;
