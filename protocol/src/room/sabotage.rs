//! Rules that a test can take out, to see that the simulator notices.

/// Which rules are taken out. Without the feature `sabotage`, which no crate but this one's tests turns on, nothing can set it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sabotage {
    /// Offered batches are thrown away.
    pub ignore_offers: bool,
    /// A batch is called durable when it is accepted.
    pub durable_early: bool,
    /// What was dropped for a gap is not asked for again.
    pub never_resend: bool,
    /// What the store completes first is called durable first.
    pub durable_out_of_order: bool,
    /// An offer that refers to what is not there yet is refused instead of waiting for it.
    pub offers_never_wait: bool,
    /// A lane of a connection that its client has given up takes the actor from the next one's.
    pub older_takes_over: bool,
    /// A reader that lost its place goes on where the tail now begins.
    pub skip_resync: bool,
    /// A record of the log is used although it refers to what a crash took.
    pub load_unchecked: bool,
    /// What `Vector` frames say of what is durable is passed over.
    pub ignore_durable_parts: bool,
    /// A claim needs no ticket.
    pub claims_unproven: bool,
    /// An actor is leased again when its connection is lost.
    pub leases_end_with_connections: bool,
    /// A lease says nothing of what was written under it.
    pub lease_without_digest: bool,
    /// An offer may follow whatever is held of its actor.
    pub ignore_links: bool,
    /// What a client has seen is not compared with what is held.
    pub ignore_seen: bool,
    /// What was refused to its author is taken when another offers it.
    pub forget_refusals: bool,
    /// A client may know more to be durable than the store has.
    pub ignore_rollback: bool,
}
