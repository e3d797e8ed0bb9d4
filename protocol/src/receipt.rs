//! Receipts: the relay's MAC over a batch, with which whoever has seen the batch can offer it again.
//!
//! A batch is fanned out before it is durable. If the relay then loses it, a reader gives it back in an `Offer`, and the
//! receipt proves that the relay had accepted exactly these bytes from this subject, whoever brings them. It also says what they
//! followed: what one copy of a page wrote must not go on what the other did.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use inkwire_document::{Actor, Batch};

use crate::chain::{Chain, Link};
use crate::limits::MAX_SUBJECT_BYTES;
use crate::record::Digest;

const MAC_BYTES: usize = 16;
/// Key id and link before the MAC.
const HEADER_BYTES: usize = 4 + 4 + MAC_BYTES;
const TICKET_BYTES: usize = 4 + MAC_BYTES;

/// The keys that receipts are made and checked with. One makes new ones; older ones are accepted for as long as the shell
/// keeps them here.
#[derive(Clone)]
pub struct ReceiptKeys {
    current: (u32, [u8; 32]),
    previous: Vec<(u32, [u8; 32])>,
}

impl ReceiptKeys {
    /// Keys of which `key`, known as `id`, makes new receipts.
    pub fn new(id: u32, key: [u8; 32]) -> Self {
        Self { current: (id, key), previous: Vec::new() }
    }

    /// Accepts receipts of an older key too.
    pub fn with_previous(mut self, id: u32, key: [u8; 32]) -> Self {
        self.previous.push((id, key));
        self
    }

    fn key(&self, id: u32) -> Option<&[u8; 32]> {
        std::iter::once(&self.current).chain(&self.previous).find(|(known, _)| *known == id).map(|(_, key)| key)
    }
}

impl std::fmt::Debug for ReceiptKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "ReceiptKeys(current {}, {} older)", self.current.0, self.previous.len())
    }
}

/// The document that receipts speak of: a receipt of one document or incarnation is worth nothing in another.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The document's name.
    pub document: &'a str,
    /// The document's incarnation.
    pub incarnation: u64,
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// Too short or too long, or its subject is not UTF-8.
    #[error(
        "a receipt of {length} bytes is malformed; it has {HEADER_BYTES} bytes and a subject of at most {MAX_SUBJECT_BYTES}"
    )]
    Malformed {
        /// The receipt's length in bytes.
        length: usize,
    },
    /// Made with a key that the relay does not accept, or no longer.
    #[error("the receipt's key {id} is not known here")]
    UnknownKey {
        /// The key's id.
        id: u32,
    },
    /// Not the MAC of this batch in this document.
    #[error("the receipt is not of this batch")]
    Mismatch,
}

/// What a receipt proves.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    /// Who wrote the batch.
    pub subject: Arc<str>,
    /// What of its actor came before it.
    pub link: Link,
}

/// Makes the receipt of `batch`, which follows what has the running digest `before`: key id (4 bytes, big-endian), link (4),
/// MAC (16), then the subject.
pub fn issue(
    keys: &ReceiptKeys,
    scope: Scope<'_>,
    batch: &Batch,
    digest: &Digest,
    subject: &str,
    before: Option<Chain>,
) -> Bytes {
    let (id, key) = &keys.current;
    let link = before.unwrap_or_default().link();
    let mut receipt = BytesMut::with_capacity(HEADER_BYTES + subject.len());
    receipt.put_u32(*id);
    receipt.put_slice(&link.0);
    receipt.put_slice(&mac(key, scope, batch, digest, subject, link));
    receipt.put_slice(subject.as_bytes());
    receipt.freeze()
}

/// Checks that `receipt` was made for `batch`, and returns what it proves.
///
/// # Errors
/// See [`ReceiptError`].
pub fn verify(
    keys: &ReceiptKeys,
    scope: Scope<'_>,
    batch: &Batch,
    digest: &Digest,
    receipt: &[u8],
) -> Result<Proof, ReceiptError> {
    let malformed = ReceiptError::Malformed { length: receipt.len() };
    if receipt.len() > HEADER_BYTES + MAX_SUBJECT_BYTES {
        return Err(malformed);
    }
    let (id, rest) = receipt.split_first_chunk().ok_or(malformed)?;
    let (link, rest) = rest.split_first_chunk().ok_or(malformed)?;
    let (found, subject) = rest.split_at_checked(MAC_BYTES).ok_or(malformed)?;
    let (id, link) = (u32::from_be_bytes(*id), Link(*link));
    let subject = std::str::from_utf8(subject).map_err(|_| malformed)?;
    let key = keys.key(id).ok_or(ReceiptError::UnknownKey { id })?;
    let expected = mac(key, scope, batch, digest, subject, link);
    if is_same(&expected, found) { Ok(Proof { subject: subject.into(), link }) } else { Err(ReceiptError::Mismatch) }
}

fn mac(key: &[u8; 32], scope: Scope<'_>, batch: &Batch, digest: &Digest, subject: &str, link: Link) -> [u8; MAC_BYTES] {
    // Every variable part has its length before it, so that no two inputs are the same bytes.
    let mut hasher = blake3::Hasher::new_keyed(key);
    hasher.update(&(scope.document.len() as u32).to_be_bytes());
    hasher.update(scope.document.as_bytes());
    let mut numbers = [0; 36];
    numbers[..8].copy_from_slice(&scope.incarnation.to_be_bytes());
    numbers[8..16].copy_from_slice(&batch.actor.0.to_be_bytes());
    numbers[16..24].copy_from_slice(&batch.first.to_be_bytes());
    numbers[24..28].copy_from_slice(&batch.count.to_be_bytes());
    numbers[28..32].copy_from_slice(&link.0);
    numbers[32..].copy_from_slice(&(subject.len() as u32).to_be_bytes());
    hasher.update(&numbers);
    hasher.update(subject.as_bytes());
    hasher.update(&digest.0);
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&hasher.finalize().as_bytes()[..MAC_BYTES]);
    mac
}

/// What a ticket's key is derived for, so that no receipt is a ticket.
const TICKET: &str = "inkwire 2026 ticket of an actor's lease";

/// Makes the ticket that proves a lease of `actor` to `subject`: key id (4 bytes, big-endian), MAC (16 bytes).
pub fn issue_ticket(keys: &ReceiptKeys, scope: Scope<'_>, actor: Actor, subject: &str) -> Bytes {
    let (id, key) = &keys.current;
    let mut ticket = BytesMut::with_capacity(TICKET_BYTES);
    ticket.put_u32(*id);
    ticket.put_slice(&ticket_mac(key, scope, actor, subject));
    ticket.freeze()
}

/// Checks that `ticket` was given for a lease of `actor` to `subject`.
///
/// # Errors
/// See [`ReceiptError`].
pub fn verify_ticket(
    keys: &ReceiptKeys,
    scope: Scope<'_>,
    actor: Actor,
    subject: &str,
    ticket: &[u8],
) -> Result<(), ReceiptError> {
    let malformed = ReceiptError::Malformed { length: ticket.len() };
    let (id, found) = ticket.split_first_chunk::<4>().filter(|(_, mac)| mac.len() == MAC_BYTES).ok_or(malformed)?;
    let id = u32::from_be_bytes(*id);
    let key = keys.key(id).ok_or(ReceiptError::UnknownKey { id })?;
    if is_same(&ticket_mac(key, scope, actor, subject), found) { Ok(()) } else { Err(ReceiptError::Mismatch) }
}

fn ticket_mac(key: &[u8; 32], scope: Scope<'_>, actor: Actor, subject: &str) -> [u8; MAC_BYTES] {
    let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key(TICKET, key));
    hasher.update(&(scope.document.len() as u32).to_be_bytes());
    hasher.update(scope.document.as_bytes());
    hasher.update(&scope.incarnation.to_be_bytes());
    hasher.update(&actor.0.to_be_bytes());
    hasher.update(&(subject.len() as u32).to_be_bytes());
    hasher.update(subject.as_bytes());
    let mut mac = [0; MAC_BYTES];
    mac.copy_from_slice(&hasher.finalize().as_bytes()[..MAC_BYTES]);
    mac
}

/// Every byte is looked at, so that the time taken says nothing about where a forgery went wrong.
fn is_same(expected: &[u8; MAC_BYTES], found: &[u8]) -> bool {
    expected.iter().zip(found).fold(0, |all, (left, right)| all | (left ^ right)) == 0 && found.len() == MAC_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch { actor: Actor(7), first: 3, count: 2, operations: Bytes::from_static(b"operations") }
    }

    const SCOPE: Scope<'static> = Scope { document: "acme/plan", incarnation: 0 };

    #[test]
    fn a_receipt_proves_its_batch_and_nothing_else() {
        let keys = ReceiptKeys::new(1, [1; 32]);
        let digest = Digest::of(&batch().operations);
        let before = Chain::of(1, 2, &digest);
        let receipt = issue(&keys, SCOPE, &batch(), &digest, "alice", Some(before));
        let check =
            |scope, batch: Batch, receipt: &[u8]| verify(&keys, scope, &batch, &Digest::of(&batch.operations), receipt);
        assert_eq!(check(SCOPE, batch(), &receipt), Ok(Proof { subject: "alice".into(), link: before.link() }));

        let mismatch = Err(ReceiptError::Mismatch);
        assert_eq!(check(Scope { incarnation: 1, ..SCOPE }, batch(), &receipt), mismatch);
        assert_eq!(check(Scope { document: "acme/plans", ..SCOPE }, batch(), &receipt), mismatch);
        assert_eq!(check(SCOPE, Batch { actor: Actor(8), ..batch() }, &receipt), mismatch);
        assert_eq!(check(SCOPE, Batch { first: 4, ..batch() }, &receipt), mismatch);
        assert_eq!(check(SCOPE, Batch { count: 3, ..batch() }, &receipt), mismatch);
        assert_eq!(check(SCOPE, Batch { operations: Bytes::from_static(b"other"), ..batch() }, &receipt), mismatch);
        for at in 4..receipt.len() {
            let mut forged = receipt.to_vec();
            forged[at] ^= 1;
            assert_eq!(check(SCOPE, batch(), &forged), mismatch, "byte {at}");
        }
        for length in 0..receipt.len() {
            assert!(check(SCOPE, batch(), &receipt[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn a_ticket_proves_its_lease_and_nothing_else() {
        let keys = ReceiptKeys::new(1, [1; 32]);
        let ticket = issue_ticket(&keys, SCOPE, Actor(7), "alice");
        let check =
            |scope, actor, subject: &str, ticket: &[u8]| verify_ticket(&keys, scope, Actor(actor), subject, ticket);
        assert_eq!(check(SCOPE, 7, "alice", &ticket), Ok(()));
        let mismatch = Err(ReceiptError::Mismatch);
        assert_eq!(check(Scope { incarnation: 1, ..SCOPE }, 7, "alice", &ticket), mismatch);
        assert_eq!(check(Scope { document: "acme/plans", ..SCOPE }, 7, "alice", &ticket), mismatch);
        assert_eq!(check(SCOPE, 8, "alice", &ticket), mismatch);
        assert_eq!(check(SCOPE, 7, "bob", &ticket), mismatch);
        for length in (0..ticket.len()).chain([ticket.len() + 1]) {
            let mut cut = ticket.to_vec();
            cut.resize(length, 0);
            assert!(check(SCOPE, 7, "alice", &cut).is_err(), "length {length}");
        }
        let digest = Digest::of(&batch().operations);
        let receipt = issue(&keys, SCOPE, &batch(), &digest, "", None);
        assert!(check(SCOPE, 7, "", &receipt).is_err(), "a receipt is no ticket");
        let rotated = ReceiptKeys::new(2, [2; 32]);
        let unknown = Err(ReceiptError::UnknownKey { id: 1 });
        assert_eq!(verify_ticket(&rotated, SCOPE, Actor(7), "alice", &ticket), unknown);
        let kept = rotated.with_previous(1, [1; 32]);
        assert_eq!(verify_ticket(&kept, SCOPE, Actor(7), "alice", &ticket), Ok(()));
    }

    #[test]
    fn an_older_key_is_accepted_while_it_is_kept() {
        let digest = Digest::of(&batch().operations);
        let old = issue(&ReceiptKeys::new(1, [1; 32]), SCOPE, &batch(), &digest, "alice", None);
        let rotated = ReceiptKeys::new(2, [2; 32]);
        assert_eq!(verify(&rotated, SCOPE, &batch(), &digest, &old), Err(ReceiptError::UnknownKey { id: 1 }));
        let kept = rotated.with_previous(1, [1; 32]);
        let proof = Proof { subject: "alice".into(), link: Link::default() };
        assert_eq!(verify(&kept, SCOPE, &batch(), &digest, &old), Ok(proof));
    }
}
