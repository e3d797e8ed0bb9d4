//! A small seeded generator: the same seed is the same history on every machine.

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Below a bound; 0 where the bound is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for index in (1..list.len()).rev() {
            list.swap(index, self.below(index + 1));
        }
    }

    pub(crate) fn text(&mut self, longest: usize) -> String {
        let alphabet = ['a', 'b', 'c', ' ', '\n', 'é', '漢', '🙂', '\u{1f469}'];
        (0..1 + self.below(longest)).map(|_| *self.pick(&alphabet)).collect()
    }
}

/// Runs a case for many seeds, and says which one failed. `INKWIRE_SEED` runs one alone.
pub(crate) fn for_seeds(seeds: u64, case: impl Fn(u64)) {
    if let Some(seed) = std::env::var("INKWIRE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        return case(seed);
    }
    for seed in 0..seeds {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(seed)));
        if let Err(panic) = outcome {
            eprintln!("failed with INKWIRE_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}
