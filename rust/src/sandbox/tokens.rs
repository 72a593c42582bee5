//! The server's own list of tokens: who holds one for which project.

/// One user's token in one project.
struct Held {
    project: String,
    user: String,
    token: String,
}

/// All tokens that are alive.
#[derive(Default)]
pub(super) struct Tokens(Vec<Held>);

impl Tokens {
    /// Project and user behind a token. The case of hexadecimal tokens does not matter, as in REDCap, whose
    /// database compares without it; anything else must match to the byte (a trailing newline is another token).
    pub(super) fn find(&self, token: &str) -> Option<(&str, &str)> {
        let held = self.0.iter().find(|held| held.is(token))?;
        Some((&held.project, &held.user))
    }

    /// Gives a user a token in a project. The one before is dead at once, and a token is never held twice.
    pub(super) fn set(&mut self, project: &str, user: &str, token: String) {
        self.remove(project, user);
        self.0.retain(|held| !held.is(&token));
        self.0.push(Held { project: project.to_owned(), user: user.to_owned(), token });
    }

    /// Takes a user's token in a project away. Whether there was one.
    pub(super) fn remove(&mut self, project: &str, user: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|held| held.project != project || held.user != user);
        self.0.len() < before
    }

    /// Whether a user has a token in a project.
    pub(super) fn has(&self, project: &str, user: &str) -> bool {
        self.0.iter().any(|held| held.project == project && held.user == user)
    }
}

impl Held {
    fn is(&self, token: &str) -> bool {
        let hexadecimal = self.token.bytes().all(|b| b.is_ascii_hexdigit());
        if hexadecimal { self.token.eq_ignore_ascii_case(token) } else { self.token == token }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_kills_the_old_one_and_lives_once() {
        let mut tokens = Tokens::default();
        tokens.set("A", "u", "ab".repeat(16));
        tokens.set("A", "v", "cd".repeat(16));
        assert_eq!(tokens.find(&"AB".repeat(16)), Some(("A", "u")));
        tokens.set("A", "u", "ef".repeat(16));
        assert_eq!(tokens.find(&"ab".repeat(16)), None);
        tokens.set("B", "u", "ef".repeat(16));
        assert_eq!(tokens.find(&"ef".repeat(16)), Some(("B", "u")));
        assert!(!tokens.has("A", "u"));
        assert!(tokens.remove("B", "u") && !tokens.remove("B", "u"));
        assert_eq!(tokens.find(""), None);
        assert_eq!(tokens.find(&("cd".repeat(16) + "\n")), None);
    }

    #[test]
    fn a_token_that_is_not_hexadecimal_must_match_to_the_letter() {
        let mut tokens = Tokens::default();
        tokens.set("A", "u", "a-token-of-a-broker/with+other=letters".to_owned());
        assert!(tokens.find("a-token-of-a-broker/with+other=letters").is_some());
        assert!(tokens.find("A-TOKEN-OF-A-BROKER/WITH+OTHER=LETTERS").is_none());
    }
}
