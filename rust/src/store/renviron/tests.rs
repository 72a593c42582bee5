//! The editor of `.Renviron`: which lines set a token, and that nothing else changes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use proptest::prelude::*;

use super::*;
use crate::store::step::DIES_AT;
use crate::store::testing::{INSIDE, inside, no_trace, random_token, token_name};

const NAME: &str = "REDCapSync_X";

fn secret(token: &str) -> Secret {
    to_compare(token.as_bytes())
}

/// What a line gives the name: its value; `${}` for one of other variables.
fn value(line: &[u8]) -> Option<Vec<u8>> {
    given(line, "A").map(|given| match given {
        Given::Plain(value) => value.to_vec(),
        Given::Composed => b"${}".to_vec(),
    })
}

/// The same table is asked of R itself in `tests/testthat/test-keep.R`.
#[test]
fn a_line_is_read_as_r_reads_it() {
    let table: &[(&[u8], Option<&[u8]>)] = &[
        (b"A=x", Some(b"x")),
        (b"A=\"x y\" ", Some(b"x y")),
        (b"A='x'", Some(b"x")),
        (b"  A  =  x  ", Some(b"x")),
        (b"A=x # c", Some(b"x # c")),
        (b"export A=x", None),
        (b"A=a\"b\"c", Some(b"abc")),
        (b"A=a\\b", Some(b"ab")),
        (b"A=a\\\\b", Some(b"a\\b")),
        (b"A=\"a\\b\"", Some(b"a\\b")),
        (b"A=\"a\\\"b\"", Some(b"a\"b")),
        (b"A=\"open", Some(b"open")),
        (b"A=x=y", Some(b"x=y")),
        (b"#A=x", None),
        (b" # A=x", None),
        (b"A=", None),
        (b"A", None),
        (b"=x", None),
        (b"AB=x", None),
        (b"a=x", if cfg!(windows) { Some(b"x") } else { None }),
        (b"A=\"\"", Some(b"")),
        (b"A=x\r\n", Some(b"x")),
        (b"A=\x0bx\x0b\n", Some(b"x")),
        (b"A=a'b\"c'd", Some(b"ab\"cd")),
        (b"A=$HOME", Some(b"$HOME")),
        (b"A=${open", Some(b"${open")),
        (b"A=${HOME}", Some(b"${}")),
        (b"A=\"${NOPE-def}\"", Some(b"${}")),
        (b"A=x\\", Some(b"x")),
        (b"A=\xff\xfe", Some(b"\xff\xfe")),
        (b"A=x\0y", Some(b"x")),
    ];
    for (line, expected) in table {
        assert_eq!(value(line).as_deref(), *expected, "{:?}", String::from_utf8_lossy(line));
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of the user's alone.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        file::replace(&path, content.as_ref(), file::Readers::Owner).unwrap();
        path
    }

    /// The names of the files in it.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn removed_from(files: &[PathBuf], token: &str) -> Result<Option<Removed>> {
    remove(&Places::at(files), &token_name(NAME), &secret(token), &FormRule::Redcap)
}

#[test]
fn exactly_the_line_of_the_token_goes_however_it_is_written() {
    let token = random_token();
    let lower = token.to_lowercase();
    for (before, line, after) in [
        ("A=1\n", format!("{NAME}={token}\n"), "B=2\n"),
        ("", format!("{NAME}={token}\n"), ""),
        ("", format!("{NAME}={token}"), ""),
        ("A=1\n", format!("{NAME}={token}"), ""),
        ("A=1\r\n", format!("{NAME}={token}\r\n"), "B=2\r\n"),
        ("A=1\r\n\n\r\n", format!("  {NAME} = '{token}'  \n"), "\n\nB=2"),
        ("# mine\n", format!("{NAME}=\"{lower}\"\n"), "#end"),
        (&format!("{NAME}=\n"), format!("{NAME}={token}\n"), &format!("{NAME}2=x\nexport {NAME}=x\n")),
    ] {
        let folder = Folder::new();
        let path = folder.write(".Renviron", format!("{before}{line}{after}"));
        assert!(
            removable(&Places::at(std::slice::from_ref(&path)), &token_name(NAME), &secret(&token), &FormRule::Redcap)
                .unwrap()
        );
        let removed = removed_from(std::slice::from_ref(&path), &token).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{before}{after}"));
        assert_eq!(removed.lines, [before.matches('\n').count() + 1]);
        assert_eq!((removed.warnings, folder.names()), (Vec::<String>::new(), vec![".Renviron".to_owned()]));
        assert!(removed_from(&[path], &token).unwrap().is_none());
    }
}

#[test]
fn bytes_that_are_no_text_stay() {
    let token = random_token();
    let folder = Folder::new();
    let (before, after) = (b"A=\xff\xfe\0x\n\xe4=\x80".as_slice(), b"\xc3\x28\r\nB=\x01".as_slice());
    let content = [before, b"\n", NAME.as_bytes(), b"=", token.as_bytes(), b"\n", after].concat();
    let path = folder.write(".Renviron", content);
    removed_from(std::slice::from_ref(&path), &token).unwrap().unwrap();
    assert_eq!(fs::read(&path).unwrap(), [before, b"\n", after].concat());
}

#[test]
fn several_lines_go_if_all_are_the_token_and_otherwise_none_does_and_their_numbers_are_told() {
    let (token, other) = (random_token(), random_token());
    let folder = Folder::new();
    let path = folder.write(".Renviron", format!("{NAME}={token}\nA=1\n{NAME}='{token}'\n"));
    assert_eq!(removed_from(std::slice::from_ref(&path), &token).unwrap().unwrap().lines, [1, 3]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\n");

    for (content, part) in [
        (format!("{NAME}={other}\nA=1\n{NAME}={token}\n"), "more than once, to different values (lines 1, 3)"),
        (format!("A=1\n{NAME}={other}\n"), "another value than this session has (line 2)"),
        (format!("{NAME}={token} # mine\n"), "another value"),
        (format!("B={token}\n{NAME}=${{B}}\n"), "by way of another variable (line 2)"),
    ] {
        let path = folder.write(".Renviron", &content);
        let places = Places::at(std::slice::from_ref(&path));
        let error = removed_from(std::slice::from_ref(&path), &token).unwrap_err();
        assert!(error.kind == Kind::File && error.message.contains(part), "{error}");
        assert!(!error.hints.is_empty());
        assert_eq!(
            removable(&places, &token_name(NAME), &secret(&token), &FormRule::Redcap).unwrap_err().message,
            error.message
        );
        no_trace(&token, &format!("{error:?}"));
        no_trace(&other, &format!("{error:?}"));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[test]
fn where_letter_case_counts_a_line_in_another_one_is_another_token() {
    let token = random_token().to_uppercase().replace(|digit: char| digit.is_ascii_digit(), "A");
    let folder = Folder::new();
    let content = format!("{NAME}={}\n", token.to_lowercase());
    let path = folder.write(".Renviron", &content);
    let own = FormRule::parse("32").unwrap();
    let error = remove(&Places::at(std::slice::from_ref(&path)), &token_name(NAME), &secret(&token), &own).unwrap_err();
    assert!(error.message.contains("another value"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), content);
    assert!(removed_from(&[path], &token).unwrap().is_some());
}

#[test]
fn where_no_file_sets_it_nothing_is_touched() {
    let token = random_token();
    let folder = Folder::new();
    let path = folder.write(".Renviron", "A=1\n");
    let before = fs::metadata(&path).unwrap().modified().unwrap();
    assert!(removed_from(&[folder.path("absent"), path.clone()], &token).unwrap().is_none());
    assert_eq!(fs::metadata(&path).unwrap().modified().unwrap(), before);
    assert!(!removable(&Places::at(&[path]), &token_name(NAME), &secret(&token), &FormRule::Redcap).unwrap());
}

#[test]
fn the_first_file_that_sets_it_is_edited_and_others_are_named() {
    let token = random_token();
    let folder = Folder::new();
    let line = format!("{NAME}={token}\n");
    let [none, here, home] = [("none", "A=1\n"), ("here", &line), ("home", &line)].map(|(n, c)| folder.write(n, c));
    let removed = removed_from(&[none, here.clone(), home.clone()], &token).unwrap().unwrap();
    assert_eq!((&removed.path, fs::read_to_string(&here).unwrap()), (&here, String::new()));
    assert_eq!(fs::read_to_string(&home).unwrap(), line);
    assert!(removed.warnings.iter().any(|text| text.contains(home.to_str().unwrap()) && text.contains("line 1")));
}

#[test]
fn a_file_that_sets_another_value_is_in_the_way_only_where_no_file_has_the_token() {
    let (token, other) = (random_token(), random_token());
    let folder = Folder::new();
    let here = folder.write("here", format!("{NAME}={other}\n"));
    let home = folder.write("home", format!("{NAME}={token}\n"));
    let removed = removed_from(&[here.clone(), home.clone()], &token).unwrap().unwrap();
    assert_eq!((&removed.path, fs::read_to_string(&home).unwrap()), (&home, String::new()));
    assert!(removed.warnings[0].contains("another value") && removed.warnings[0].contains(here.to_str().unwrap()));
    assert!(removed_from(&[here, home], &token).unwrap_err().message.contains("another value"));
}

#[test]
fn what_else_holds_the_token_is_named_without_a_character_of_it() {
    let token = random_token();
    let folder = Folder::new();
    let path = folder.write(".Renviron", format!("#{NAME}={token}\n{NAME}={token}\nB={}\n", token.to_lowercase()));
    for copy in [".Renviron~", ".Renviron.bak", "#.Renviron#", "..Renviron.swp", ".Rhistory"] {
        folder.write(copy, format!("x{token}x"));
    }
    folder.write(".Renviron.old", "nothing");
    folder.write("notes", &token);
    fs::create_dir(folder.path(".git")).unwrap();
    let warnings = removed_from(std::slice::from_ref(&path), &token).unwrap().unwrap().warnings.join("\n");
    for part in [
        "elsewhere too (lines 1, 3)",
        "git repository",
        ".Renviron~`",
        ".Renviron.bak`",
        "#.Renviron#`",
        "swp`",
        ".Rhistory`",
    ] {
        assert!(warnings.contains(part), "{part}: {warnings}");
    }
    assert!(!warnings.contains(".old") && !warnings.contains("notes"), "{warnings}");
    no_trace(&token, &warnings);
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    fn line(token: &str) -> String {
        format!("A=1\n{NAME}={token}\n")
    }

    #[test]
    fn what_cannot_be_replaced_is_not_removable_and_stays_as_it_is() {
        let token = random_token();
        let check = |path: &PathBuf| {
            removable(&Places::at(std::slice::from_ref(path)), &token_name(NAME), &secret(&token), &FormRule::Redcap)
        };
        let folder = Folder::new();
        let path = folder.write(".Renviron", line(&token));
        assert!(check(&path).unwrap());
        assert_eq!(folder.names(), [".Renviron"]);
        // The folder takes no file of that name, whoever asks; for others than root it may be closed.
        fs::create_dir(folder.path(".Renviron.keycap-new")).unwrap();
        let error = check(&path).unwrap_err();
        assert_eq!(error.kind, Kind::File);
        no_trace(&token, &format!("{error:?}"));
        fs::remove_dir(folder.path(".Renviron.keycap-new")).unwrap();
        fs::hard_link(&path, folder.path("second")).unwrap();
        let error = check(&path).unwrap_err();
        assert!(error.message.contains("hard links"), "{error}");
        assert_eq!((fs::read_to_string(&path).unwrap(), folder.names().len()), (line(&token), 2));
    }

    #[test]
    fn mode_and_owner_stay_and_a_file_that_others_may_read_is_told() {
        let token = random_token();
        for mode in [0o600, 0o640, 0o644, 0o664] {
            let folder = Folder::new();
            let path = folder.write(".Renviron", line(&token));
            let root = nix::unistd::Uid::effective().is_root();
            if root {
                nix::unistd::chown(&path, Some(12345.into()), Some(54321.into())).unwrap();
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let before = fs::metadata(&path).unwrap();
            let removed = removed_from(std::slice::from_ref(&path), &token).unwrap().unwrap();
            let after = fs::metadata(&path).unwrap();
            assert_eq!(after.mode() & 0o7777, mode);
            assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
            assert_eq!(removed.warnings.len(), usize::from(mode & 0o044 != 0));
        }
    }

    #[test]
    fn of_a_link_it_is_what_it_leads_to_that_is_edited() {
        let token = random_token();
        let (home, dotfiles) = (Folder::new(), Folder::new());
        let real = dotfiles.write("renviron", line(&token));
        symlink(&real, home.path("step")).unwrap();
        symlink("step", home.path(".Renviron")).unwrap();
        removed_from(&[home.path(".Renviron")], &token).unwrap().unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "A=1\n");
        assert_eq!(fs::read_link(home.path(".Renviron")).unwrap(), Path::new("step"));
        assert_eq!(
            (home.names(), dotfiles.names()),
            (vec![".Renviron".into(), "step".into()], vec!["renviron".to_owned()])
        );
    }

    #[test]
    fn what_the_old_file_held_is_wiped() {
        let token = random_token();
        let folder = Folder::new();
        let path = folder.write(".Renviron", line(&token));
        let mut old = File::open(&path).unwrap();
        removed_from(&[path], &token).unwrap().unwrap();
        let mut held = Vec::new();
        old.read_to_end(&mut held).unwrap();
        assert_eq!(held, vec![0; line(&token).len()]);
    }

    #[test]
    fn a_file_with_a_second_name_a_pipe_and_a_huge_one_are_left_alone() {
        let token = random_token();
        let folder = Folder::new();
        let path = folder.write(".Renviron", line(&token));
        fs::hard_link(&path, folder.path("second")).unwrap();
        let error = removed_from(std::slice::from_ref(&path), &token).unwrap_err();
        assert!(error.message.contains("several names"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), line(&token));
        let pipe = folder.path("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        assert!(removed_from(&[pipe], &token).unwrap_err().message.contains("not an ordinary file"));
        let huge = folder.write("huge", vec![b'#'; CAP + 1]);
        assert!(removed_from(&[huge], &token).unwrap_err().message.contains("1 MiB"));
        assert_eq!(folder.names(), [".Renviron", "huge", "pipe", "second"]);
    }

    #[test]
    fn a_left_over_of_a_killed_process_is_in_nobodys_way_and_leads_nowhere() {
        let token = random_token();
        let folder = Folder::new();
        let path = folder.write(".Renviron", line(&token));
        let victim = folder.write("victim", "precious");
        symlink(&victim, folder.path(".Renviron.keycap-new")).unwrap();
        removed_from(&[path], &token).unwrap().unwrap();
        assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
        assert_eq!(folder.names(), [".Renviron", "victim"]);
    }

    #[test]
    fn two_who_edit_at_the_same_time_both_get_their_line_out() {
        let folder = Folder::new();
        let tokens: Vec<String> = (0..6).map(|_| random_token()).collect();
        let lines: Vec<String> = tokens.iter().enumerate().map(|(n, token)| format!("K_{n}={token}\n")).collect();
        let path = folder.write(".Renviron", format!("A=1\n{}B=2\n", lines.concat()));
        std::thread::scope(|scope| {
            for (n, token) in tokens.iter().enumerate() {
                let places = Places::at(std::slice::from_ref(&path));
                scope.spawn(move || {
                    remove(&places, &token_name(&format!("K_{n}")), &secret(token), &FormRule::Redcap).unwrap().unwrap()
                });
            }
        });
        assert_eq!(fs::read_to_string(&path).unwrap(), "A=1\nB=2\n");
    }

    #[test]
    fn killed_at_any_step_the_file_is_the_old_one_or_the_new_one_and_the_next_call_finishes() {
        const THIS: &str = "store::renviron::tests::unix::killed_at_any_step_the_file_is_the_old_one_or_the_new_one_and_the_next_call_finishes";
        if inside() {
            let path = PathBuf::from(std::env::var("TEST_FILE").unwrap());
            let token = fs::read_to_string(path.with_file_name("token")).unwrap();
            println!("removed: {}", removed_from(&[path], &token).unwrap().is_some());
            return;
        }
        let token = random_token();
        let kept = "A=1\n".to_owned();
        for (last, whole) in [("written beside", true), ("renamed", false), ("wiped", false)] {
            let folder = Folder::new();
            let path = folder.write(".Renviron", line(&token));
            folder.write("token", &token);
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            command.args([THIS, "--exact", "--nocapture", "--test-threads=1"]).env(INSIDE, "1");
            let output = command.env("TEST_FILE", &path).env(DIES_AT, last).output().unwrap();
            assert_eq!(std::os::unix::process::ExitStatusExt::signal(&output.status), Some(9), "{last}");
            let left = if whole { line(&token) } else { kept.clone() };
            assert_eq!(fs::read_to_string(&path).unwrap(), left, "{last}");
            assert_eq!(removed_from(std::slice::from_ref(&path), &token).unwrap().is_some(), whole);
            assert_eq!(fs::read_to_string(&path).unwrap(), kept);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands around it, the token's line goes and every other byte stays.
    #[test]
    fn whatever_the_file_every_other_byte_stays(
        before in proptest::collection::vec(any::<u8>(), 0..200),
        after in proptest::collection::vec(any::<u8>(), 0..200),
        breaks in prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..])],
        blanks in "[ \t]{0,3}",
        quote in prop_oneof![Just(""), Just("'"), Just("\"")],
        seed in any::<u128>(),
    ) {
        let token = format!("{seed:032X}");
        let mut before = before;
        if !before.is_empty() {
            before.push(b'\n');
        }
        let line = format!("{blanks}{NAME}{blanks}={blanks}{quote}{token}{quote}{blanks}");
        let folder = Folder::new();
        let path = folder.write(".Renviron", [&before, line.as_bytes(), breaks, &after].concat());
        removed_from(std::slice::from_ref(&path), &token).unwrap().unwrap();
        prop_assert_eq!(fs::read(&path).unwrap(), [before, after].concat());
    }

    /// Whatever is in a file, reading it neither panics nor finds lines that overlap.
    #[test]
    fn any_bytes_can_be_read(content in proptest::collection::vec(any::<u8>(), 0..400)) {
        let lines = assignments(&content, "A");
        prop_assert!(lines.windows(2).all(|two| two[0].range.end <= two[1].range.start));
        prop_assert_eq!(all_lines(&content).map(|(_, range)| range.len()).sum::<usize>(), content.len());
    }
}
