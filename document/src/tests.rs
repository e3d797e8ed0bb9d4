//! Random histories against a plain model; encodings; hostile input.

mod containers;
mod editing;
mod encodings;
mod exchange;
mod formats;
mod formatting;
mod histories;
mod merging;
mod model;
mod origins;
mod past;
pub(crate) mod random;
mod undo;
mod unmarking;
