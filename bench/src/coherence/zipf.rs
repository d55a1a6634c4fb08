//! Which row is asked for: few very often, most hardly ever.

/// Zipf's distribution over so many rows: the k-th most wanted is asked for in proportion to k^-exponent, as in YCSB
/// (Cooper et al., *Benchmarking Cloud Serving Systems*, SoCC 2010).
pub(crate) struct Zipf {
    /// Of the most wanted rows up to each, their share of what is asked.
    cumulated: Vec<f64>,
}

impl Zipf {
    pub(crate) fn new(rows: usize, exponent: f64) -> Self {
        let mut sum = 0.0;
        let weights = (1..=rows).map(|rank| (rank as f64).powf(-exponent));
        let mut cumulated: Vec<f64> = weights
            .map(|weight| {
                sum += weight;
                sum
            })
            .collect();
        cumulated.iter_mut().for_each(|share| *share /= sum);
        Self { cumulated }
    }

    /// The next row: a place below the number of rows. Wanted rows do not lie side by side.
    pub(crate) fn next(&self) -> usize {
        let drawn = rand::random_range(0.0..1.0);
        let rank = self.cumulated.partition_point(|share| *share < drawn);
        scattered(rank.min(self.cumulated.len() - 1), self.cumulated.len())
    }
}

/// Another order of the numbers below `rows`: a prime that no number of rows here is a multiple of takes each once.
fn scattered(rank: usize, rows: usize) -> usize {
    const PRIME: usize = 48_271;
    (rank * PRIME) % rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_wanted_row_has_its_share_and_every_row_a_place() {
        let zipf = Zipf::new(1000, 0.99);
        let most = (0..20_000).filter(|_| zipf.next() == 0).count();
        // 1 / (1 + 2^-0.99 + ... + 1000^-0.99) is 13 %.
        assert!((2200..3000).contains(&most), "{most}");
        let mut places: Vec<usize> = (0..1000).map(|rank| scattered(rank, 1000)).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), 1000);
    }
}
