//! REDCap's ban: an address with too many requests in a minute is shut out until an administrator lifts it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Counts requests by address.
pub(super) struct Ban {
    /// Requests a minute that are still allowed; `None`: no ban.
    after: Option<u32>,
    seen: HashMap<IpAddr, VecDeque<Instant>>,
    banned: HashSet<IpAddr>,
}

impl Ban {
    pub(super) fn new(after: Option<u32>) -> Self {
        Self { after, seen: HashMap::new(), banned: HashSet::new() }
    }

    /// Counts a request and says whether its address is shut out.
    pub(super) fn refuses(&mut self, address: IpAddr, now: Instant) -> bool {
        let Some(after) = self.after else { return false };
        let seen = self.seen.entry(address).or_default();
        while seen.front().is_some_and(|then| now.duration_since(*then) >= Duration::from_secs(60)) {
            seen.pop_front();
        }
        seen.push_back(now);
        if seen.len() > after as usize {
            self.banned.insert(address);
        }
        self.banned.contains(&address)
    }

    /// Lifts every ban.
    pub(super) fn lift(&mut self) {
        self.seen.clear();
        self.banned.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_banned_behind_its_allowance_until_the_ban_is_lifted() {
        let mut ban = Ban::new(Some(600));
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let start = Instant::now();
        assert!((0..600).all(|_| !ban.refuses(one, start)));
        assert!(ban.refuses(one, start));
        assert!(!ban.refuses(other, start));
        assert!(ban.refuses(one, start + Duration::from_secs(3600)));
        ban.lift();
        assert!(!ban.refuses(one, start + Duration::from_secs(3600)));
    }

    #[test]
    fn the_minute_slides() {
        let mut ban = Ban::new(Some(2));
        let (one, start) = (IpAddr::from([127, 0, 0, 1]), Instant::now());
        assert!((0..50).all(|n| !ban.refuses(one, start + Duration::from_secs(31 * n))));
    }
}
