//! The relay: listeners, sessions, rooms' tasks, store writer, tokens, metrics.
