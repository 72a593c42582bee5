//! Setting a project up and deleting it.

use std::path::Path;

use super::registry::{Kept, Project, Registries, read_project_file, write_project_file};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file;
use crate::net::ServerUrl;
use crate::token::{ShortName, TokenName};

/// What the user asks for.
pub(crate) struct Wish {
    pub(crate) project: Project,
    pub(crate) overwrite: bool,
    /// Whether the address is that of a sandbox that this session started.
    pub(crate) sandbox: bool,
}

/// What was done.
pub(crate) struct SetUp {
    pub(crate) project: Project,
    pub(crate) kept: Kept,
}

/// Writes a project into its folder and into the registry, under the registry's lock. The registry comes last:
/// it is the authority. A project without a folder, or of a sandbox, lives in this session only.
pub(crate) fn set_up(ctx: &Ctx, wish: Wish) -> Result<SetUp> {
    let Wish { mut project, overwrite, sandbox } = wish;
    let registries = Registries::new(&ctx.dirs);
    let kept = if sandbox || project.dir_path.is_none() { Kept::Session } else { Kept::User };
    if !(sandbox && crate::store::is_sample(&project.token_name)) {
        refuse_second_origin(&registries, &project, kept, overwrite)?;
    }
    registries.change(kept, |projects| {
        let known = projects.iter().position(|other| other.short_name == project.short_name);
        if let Some(at) = known {
            let other = &projects[at];
            if other.redcap_uri == project.redcap_uri && other.token_name == project.token_name {
                project.project_id.clone_from(&other.project_id);
            } else if other.redcap_uri != project.redcap_uri && !overwrite {
                return Err(set_up_elsewhere(&project.short_name, &other.redcap_uri));
            }
        }
        if let Some(path) = project.file() {
            write_into_folder(ctx, &project, &path, overwrite)?;
        }
        match known {
            Some(at) => projects[at] = project.clone(),
            None => projects.push(project.clone()),
        }
        Ok(())
    })?;
    Ok(SetUp { project, kept })
}

fn set_up_elsewhere(short_name: &ShortName, other: &ServerUrl) -> Error {
    let name = short_name.as_str();
    Error::new(Kind::Project, format!("`{name}` is already set up with another address, `{}`", other.as_str()))
        .hint("choose another `short_name`, or say `overwrite = TRUE` if the project has moved to the new address")
        .field("short_name", name)
        .field("redcap_uri", other.as_str())
}

/// A token name is bound to one origin: a second project may share the token name only at the same origin.
fn refuse_second_origin(registries: &Registries, project: &Project, kept: Kept, overwrite: bool) -> Result<()> {
    for (layer, other) in registries.read_both()? {
        let replaced = layer == kept && other.short_name == project.short_name && overwrite;
        let same_name = layer == kept && other.short_name == project.short_name;
        if other.token_name != project.token_name || other.redcap_uri.origin() == project.redcap_uri.origin() {
            continue;
        }
        if replaced {
            continue;
        }
        if same_name {
            return Err(set_up_elsewhere(&project.short_name, &other.redcap_uri));
        }
        let (name, owner) = (project.token_name.as_str(), other.short_name.as_str());
        return Err(Error::new(
            Kind::Origin,
            format!("`{name}` is bound to `{}` by project `{owner}`", other.redcap_uri.origin()),
        )
        .hint(format!("give this project a `token_name` of its own, or `delete_project(\"{owner}\")` first"))
        .field("token_name", name)
        .field("origin", other.redcap_uri.origin().to_string()));
    }
    Ok(())
}

fn write_into_folder(ctx: &Ctx, project: &Project, path: &Path, overwrite: bool) -> Result<()> {
    if let Some(there) = read_project_file(path)? {
        if there.redcap_uri != project.redcap_uri && !overwrite {
            return Err(Error::new(
                Kind::Project,
                format!("`{}` names another address, `{}`", path.display(), there.redcap_uri.as_str()),
            )
            .hint("choose another folder or `short_name`, or say `overwrite = TRUE` if the project has moved"));
        }
    } else if let Some(folder) = path.parent()
        && !folder.exists()
    {
        std::fs::create_dir_all(folder).map_err(|e| file::fault(folder, "cannot be made", &e))?;
        ctx.log.note(format!("made the folder `{}`", folder.display()));
    }
    write_project_file(path, project)
}

/// What was deleted.
pub(crate) struct Deleted {
    pub(crate) token_name: TokenName,
    pub(crate) removed: Vec<String>,
    /// A file in the project's folder that was left, and why.
    pub(crate) left: Option<String>,
}

/// Removes a project's registry entry and keycap's own file in its folder; never data, never a token.
pub(crate) fn delete(ctx: &Ctx, short_name: &ShortName) -> Result<Deleted> {
    let registries = Registries::new(&ctx.dirs);
    let Some((kept, _)) = registries.find(short_name)? else { return Err(unknown(short_name)) };
    registries.change(kept, |projects| {
        let Some(at) = projects.iter().position(|project| project.short_name == *short_name) else {
            return Err(unknown(short_name));
        };
        let project = projects.remove(at);
        let mut deleted = Deleted { token_name: project.token_name.clone(), removed: Vec::new(), left: None };
        if let Some(path) = project.file() {
            match read_project_file(&path) {
                Ok(Some(there)) if there.short_name == *short_name => {
                    std::fs::remove_file(&path).map_err(|e| file::fault(&path, "cannot be removed", &e))?;
                    deleted.removed.push(path.display().to_string());
                }
                Ok(None) => {}
                Ok(Some(_)) => deleted.left = Some(format!("`{}` is another project's", path.display())),
                Err(e) => deleted.left = Some(e.message),
            }
        }
        Ok(deleted)
    })
}

/// The error for a short name that nobody set up.
pub(crate) fn unknown(short_name: &ShortName) -> Error {
    let name = short_name.as_str();
    Error::new(Kind::Project, format!("no project `{name}` is set up for this user"))
        .hint("`get_projects()` lists those that are; `setup_project()` sets one up")
        .field("short_name", name)
}
