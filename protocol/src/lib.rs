//! Frames, limits, error codes, and both ends' state machines, sans-I/O.
