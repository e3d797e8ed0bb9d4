//! Development certificates and persisted keys.
