//! Frames with fields that make sense often enough to get past the first check.

use std::collections::BTreeMap;

use arbitrary::{Result, Unstructured};
use bytes::Bytes;
use inkwire_document::{Actor, Batch as Written, VersionVector};
use inkwire_protocol::frame::*;
use inkwire_protocol::record::Digest;
use inkwire_protocol::{Chain, Channel, Code, Frame, Role};

/// What was seen, to be said again in the wrong place.
#[derive(Debug, Default)]
pub struct Pool {
    /// Actors that somebody was leased.
    pub actors: Vec<Actor>,
    /// Batches with their receipts, good and bad ones.
    pub batches: Vec<(Written, Bytes)>,
    /// Tickets of leases.
    pub tickets: Vec<Bytes>,
}

impl Pool {
    /// The most of each kind that is kept.
    const MOST: usize = 16;

    /// Keeps what a frame brought.
    pub fn note(&mut self, frame: &Frame) {
        let lease = match frame {
            Frame::Opened(opened) => opened.lease.clone(),
            Frame::Leased(leased) => Some(leased.clone().into()),
            Frame::Batch(batch) => {
                let (batch, receipt) = batch.clone().into_parts();
                keep(&mut self.batches, (batch, receipt.unwrap_or_default()));
                None
            }
            _ => None,
        };
        if let Some(lease) = lease {
            keep(&mut self.actors, lease.actor);
            self.tickets.extend(lease.ticket);
            let over = self.tickets.len().saturating_sub(Self::MOST);
            self.tickets.drain(..over);
        }
    }

    /// Keeps a batch that was made here.
    pub fn note_batch(&mut self, batch: Written) {
        keep(&mut self.batches, (batch, Bytes::new()));
    }
}

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() >= Pool::MOST {
        list.remove(0);
    }
    list.push(item);
}

/// A leased actor, a small one or any.
pub fn actor(choices: &mut Unstructured<'_>, pool: &Pool) -> Result<Actor> {
    Ok(match choices.arbitrary::<u8>()? {
        0..150 if !pool.actors.is_empty() => *choices.choose(&pool.actors)?,
        0..230 => Actor(u64::from(choices.arbitrary::<u8>()? % 4)),
        _ => Actor(choices.arbitrary()?),
    })
}

/// Small, or at the end of the range, or any.
pub fn counter(choices: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match choices.arbitrary::<u8>()? {
        0..200 => u64::from(choices.arbitrary::<u8>()? % 16),
        200..220 => u64::MAX - u64::from(choices.arbitrary::<u8>()? % 4),
        _ => choices.arbitrary()?,
    })
}

fn vector(choices: &mut Unstructured<'_>, pool: &Pool) -> Result<VersionVector> {
    let mut dots = BTreeMap::new();
    for _ in 0..choices.int_in_range(0..=5)? {
        // A vector holds no counter 0: no frame can say it.
        dots.insert(actor(choices, pool)?, counter(choices)?.max(1));
    }
    Ok(VersionVector { dots })
}

fn bytes(choices: &mut Unstructured<'_>) -> Result<Bytes> {
    Ok(Bytes::copy_from_slice(choices.arbitrary()?))
}

fn maybe(choices: &mut Unstructured<'_>) -> Result<Option<Bytes>> {
    if choices.arbitrary()? { bytes(choices).map(Some) } else { Ok(None) }
}

fn ticket(choices: &mut Unstructured<'_>, pool: &Pool) -> Result<Option<Bytes>> {
    if !pool.tickets.is_empty() && choices.arbitrary()? {
        return choices.choose(&pool.tickets).cloned().map(Some);
    }
    maybe(choices)
}

/// A role.
pub fn role(choices: &mut Unstructured<'_>) -> Result<Role> {
    Ok(if choices.arbitrary()? { Role::Editor } else { Role::Viewer })
}

/// A batch that was seen, perhaps with one field changed, or one that is made up; and its receipt.
fn batch(choices: &mut Unstructured<'_>, pool: &Pool) -> Result<(Written, Bytes)> {
    if pool.batches.is_empty() || choices.ratio(1_u8, 4_u8)? {
        let (actor, first, count) = (actor(choices, pool)?, counter(choices)?, choices.arbitrary::<u8>()?.into());
        return Ok((Written { actor, first, count, operations: bytes(choices)? }, bytes(choices)?));
    }
    let (mut batch, mut receipt) = choices.choose(&pool.batches)?.clone();
    match choices.int_in_range(0..=9)? {
        0 => batch.actor = actor(choices, pool)?,
        1 => batch.first = counter(choices)?,
        2 => batch.count = choices.arbitrary()?,
        3 => batch.operations = flip(choices, &batch.operations)?,
        4 => receipt = flip(choices, &receipt)?,
        _ => {}
    }
    Ok((batch, receipt))
}

/// One byte of it changed.
fn flip(choices: &mut Unstructured<'_>, bytes: &Bytes) -> Result<Bytes> {
    if bytes.is_empty() {
        return Ok(Bytes::new());
    }
    let mut changed = bytes.to_vec();
    let at = choices.choose_index(changed.len())?;
    changed[at] ^= choices.arbitrary::<u8>()?;
    Ok(changed.into())
}

/// An `Open` of a document called `d`.
pub fn open(choices: &mut Unstructured<'_>, pool: &Pool) -> Result<Open> {
    let claim = if choices.ratio(1_u8, 3_u8)? {
        Some(Claim { actor: actor(choices, pool)?, last: counter(choices)?, ticket: ticket(choices, pool)? })
    } else {
        None
    };
    Ok(Open {
        channel: Channel(choices.arbitrary::<u8>()?.into()),
        document: "d".to_owned(),
        incarnation: if choices.arbitrary()? { Some(choices.arbitrary::<u8>()?.into()) } else { None },
        vector: vector(choices, pool)?,
        durable: vector(choices, pool)?,
        role: role(choices)?,
        claim,
        options: Options::default(),
    })
}

/// A frame of any kind.
pub fn frame(choices: &mut Unstructured<'_>, pool: &Pool) -> Result<Frame> {
    let reason = |choices: &mut Unstructured<'_>| choices.arbitrary::<&str>().map(str::to_owned);
    let (number, _) = *choices.choose(Frame::TABLE)?;
    Ok(match number {
        Hello::NUMBER => {
            let versions = if choices.arbitrary()? { vec![1] } else { vec![choices.arbitrary()?; 2] };
            Hello { versions, token: reason(choices)?, agent: reason(choices)? }.into()
        }
        Welcome::NUMBER => Welcome {
            version: choices.arbitrary::<u8>()?.into(),
            session: choices.arbitrary()?,
            node: reason(choices)?,
            time_millis: choices.arbitrary()?,
            limits: [("documents".to_owned(), choices.arbitrary()?)].into_iter().collect(),
            subject: reason(choices)?,
        }
        .into(),
        Token::NUMBER => Token { token: reason(choices)? }.into(),
        TokenAccepted::NUMBER => TokenAccepted { expires_in_millis: choices.arbitrary()? }.into(),
        GoAway::NUMBER => {
            let url = if choices.arbitrary()? { Some(reason(choices)?) } else { None };
            GoAway { reason: reason(choices)?, reconnect_after_millis: choices.arbitrary()?, url }.into()
        }
        Close::NUMBER => Close { code: Code::from(choices.arbitrary::<u16>()? % 40), reason: reason(choices)? }.into(),
        Ping::NUMBER => Ping { nonce: choices.arbitrary()? }.into(),
        Pong::NUMBER => Pong { nonce: choices.arbitrary()? }.into(),
        WantCopies::NUMBER => WantCopies { millis: choices.arbitrary()? }.into(),
        Open::NUMBER => open(choices, pool)?.into(),
        Opened::NUMBER => {
            let lease = if choices.arbitrary()? {
                let digest = if choices.arbitrary()? { Some(Chain(choices.arbitrary()?)) } else { None };
                let (actor, next) = (actor(choices, pool)?, counter(choices)?);
                Some(Lease { actor, next, ticket: ticket(choices, pool)?, digest })
            } else {
                None
            };
            let base = if choices.arbitrary()? { Some(Base { bytes: counter(choices)? }) } else { None };
            let incarnation = choices.arbitrary::<u8>()?.into();
            Opened { incarnation, role: role(choices)?, lease, vector: vector(choices, pool)?, base }.into()
        }
        Vector::NUMBER => {
            let extends = *choices.choose(&[Extends::Vector, Extends::Durable, Extends::Both])?;
            Vector { part: vector(choices, pool)?, more: choices.arbitrary()?, extends }.into()
        }
        Snapshot::NUMBER => {
            let index = choices.arbitrary::<u8>()? % 4;
            Snapshot { index: index.into(), last: choices.arbitrary()?, bytes: bytes(choices)? }.into()
        }
        Batch::NUMBER => {
            let (batch, receipt) = batch(choices, pool)?;
            frame_of(batch, receipt, choices.arbitrary()?)
        }
        Synced::NUMBER => Synced { vector: vector(choices, pool)? }.into(),
        Received::NUMBER => {
            let paused = if choices.arbitrary()? { Some(Code::from(choices.arbitrary::<u16>()? % 40)) } else { None };
            Received { counter: counter(choices)?, paused }.into()
        }
        Durable::NUMBER => Durable { vector: vector(choices, pool)? }.into(),
        ResendFrom::NUMBER => ResendFrom { counter: counter(choices)? }.into(),
        Offer::NUMBER => {
            let (batch, receipt) = batch(choices, pool)?;
            Offer::new(batch, receipt).into()
        }
        Refused::NUMBER => Refused {
            actor: actor(choices, pool)?,
            first: counter(choices)?,
            code: Code::from(choices.arbitrary::<u16>()? % 40),
            reason: reason(choices)?,
        }
        .into(),
        Release::NUMBER => Release { actor: actor(choices, pool)?, last: counter(choices)? }.into(),
        Released::NUMBER => Released { actor: actor(choices, pool)? }.into(),
        Leased::NUMBER => {
            let digest = if choices.arbitrary()? { Some(Chain(choices.arbitrary()?)) } else { None };
            let (actor, next) = (actor(choices, pool)?, counter(choices)?);
            Leased { actor, next, ticket: ticket(choices, pool)?, digest }.into()
        }
        RoleChanged::NUMBER => RoleChanged { role: role(choices)? }.into(),
        Presence::NUMBER => Presence { sequence: choices.arbitrary()?, state: maybe(choices)? }.into(),
        PresenceUpdate::NUMBER => {
            let mut entries = Vec::new();
            for _ in 0..choices.int_in_range(0..=3)? {
                let session = choices.arbitrary::<u8>()?.into();
                let (sequence, subject, state) = (choices.arbitrary()?, reason(choices)?, maybe(choices)?);
                entries.push(PresenceEntry { session, sequence, subject, state });
            }
            PresenceUpdate { entries }.into()
        }
        CloseDocument::NUMBER => CloseDocument {}.into(),
        Seen::NUMBER => Seen { batches: seen(choices, pool)? }.into(),
        other => panic!("frame {other} is in the table and not here"),
    })
}

/// Batches that were seen, some of them with another digest.
pub fn seen(choices: &mut Unstructured<'_>, pool: &Pool) -> Result<Vec<SeenBatch>> {
    let mut seen = Vec::new();
    for (batch, _) in &pool.batches {
        let Written { actor, first, count, operations } = batch;
        if choices.ratio(1_u8, 4_u8)? {
            let digest = Digest::of(if choices.ratio(1_u8, 4_u8)? { b"" } else { operations });
            seen.push(SeenBatch {
                actor: *actor,
                first: *first,
                count: *count,
                digest: Chain::of(*first, *count, &digest),
            });
        }
    }
    Ok(seen)
}

fn frame_of(batch: Written, receipt: Bytes, with_receipt: bool) -> Frame {
    Batch::new(batch, with_receipt.then_some(receipt)).into()
}
