//! Real relay processes, killed at random moments under writers.
