//! The traits of the `crdts` crate, for whoever is at home there.

use std::convert::Infallible;

use crdts::{CmRDT, CvRDT};

use super::{ApplyError, Document};
use crate::batch::Batch;
use crate::snapshot::Snapshot;

/// Operations are batches. Any order is right: what comes early waits. [`apply`](CmRDT::apply) cannot say that it refused one:
/// ask [`validate_op`](CmRDT::validate_op) first, or call [`Document::apply`].
impl CmRDT for Document {
    type Op = Batch;
    type Validation = ApplyError;

    fn validate_op(&self, op: &Batch) -> Result<(), ApplyError> {
        self.may_apply(op)
    }

    fn apply(&mut self, op: Batch) {
        let _ = Document::apply(self, &op);
    }
}

/// Merging takes in what another document holds, and what waits in it for earlier batches.
impl CvRDT for Document {
    type Validation = Infallible;

    fn validate_merge(&self, _: &Self) -> Result<(), Infallible> {
        Ok(())
    }

    fn merge(&mut self, other: Self) {
        // A difference to what is held, as a document makes it, holds together.
        if let Ok(snapshot) = Snapshot::parse(other.difference(&self.version)) {
            let _ = Document::merge(self, &snapshot);
        }
        for batch in other.early.batches() {
            let _ = Document::apply(self, batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Actor, Position, Value};

    fn written(actor: u64) -> (Document, Vec<Batch>) {
        let mut document = Document::new();
        document.set_actor(Actor(actor), 1);
        let mut batches = Vec::new();
        for at in 0..3 {
            document.insert("t", Position::Scalar(at), "x").expect("an edit");
            document.set_add("s", &Value::Int(at as i64)).expect("an edit");
            document.counter_add("c", 1).expect("an edit");
            batches.extend(document.take_batches());
        }
        (document, batches)
    }

    /// Written against the traits alone.
    fn gather<T: CmRDT + CvRDT + Default>(ops: Vec<T::Op>, other: T) -> T {
        let mut state = T::default();
        for op in ops.into_iter().rev() {
            assert!(state.validate_op(&op).is_ok());
            state.apply(op);
        }
        assert!(state.validate_merge(&other).is_ok());
        state.merge(other);
        state
    }

    #[test]
    fn a_document_by_the_traits_alone() {
        let ((one, ops), (two, more)) = (written(1), written(2));
        let mut expected = two.clone();
        ops.iter().for_each(|batch| assert!(expected.apply(batch).is_ok()));
        assert_eq!(gather(ops, two).snapshot(), expected.snapshot());
        // What waits in the other goes over.
        let mut early = one.clone();
        assert!(early.apply(&more[1]).is_ok());
        let mut merged = gather(Vec::new(), early);
        assert!(merged.apply(&more[0]).is_ok());
        assert_eq!(merged.version().get(&Actor(2)), more[1].last());
        let refused = Batch { count: 7, ..more[0].clone() };
        assert!(CmRDT::validate_op(&merged, &refused).is_err());
        let before = merged.snapshot();
        CmRDT::apply(&mut merged, refused);
        assert_eq!(merged.snapshot(), before);
        merged.set_early_limit(1);
        let early = Batch { first: 100, count: 1, ..more[2].clone() };
        assert!(CmRDT::validate_op(&merged, &early).is_err(), "there is no room for it to wait");
    }
}
