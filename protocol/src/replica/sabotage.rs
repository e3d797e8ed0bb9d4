//! Rules of the client's half that a test can take out, to see that the simulator notices.

/// Which rules are taken out. Without the feature `sabotage`, which no crate but this one's tests turns on, nothing can set it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sabotage {
    /// What was refused is given back, and never made again.
    pub never_remake: bool,
    /// Own batches are sent before others' are offered.
    pub own_before_offers: bool,
    /// `Open` does not say what is known to be durable.
    pub claim_nothing_durable: bool,
    /// The clock is the page's, which is a day fast, not the relay's.
    pub wall_clock: bool,
    /// A snapshot that comes once everything was there is passed over.
    pub ignore_resync: bool,
    /// A document is left, and its lease given back, before all that was written is durable.
    pub release_early: bool,
    /// What is retained of others is thrown away with the connection.
    pub forget_retained: bool,
    /// Another batch than the one that was seen is taken for the same.
    pub ignore_twins: bool,
}
