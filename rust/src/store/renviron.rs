//! The line of an `.Renviron` file that sets a token, and taking it out.
//!
//! Lines are read as R reads them (`process_Renviron()` in its source, and asked of R itself in the package's tests):
//! blanks around name and value go, quotes go, a backslash takes the next character as it is, `${...}` stands for
//! another variable; `# comment` behind a value stays, and `export A=...` sets nothing that has a name.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::step::step;
use super::to_compare;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Links, Unfit, fault};
use crate::token::{FormRule, Secret, TokenName};

/// The largest file that is edited.
const CAP: usize = 1 << 20;

/// How long another process that edits the file is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The files that R may have read when it started, the first one first. Read on the host's thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Vec<PathBuf>);

impl Places {
    /// `R_ENVIRON_USER`, or else `.Renviron` in the folder where R started, or else that at home. R reads one of them.
    /// Where it started is not known for certain: it is where the shell was (`PWD`), or where R is now.
    pub(super) fn take() -> Self {
        let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = if cfg!(windows) { variable("R_USER").or_else(|| variable("HOME")) } else { variable("HOME") };
        if let Some(named) = variable("R_ENVIRON_USER") {
            let below = named.strip_prefix("~").ok().map(Path::to_owned);
            return Self(vec![match (below, home) {
                (Some(below), Some(home)) => home.join(below),
                _ => named,
            }]);
        }
        let here = std::env::current_dir().ok();
        let mut files: Vec<PathBuf> = Vec::new();
        for folder in [variable("PWD"), here, home].into_iter().flatten() {
            let file = folder.join(".Renviron");
            if file.is_absolute() && !files.contains(&file) {
                files.push(file);
            }
        }
        Self(files)
    }

    #[cfg(test)]
    pub(super) fn at(files: &[PathBuf]) -> Self {
        Self(files.to_vec())
    }

    /// The places, as they are told to a person.
    pub(super) fn told(&self) -> String {
        let files: Vec<String> = self.0.iter().map(|file| format!("`{}`", file.display())).collect();
        files.join(", ")
    }
}

/// What was taken out of a file, and what a person should know of it.
#[derive(Debug)]
pub(super) struct Removed {
    pub(super) path: PathBuf,
    pub(super) lines: Vec<usize>,
    pub(super) warnings: Vec<String>,
}

/// Whether the lines that set this token can be taken out; false where no file has one. Changes nothing.
///
/// # Errors
/// As [`remove`].
pub(super) fn removable(places: &Places, name: &TokenName, secret: &Secret, rule: &FormRule) -> Result<bool> {
    let Some((opened, _)) = holder(places, name, secret, rule)?.0 else { return Ok(false) };
    opened.replaceable()?;
    Ok(true)
}

/// Takes the lines that set this token out of the first file that has one; `None` where no file has. Every other byte
/// of the file, its mode and its owner stay. Blocks.
///
/// # Errors
/// `file`: the file cannot be edited, or sets the name in more than one way; nothing was changed.
pub(super) fn remove(places: &Places, name: &TokenName, secret: &Secret, rule: &FormRule) -> Result<Option<Removed>> {
    let (Some((opened, lines)), others) = holder(places, name, secret, rule)? else { return Ok(None) };
    let mut warnings = opened.warnings(&lines, secret);
    let (path, numbers) = (opened.path.clone(), lines.iter().map(|line| line.number).collect());
    opened.replace_without(&lines)?;
    warnings.extend(others);
    warnings.extend(copies(&path, secret));
    Ok(Some(Removed { path, lines: numbers, warnings }))
}

/// A file that sets a token, and its lines.
type Holder = (Opened, Vec<Line>);

/// The first file that sets this token, with its lines, and what there is to say of the other ones. Which one R read is
/// not known for certain, so that one of them sets something else is an error only where none has the token.
fn holder(
    places: &Places,
    name: &TokenName,
    secret: &Secret,
    rule: &FormRule,
) -> Result<(Option<Holder>, Vec<String>)> {
    let mut first = None;
    let mut others = Vec::new();
    let mut errors = Vec::new();
    for path in &places.0 {
        let seen = Opened::at(path, name).and_then(|opened| {
            opened.map(|opened| opened.lines(name, secret, rule).map(|lines| (opened, lines))).transpose()
        });
        match seen {
            Ok(None) => {}
            Ok(Some((_, lines))) if lines.is_empty() => {}
            Ok(Some((_, lines))) if first.is_some() => {
                let numbers = numbers(&lines);
                others.push(format!("`{}` sets it too ({numbers}): take it out by hand", path.display()));
            }
            Ok(found) => first = found,
            Err(error) => errors.push(error),
        }
    }
    match (first, errors.into_iter()) {
        (None, mut errors) => errors.next().map_or(Ok((None, others)), Err),
        (first, errors) => {
            others.extend(errors.map(|error| error.message));
            Ok((first, others))
        }
    }
}

/// A file, open and locked against others of keycap's edits, with its content.
struct Opened {
    /// As the user knows it.
    path: PathBuf,
    /// Behind all links: it is this one that is edited.
    real: PathBuf,
    file: File,
    metadata: fs::Metadata,
    content: Zeroizing<Vec<u8>>,
}

impl Opened {
    /// `None` where there is no file, or one that does not set the name: that one need not be writable.
    fn at(path: &Path, name: &TokenName) -> Result<Option<Self>> {
        let unreadable = |unfit: Unfit| unfit.at(path, "cannot be read");
        match file::ordinary(path, OpenOptions::new().read(true), Links::Followed) {
            // R cannot read it either.
            Err(Unfit::System(_)) => return Ok(None),
            opened => {
                let content = whole(&mut opened.map_err(unreadable)?.0).map_err(unreadable)?;
                if assignments(&content, name.as_str()).is_empty() {
                    return Ok(None);
                }
            }
        }
        let start = Instant::now();
        loop {
            let Ok(real) = fs::canonicalize(path) else { return Ok(None) };
            let opened = file::ordinary(&real, OpenOptions::new().read(true).write(true), Links::Refused);
            let (mut file, metadata) = opened.map_err(|unfit| unfit.at(path, "cannot be edited"))?;
            match file.try_lock() {
                // Who had the lock before may have put another file there.
                Ok(()) if !is_at(&metadata, &real) => {}
                Ok(()) => {
                    let content = whole(&mut file).map_err(unreadable)?;
                    return Ok(Some(Self { path: path.to_owned(), real, file, metadata, content }));
                }
                Err(fs::TryLockError::Error(e)) => return Err(fault(path, "cannot be locked", &e)),
                Err(fs::TryLockError::WouldBlock) => {}
            }
            if start.elapsed() >= PATIENCE {
                return Err(Error::new(Kind::File, format!("`{}` is being edited by another process", path.display()))
                    .hint("try again"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The lines that set this token under its name. None: it is not set here.
    fn lines(&self, name: &TokenName, secret: &Secret, rule: &FormRule) -> Result<Vec<Line>> {
        let lines = assignments(&self.content, name.as_str());
        let same = |line: &Line| match &line.value {
            Given::Plain(value) => to_compare(value).is(secret, rule),
            Given::Composed => false,
        };
        if lines.iter().all(same) {
            return Ok(lines);
        }
        let (path, name) = (self.path.display(), name.as_str());
        let error = |message: String| Error::new(Kind::File, message).field("path", path.to_string());
        let numbers = numbers(&lines);
        if lines.iter().any(|line| line.value == Given::Composed) {
            return Err(error(format!("`{path}` sets `{name}` by way of another variable ({numbers})"))
                .hint("keycap takes out only a line that holds the token itself: edit the file by hand"));
        }
        if lines.len() > 1 {
            return Err(error(format!("`{path}` sets `{name}` more than once, to different values ({numbers})"))
                .hint("the last line counts for R; take the others out by hand and restart R"));
        }
        Err(error(format!("`{path}` sets `{name}` to another value than this session has ({numbers})"))
            .hint("restart R to have the file's value, or take the line out by hand if it is out of date"))
    }

    /// What there is to say besides, before the edit.
    fn warnings(&self, lines: &[Line], secret: &Secret) -> Vec<String> {
        let path = self.path.display();
        let mut warnings = Vec::new();
        let elsewhere: Vec<Line> = all_lines(&self.content)
            .filter(|(number, _)| !lines.iter().any(|line| line.number == *number))
            .filter(|(_, range)| secret.scrubber().watch().sees(&self.content[range.clone()]))
            .map(|(number, range)| Line { number, range, value: Given::Composed })
            .collect();
        if !elsewhere.is_empty() {
            let numbers = numbers(&elsewhere);
            warnings.push(format!("`{path}` holds the token elsewhere too ({numbers}): take it out by hand"));
        }
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::mode(&self.metadata) & 0o044 != 0 {
            let others =
                "could be read by other users of this machine: regenerate the token if they are not to have it";
            warnings.push(format!("`{path}` {others}"));
        }
        if self.real.ancestors().skip(1).any(|folder| folder.join(".git").exists()) {
            let git =
                "is in a git repository: if it was ever committed, its history keeps the token; regenerate it then";
            warnings.push(format!("`{path}` {git}"));
        }
        warnings
    }

    /// Puts a file without these lines in the place of this one, and wipes what this one held.
    fn replace_without(mut self, lines: &[Line]) -> Result<()> {
        self.has_one_name()?;
        let failed = |e: &std::io::Error| fault(&self.path, "cannot be edited", e);
        let new = without(&self.content, lines);
        let beside = self.beside();
        // A left-over of a killed process: the lock says that nobody is at it.
        let _ = fs::remove_file(&beside);
        let written = self.write_beside(&beside, &new).map_err(|e| failed(&e)).and_then(|()| {
            step("written beside");
            if !is_at(&self.metadata, &self.real) || *whole_again(&mut self.file)? != *self.content {
                let message = format!("`{}` was changed meanwhile; nothing was taken out", self.path.display());
                return Err(Error::new(Kind::File, message).hint("close it in the editor and try again"));
            }
            fs::rename(&beside, &self.real).map_err(|e| failed(&e))
        });
        if let Err(error) = written {
            let _ = fs::remove_file(&beside);
            return Err(error);
        }
        step("renamed");
        #[cfg(unix)]
        if let Some(folder) = self.real.parent() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        // What the old file held, as far as the device writes in place. Nobody can open it any more.
        let wiped = self.file.seek(SeekFrom::Start(0)).and_then(|_| {
            self.file.write_all(&vec![0; self.content.len()])?;
            self.file.sync_data()
        });
        step("wiped");
        // That it could not be wiped is what happens on many devices unseen; the documentation says so.
        drop(wiped);
        Ok(())
    }

    /// Fails where [`Opened::replace_without`] is known to fail. An empty file is made beside this one and taken away:
    /// nothing else tells what the folder, its device and the owner allow.
    fn replaceable(&self) -> Result<()> {
        self.has_one_name()?;
        let beside = self.beside();
        let _ = fs::remove_file(&beside);
        let tried = self.write_beside(&beside, b"").and_then(|()| fs::remove_file(&beside));
        tried.map_err(|e| {
            let _ = fs::remove_file(&beside);
            fault(&self.path, "cannot be edited", &e)
        })
    }

    /// Under its second name the token would stay.
    fn has_one_name(&self) -> Result<()> {
        if file::only_name(&self.metadata) {
            return Ok(());
        }
        Err(Unfit::SeveralNames.at(&self.path, "cannot be edited"))
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.real.file_name().unwrap_or_default().to_owned();
        name.push(".keycap-new");
        self.real.with_file_name(name)
    }

    fn write_beside(&self, beside: &Path, content: &[u8]) -> std::io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(beside)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let (old, new) = (&self.metadata, file.metadata()?);
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                std::os::unix::fs::fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
        }
        file.set_permissions(self.metadata.permissions())?;
        file.write_all(content)?;
        file.sync_all()
    }
}

/// A line that gives a name a value.
#[derive(Debug, PartialEq)]
struct Line {
    number: usize,
    /// With its line break.
    range: Range<usize>,
    value: Given,
}

#[derive(PartialEq)]
enum Given {
    /// By the line alone.
    Plain(Zeroizing<Vec<u8>>),
    /// With the value of other variables.
    Composed,
}

impl std::fmt::Debug for Given {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Composed { "Composed" } else { "Plain(****)" })
    }
}

/// Every line, counted from 1.
fn all_lines(content: &[u8]) -> impl Iterator<Item = (usize, Range<usize>)> + '_ {
    let mut start = 0;
    content.split_inclusive(|byte| *byte == b'\n').enumerate().map(move |(at, line)| {
        let range = start..start + line.len();
        start = range.end;
        (at + 1, range)
    })
}

/// The lines that set a name. One that has no value sets nothing.
fn assignments(content: &[u8], name: &str) -> Vec<Line> {
    let lines = all_lines(content);
    lines
        .filter_map(|(number, range)| given(&content[range.clone()], name).map(|value| Line { number, range, value }))
        .collect()
}

/// The value that a line gives a name, as R has it.
fn given(line: &[u8], name: &str) -> Option<Given> {
    let line = trimmed(line.split(|byte| *byte == 0).next().unwrap_or_default());
    if line.first() == Some(&b'#') {
        return None;
    }
    let equals = line.iter().position(|byte| *byte == b'=')?;
    let (known, value) = (trimmed(&line[..equals]), trimmed(&line[equals + 1..]));
    let same = if cfg!(windows) { known.eq_ignore_ascii_case(name.as_bytes()) } else { known == name.as_bytes() };
    if !same || value.is_empty() {
        return None;
    }
    let composed = value.windows(2).position(|pair| pair == b"${").is_some_and(|at| value[at..].contains(&b'}'));
    Some(if composed { Given::Composed } else { Given::Plain(unquoted(value)) })
}

/// A value without its quotes and the backslashes that R takes away.
fn unquoted(value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut plain = Zeroizing::new(Vec::with_capacity(value.len()));
    let mut quote = None;
    let mut bytes = value.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if byte == open => quote = None,
            (None, b'\\') => plain.extend(bytes.next()),
            (Some(open), b'\\') if bytes.peek() == Some(&open) => plain.extend(bytes.next()),
            _ => plain.push(byte),
        }
    }
    plain
}

/// Without the blanks of C's `isspace()` at both ends.
fn trimmed(bytes: &[u8]) -> &[u8] {
    let blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
    let start = bytes.iter().position(|byte| !blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|byte| !blank(byte)).map_or(start, |at| at + 1);
    &bytes[start..end]
}

/// The content without some of its lines.
fn without(content: &[u8], lines: &[Line]) -> Zeroizing<Vec<u8>> {
    let mut rest = Zeroizing::new(Vec::with_capacity(content.len()));
    let mut from = 0;
    for line in lines {
        rest.extend_from_slice(&content[from..line.range.start]);
        from = line.range.end;
    }
    rest.extend_from_slice(&content[from..]);
    rest
}

fn numbers(lines: &[Line]) -> String {
    let numbers: Vec<String> = lines.iter().map(|line| line.number.to_string()).collect();
    format!("line{} {}", if lines.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

/// Files beside it that hold the token too: copies that editors make, and R's history.
fn copies(path: &Path, secret: &Secret) -> Vec<String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let others = entries.flatten().map(|entry| entry.path()).filter(|other| {
        let other = other.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let editors = [name.to_owned(), format!("#{name}"), format!(".{name}")];
        other == ".Rhistory" || (other != name && editors.iter().any(|start| other.starts_with(start)))
    });
    let holds = |other: &PathBuf| {
        let opened = file::ordinary(other, OpenOptions::new().read(true), Links::Followed);
        let content = opened.and_then(|(mut file, _)| whole(&mut file));
        content.is_ok_and(|content| secret.scrubber().watch().sees(&content))
    };
    let mut found: Vec<PathBuf> = others.filter(holds).collect();
    found.sort();
    let told =
        |other: &PathBuf| format!("`{}` holds the token too: remove it, or take it out by hand", other.display());
    found.iter().map(told).collect()
}

/// The content of a file, in one buffer of its size from the start: one that grows leaves copies behind.
fn whole(file: &mut File) -> std::result::Result<Zeroizing<Vec<u8>>, Unfit> {
    let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
    if size > CAP {
        return Err(Unfit::TooLarge(CAP as u64));
    }
    let mut content = Zeroizing::new(vec![0; size]);
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut content)?;
    Ok(content)
}

fn whole_again(file: &mut File) -> Result<Zeroizing<Vec<u8>>> {
    whole(file).map_err(|unfit| unfit.at(Path::new(".Renviron"), "cannot be read"))
}

/// Whether a path is still that of an open file.
#[cfg(unix)]
fn is_at(metadata: &fs::Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).is_ok_and(|now| (now.dev(), now.ino()) == (metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn is_at(metadata: &fs::Metadata, path: &Path) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|now| now.created().ok() == metadata.created().ok() && now.len() == metadata.len())
}

#[cfg(test)]
mod tests;
