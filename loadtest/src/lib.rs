//! The load-test command line and the native client it is built on.
