//! What a machine may lack, and how it gets it.

pub(crate) mod browser;
pub(crate) mod node;
pub(crate) mod python;
pub(crate) mod wasm;

pub(crate) mod debian;
