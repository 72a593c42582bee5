//! What makes R call: the script and the session.

use std::io::{IsTerminal, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::entry::Program;
use super::line::Sum;

/// A longer script has no digest: reading it would hold R up.
const LONGEST: u64 = 32 << 20;

/// Schedulers, with the variable that has the job's number.
const SCHEDULERS: [(&str, &str); 4] =
    [("slurm", "SLURM_JOB_ID"), ("pbs", "PBS_JOBID"), ("lsf", "LSB_JOBID"), ("sge", "JOB_ID")];

/// What a script was like when it was read: the same file is not read for every call.
struct Known {
    path: String,
    changed: Option<SystemTime>,
    size: u64,
    sha256: Option<String>,
}

static KNOWN: Mutex<Option<Known>> = Mutex::new(None);

impl Program {
    /// Looks around, on the host's thread: reads variables. `script` is an absolute path, or `interactive`,
    /// `expression`, `stdin`; `gui` is what R says of its surface.
    pub(crate) fn here(script: Option<&str>, gui: Option<&str>) -> Self {
        let (session, job) = session(gui, |name| std::env::var(name).ok().filter(|text| !text.is_empty()));
        Self {
            script: script.map(str::to_owned),
            script_sha256: script.and_then(digest),
            session: Some(session.to_owned()),
            job,
            login_uid: login(),
        }
    }
}

fn session(gui: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> (&'static str, Option<String>) {
    if gui == Some("RStudio") {
        return ("rstudio", None);
    }
    for (name, key) in SCHEDULERS {
        // `JOB_ID` alone is too plain a name.
        if let Some(job) = variable(key).filter(|_| name != "sge" || variable("SGE_ROOT").is_some()) {
            return (name, Some(job.chars().take(100).collect()));
        }
    }
    let is = |name: &str, value: &str| variable(name).as_deref() == Some(value);
    let session = if is("POSITRON", "1") {
        "positron"
    } else if variable("JPY_PARENT_PID").is_some() {
        "jupyter"
    } else if is("TERM_PROGRAM", "vscode") {
        "vscode"
    } else if std::io::stdin().is_terminal() {
        "terminal"
    } else {
        "background"
    };
    (session, None)
}

fn digest(script: &str) -> Option<String> {
    let path = Path::new(script);
    let metadata = path.is_absolute().then(|| std::fs::metadata(path).ok()).flatten()?;
    if !metadata.is_file() || metadata.len() > LONGEST {
        return None;
    }
    let (changed, size) = (metadata.modified().ok(), metadata.len());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = known.as_ref().filter(|k| k.path == script && k.changed == changed && k.size == size) {
        return known.sha256.clone();
    }
    let sha256 = read(path).ok();
    *known = Some(Known { path: script.to_owned(), changed, size, sha256: sha256.clone() });
    sha256
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut file = std::fs::File::open(path)?.take(LONGEST);
    let mut sum = Sum::new();
    let mut block = vec![0; 1 << 16];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(sum.finish()),
            n => sum.add(&block[..n]),
        }
    }
}

/// The user who logged in, as the kernel keeps it through `su` and `sudo`.
fn login() -> Option<u32> {
    let text = std::fs::read_to_string("/proc/self/loginuid").ok()?;
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_scripts_digest_is_that_of_its_bytes_and_follows_its_changes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a b.R");
        std::fs::write(&path, "x\n").unwrap();
        let path = path.to_str().unwrap();
        let of = || Program::here(Some(path), None).script_sha256.unwrap();
        assert_eq!(of(), super::super::line::sha256(b"x\n"));
        assert_eq!(of(), super::super::line::sha256(b"x\n"));
        std::fs::write(path, "another\n").unwrap();
        assert_eq!(of(), super::super::line::sha256(b"another\n"));
        std::fs::remove_file(path).unwrap();
        assert_eq!(Program::here(Some(path), None).script_sha256, None);
        assert_eq!(Program::here(Some("interactive"), None).script_sha256, None);
    }

    #[test]
    fn a_session_is_known_by_its_surface_and_a_job_by_its_scheduler() {
        let of = |gui: Option<&str>, variables: &[(&str, &str)]| {
            session(gui, |name| variables.iter().find(|(key, _)| *key == name).map(|(_, text)| (*text).to_owned()))
        };
        assert_eq!(of(Some("RStudio"), &[("SLURM_JOB_ID", "1")]), ("rstudio", None));
        assert_eq!(of(Some("X11"), &[("SLURM_JOB_ID", "17")]), ("slurm", Some("17".to_owned())));
        assert_eq!(of(None, &[("JOB_ID", "17"), ("SGE_ROOT", "/x")]), ("sge", Some("17".to_owned())));
        assert_eq!(of(None, &[("POSITRON", "1"), ("TERM_PROGRAM", "vscode")]).0, "positron");
        assert!(matches!(of(None, &[("JOB_ID", "17")]).0, "terminal" | "background"));
    }
}
