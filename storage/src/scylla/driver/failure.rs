//! The driver's errors, in the kinds that decide what follows.

use ::scylla::errors::{DbError, ExecutionError, RequestAttemptError};

use super::super::cluster::{Failure, FailureKind};

/// What an execution's error is to the engine.
pub(super) fn failure(error: ExecutionError) -> Failure {
    Failure { kind: kind(&error), reason: error.to_string() }
}

fn kind(error: &ExecutionError) -> FailureKind {
    match error {
        ExecutionError::RequestTimeout(_) => FailureKind::TimedOut,
        ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, _)) => match error {
            DbError::WriteTimeout { .. } | DbError::ReadTimeout { .. } => FailureKind::TimedOut,
            DbError::Unavailable { .. }
            | DbError::Overloaded
            | DbError::IsBootstrapping
            | DbError::ReadFailure { .. }
            | DbError::WriteFailure { .. }
            | DbError::ServerError
            | DbError::RateLimitReached { .. } => FailureKind::Unavailable,
            _ => FailureKind::Refused,
        },
        ExecutionError::LastAttemptError(
            RequestAttemptError::BrokenConnectionError(_) | RequestAttemptError::UnableToAllocStreamId,
        )
        | ExecutionError::ConnectionPoolError(_)
        | ExecutionError::EmptyPlan
        | ExecutionError::PrepareError(_)
        | ExecutionError::MetadataError(_)
        | ExecutionError::SchemaAgreementError(_) => FailureKind::Unavailable,
        _ => FailureKind::Refused,
    }
}

/// What the cluster answered is not what the tables hold.
pub(super) fn malformed(reason: impl std::fmt::Display) -> Failure {
    Failure { kind: FailureKind::Refused, reason: format!("the cluster's answer is not understood: {reason}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ::scylla::errors::WriteType;
    use ::scylla::statement::Consistency;

    use super::*;

    #[test]
    fn errors_are_told_apart_by_what_follows() {
        let database = |error| ExecutionError::LastAttemptError(RequestAttemptError::DbError(error, String::new()));
        let consistency = Consistency::LocalQuorum;
        let cases = [
            (ExecutionError::RequestTimeout(Duration::from_secs(5)), FailureKind::TimedOut),
            (
                database(DbError::WriteTimeout {
                    consistency,
                    received: 1,
                    required: 2,
                    write_type: WriteType::Simple,
                }),
                FailureKind::TimedOut,
            ),
            (database(DbError::Unavailable { consistency, required: 2, alive: 1 }), FailureKind::Unavailable),
            (database(DbError::Overloaded), FailureKind::Unavailable),
            (ExecutionError::EmptyPlan, FailureKind::Unavailable),
            (database(DbError::SyntaxError), FailureKind::Refused),
            (database(DbError::Invalid), FailureKind::Refused),
            (database(DbError::Unauthorized), FailureKind::Refused),
        ];
        for (error, expected) in cases {
            assert_eq!(kind(&error), expected, "{error}");
        }
    }
}
