//! Looking for leaked tokens.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arguments::{Arguments, Session};
use super::audit::own_folders;
use super::ctx;
use crate::ctx::Ctx;
use crate::error::Result;
use crate::leaks::{Finding, Found, Known, Sought, search, search_repository};
use crate::net::io::{self, Task};
use crate::project::{Project, Registries};
use crate::redcap::{audit_folder, by_token_name};
use crate::store::{Environment, keep};
use crate::token::Form;
use crate::value::{Column, Table, Value};

/// A person's own files that are looked into where no paths are given, if they are there: in the home folder.
const AT_HOME: [&str; 14] = [
    ".Renviron",
    ".Rprofile",
    ".Rhistory",
    ".RData",
    ".bash_history",
    ".zsh_history",
    ".bashrc",
    ".zshrc",
    ".profile",
    ".bash_profile",
    ".netrc",
    ".config/rstudio",
    ".local/share/rstudio",
    ".python_history",
];

/// `scan_for_tokens`: `paths` (files and folders); where there are none, `folder` (the one that R works in), the folders
/// of the projects that are set up, what keeps variables and histories in `home`, and the files in `more`. Answers
/// `findings`, a table with `path`, `inside`, `line`, `offset`, `what`, `project`, `fingerprint`; `unread`, a table with
/// `path`, `reason`; `files`, the number of files that were looked into.
pub(super) fn scan(arguments: &Arguments, session: &Session) -> Result<Task> {
    let mut paths: Vec<PathBuf> = arguments.texts("paths")?.into_iter().map(PathBuf::from).collect();
    let (home, folder) = (PathBuf::from(arguments.text("home")?), PathBuf::from(arguments.text("folder")?));
    let more = arguments.texts("more")?;
    // `git` is started as the programs of stores are.
    let ctx = ctx(session, Environment::empty().for_programs())?;
    let projects: Vec<Project> = Registries::new(&ctx.dirs).read_both()?.into_iter().map(|(_, one)| one).collect();
    if paths.is_empty() {
        paths.push(folder);
        let folders = projects.iter().filter_map(|project| project.dir_path.as_ref()).map(PathBuf::from);
        let own = AT_HOME.iter().map(|name| home.join(name)).chain(more.into_iter().map(PathBuf::from));
        paths.extend(folders.chain(own).filter(|path| std::fs::metadata(path).is_ok()));
        paths = without_inner(paths);
    }
    let held: Vec<_> = projects.into_iter().map(|project| (Environment::take(&project.token_name), project)).collect();
    io::start(move |log| async move {
        let ctx = Ctx { log, ..ctx };
        let mut known = Known::default();
        for (env, project) in held {
            let ctx = Ctx { env, ..ctx.clone() };
            // What the environment cannot say, the log may.
            if let Ok(Some(found)) = keep::get(&ctx, "env", &by_token_name(&project)).await
                && found.form == Form::Project
            {
                known.add(found.secret.fingerprint().to_string(), Some(project.short_name.as_str().to_owned()));
            }
        }
        let mut folders = own_folders(&ctx, false);
        folders.push(audit_folder(&ctx, true));
        let rule = ctx.settings.token_form.clone();
        let stop = Stop(Arc::default());
        let cancelled = Arc::clone(&stop.0);
        let searched = io::blocking(move || {
            for folder in &folders {
                known.read_logs(folder);
            }
            let sought = Sought { known, rule };
            let found = search(&sought, &paths, &cancelled)?;
            Ok((Arc::new(sought), found))
        });
        let (sought, mut found) = searched.await?;
        for repository in std::mem::take(&mut found.repositories) {
            search_repository(&ctx, &sought, &repository, &mut found, &stop.0).await?;
        }
        drop(stop);
        Ok(answer(&found))
    })
}

/// Ends the search when its operation is given up.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Each once: what is in a folder of the list is looked into with it.
fn without_inner(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let real = |path: &PathBuf| std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
    let mut seen = HashSet::new();
    let all: Vec<_> = paths.iter().map(real).collect();
    let is_inner = |path: &PathBuf| all.iter().any(|other| other != path && path.starts_with(other));
    paths.into_iter().filter(|path| !is_inner(&real(path)) && seen.insert(real(path))).collect()
}

fn answer(found: &Found) -> Value {
    let findings = &found.findings;
    let text = |of: fn(&Finding) -> Option<&str>| Column::text(findings.iter().map(of));
    let columns = [
        ("path", text(|one| Some(&one.path))),
        ("inside", text(|one| one.inside.as_deref())),
        ("line", Column::real(findings.iter().map(|one| one.line.map(|line| line as f64)))),
        ("offset", Column::real(findings.iter().map(|one| Some(one.offset as f64)))),
        ("what", text(|one| Some(one.what.as_str()))),
        ("project", text(|one| one.project.as_deref())),
        ("fingerprint", text(|one| Some(&one.fingerprint))),
    ];
    let unread = [
        ("path", Column::text(found.unread.iter().map(|unread| Some(&unread.path)))),
        ("reason", Column::text(found.unread.iter().map(|unread| Some(&unread.reason)))),
    ];
    let table = |columns: Vec<(&str, Column)>| {
        Value::Table(Table { columns: columns.into_iter().map(|(name, column)| (name.to_owned(), column)).collect() })
    };
    Value::list([
        ("findings", table(columns.into())),
        ("unread", table(unread.into())),
        ("files", Value::Real(found.files as f64)),
    ])
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_a_folder_of_the_list_is_looked_into_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("a")).unwrap();
        std::fs::write(at("a/b"), "").unwrap();
        std::fs::write(at("ab"), "").unwrap();
        let paths = vec![at("a/b"), at("a"), at("ab"), at("a"), at("a/../ab")];
        assert_eq!(without_inner(paths), [at("a"), at("ab")]);
    }
}
