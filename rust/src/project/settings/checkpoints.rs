//! Settings of checkpoints and of the anchors that keep them.

use std::path::PathBuf;
use std::time::Duration;

use toml::{Table, Value as Toml};

use super::{number, text, texts, whole};

/// How checkpoints are taken without being asked for, and who keeps them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CheckpointSettings {
    /// The anchors, in the order in which they are asked.
    pub anchors: Vec<Anchor>,
    /// How many entries there may be before the next checkpoint.
    pub every_entries: Option<u32>,
    /// How old a checkpoint may be before the next one.
    pub every: Option<Duration>,
    /// How many entries may be without an anchor before calls are refused.
    pub limit_entries: Option<u32>,
    /// How long there may be no anchor in reach before calls are refused.
    pub limit: Option<Duration>,
    /// Where the signing key is kept: a store's name, or `file`.
    pub key_store: Option<String>,
}

/// A place outside the user's reach that keeps checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its name in the log and in messages.
    pub name: String,
    /// What it is.
    pub place: AnchorPlace,
}

/// What keeps checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnchorPlace {
    /// A file that is appended to.
    File(PathBuf),
    /// A program that takes the note on its standard input.
    Command {
        /// The program and its arguments.
        write: Vec<String>,
        /// The program that prints all notes, with its arguments.
        read: Option<Vec<String>>,
        /// How long it may take.
        limit: Duration,
    },
}

impl CheckpointSettings {
    /// How many entries there may be before the next checkpoint, where any is taken without being asked for.
    pub fn entries(&self) -> u64 {
        self.every_entries.map_or(1000, u64::from)
    }

    /// How old a checkpoint may be.
    pub fn age(&self) -> Duration {
        self.every.unwrap_or(Duration::from_secs(24 * 3600))
    }

    /// Whether checkpoints are taken without being asked for: where somebody wants them, or somebody keeps them.
    pub fn is_automatic(&self) -> bool {
        !self.anchors.is_empty() || self.every_entries.is_some() || self.every.is_some()
    }

    /// Whether a program is run.
    pub(crate) fn runs_programs(&self) -> bool {
        self.anchors.iter().any(|anchor| matches!(anchor.place, AnchorPlace::Command { .. }))
    }

    pub(super) fn set(&mut self, key: &str, value: &Toml) -> Result<(), String> {
        match key {
            "anchors" => self.anchors = anchors(value)?,
            "checkpoint_every_entries" => self.every_entries = Some(whole(value, 1, 1_000_000)?),
            "checkpoint_every_hours" => self.every = Some(hours(value)?),
            "anchor_limit_entries" => self.limit_entries = Some(whole(value, 1, 10_000_000)?),
            "anchor_limit_hours" => self.limit = Some(hours(value)?),
            _ => self.key_store = Some(text(value)?),
        }
        Ok(())
    }
}

/// The settings that belong here.
pub(super) fn is_one(key: &str) -> bool {
    matches!(
        key,
        "anchors"
            | "checkpoint_every_entries"
            | "checkpoint_every_hours"
            | "anchor_limit_entries"
            | "anchor_limit_hours"
            | "audit_key_store"
    )
}

fn hours(value: &Toml) -> Result<Duration, String> {
    match number(value) {
        Some(hours) if (0.01..=87_600.0).contains(&hours) => Ok(Duration::from_secs_f64(hours * 3600.0)),
        _ => Err("it must be a number of hours, from 0.01 to 87600".to_owned()),
    }
}

fn anchors(value: &Toml) -> Result<Vec<Anchor>, String> {
    let wrong = || "it must be a list of tables: begin each with `[[anchors]]`".to_owned();
    let Toml::Array(items) = value else { return Err(wrong()) };
    let mut anchors: Vec<Anchor> = Vec::new();
    for item in items {
        let anchor = anchor(item.as_table().ok_or_else(wrong)?)?;
        if anchors.iter().any(|other| other.name == anchor.name) {
            return Err("two anchors have the same name: give them different ones by `name`".to_owned());
        }
        anchors.push(anchor);
    }
    Ok(anchors)
}

fn anchor(table: &Table) -> Result<Anchor, String> {
    let known = ["name", "file", "command", "read", "timeout"];
    if table.keys().any(|key| !known.contains(&key.as_str())) {
        return Err(format!("an anchor has a key that is none of `{}`", known.join("`, `")));
    }
    let (place, name) = match (table.get("file"), table.get("command")) {
        (Some(file), None) => {
            let path = PathBuf::from(text(file)?);
            if !path.is_absolute() {
                return Err("`file` of an anchor must be an absolute path".to_owned());
            }
            if table.contains_key("read") || table.contains_key("timeout") {
                return Err("`read` and `timeout` belong to an anchor with a `command`".to_owned());
            }
            let name = path.display().to_string();
            (AnchorPlace::File(path), name)
        }
        (None, Some(command)) => {
            let write = line(command, "command")?;
            let read = table.get("read").map(|read| line(read, "read")).transpose()?;
            let limit = match table.get("timeout").map(number) {
                None => Duration::from_secs(10),
                Some(Some(seconds)) if (0.1..=60.0).contains(&seconds) => Duration::from_secs_f64(seconds),
                Some(_) => return Err("`timeout` of an anchor must be a number of seconds, from 0.1 to 60".to_owned()),
            };
            let name = write.first().cloned().unwrap_or_default();
            (AnchorPlace::Command { write, read, limit }, name)
        }
        _ => return Err("an anchor has either `file` or `command`".to_owned()),
    };
    let name = table.get("name").map_or(Ok(name), text)?;
    if name.len() > 200 || name.contains(char::is_control) {
        return Err("`name` of an anchor must be a short text of one line".to_owned());
    }
    Ok(Anchor { name, place })
}

/// A program and its arguments; there is no shell that would split one text.
fn line(value: &Toml, key: &str) -> Result<Vec<String>, String> {
    let Toml::Array(_) = value else { return Err(format!("`{key}` of an anchor must be a list of texts")) };
    let line = texts(value)?;
    let program = line.first().ok_or_else(|| format!("`{key}` of an anchor names no program"))?;
    if program.contains('/') && !std::path::Path::new(program).is_absolute() {
        return Err(format!(
            "`{key}` of an anchor begins with an absolute path, or a name that is looked for in `PATH`"
        ));
    }
    Ok(line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::project::Settings;

    fn read(text: &str) -> Result<CheckpointSettings, String> {
        Settings::of_site(text).map(|settings| *settings.checkpoints).map_err(|error| error.message)
    }

    #[test]
    fn any_number_of_anchors_of_both_kinds_is_read() {
        let settings = read(
            "anchor_limit_hours = 48\n[[anchors]]\nfile = \"/mnt/audit/notes\"\n\
             [[anchors]]\nname = \"object lock\"\ncommand = [\"aws\", \"s3api\", \"put-object\"]\ntimeout = 5\n",
        )
        .unwrap();
        let names: Vec<_> = settings.anchors.iter().map(|anchor| anchor.name.as_str()).collect();
        assert_eq!(names, ["/mnt/audit/notes", "object lock"]);
        assert_eq!(settings.limit, Some(Duration::from_secs(48 * 3600)));
        assert!(settings.is_automatic() && settings.runs_programs());
        assert!(!CheckpointSettings::default().is_automatic());
    }

    #[test]
    fn what_is_no_anchor_is_an_error_that_says_why() {
        for (text, why) in [
            ("anchors = \"x\"", "list of tables"),
            ("[[anchors]]\nname = \"x\"", "either `file` or `command`"),
            ("[[anchors]]\nfile = \"here\"", "absolute"),
            ("[[anchors]]\ncommand = \"logger -t keycap\"", "list of texts"),
            ("[[anchors]]\ncommand = []", "no program"),
            ("[[anchors]]\ncommand = [\"bin/x\"]", "absolute path"),
            ("[[anchors]]\nfile = \"/x\"\ntimeout = 3", "belong to an anchor with a `command`"),
            ("[[anchors]]\ncommand = [\"x\"]\ntimeout = 600", "from 0.1 to 60"),
            ("[[anchors]]\nfile = \"/x\"\n[[anchors]]\nfile = \"/x\"", "same name"),
            ("[[anchors]]\nfile = \"/x\"\nurl = \"y\"", "none of"),
            ("anchor_limit_hours = 0", "number of hours"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(why), "{text}: {message}");
        }
    }
}
