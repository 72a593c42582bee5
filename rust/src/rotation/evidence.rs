//! What a rotation shows, and by what.

use crate::project::Begun;

/// Where a rotation stands before the new token.
pub(crate) struct Stand {
    pub(crate) begun: Begun,
    /// Whether REDCap takes the old token now; nothing where no store has it any more.
    pub(crate) works: Option<bool>,
    /// The fingerprint of another token that the store has: the new one, perhaps.
    pub(crate) another: Option<String>,
    pub(crate) age: Option<String>,
    /// Whether an earlier call began it.
    pub(crate) resumed: bool,
}

/// By what it is known that the new token is the right one.
pub(crate) struct Evidence {
    /// Whether both tokens could read that their project is the same one.
    pub(crate) same_project: bool,
    /// `self`, `checker` (a list of users has the declared user, and the token does what that user may), `declared` or
    /// `unknown`.
    pub(crate) user: &'static str,
    /// Whose word it is that it has no more rights: `self`, `checker`, `probe`, or `unknown` where the old token's were not
    /// known.
    pub(crate) rights: &'static str,
    /// What REDCap let the old one do and refuses the new one.
    pub(crate) lost: Vec<String>,
    /// How it came in.
    pub(crate) how: &'static str,
    /// Whether REDCap refuses the old one; nothing where no store has it any more.
    pub(crate) old_refused: Option<bool>,
}

/// A new token that did not come yet.
pub(crate) struct Waiting {
    pub(crate) begun: Begun,
    pub(crate) hints: Vec<String>,
}

impl Waiting {
    pub(super) fn boxed(begun: &Begun, hints: &[String]) -> Box<Self> {
        Box::new(Self { begun: begun.clone(), hints: hints.to_vec() })
    }
}

/// What the last steps come to.
pub(crate) enum Done {
    Waiting(Box<Waiting>),
    Finished(Box<Finished>),
}

/// A rotation that is done.
pub(crate) struct Finished {
    pub(crate) begun: Begun,
    pub(crate) evidence: Evidence,
    /// The stores that still have the old token.
    pub(crate) still: Vec<String>,
    /// The store whose token is used instead of the new one.
    pub(crate) shadowed_by: Option<String>,
    /// Seconds from when the old token was last seen to work, and from when it was first seen to be refused, until the new
    /// one was read back.
    pub(crate) at_most: Option<f64>,
    pub(crate) at_least: Option<f64>,
    /// Whether the file that the token came from was wiped.
    pub(crate) wiped: bool,
}

impl Finished {
    /// The time without service, in words.
    pub(crate) fn time(&self) -> String {
        match (self.at_most, self.at_least) {
            (Some(most), Some(least)) if least < most => {
                format!("{} s at most, {} s at least", whole(most, f64::ceil), whole(least, f64::floor))
            }
            (Some(most), _) => format!("{} s at most", whole(most, f64::ceil)),
            (None, Some(least)) => {
                format!("at least {} s: the old token was refused when the rotation began", whole(least, f64::floor))
            }
            (None, None) => "not known".to_owned(),
        }
    }

    /// What the last entry says besides the fingerprints.
    pub(super) fn detail(&self) -> String {
        let Evidence { same_project, user, rights, old_refused, .. } = &self.evidence;
        let seen = |seen: bool| if seen { "seen" } else { "not readable" };
        let still = match self.still.as_slice() {
            [] => String::new(),
            still => format!("; the old one is still in: {}", still.join(", ")),
        };
        let shadow = self.shadowed_by.as_ref().map(|store| format!("; not used before `{store}` lets go"));
        format!(
            "same project: {}; user: {user}; rights: {rights}; old one refused: {}; without service: {}{still}{}",
            seen(*same_project),
            if *old_refused == Some(true) { "seen" } else { "not asked" },
            self.time(),
            shadow.unwrap_or_default()
        )
    }
}

fn whole(seconds: f64, round: fn(f64) -> f64) -> f64 {
    round(seconds.max(0.0))
}
