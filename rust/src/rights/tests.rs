//! Users of each kind against what a token is needed for, and each answer about groups: with codes as REDCap documents
//! them, and against the sandbox.
#![allow(clippy::unwrap_used, clippy::large_futures)]

use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::account::{Account, Accounts};
use super::ask::{Token, confinement, facts};
use super::confined::{Ids, Seen, judge};
use super::grade::{Facts, Graded, Lister, Probes, grade};
use super::listed::{self, Listed};
use super::need::{Needs, Verdict};
use crate::ctx::{Ctx, Dirs, Events, SystemClock, SystemRandom};
use crate::error::{Kind, Result};
use crate::net::Net;
use crate::project::{Kept, Project, Settings, Wish, set_up};
use crate::redcap::{Groups, Operation};
use crate::sandbox::Child;
use crate::sandbox::tests::program;
use crate::store::Environment;
use crate::token::TokenName;
use crate::value::Value;

/// 2026-11-22.
const TODAY: i64 = 20_779;

fn needs(texts: &str) -> Needs {
    Needs::parse(&texts.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap()
}

/// A user with these codes besides zeros; `role`: the codes of the user's role.
fn user(codes: &Json, role: Option<&Json>) -> Listed {
    let row = |codes: &Json| {
        let mut row = json!({"username": "u", "unique_role_name": "U-1", "role_label": "Role"});
        for right in super::code::RIGHTS.iter().filter(|right| **right != "data_export") {
            row[*right] = json!(0);
        }
        row.as_object_mut().unwrap().extend(codes.as_object().unwrap().clone());
        row
    };
    let roles: Vec<_> = role.iter().map(|role| row(role)).collect();
    let of_role = if role.is_some() { "U-1" } else { "" };
    let mapping = [json!({"username": "u", "unique_role_name": of_role})];
    listed::find("u", &[row(codes)], Some(&mapping), Some(&roles), &|text| text.to_owned()).unwrap()
}

fn silent() -> Probes {
    Probes { export: None, users: None, logging: None, groups: Groups::Open }
}

fn graded(listed: Listed, texts: &str) -> Graded {
    let facts = Facts {
        user: Some("u".to_owned()),
        proved: None,
        shared: None,
        probes: silent(),
        list: Some((Lister::Checker, Some(listed))),
        account: None,
        today: TODAY,
    };
    grade(&facts, &needs(texts))
}

/// What is not as needed: `right verdict`, sorted.
fn wrong(graded: &Graded) -> Vec<String> {
    let stated = ["api_only", "inactivity", "dag_switcher"];
    let rows = graded.rows.iter().filter(|row| row.verdict != Verdict::Ok && !stated.contains(&row.right.as_str()));
    let mut wrong: Vec<_> = rows.map(|row| format!("{} {}", row.right, row.verdict.as_str())).collect();
    wrong.sort();
    wrong
}

/// Who it is, the codes of the user and of the role, what is needed, and what is not as needed.
type Case = (&'static str, Json, Option<Json>, &'static str, &'static [&'static str]);

#[test]
#[allow(clippy::too_many_lines)]
fn each_user_gets_the_verdict_that_the_documented_codes_demand() {
    let exports = || json!({"api_export": 1, "forms": {"a": 0}, "forms_export": {"a": 1}});
    let with = |more: Json| {
        let mut codes = exports();
        codes.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        codes
    };
    let all = || {
        let mut codes = json!({"forms": {"a": 1}, "forms_export": {"a": 1}});
        for right in super::code::RIGHTS.iter().filter(|right| **right != "data_export") {
            codes[*right] = json!(1);
        }
        codes
    };
    let by_form = |a: i64, b: i64| with(json!({"forms": {"a": 0, "b": 0}, "forms_export": {"a": a, "b": b}}));
    let old = |code: i64| json!({"api_export": 1, "data_export": code, "forms": {"a": 0}});
    let view = |code: i64| with(json!({"forms": {"a": code}}));
    let nothing = || json!({"forms": {"a": 0}, "forms_export": {"a": 0}});
    let flag = |right: &str| {
        let mut codes = exports();
        codes[right] = json!(1);
        codes
    };
    let cases: Vec<Case> = vec![
        // Exports only.
        ("exports only", exports(), None, "api_export", &[]),
        ("exports only", exports(), None, "export", &[]),
        ("exports only", exports(), None, "export_deidentified", &["forms_export:a excess"]),
        ("exports only", exports(), None, "import", &["api_import missing"]),
        ("exports only", exports(), None, "survey", &["manage_survey_participants missing"]),
        ("exports only", exports(), None, "api_export logging", &["logging missing"]),
        ("exports only", exports(), None, "design", &["api_export excess", "design missing", "forms_export:a excess"]),
        // Nothing at all.
        ("nothing", nothing(), None, "api_export", &["api_export missing"]),
        ("nothing", nothing(), None, "export", &["api_export missing", "forms_export:a missing"]),
        ("nothing", nothing(), None, "import", &["api_export missing", "api_import missing"]),
        // The newer generation: a code for each form.
        ("de-identified", by_form(2, 2), None, "export", &["forms_export:a missing", "forms_export:b missing"]),
        ("de-identified", by_form(2, 2), None, "export_deidentified", &[]),
        ("identifiers removed", by_form(3, 3), None, "export_deidentified", &[]),
        ("identifiers removed", by_form(3, 3), None, "export", &["forms_export:a missing", "forms_export:b missing"]),
        ("one form in full", by_form(1, 0), None, "export", &[]),
        (
            "one form in full",
            by_form(1, 0),
            None,
            "export_deidentified",
            &["forms_export:a excess", "forms_export:b missing"],
        ),
        ("one form in full", by_form(1, 2), None, "export_deidentified", &["forms_export:a excess"]),
        ("one form in full", by_form(1, 2), None, "export", &["forms_export:b missing"]),
        ("no form", by_form(0, 0), None, "export", &["forms_export:a missing", "forms_export:b missing"]),
        ("no form", by_form(0, 0), None, "api_export", &[]),
        ("an unknown code", by_form(1, 7), None, "export", &["forms_export:b excess"]),
        ("an unknown code", by_form(1, 7), None, "api_export", &["forms_export:b excess"]),
        // The older one: a code for all data.
        ("old, none", old(0), None, "export", &["data_export missing"]),
        ("old, full", old(1), None, "export", &[]),
        ("old, full", old(1), None, "export_deidentified", &["data_export excess"]),
        ("old, de-identified", old(2), None, "export_deidentified", &[]),
        ("old, de-identified", old(2), None, "export", &["data_export missing"]),
        ("old, identifiers removed", old(3), None, "export_deidentified", &[]),
        ("old, unknown", old(4), None, "export", &["data_export excess"]),
        // Viewing forms, both generations.
        ("views", view(2), None, "export", &["forms:a excess"]),
        ("edits", view(1), None, "export", &["forms:a excess"]),
        ("edits survey responses", view(3), None, "export", &["forms:a excess"]),
        ("edits", view(1), None, "export import", &["api_import missing"]),
        ("edits", view(1), None, "export forms", &[]),
        ("bits, none", view(128), None, "export", &[]),
        ("bits, none", view(128), None, "export forms", &["forms:a missing"]),
        ("bits, reads", view(129), None, "export", &["forms:a excess"]),
        ("bits, edits", view(130), None, "export forms", &[]),
        ("bits, edits and deletes", view(154), None, "export", &["forms:a excess"]),
        ("bits, unknown", view(131), None, "export forms", &["forms:a excess"]),
        ("bits, unknown", view(64), None, "import", &["api_import missing", "forms:a excess"]),
        // Users' rights: 1 is full, 2 read-only.
        ("lists users", with(json!({"user_rights": 2})), None, "export", &["user_rights excess"]),
        ("lists users", with(json!({"user_rights": 2})), None, "export user_rights", &[]),
        ("changes users", with(json!({"user_rights": 1})), None, "export", &["user_rights excess"]),
        ("an unknown code", with(json!({"user_rights": 3})), None, "export user_rights", &["user_rights excess"]),
        // One right too many.
        ("design", flag("design"), None, "export", &["design excess"]),
        ("mobile app", flag("mobile_app"), None, "export", &["mobile_app excess"]),
        ("deletes", flag("record_delete"), None, "export", &["record_delete excess"]),
        ("logging", flag("logging"), None, "export logging", &[]),
        ("groups", flag("data_access_groups"), None, "export", &["data_access_groups excess"]),
        ("imports", with(json!({"api_import": 1, "record_create": 1})), None, "import", &[]),
        (
            "imports",
            with(json!({"api_import": 1, "record_create": 1})),
            None,
            "export",
            &["api_import excess", "record_create excess"],
        ),
        ("surveys", flag("manage_survey_participants"), None, "survey", &[]),
        ("a right of tomorrow", flag("teleport"), None, "export", &["teleport excess"]),
        ("a flag that is 2", with(json!({"lock_records": 2})), None, "export", &["lock_records excess"]),
        ("a code that is no number", with(json!({"design": "yes"})), None, "export design", &["design excess"]),
        // A role takes the place of the user's own rights, whichever are more.
        ("a role that says less", all(), Some(exports()), "export", &[]),
        ("a role that says nothing", all(), Some(nothing()), "api_export", &["api_export missing"]),
        ("a role that says more", nothing(), Some(flag("design")), "export", &["design excess"]),
        ("a role that says what is needed", nothing(), Some(exports()), "export", &[]),
        ("a role of the older kind", all(), Some(old(2)), "export_deidentified", &[]),
    ];
    assert!(cases.len() >= 40);
    for (name, codes, role, texts, expected) in cases {
        let found = wrong(&graded(user(&codes, role.as_ref()), texts));
        assert_eq!(found, expected, "{name}, needs {texts}: {codes} {role:?}");
    }
    // Everything, where exports are needed: all but these two.
    let found = wrong(&graded(user(&all(), None), "export"));
    assert_eq!(found.len(), super::code::RIGHTS.len() - 2 + 1, "{found:?}");
    assert!(
        found.iter().all(|line| line.ends_with(" excess")) && !found.iter().any(|line| line.starts_with("api_export"))
    );
}

#[test]
fn what_somebody_should_look_at_is_flagged() {
    let flags = |codes: Json, group: &str, expiration: &str, account: Option<Account>| {
        let mut listed = user(&codes, None);
        listed.group = group.to_owned();
        listed.expiration = expiration.to_owned();
        let list = Some((Lister::Checker, Some(listed)));
        let facts = Facts {
            user: Some("u".to_owned()),
            proved: None,
            shared: None,
            probes: silent(),
            list,
            account,
            today: TODAY,
        };
        grade(&facts, &needs("export")).flags
    };
    let one = |flags: Vec<String>, part: &str| {
        assert!(flags.len() == 1 && flags[0].contains(part), "{part}: {flags:?}");
    };
    let exports = || json!({"api_export": 1, "forms_export": {"a": 1}});
    let with = |right: &str, code: i64| {
        let mut codes = exports();
        codes[right] = json!(code);
        codes
    };
    let stated = |switcher| {
        let project = Project::from_value(&Value::list([
            ("short_name", "A".into()),
            ("redcap_uri", "https://redcap.example.org/api/".into()),
            ("token_name", "T".into()),
        ]));
        let mut account = Account::of(&project.unwrap(), "Dr. X".to_owned(), "2027-01-31".to_owned());
        (account.api_only, account.dag_switcher) = (Some(true), switcher);
        Some(account)
    };
    assert_eq!(flags(exports(), "", "", None), Vec::<String>::new());
    one(flags(with("design", 1), "", "", None), "may change the project's design");
    one(flags(with("design", 1), "", "", stated(None)), "a service account may change");
    one(flags(with("user_rights", 1), "", "", None), "may change users");
    assert!(flags(with("user_rights", 2), "", "", None).is_empty());
    one(flags(with("mobile_app", 1), "", "", None), "mobile app");
    one(flags(exports(), "", "2026-11-22", None), "has expired");
    one(flags(exports(), "", "2020-01-31", None), "has expired");
    one(flags(exports(), "", "2026-12-02", None), "expires in 10 days");
    assert!(flags(exports(), "", "2027-06-30", None).is_empty());
    one(flags(with("api_import", 1), "a", "", None), "REDCap does not say who is listed");
    one(flags(with("api_import", 1), "a", "", stated(Some(true))), "can move itself");
    assert!(flags(with("api_import", 1), "a", "", stated(Some(false))).is_empty());
    assert!(flags(with("api_import", 1), "", "", None).is_empty());
    let mut over = stated(Some(false)).unwrap();
    over.until = "2026-11-21".to_owned();
    one(flags(exports(), "", "", Some(over)), "its day is over");
}

#[test]
fn what_is_stated_is_shown_as_stated_and_never_as_good() {
    let project = Project::from_value(&Value::list([
        ("short_name", "A".into()),
        ("redcap_uri", "https://redcap.example.org/api/".into()),
        ("token_name", "T".into()),
    ]));
    let mut account = Account::of(&project.unwrap(), "Dr. X".to_owned(), "2027-01-31".to_owned());
    (account.api_only, account.inactivity) = (Some(true), Some("30 days".to_owned()));
    let mut facts = Facts {
        user: None,
        proved: None,
        shared: None,
        probes: silent(),
        list: None,
        account: Some(account),
        today: TODAY,
    };
    let stated = |facts: &Facts| {
        let rows = grade(facts, &needs("export")).rows;
        ["api_only", "inactivity", "dag_switcher"].map(|right| {
            let row = rows.iter().find(|row| row.right == right).unwrap();
            assert_eq!(row.verdict, Verdict::Unknown);
            (row.held.clone(), row.evidence, row.remark.clone().unwrap())
        })
    };
    let [login, inactivity, switcher] = stated(&facts);
    assert_eq!((login.0.as_deref(), login.1), (Some("yes"), Some("declared")));
    assert!(login.2.contains("stated by Dr. X until 2027-01-31"), "{}", login.2);
    assert_eq!(inactivity.0.as_deref(), Some("30 days"));
    assert_eq!((switcher.0, switcher.1), (None, None));
    facts.account = None;
    assert!(stated(&facts).iter().all(|(held, evidence, remark)| {
        held.is_none() && evidence.is_none() && remark.contains("declare_account")
    }));
}

#[test]
fn whose_token_it_is_is_never_guessed() {
    let listed = || user(&json!({"api_export": 1, "forms_export": {"a": 1}}), None);
    let with = |user: Option<&str>, list, probes| {
        let facts = Facts {
            user: user.map(str::to_owned),
            proved: None,
            shared: None,
            probes,
            list,
            account: None,
            today: TODAY,
        };
        let graded = grade(&facts, &needs("export"));
        let of = |right: &str| {
            let row = graded.rows.iter().find(|row| row.right == right).unwrap();
            (row.verdict, row.evidence)
        };
        (of("user"), of("api_export"), graded.flags.len())
    };
    let (ok, unknown) = (Verdict::Ok, Verdict::Unknown);
    let there = || Some((Lister::Checker, Some(listed())));
    assert_eq!(with(Some("u"), there(), silent()), ((ok, Some("checker")), (ok, Some("checker")), 0));
    assert_eq!(with(None, there(), silent()), ((unknown, None), (unknown, None), 0));
    assert_eq!(with(Some("u"), None, silent()), ((unknown, Some("declared")), (unknown, None), 0));
    let not_there = Some((Lister::Checker, None));
    assert_eq!(with(Some("u"), not_there, silent()), ((unknown, Some("declared")), (unknown, None), 1));
    // The token does what the declared user may not: it is somebody else's.
    for probes in [
        Probes { users: Some(true), ..silent() },
        Probes { export: Some(false), ..silent() },
        Probes { logging: Some(true), ..silent() },
        Probes { groups: Groups::Within, ..silent() },
    ] {
        let (user, _, flags) = with(Some("u"), there(), probes.clone());
        assert_eq!((user, flags), ((unknown, Some("declared")), 1), "{probes:?}");
    }
    let agrees = Probes { export: Some(true), users: Some(false), logging: Some(false), groups: Groups::NoRight };
    assert_eq!(with(Some("u"), there(), agrees.clone()).0, (ok, Some("checker")));
    // What the token shows itself is told even where nobody knows whose it is.
    assert_eq!(with(None, None, agrees).1, (ok, Some("probe")));
    // A role that cannot be read leaves all rights open.
    let mut open = listed();
    open.role = super::listed::Role::Unreadable;
    let open = with(Some("u"), Some((Lister::Itself, Some(open))), silent());
    assert_eq!(open, ((unknown, Some("self")), (unknown, Some("self")), 0));
}

#[test]
fn a_token_that_may_not_list_users_is_good() {
    let of = |users: Option<bool>, texts: &str| {
        let probes = Probes { users, ..silent() };
        let facts = Facts { user: None, proved: None, shared: None, probes, list: None, account: None, today: TODAY };
        let rows = grade(&facts, &needs(texts)).rows;
        let row = rows.iter().find(|row| row.right == "user_rights").unwrap();
        (row.verdict, row.remark.clone().unwrap_or_default())
    };
    assert_eq!(of(Some(false), "export"), (Verdict::Ok, "good: the token may not list users".to_owned()));
    assert_eq!(of(Some(true), "export").0, Verdict::Excess);
    assert_eq!(of(Some(true), "export user_rights").0, Verdict::Ok);
    assert_eq!(of(Some(false), "export user_rights").0, Verdict::Missing);
    assert_eq!(of(None, "export").0, Verdict::Unknown);
}

#[test]
fn each_answer_about_groups_follows_from_its_evidence() {
    let listed = |group: &str| Some((group.to_owned(), "checker"));
    let base = Seen {
        groups: Groups::NoRight,
        listed: None,
        import: None,
        moved: None,
        switcher: None,
        ids: None,
        shared: None,
    };
    let all = || Groups::Listed(vec!["site_a".to_owned(), "site_b".to_owned()]);
    let ids = |column, groups: Option<&[&str]>| {
        let groups = groups.map(|groups| groups.iter().map(|group| (*group).to_owned()).collect());
        Some(Ids { any: true, column, groups, strange: false })
    };
    let no_import = Seen { import: Some(false), ..base.clone() };
    let cases: Vec<(&str, Seen, &str)> = vec![
        ("nothing is known", base.clone(), "cannot tell"),
        ("the token lists the groups", Seen { groups: all(), ..no_import.clone() }, "not confined"),
        ("a project without groups", Seen { groups: Groups::Listed(vec![]), ..base.clone() }, "not confined"),
        ("in a group, which one is not known", Seen { groups: Groups::Within, ..no_import.clone() }, "cannot tell"),
        ("listed in the group", Seen { listed: listed("site_a"), ..no_import.clone() }, "confined to site_a"),
        (
            "listed and seen in the group",
            Seen { groups: Groups::Within, listed: listed("site_a"), ..no_import.clone() },
            "confined to site_a",
        ),
        ("listed in another", Seen { listed: listed("site_b"), ..no_import.clone() }, "confined to another"),
        ("listed in none", Seen { listed: listed(""), ..no_import.clone() }, "not confined"),
        (
            "the list and the token contradict each other",
            Seen { groups: all(), listed: listed("site_a"), ..no_import.clone() },
            "cannot tell",
        ),
        (
            "it may import, and nobody says whether it may switch",
            Seen { listed: listed("site_a"), import: Some(true), ..base.clone() },
            "cannot tell",
        ),
        (
            "it may import and is stated not to switch",
            Seen { listed: listed("site_a"), import: Some(true), switcher: Some(false), ..base.clone() },
            "confined to site_a",
        ),
        (
            "it may import and is stated to switch",
            Seen { listed: listed("site_a"), import: Some(true), switcher: Some(true), ..base.clone() },
            "can move itself",
        ),
        (
            "it was seen to switch, whatever is stated",
            Seen {
                listed: listed("site_a"),
                import: Some(true),
                switcher: Some(false),
                moved: Some(true),
                ..base.clone()
            },
            "can move itself",
        ),
        (
            "it may not import, so the switcher does not matter",
            Seen { listed: listed("site_a"), switcher: Some(true), ..no_import.clone() },
            "confined to site_a",
        ),
        ("records with their groups", Seen { ids: ids(true, None), ..no_import.clone() }, "not confined"),
        ("records without, and no checker", Seen { ids: ids(false, None), ..no_import.clone() }, "cannot tell"),
        (
            "records of the group only",
            Seen { ids: ids(false, Some(&["site_a"])), ..no_import.clone() },
            "confined to site_a",
        ),
        (
            "records of another only",
            Seen { ids: ids(false, Some(&["site_b"])), ..no_import.clone() },
            "confined to another",
        ),
        ("records of two", Seen { ids: ids(false, Some(&["site_a", "site_b"])), ..no_import.clone() }, "not confined"),
        ("records of none", Seen { ids: ids(false, Some(&[""])), ..no_import.clone() }, "not confined"),
        (
            "records of one group, a list says another",
            Seen { listed: listed("site_a"), ids: ids(false, Some(&["site_b"])), ..no_import.clone() },
            "cannot tell",
        ),
        (
            "listed in the group, and sees records of two",
            Seen { listed: listed("site_a"), ids: ids(false, Some(&["site_a", "site_b"])), ..no_import.clone() },
            "cannot tell",
        ),
        ("no records", Seen { ids: Some(Ids::default()), ..no_import.clone() }, "cannot tell"),
    ];
    for (name, seen, expected) in cases {
        let (answer, said) = judge(&seen, "site_a");
        assert_eq!(answer.words("site_a"), expected, "{name}: {said:?}");
        assert!(!said.is_empty(), "{name}");
        let confined = [("confined to site_a", Some(true)), ("cannot tell", None)];
        let confined = confined.iter().find(|(words, _)| *words == expected).map_or(Some(false), |(_, one)| *one);
        assert_eq!(answer.confined(), confined, "{name}");
    }
}

/// A sandbox with its administrator's pipe, and projects with the tokens of its users.
struct World {
    folder: tempfile::TempDir,
    sandbox: Child,
}

impl World {
    fn new() -> Self {
        let sandbox = Child::start(program(), ["--no-sample-tokens"]).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), sandbox }
    }

    fn admin(&mut self, command: Json) {
        self.sandbox.command(command).unwrap();
    }

    /// A project with the token of a user.
    fn token(&mut self, sandbox_project: &str, user: &str, declared: Option<&str>) -> Token {
        let file = self.folder.path().join("token");
        let _ = self.sandbox.command(json!({"do": "revoke", "project": sandbox_project, "user": user}));
        self.admin(json!({"do": "issue", "project": sandbox_project, "user": user, "to": file}));
        let token = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        let at = |name: &str| self.folder.path().join(name);
        let name = format!("T_{user}");
        let ctx = Ctx {
            clock: Arc::new(SystemClock::new()),
            random: Arc::new(SystemRandom),
            dirs: Dirs { config: at("config"), data: at("data"), session: at("session"), site: at("site.toml") },
            settings: Settings { order: vec!["env".into()], retries: 0, ..Settings::default() },
            env: Environment::with(&TokenName::new(&name).unwrap(), token.trim_ascii_end()),
            log: Events::none(),
            net: Net::new(),
            shared: crate::ctx::Shared::default(),
        };
        let project = Project::from_value(&Value::list([
            ("short_name", user.into()),
            ("redcap_uri", self.sandbox.redcap_uri().into()),
            ("token_name", name.as_str().into()),
            ("redcap_user", declared.map(str::to_owned).into()),
            ("dag", "site_a".into()),
        ]));
        let wish = Wish { project: project.unwrap(), overwrite: true, sandboxes: Vec::new() };
        let project = set_up(&ctx, wish).unwrap().project;
        let client = ctx.net.client(&ctx.settings.net).unwrap();
        let operation = Operation::new(&ctx, project.clone(), false, client);
        Token::new(ctx, operation, project)
    }

    async fn rights(&mut self, user: &str, checker: Option<&str>, texts: &str) -> Result<Graded> {
        let checker = checker.map(|checker| self.token("TEST_SITES", checker, Some(checker)));
        let token = self.token("TEST_SITES", user, Some(user));
        Ok(grade(&facts(token, checker).await?, &needs(texts)))
    }

    async fn group(&mut self, user: &str, checker: Option<&str>, ids: bool) -> String {
        let checker = checker.map(|checker| self.token("TEST_SITES", checker, Some(checker)));
        let token = self.token("TEST_SITES", user, Some(user));
        let (seen, dag) = confinement(token, checker, None, ids).await.unwrap();
        judge(&seen, &dag).0.words(&dag)
    }
}

#[tokio::test]
async fn users_of_each_kind_are_graded_through_the_sandbox_in_each_generation_of_codes() {
    let mut world = World::new();
    for version in ["12.4.0", "14.5.5", "15.6.0"] {
        world.admin(json!({"do": "set_version", "version": version}));
        let export = if version == "12.4.0" { "data_export" } else { "forms_export:inclusion" };
        for (user, texts, expected) in [
            ("site_a", "export", vec![]),
            ("least", "export_deidentified", vec![]),
            ("role_over", "export_deidentified", vec![]),
            (
                "least",
                "export",
                if version == "12.4.0" {
                    vec!["data_export missing"]
                } else {
                    vec!["forms_export:inclusion missing", "forms_export:outcome missing"]
                },
            ),
            ("service", "export", vec!["design excess", "mobile_app excess", "user_rights excess"]),
            ("exporter", "export forms", vec![]),
            ("site_b", "export import", vec![]),
        ] {
            let graded = world.rights(user, Some("manager"), texts).await.unwrap();
            assert_eq!(wrong(&graded), expected, "{version} {user} {texts}");
            let row = graded.rows.iter().find(|row| row.right == export).unwrap();
            assert_eq!(row.evidence, Some("checker"));
        }
        // The role has rights that the user has not.
        let under = world.rights("role_under", None, "export").await.unwrap();
        assert!(wrong(&under).contains(&"design excess".to_owned()), "{:?}", wrong(&under));
        assert!(under.rows.iter().any(|row| row.right == "role" && row.held.as_deref() == Some("Coordinator")));
        assert!(under.rows.iter().any(|row| row.right == "design" && row.evidence == Some("self")));
    }
    // Without a checker, what the token shows is all that is known.
    let alone = world.rights("site_a", None, "export").await.unwrap();
    let of = |right: &str| alone.rows.iter().find(|row| row.right == right).map(|row| (row.verdict, row.evidence));
    assert_eq!(of("user"), Some((Verdict::Unknown, Some("declared"))));
    assert_eq!(of("user_rights"), Some((Verdict::Ok, Some("probe"))));
    assert_eq!(of("api_export"), Some((Verdict::Ok, Some("probe"))));
    assert_eq!(of("api_import"), Some((Verdict::Unknown, None)));
    // An expired user's token is refused; one that is about to expire is flagged.
    let refused = world.rights("expired", Some("manager"), "export").await.unwrap_err();
    assert_eq!(refused.kind, Kind::TokenRefused);
    let leaving = world.rights("leaving", Some("manager"), "export").await.unwrap();
    assert!(leaving.flags.len() == 1 && leaving.flags[0].contains("expires in"), "{:?}", leaving.flags);
    // A token that is not the declared user's, which its own deeds show.
    let checker = world.token("TEST_SITES", "manager", None);
    let token = world.token("TEST_SITES", "service", Some("least"));
    let stolen = grade(&facts(token, Some(checker)).await.unwrap(), &needs("export"));
    assert!(stolen.flags.iter().any(|flag| flag.contains("not the declared user's")), "{:?}", stolen.flags);
    // A checker of another project has no say.
    let checker = world.token("TEST", "admin", None);
    let token = world.token("TEST_SITES", "site_a", Some("site_a"));
    let error = facts(token, Some(checker)).await.map(|_| ()).unwrap_err();
    assert!(error.kind == Kind::Argument && error.message.contains("another REDCap project"), "{error:?}");
}

#[tokio::test]
async fn the_answers_about_groups_hold_against_the_sandbox() {
    let mut world = World::new();
    for (user, checker, ids, expected) in [
        ("site_a", Some("manager"), false, "confined to site_a"),
        ("site_a", Some("manager"), true, "confined to site_a"),
        ("site_a", None, false, "cannot tell"),
        ("site_a", None, true, "cannot tell"),
        ("site_c", Some("manager"), false, "not confined"),
        ("site_c", None, true, "not confined"),
        ("manager", None, false, "not confined"),
        ("switcher", Some("manager"), false, "cannot tell"),
        ("site_b", Some("manager"), true, "confined to another"),
    ] {
        assert_eq!(world.group(user, checker, ids).await, expected, "{user} {checker:?} {ids}");
    }
    // What an administrator states counts, until the log shows another thing.
    let token = world.token("TEST_SITES", "switcher", Some("switcher"));
    let (dirs, project) = (token.ctx.dirs.clone(), token.hint.clone());
    let mut account = Account::of(&project, "Dr. X".to_owned(), "2027-01-31".to_owned());
    account.dag_switcher = Some(false);
    Accounts::new(&dirs, Kept::Session).put(&project, account).unwrap();
    assert_eq!(world.group("switcher", Some("manager"), false).await, "confined to site_a");
    let mut token = world.token("TEST_SITES", "switcher", Some("switcher"));
    for dag in ["site_b", "site_a"] {
        let switch =
            crate::redcap::Request::new("dag", Some("switch"), crate::redcap::Expect::Text, true).with("dag", dag);
        token.operation.collect(&switch, 1000).await.unwrap();
    }
    assert_eq!(world.group("switcher", Some("manager"), false).await, "can move itself");
    // Only reads were sent by the checks themselves.
    let files = std::fs::read_dir(world.folder.path().join("data/audit")).unwrap();
    let text: String = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let sent = text.lines().filter(|line| line.contains("\"phase\":\"intent\""));
    for line in sent.filter(|line| !line.contains("dag/switch")) {
        let entry: Json = serde_json::from_str(line).unwrap();
        let action = entry["action"].as_str().unwrap().split('?').next().unwrap().to_owned();
        assert!(!action.contains('/') || action.ends_with("/export"), "{action}");
    }
    assert!(text.contains("\"project\":\"manager\""));
}

/// The users of some intents: how each is known.
fn users_of_calls(folder: &std::path::Path, call: usize) -> Vec<Json> {
    let Ok(files) = std::fs::read_dir(folder.join("data/audit")) else { return Vec::new() };
    let files = files.map(|file| file.unwrap().path());
    let text: String = files
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let intents = text.lines().filter(|line| line.contains("\"phase\":\"intent\"")).skip(call);
    intents.map(|line| serde_json::from_str::<Json>(line).unwrap()["redcap_user"].clone()).collect()
}

#[tokio::test]
async fn a_user_is_verified_for_the_very_token_that_only_that_user_can_have_and_declared_otherwise() {
    let mut world = World::new();
    let version = || crate::redcap::Request::read("version", crate::redcap::Expect::Version);
    // Of all users, only this one may list users and groups, and not read the log.
    for (declared, flagged) in [(Some("role_under"), false), (None, false), (Some("least"), true)] {
        let checker = world.token("TEST_SITES", "manager", Some("manager"));
        let token = world.token("TEST_SITES", "role_under", declared);
        let (ctx, hint) = (token.ctx.clone(), token.hint.clone());
        let before = users_of_calls(world.folder.path(), 0).len();
        let found = facts(token, Some(checker)).await.unwrap();
        assert_eq!(found.proved.as_deref(), Some("role_under"));
        // Until then nobody knew.
        let first = users_of_calls(world.folder.path(), before).remove(0);
        assert_eq!(first, declared.map_or(Json::Null, |name| json!({"declared": name})));
        let graded = grade(&found, &needs("export"));
        let said = graded.flags.iter().any(|flag| flag.contains("it is the token of `role_under`"));
        assert_eq!(said, flagged, "{:?}", graded.flags);
        let row = &graded.rows[0];
        let is_verified = row.remark.as_deref().unwrap().starts_with("verified: ");
        assert_eq!((is_verified, row.verdict == Verdict::Ok), (!flagged, !flagged), "{row:?}");
        // From then on the log says so, of this token.
        let call = |ctx: Ctx| {
            let client = ctx.net.client(&ctx.settings.net).unwrap();
            let mut operation = Operation::new(&ctx, hint.clone(), false, client);
            async move { operation.collect(&version(), 100).await.map(|_| ()) }
        };
        let before = users_of_calls(world.folder.path(), 0).len();
        call(ctx.clone()).await.unwrap();
        assert_eq!(users_of_calls(world.folder.path(), before), [json!({"verified": "role_under"})]);
        // Another token under the same name is nobody's that was proved.
        let other = Environment::with(&hint.token_name, b"0123456789ABCDEF0123456789ABCDEF");
        call(Ctx { env: other, ..ctx }).await.unwrap_err();
        let last = users_of_calls(world.folder.path(), before + 1).remove(0);
        assert_eq!(last, declared.map_or(Json::Null, |name| json!({"declared": name})));
    }
    // Several may do what this one does; and a reader who is in a group may not be shown all.
    for (user, checker) in [("site_a", "manager"), ("role_under", "service")] {
        let checker = world.token("TEST_SITES", checker, None);
        let token = world.token("TEST_SITES", user, Some(user));
        let (ctx, hint) = (token.ctx.clone(), token.hint.clone());
        assert_eq!(facts(token, Some(checker)).await.unwrap().proved, None, "{user}");
        let entry = crate::project::Registries::new(&ctx.dirs).find(&hint.short_name).unwrap().unwrap().1;
        assert_eq!(entry.verified, None);
    }
    // What is proved stays, until the token does what that user may not.
    let checker = world.token("TEST_SITES", "manager", None);
    let token = world.token("TEST_SITES", "role_under", None);
    let (ctx, hint) = (token.ctx.clone(), token.hint.clone());
    facts(token, Some(checker)).await.unwrap();
    let again = |ctx: &Ctx, hint: &Project| {
        let client = ctx.net.client(&ctx.settings.net).unwrap();
        Token::new(ctx.clone(), Operation::new(ctx, hint.clone(), false, client), hint.clone())
    };
    let checker = world.token("TEST_SITES", "service", None);
    let found = facts(again(&ctx, &hint), Some(checker)).await.unwrap();
    assert_eq!(found.proved.as_deref(), Some("role_under"));
    let registries = crate::project::Registries::new(&ctx.dirs);
    let entry = registries.find(&hint.short_name).unwrap().unwrap().1;
    let mut wrong = entry.verified.clone().unwrap();
    wrong.redcap_user = "manager".to_owned();
    registries.keep_verified(&entry, Some(&wrong)).unwrap();
    let checker = world.token("TEST_SITES", "service", None);
    assert_eq!(facts(again(&ctx, &hint), Some(checker)).await.unwrap().proved, None);
    assert_eq!(registries.find(&hint.short_name).unwrap().unwrap().1.verified, None);
}
