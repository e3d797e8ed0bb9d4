//! Random histories against a plain model; encodings; hostile input.

mod editing;
mod encodings;
mod histories;
mod model;
pub(crate) mod random;
