//! A text in which a token's name stands for each token's own: a path, an argument.

use std::fmt;

/// What can stand in braces.
const PLACES: [&str; 3] = ["{token_name}", "{token-name}", "{short_name}"];

/// A text with `{token_name}` or `{short_name}` in it. `{token-name}` is the token name with `-` for `_`, for
/// managers that know no underscore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

impl Template {
    /// Reads a template. Other braces are refused: they would be a slip.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.to_owned();
        for place in PLACES {
            rest = rest.replace(place, "");
        }
        if rest.contains(['{', '}']) {
            return Err("braces hold `{token_name}`, `{token-name}` or `{short_name}` and nothing else".to_owned());
        }
        if rest.contains(char::is_control) {
            return Err("it contains control characters".to_owned());
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the result differs from token to token. Without, one token would stand for all projects.
    pub fn names_the_token(&self) -> bool {
        PLACES.iter().any(|place| self.0.contains(place))
    }

    /// The text for one token; `None` where it needs the short name and there is none.
    pub fn fill(&self, token_name: &str, short_name: &str) -> Option<String> {
        if short_name.is_empty() && self.0.contains(PLACES[2]) {
            return None;
        }
        // Names have letters, digits and `_` only: what is filled in is not filled in again.
        Some(
            self.0
                .replace(PLACES[0], token_name)
                .replace(PLACES[1], &token_name.replace('_', "-"))
                .replace(PLACES[2], short_name),
        )
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn names_are_filled_in_and_other_braces_are_refused() {
        let filled = |text: &str| Template::parse(text).unwrap().fill("REDCapSync_T_1", "T_1").unwrap();
        assert_eq!(filled("redcap/{token_name}"), "redcap/REDCapSync_T_1");
        assert_eq!(filled("kv-{token-name}/{short_name}"), "kv-REDCapSync-T-1/T_1");
        assert!(!Template::parse("redcap/token").unwrap().names_the_token());
        assert!(Template::parse("{short_name}").unwrap().fill("T", "").is_none());
        for text in ["{name}", "{token_name", "a}", "{{token_name}}", "a\nb"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
