//! Percentiles of one run and the spread of several.

/// The nearest-rank percentile: the smallest value that `share` (0 to 1) of all values do not exceed.
///
/// It always is a value that was measured, never one between two. `sorted` must be ascending;
/// an empty slice gives 0.
pub(crate) fn percentile(sorted: &[u32], share: f64) -> u32 {
    let rank = (share.clamp(0.0, 1.0) * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// What several runs of the same measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// The spread of `values`; all zero when there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(0.0);
        let last = sorted.len().saturating_sub(1);
        // An even count has two middles: their mean.
        Self { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), min: at(0), max: at(last) }
    }

    /// The spread of `ours / base`, taken pair by pair.
    ///
    /// Two runs next to each other saw the same machine; the medians of all runs may not have.
    pub(crate) fn of_ratios(ours: &[f64], base: &[f64]) -> Self {
        Self::of(ours.iter().zip(base).filter(|(_, base)| **base > 0.0).map(|(ours, base)| ours / base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_rank() {
        let values: Vec<u32> = (1..=100).collect();
        assert_eq!(percentile(&values, 0.5), 50);
        assert_eq!(percentile(&values, 0.99), 99);
        assert_eq!(percentile(&values, 1.0), 100);
        assert_eq!(percentile(&values, 0.0), 1);
        assert_eq!(percentile(&[7], 0.99), 7);
        assert_eq!(percentile(&[1, 2, 3], 0.5), 2);
        assert_eq!(percentile(&[], 0.5), 0);
    }

    #[test]
    fn a_spread_has_median_and_ends() {
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 3.0]).median, 2.5);
        assert_eq!(Spread::of([]), Spread { median: 0.0, min: 0.0, max: 0.0 });
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        // The machine was twice as fast in the second pair; the ratio did not change.
        let ratio = Spread::of_ratios(&[50.0, 100.0], &[100.0, 200.0]);
        assert_eq!(ratio, Spread { median: 0.5, min: 0.5, max: 0.5 });
        assert_eq!(Spread::of_ratios(&[1.0, 6.0], &[0.0, 3.0]).median, 2.0);
    }
}
