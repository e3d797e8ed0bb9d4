//! Random histories against a plain model; encodings; hostile input.

mod editing;
mod encodings;
mod formats;
mod formatting;
mod histories;
mod model;
pub(crate) mod random;
mod undo;
