//! Random histories against a plain model; encodings; hostile input.

mod histories;
mod model;
pub(crate) mod random;
