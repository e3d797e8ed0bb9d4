//! The error codes that travel in `Close` and `Refused`: one table, pinned by a test.

macro_rules! codes {
    ($( $(#[$doc:meta])* $number:literal $name:ident $wire:literal ),* $(,)?) => {
        /// Why a lane or a session was closed or a batch refused. Numbers are never reused.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum Code {
            $( $(#[$doc])* $name, )*
            /// A code of a later version; treated as [`Code::Internal`] would be.
            Other(u16),
        }

        impl Code {
            /// Every code of this version, in the order of their numbers.
            pub const ALL: &'static [Code] = &[$( Code::$name ),*];

            /// The number on the wire.
            pub const fn number(self) -> u16 {
                match self {
                    $( Code::$name => $number, )*
                    Code::Other(number) => number,
                }
            }

            /// The name in documents, logs and metrics; `other` for a number that this version does not know.
            pub const fn name(self) -> &'static str {
                match self {
                    $( Code::$name => $wire, )*
                    Code::Other(_) => "other",
                }
            }
        }

        impl From<u16> for Code {
            fn from(number: u16) -> Self {
                match number {
                    $( $number => Code::$name, )*
                    other => Code::Other(other),
                }
            }
        }
    };
}

codes! {
    /// A normal end.
    0 None "none",
    /// Not a frame: broken MessagePack, a missing element or one of the wrong type.
    1 BadFrame "bad_frame",
    /// A frame, message or datagram over its limit.
    2 FrameTooLarge "frame_too_large",
    /// Arrays or maps nested deeper than allowed.
    3 TooDeep "too_deep",
    /// A frame number that this version does not know.
    4 UnknownFrame "unknown_frame",
    /// A frame that may not come now, or not in this direction or lane.
    5 UnexpectedFrame "unexpected_frame",
    /// No version in common.
    6 UnsupportedVersion "unsupported_version",
    /// The token is not valid.
    7 Unauthorized "unauthorized",
    /// The token has expired.
    8 TokenExpired "token_expired",
    /// The token grants nothing on this document.
    9 Forbidden "forbidden",
    /// A viewer wrote.
    10 ReadOnly "read_only",
    /// The batch's operations are malformed.
    11 BadBatch "bad_batch",
    /// The batch is over its limit.
    12 BatchTooLarge "batch_too_large",
    /// A counter jumped within one ordered stream.
    13 CounterGap "counter_gap",
    /// The batch refers to operations that the relay does not hold.
    14 MissingDependency "missing_dependency",
    /// The batch's actor is not the session's.
    15 ForeignActor "foreign_actor",
    /// The actor was used twice for different operations.
    16 ActorReused "actor_reused",
    /// An operation's time is too far ahead.
    17 ClockAhead "clock_ahead",
    /// A receipt that this relay did not give for this batch.
    18 BadReceipt "bad_receipt",
    /// The document is in another incarnation than the client knows.
    19 IncarnationMismatch "incarnation_mismatch",
    /// The document was deleted.
    20 DocumentDeleted "document_deleted",
    /// The store cannot be reached.
    21 StoreUnavailable "store_unavailable",
    /// The store lacks what it once had.
    22 StoreRolledBack "store_rolled_back",
    /// The relay has no room for this now.
    23 Overloaded "overloaded",
    /// The session has as many documents open as it may.
    24 TooManyDocuments "too_many_documents",
    /// The document's name is empty, too long or not allowed.
    25 BadDocumentName "bad_document_name",
    /// The relay is shutting down.
    26 GoingAway "going_away",
    /// Nothing came for too long.
    27 LivenessTimeout "liveness_timeout",
    /// A fault of the relay itself.
    28 Internal "internal",
    /// A presence state over its limit.
    29 BadPresence "bad_presence",
    /// The page's origin is not allowed.
    30 OriginRefused "origin_refused",
    /// The token, subject or document was revoked.
    31 Revoked "revoked",
}

impl Code {
    /// Whether a client that gets this code for its whole session must not simply try again.
    pub const fn is_fatal(self) -> bool {
        matches!(
            self,
            Code::BadFrame
                | Code::FrameTooLarge
                | Code::TooDeep
                | Code::UnknownFrame
                | Code::UnexpectedFrame
                | Code::UnsupportedVersion
                | Code::Unauthorized
                | Code::Forbidden
                | Code::OriginRefused
                | Code::Revoked
        )
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Code::Other(number) => write!(formatter, "code {number}"),
            code => formatter.write_str(code.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers and names are part of the protocol: this test is the second copy, to be changed on purpose only.
    #[test]
    fn the_table_is_pinned() {
        let pinned = [
            "none",
            "bad_frame",
            "frame_too_large",
            "too_deep",
            "unknown_frame",
            "unexpected_frame",
            "unsupported_version",
            "unauthorized",
            "token_expired",
            "forbidden",
            "read_only",
            "bad_batch",
            "batch_too_large",
            "counter_gap",
            "missing_dependency",
            "foreign_actor",
            "actor_reused",
            "clock_ahead",
            "bad_receipt",
            "incarnation_mismatch",
            "document_deleted",
            "store_unavailable",
            "store_rolled_back",
            "overloaded",
            "too_many_documents",
            "bad_document_name",
            "going_away",
            "liveness_timeout",
            "internal",
            "bad_presence",
            "origin_refused",
            "revoked",
        ];
        assert_eq!(Code::ALL.len(), pinned.len());
        for (number, (code, name)) in (0u16..).zip(Code::ALL.iter().zip(pinned)) {
            assert_eq!((code.number(), code.name(), Code::from(number)), (number, name, *code));
        }
        assert_eq!(Code::from(999), Code::Other(999));
        assert_eq!(Code::Other(999).number(), 999);
    }
}
