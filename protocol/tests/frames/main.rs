//! The bytes of every frame: pinned as files, round-tripped, and mangled.

mod golden;
mod malformed;
mod other_library;
mod round_trip;
mod samples;
