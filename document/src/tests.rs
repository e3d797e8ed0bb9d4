//! Random histories against a plain model; encodings; hostile input.

mod histories;
mod model;
mod random;
