//! How long an answer may take that is large, or that REDCap works at for minutes before the first byte.

use std::time::Duration;

use crate::project::Settings;

/// Where nobody says otherwise. Whoever waits sees the progress and can interrupt at any time; giving up on an import
/// would leave its outcome unknown.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// Waits longer than for other calls, unless somebody said how long.
pub(super) fn be_patient(settings: &mut Settings) {
    if settings.found.iter().all(|(name, ..)| name != "timeout") {
        settings.net.timeout = settings.net.timeout.max(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_waited_and_whoever_sets_a_time_means_it() {
        let mut settings = Settings::default();
        be_patient(&mut settings);
        assert_eq!(settings.net.timeout, PATIENCE);
        let seven = Duration::from_secs(7);
        settings.net.timeout = seven;
        settings.found.push(("timeout".into(), "7".into(), "option `keycap.timeout`".into()));
        be_patient(&mut settings);
        assert_eq!(settings.net.timeout, seven);
    }
}
