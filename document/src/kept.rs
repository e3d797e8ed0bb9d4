//! Operations of kinds that this version does not know: kept as they are, for those who do.

use crate::ids::Actor;
use crate::messagepack::Writer;
use crate::ordered::OrderedMap;

/// One operation with what it needs from its batch: the table of actors and the root's name come before it again.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct KeptOperation {
    pub(crate) count: u32,
    pub(crate) operations: Box<[u8]>,
}

/// Kept operations by their dots.
pub(crate) type Kept = OrderedMap<(Actor, u32), KeptOperation>;

/// An operation as a batch of its own would hold it.
pub(crate) fn alone(table: &[Actor], root: &str, operation: &[u8]) -> Box<[u8]> {
    let mut bytes = Vec::with_capacity(table.len() * 9 + root.len() + 5 + operation.len());
    let mut out = Writer(&mut bytes);
    for actor in table {
        out.uint(actor.0);
    }
    out.str(root);
    bytes.extend_from_slice(operation);
    bytes.into_boxed_slice()
}
