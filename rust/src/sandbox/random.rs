//! Numbers from a fixed seed, the same on every machine.

/// `SplitMix64` (Steele, Lea, Flood 2014): eight lines, and good enough for made-up data.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = high.abs_diff(low) + 1;
        low + i64::try_from(self.next() % span).unwrap_or_default()
    }

    /// True in `percent` of all cases.
    pub(super) fn chance(&mut self, percent: i64) -> bool {
        self.between(1, 100) <= percent
    }

    /// One of several.
    pub(super) fn pick<'a, T: ?Sized>(&mut self, items: &[&'a T]) -> &'a T {
        items[(self.next() % items.len() as u64) as usize]
    }

    /// A number with `digits` decimals, from `low` to `high` in units of the last of them.
    pub(super) fn decimal(&mut self, low: i64, high: i64, digits: usize) -> String {
        let units = 10_f64.powi(i32::try_from(digits).unwrap_or_default());
        format!("{:.digits$}", self.between(low, high) as f64 / units)
    }

    /// A date between two days counted from 1970-01-01.
    pub(super) fn date(&mut self, first: i64, last: i64) -> String {
        crate::sandbox::time::date(self.between(first, last))
    }
}
