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
}
