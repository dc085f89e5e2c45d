//! A small seeded generator, so that the data set is the same on every machine and with every
//! version of every dependency.

/// SplitMix64 (Steele, Lea, Flood 2014): one word of state, one output per step.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// The generator of one `stream` for one `index`; different pairs are unrelated.
    pub(crate) fn new(stream: u64, index: u64) -> Self {
        Self(scramble(stream).wrapping_add(scramble(index ^ 0x6a09_e667_f3bc_c908)))
    }

    /// The next 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        scramble(self.0)
    }

    /// A number below `bound`, which must not be 0. The bias of the remainder is far below what any figure shows.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True once in `n`, on average.
    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    /// One of `choices`; the empty text when there are none.
    pub(crate) fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let index = self.below(choices.len().max(1) as u64) as usize;
        choices.get(index).copied().unwrap_or_default()
    }
}

/// The mixing step of SplitMix64: every output bit depends on every input bit.
pub(crate) fn scramble(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
