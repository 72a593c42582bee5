//! The documented sample tokens. They open nothing but a sandbox.

/// A sample project with its sample token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The short name to set the project up with.
    pub short_name: &'static str,
    /// The title that the server reports.
    pub title: &'static str,
    /// The name of the token, as `setup_project()` makes it by default.
    pub token_name: &'static str,
    /// The sample token: a constant, no secret, fake by look (`FA4E` reads "fake").
    pub token: &'static str,
    /// The user whom it belongs to.
    pub user: &'static str,
    /// The project's number on the server.
    pub project_id: u32,
    /// `classic`, `longitudinal` or `repeating`.
    pub kind: &'static str,
}

/// The sample projects of every sandbox, each with its documented fake token.
pub const SAMPLES: [Sample; 4] = [
    Sample {
        short_name: "TEST",
        title: "Sandbox sample: Größe und Gewicht (classic)",
        token_name: "REDCapSync_TEST",
        token: "FA4EFA4EFA4EFA4EFA4EFA4E00000001",
        user: "admin",
        project_id: 17,
        kind: "classic",
    },
    Sample {
        short_name: "TEST_LONG",
        title: "Sandbox sample: two arms over time (longitudinal)",
        token_name: "REDCapSync_TEST_LONG",
        token: "FA4EFA4EFA4EFA4EFA4EFA4E00000002",
        user: "admin",
        project_id: 18,
        kind: "longitudinal",
    },
    Sample {
        short_name: "TEST_REPEAT",
        title: "Sandbox sample: medication and visits (repeating)",
        token_name: "REDCapSync_TEST_REPEAT",
        token: "FA4EFA4EFA4EFA4EFA4EFA4E00000003",
        user: "admin",
        project_id: 19,
        kind: "repeating",
    },
    Sample {
        short_name: "TEST_SITES",
        title: "Sandbox sample: a study of three sites (groups)",
        token_name: "REDCapSync_TEST_SITES",
        token: "FA4EFA4EFA4EFA4EFA4EFA4E00000004",
        user: "admin",
        project_id: 20,
        kind: "classic",
    },
];

impl Sample {
    /// Whether it is the project of three sites.
    pub(super) fn has_sites(&self) -> bool {
        self.short_name == "TEST_SITES"
    }
}

/// The sample tokens by token name, for the look-up of a session that started a sandbox.
pub fn sample_tokens() -> impl Iterator<Item = (&'static str, &'static str)> {
    SAMPLES.iter().map(|sample| (sample.token_name, sample.token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sample_tokens_have_the_form_of_a_token_and_look_fake() {
        for (name, token) in sample_tokens() {
            assert_eq!(token.len(), 32);
            assert!(token.bytes().all(|b| b.is_ascii_hexdigit()));
            assert!(token.starts_with("FA4E"));
            assert!(name.starts_with("REDCapSync_TEST"));
        }
        let distinct: std::collections::HashSet<_> = sample_tokens().map(|(_, token)| token).collect();
        assert_eq!(distinct.len(), SAMPLES.len());
    }
}
