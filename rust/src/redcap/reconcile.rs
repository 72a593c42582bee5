//! REDCap's log against the audit log: which line belongs to which call. Nothing here asks anybody.
//!
//! REDCap writes the time of its own clock, in minutes and without a zone. How far that clock is ahead of UTC is
//! estimated: of all quarters of an hour the one at which most calls find their line, and no line lies in the future.

/// A line and a call may be this far apart, in seconds.
const SLACK: f64 = 120.0;
const QUARTER: i32 = 15 * 60;
/// The zones of the earth, in seconds ahead of UTC.
const ZONES: std::ops::RangeInclusive<i32> = (-12 * 4)..=(14 * 4);
/// What REDCap's log says of tokens begins so.
const TOKEN_EVENTS: [&str; 4] =
    ["create api token", "request api token", "user delete own api token", "user regenerate own api token"];

/// A call of the audit log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    /// Content and action, perhaps with the names of parameters.
    pub(crate) action: String,
    /// From when to when it may have been logged, in seconds since 1970.
    pub(crate) begin: f64,
    pub(crate) end: f64,
    /// `ok` or the error's kind; missing where the log has no outcome.
    pub(crate) outcome: Option<String>,
    /// How many records it wrote or deleted, where that is known.
    pub(crate) records: Option<u64>,
    pub(crate) user: Option<String>,
    /// The sequence number of its intent.
    pub(crate) entry: Option<f64>,
}

/// A line of REDCap's log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logged {
    /// The server's clock, as if it showed UTC.
    pub(crate) clock: f64,
    pub(crate) user: String,
    pub(crate) action: String,
    pub(crate) details: String,
}

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Span {
    pub(crate) since: f64,
    pub(crate) until: f64,
    /// When REDCap's log was read.
    pub(crate) now: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Matched,
    OnlyInRedcap,
    OnlyHere,
}

impl Verdict {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::OnlyInRedcap => "only in REDCap",
            Self::OnlyHere => "only here",
        }
    }
}

/// One event.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) time: f64,
    pub(crate) what: String,
    pub(crate) user: Option<String>,
    pub(crate) verdict: Verdict,
    pub(crate) entry: Option<f64>,
    pub(crate) remark: Option<String>,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reconciled {
    pub(crate) events: Vec<Event>,
    /// How far the server's clock is ahead of UTC, in minutes; none where nothing matches.
    pub(crate) ahead: Option<i32>,
    /// Calls without a line that REDCap does not have to log.
    pub(crate) not_logged: usize,
    /// Lines of other users' calls.
    pub(crate) of_others: usize,
}

/// What a call does, as far as REDCap's log tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Records,
    Report,
    Import,
    Delete,
    Fetch,
    Send,
    Erase,
    Read,
    Write,
}

/// A call, ready to be matched.
struct Call<'a> {
    made: &'a Made,
    content: &'a str,
    class: Class,
    /// Whether REDCap logs it for sure.
    certain: bool,
    /// How many lines it may still have.
    left: u64,
    found: bool,
}

/// A line, ready to be matched.
struct Line<'a> {
    logged: &'a Logged,
    class: Class,
    /// What it says of itself, in small letters.
    head: String,
    /// Whether it can come from the API alone.
    certain: bool,
    token_event: bool,
    call: Option<(usize, bool)>,
}

impl<'a> Call<'a> {
    fn new(made: &'a Made) -> Option<Self> {
        let outcome = made.outcome.as_deref();
        // REDCap logs no request that it refuses, and these never reached it.
        if matches!(outcome, Some("redcap" | "token_refused" | "name_lookup" | "certificate" | "redirect")) {
            return None;
        }
        let plain = made.action.split('?').next().unwrap_or_default();
        let (content, action) = plain.split_once('/').unwrap_or((plain, ""));
        let class = match (content, action) {
            ("record", "export") => Class::Records,
            ("report", _) => Class::Report,
            ("record", "import" | "rename" | "randomize") => Class::Import,
            ("record", "delete") => Class::Delete,
            ("file", "export") => Class::Fetch,
            ("file" | "fileRepository", "import") => Class::Send,
            ("file" | "fileRepository", "delete") => Class::Erase,
            (_, "" | "export" | "list") => Class::Read,
            _ => Class::Write,
        };
        let left = match (class, action) {
            (Class::Import | Class::Delete, "import" | "delete") => made.records.unwrap_or(u64::MAX),
            _ => 1,
        };
        let certain = class != Class::Read && action != "randomize" && outcome == Some("ok");
        Some(Self { made, content, class, certain, left, found: false })
    }

    /// How far a moment is from the call, in seconds; a line's minute has sixty of them.
    fn distance(&self, minute: f64) -> f64 {
        (self.made.begin - minute - 60.0).max(minute - self.made.end).max(0.0)
    }

    fn may_be(&self, line: &Line<'_>) -> bool {
        let same_user = self.made.user.as_deref().is_none_or(|user| user.eq_ignore_ascii_case(&line.logged.user));
        let same_class = self.class == line.class
            || (self.content == "fileRepository" && self.class == Class::Read && line.class == Class::Fetch);
        let is_of_users = || matches!(self.content, "user" | "userRole" | "userRoleMapping" | "dag" | "userDagMapping");
        same_user && same_class && !line.token_event && (line.certain || is_of_users())
    }

    /// Whether the line names what the call is about.
    fn is_named(&self, line: &Line<'_>) -> bool {
        let content = self.content.to_ascii_lowercase();
        let other = match self.content {
            "metadata" => "data dictionary",
            "log" => "logging",
            "exportFieldNames" => "field names",
            "formEventMapping" => "mapping",
            "userRole" | "userRoleMapping" => "role",
            "dag" | "userDagMapping" => "data access group",
            "fileRepository" => "file repository",
            other => other,
        };
        !matches!(self.class, Class::Read | Class::Write)
            || line.head.split(' ').any(|word| word == content)
            || line.head.contains(other) && other != content
    }
}

impl<'a> Line<'a> {
    fn new(logged: &'a Logged) -> Option<Self> {
        let (action, details) = (logged.action.to_ascii_lowercase(), logged.details.to_ascii_lowercase());
        let line = |class, head: &str, certain| {
            Some(Self { logged, class, head: head.to_owned(), certain, token_event: false, call: None })
        };
        if let Some(event) = TOKEN_EVENTS.iter().find(|event| details.starts_with(**event)) {
            let token_event = true;
            return Some(Self {
                logged,
                class: Class::Write,
                head: (*event).to_owned(),
                certain: true,
                token_event,
                call: None,
            });
        }
        // What stands in the details of a record's line is data, and tells nothing of the call.
        let (head, _) = if action.contains("record") && !action.starts_with("data export") {
            action.split_once("(api)").unwrap_or_default()
        } else {
            details.split_once("(api)").or_else(|| action.split_once("(api)")).unwrap_or_default()
        };
        let of_users = ["updated user", "add user", "added user", "edit user", "delete user", "deleted user"];
        if head.is_empty() {
            let of_users = of_users.iter().any(|beginning| action.starts_with(beginning));
            return if of_users { line(Class::Write, &action, false) } else { None };
        }
        let begins = |words: &[&str]| words.iter().any(|word| head.starts_with(word));
        let class = if action.starts_with("data export") {
            if details.contains("report") { Class::Report } else { Class::Records }
        } else if begins(&["create record", "update record"]) {
            Class::Import
        } else if begins(&["delete record"]) {
            Class::Delete
        } else if begins(&["download file", "download document"]) {
            Class::Fetch
        } else if begins(&["upload "]) {
            Class::Send
        } else if begins(&["delete file", "delete document"]) {
            Class::Erase
        } else if begins(&["export", "download", "list", "view"]) {
            Class::Read
        } else {
            Class::Write
        };
        line(class, head, true)
    }

    /// REDCap's words for it, without any data.
    fn says(&self) -> String {
        let Logged { action, details, .. } = self.logged;
        let known = if self.token_event { self.head.len() } else { cut(details) };
        match details.get(..known).filter(|known| !known.is_empty() && !action.to_ascii_lowercase().contains("record"))
        {
            Some(known) => format!("{action}: {known}"),
            None => action.clone(),
        }
    }
}

/// Up to where details are REDCap's own words.
fn cut(details: &str) -> usize {
    details.to_ascii_lowercase().find("(api)").map_or(0, |at| at + "(api)".len())
}

/// Gives lines to calls, each line once: in the order of time, to the call that ends first of those that may have made
/// it. The result is how many lines found a call for the first time, and how many of these calls are certain.
fn assign(calls: &mut [Call<'_>], lines: &mut [Line<'_>], ahead: f64, slack: f64, named: bool) {
    let longest = calls.iter().map(|call| call.made.end - call.made.begin).fold(0.0, f64::max);
    for line in lines.iter_mut().filter(|line| line.call.is_none()) {
        let minute = line.logged.clock - ahead;
        let from = calls.partition_point(|call| call.made.begin < minute - longest - slack);
        let mut best: Option<usize> = None;
        for (at, call) in calls.iter().enumerate().skip(from) {
            if call.made.begin > minute + 60.0 + slack {
                break;
            }
            let fits =
                call.left > 0 && call.distance(minute) <= slack && call.may_be(line) && (!named || call.is_named(line));
            // What is certain comes first: the others may have left no line.
            let rank = |at: usize| calls.get(at).map(|call| (!call.certain, call.made.end));
            if fits && best.is_none_or(|best| rank(at) < rank(best)) {
                best = Some(at);
            }
        }
        if let Some((at, call)) = best.and_then(|at| Some((at, calls.get_mut(at)?))) {
            call.left -= 1;
            call.found = true;
            line.call = Some((at, named || call.is_named(line)));
        }
    }
}

/// How far the server's clock is ahead of UTC, in seconds.
fn estimate(made: &[Made], logged: &[Logged], span: &Span, keeps: &dyn Fn(&Line<'_>) -> bool) -> Option<i32> {
    let newest = logged.iter().map(|line| line.clock).fold(f64::NEG_INFINITY, f64::max);
    let mut best: Option<((usize, usize, i32), i32)> = None;
    for quarter in ZONES {
        let ahead = quarter * QUARTER;
        if newest - f64::from(ahead) > span.now + SLACK {
            continue;
        }
        let mut calls = calls(made);
        let mut lines: Vec<_> = logged.iter().filter_map(Line::new).filter(|line| keeps(line)).collect();
        assign(&mut calls, &mut lines, f64::from(ahead), SLACK, false);
        let certain = calls.iter().filter(|call| call.found && call.certain).count();
        let all = calls.iter().filter(|call| call.found).count();
        let score = (certain, all, -ahead.abs());
        if all > 0 && best.is_none_or(|(most, _)| score > most) {
            best = Some((score, ahead));
        }
    }
    best.map(|(_, ahead)| ahead)
}

fn calls(made: &[Made]) -> Vec<Call<'_>> {
    let mut calls: Vec<_> = made.iter().filter_map(Call::new).collect();
    calls.sort_by(|a, b| a.made.begin.total_cmp(&b.made.begin));
    calls
}

/// Sets calls against lines. Both may reach beyond the span: the clock is estimated from all of them. `user`: whose
/// token it is, where that is declared.
pub(crate) fn reconcile(made: &[Made], logged: &[Logged], user: Option<&str>, span: &Span) -> Reconciled {
    let mut logged = logged.to_vec();
    logged.sort_by(|a, b| a.clock.total_cmp(&b.clock));
    let is_own = |line: &Line<'_>| user.is_none_or(|user| user.eq_ignore_ascii_case(&line.logged.user));
    let ahead = estimate(made, &logged, span, &is_own);
    let seconds = f64::from(ahead.unwrap_or_default());
    let mut calls = calls(made);
    let (mut lines, others): (Vec<_>, Vec<_>) =
        logged.iter().filter_map(Line::new).partition(|line| is_own(line) || line.token_event);
    for (slack, named) in [(0.0, true), (SLACK, true), (0.0, false), (SLACK, false)] {
        assign(&mut calls, &mut lines, seconds, slack, named);
    }
    let within = |time: f64| time >= span.since && time < span.until;
    // A line has the time of its minute's beginning.
    let minute = |line: &Line<'_>| line.logged.clock - seconds;
    let line_within = |line: &Line<'_>| minute(line) + 60.0 > span.since && minute(line) < span.until;
    let mut events = Vec::new();
    for line in &lines {
        let of_user = Some(line.logged.user.clone());
        if let Some((call, named)) = line.call.and_then(|(at, named)| Some((calls.get(at)?, named))) {
            let remark = match (&call.made.outcome, named) {
                (None, _) => Some("no outcome here; REDCap has it, so it was made"),
                (_, false) => Some("by kind and time alone: REDCap's words for it do not name it"),
                _ => None,
            };
            if within(call.made.begin) {
                events.push(Event {
                    time: call.made.begin,
                    what: format!("{} / {}", line.says(), plain(call.made)),
                    user: of_user,
                    verdict: Verdict::Matched,
                    entry: call.made.entry,
                    remark: remark.map(str::to_owned),
                });
            }
        } else if line.certain && line_within(line) {
            let remark = if line.token_event {
                "token event"
            } else if user.is_some() {
                "the token was used elsewhere: no entry here has this call"
            } else {
                "no entry here has this call: the token was used elsewhere, or it is another user's (no `redcap_user` is declared)"
            };
            events.push(Event {
                time: minute(line),
                what: line.says(),
                user: of_user,
                verdict: Verdict::OnlyInRedcap,
                entry: None,
                remark: Some(remark.to_owned()),
            });
        }
    }
    let mut not_logged = made.iter().filter(|made| within(made.begin) && Call::new(made).is_none()).count();
    for call in calls.iter().filter(|call| !call.found && within(call.made.begin)) {
        let remark = match (call.certain, &call.made.outcome) {
            (true, _) if call.class == Class::Import => {
                "REDCap's log has no line for it; an import that changes nothing leaves none"
            }
            (true, _) => "REDCap's log has no line for it",
            (false, None) if call.class != Class::Read => {
                "no outcome: it may never have reached REDCap; evidence, not an error"
            }
            _ => {
                not_logged += 1;
                continue;
            }
        };
        events.push(Event {
            time: call.made.begin,
            what: plain(call.made).to_owned(),
            user: call.made.user.clone(),
            verdict: Verdict::OnlyHere,
            entry: call.made.entry,
            remark: Some(remark.to_owned()),
        });
    }
    events.sort_by(|a, b| a.time.total_cmp(&b.time));
    let of_others = others.iter().filter(|line| line.certain && line_within(line)).count();
    Reconciled { events, ahead: ahead.map(|seconds| seconds / 60), not_logged, of_others }
}

fn plain(made: &Made) -> &str {
    made.action.split('?').next().unwrap_or_default()
}

/// The seconds since 1970 of a `Date` header, `Fri, 21 Nov 2025 23:56:06 GMT`.
pub(crate) fn header_time(text: &str) -> Option<f64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.split(' ');
    let (day, month, year, clock) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    crate::audit::seconds(&format!("{year}-{month:02}-{day}T{clock}Z"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::float_cmp)]
mod tests {
    use super::*;

    const NOON: f64 = 1_763_726_400.0; // 2025-11-21 12:00 UTC
    const SPAN: Span = Span { since: NOON - 7200.0, until: NOON + 7200.0, now: NOON + 7200.0 };

    fn made(action: &str, at: f64) -> Made {
        let (action, outcome) = (action.to_owned(), Some("ok".to_owned()));
        Made { action, begin: NOON + at, end: NOON + at + 1.0, outcome, entry: Some(at), ..Made::default() }
    }

    fn logged(action: &str, details: &str, at: f64) -> Logged {
        let (action, details) = (action.to_owned(), details.to_owned());
        Logged { clock: ((NOON + at) / 60.0).floor() * 60.0, user: "ann".to_owned(), action, details }
    }

    fn export(at: f64) -> Logged {
        logged("Data export (API)", "Export records (API)", at)
    }

    fn counts(made: &[Made], logged: &[Logged], user: Option<&str>) -> [usize; 3] {
        let found = reconcile(made, logged, user, &SPAN);
        [Verdict::Matched, Verdict::OnlyInRedcap, Verdict::OnlyHere]
            .map(|verdict| found.events.iter().filter(|event| event.verdict == verdict).count())
    }

    #[test]
    fn every_kind_of_call_finds_its_line_and_no_other() {
        let pairs = [
            ("record/export?fields[0]", "Data export (API)", "Export records (API)"),
            ("report/export?report_id", "Data export (API)", "Export report (API), report_id = 1"),
            ("record/import?data", "Update record (API) 7", "record_id = '7', sex = '1'"),
            ("record/import", "Create record (API) 7", "record_id = '7'"),
            ("record/delete", "Delete record (API) 7", "record_id = '7'"),
            ("record/rename", "Update record (API) 8", "record_id = '8'"),
            ("file/export", "Manage/Design", "Download file (API), letter"),
            ("file/import", "Manage/Design", "Upload file (API), letter"),
            ("file/delete", "Manage/Design", "Delete file (API), letter"),
            ("fileRepository/import", "Manage/Design", "Upload file to File Repository (API), x"),
            ("fileRepository/export", "Manage/Design", "Download file from File Repository (API), x"),
            ("fileRepository/createFolder", "Manage/Design", "Create folder in File Repository (API), x"),
            ("dag/switch", "Manage/Design", "Switch Data Access Group (API), 'a'"),
            ("user/import", "Updated User bob", "user = 'bob'"),
            ("metadata", "Manage/Design", "Download data dictionary (API)"),
            ("version", "Manage/Design", "Export version (API)"),
        ];
        for (n, (action, _, _)) in pairs.iter().enumerate() {
            for (m, (_, line, details)) in pairs.iter().enumerate() {
                let found = reconcile(&[made(action, 5.0)], &[logged(line, details, 5.0)], None, &SPAN);
                let matched = found.events.iter().any(|event| event.verdict == Verdict::Matched);
                if n == m {
                    assert!(matched && found.events.len() == 1, "{action} {line} {details}: {found:?}");
                } else if Call::new(&made(action, 5.0)).unwrap().class
                    != Line::new(&logged(line, details, 5.0)).unwrap().class
                    && !action.starts_with("fileRepository/export")
                {
                    assert!(!matched, "{action} {line} {details}");
                }
            }
        }
    }

    #[test]
    fn each_line_and_each_call_counts_once() {
        let three = [made("record/export", 0.0), made("record/export", 20.0), made("record/export", 130.0)];
        assert_eq!(counts(&three, &[export(0.0), export(20.0), export(130.0)], None), [3, 0, 0]);
        assert_eq!(counts(&three, &[export(0.0), export(20.0)], None), [2, 0, 1]);
        assert_eq!(counts(&three, &[export(0.0), export(20.0), export(40.0), export(130.0)], None), [3, 1, 0]);
        assert_eq!(counts(&[], &[export(0.0)], None), [0, 1, 0]);
        assert_eq!(counts(&three, &[], None), [0, 0, 3]);
    }

    #[test]
    fn an_import_has_a_line_for_each_record_and_no_more() {
        let lines: Vec<_> = (1..=3).map(|n| logged(&format!("Update record (API) {n}"), "sex = '1'", 0.0)).collect();
        let import = |records| Made { records, ..made("record/import", 0.0) };
        assert_eq!(counts(&[import(Some(3))], &lines, None), [3, 0, 0]);
        assert_eq!(counts(&[import(None)], &lines, None), [3, 0, 0]);
        assert_eq!(counts(&[import(Some(2))], &lines, None), [2, 1, 0]);
        assert_eq!(counts(&[import(Some(1)), import(Some(2))], &lines, None), [3, 0, 0]);
        let found = reconcile(&[import(Some(2))], &[], None, &SPAN);
        assert!(found.events[0].remark.as_deref().unwrap().contains("changes nothing"));
    }

    #[test]
    fn the_servers_zone_is_found_and_two_minutes_are_near() {
        let calls = [made("record/export", 0.0), made("report", 1000.0), made("record/delete", 1900.0)];
        for (ahead, skew) in
            [(0.0, 0.0), (3600.0, 0.0), (-5.0 * 3600.0, 100.0), (5.75 * 3600.0, -100.0), (14.0 * 3600.0, 0.0)]
        {
            let lines = [
                export(ahead + skew),
                logged("Data export (API)", "Export report (API)", 1000.0 + ahead + skew),
                logged("Delete record (API) 1", "", 1900.0 + ahead + skew),
            ];
            let found = reconcile(&calls, &lines, None, &SPAN);
            assert_eq!(found.ahead, Some((ahead / 60.0) as i32));
            assert!(found.events.iter().all(|event| event.verdict == Verdict::Matched), "{found:?}");
        }
        let apart = [export(0.0), logged("Data export (API)", "Export report (API)", 1000.0), export(1900.0 + 400.0)];
        assert_eq!(counts(&calls, &apart, None), [2, 1, 1]);
        assert_eq!(reconcile(&calls, &[], None, &SPAN).ahead, None);
    }

    #[test]
    fn what_redcap_need_not_log_is_left_out_and_no_outcome_is_evidence() {
        let failed = |kind: &str| Made { outcome: Some(kind.to_owned()), ..made("record/export", 0.0) };
        for left_out in
            [made("version", 0.0), made("project", 0.0), failed("redcap"), failed("timeout"), failed("token_refused")]
        {
            let found = reconcile(&[left_out], &[], None, &SPAN);
            assert!(found.events.is_empty() && found.not_logged == 1, "{found:?}");
        }
        assert_eq!(counts(&[failed("timeout")], &[export(0.0)], None), [1, 0, 0]);
        assert_eq!(counts(&[failed("token_refused")], &[export(0.0)], None), [0, 1, 0]);
        let open = Made { outcome: None, ..made("record/export", 0.0) };
        let found = reconcile(std::slice::from_ref(&open), &[], None, &SPAN);
        assert!(
            found.events[0].verdict == Verdict::OnlyHere
                && found.events[0].remark.as_deref().unwrap().contains("evidence")
        );
        assert_eq!(counts(&[open], &[export(0.0)], None), [1, 0, 0]);
    }

    #[test]
    fn what_people_do_on_the_pages_is_no_event_and_what_was_done_to_tokens_is_one() {
        let people = [
            logged("Update record 7", "sex = 'Export records (API)'", 0.0),
            logged("Manage/Design", "Create project field", 0.0),
            logged("Data export", "Export data", 0.0),
            logged("Updated User bob", "user = 'bob'", 0.0),
        ];
        assert_eq!(counts(&[], &people, None), [0, 0, 0]);
        let event = logged("Manage/Design", "User regenerate own API token, secret words", 0.0);
        let found = reconcile(&[made("user/import", 0.0)], &[event], Some("bob"), &SPAN);
        let token = &found.events[0];
        assert_eq!(token.remark.as_deref(), Some("token event"));
        assert_eq!(token.what, "Manage/Design: User regenerate own API token");
        assert_eq!(found.events[1].verdict, Verdict::OnlyHere);
    }

    #[test]
    fn other_users_calls_are_left_out_where_the_user_is_declared() {
        let bob = Logged { user: "bob".to_owned(), ..export(0.0) };
        let call = made("record/export", 0.0);
        let found = reconcile(std::slice::from_ref(&call), std::slice::from_ref(&bob), Some("Ann"), &SPAN);
        assert_eq!((found.of_others, found.events[0].verdict), (1, Verdict::OnlyHere));
        assert_eq!(counts(&[call], &[bob, export(0.0)], Some("Ann")), [1, 0, 0]);
    }

    #[test]
    fn only_what_lies_in_the_span_is_told() {
        let narrow = Span { since: NOON + 600.0, until: NOON + 1200.0, now: NOON + 7200.0 };
        let calls = [made("record/export", 0.0), made("record/export", 700.0), made("record/export", 1300.0)];
        let lines = [export(0.0), export(700.0), export(1300.0), export(3000.0), export(1000.0)];
        let found = reconcile(&calls, &lines, None, &narrow);
        let verdicts: Vec<_> = found.events.iter().map(|event| event.verdict).collect();
        assert_eq!(verdicts, [Verdict::Matched, Verdict::OnlyInRedcap]);
    }

    #[test]
    fn a_date_header_is_a_moment() {
        assert_eq!(header_time("Fri, 21 Nov 2025 12:00:00 GMT"), Some(NOON));
        for text in ["", "today", "Fri, 21 Xyz 2025 12:00:00 GMT", "Fri, 21 Nov 2025"] {
            assert_eq!(header_time(text), None);
        }
    }
}
