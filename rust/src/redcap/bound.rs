//! By what a token is bound to the origin that it goes to.
//!
//! This user's own registry comes first, then the site's list of servers. Where neither knows a project (a worker, a node
//! of a cluster), the store may: some can hold the origin beside the token. Such a store, and no other, is asked for the
//! name; what it gives goes to that origin and nowhere else.

use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::net::Origin;
use crate::project::{Bound, Project, Registries};
use crate::store::{self, Asked, Found};

use super::pipeline::by_token_name;

/// What says that a token may go to an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BoundBy {
    /// This user's own registry, or this session's.
    Registry,
    /// The site's list of servers.
    Site,
    /// The store, which holds the origin beside the token. Not before it was asked.
    Store,
}

impl BoundBy {
    /// As it stands in the audit log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Site => "site",
            Self::Store => "store",
        }
    }

    /// Which stores may be asked for the token.
    pub(crate) const fn asked(self) -> Asked {
        match self {
            Self::Registry | Self::Site => Asked::All,
            Self::Store => Asked::Binding,
        }
    }
}

/// What binds the token of a project object, and the project: the registry's entry where there is one, else what the
/// object says, of which token name and address alone count then. Before any look-up.
///
/// # Errors
/// `origin`: nothing can bind it. `damaged`, `file`: the registry.
pub(crate) fn bound(ctx: &Ctx, hint: &Project, sandbox: bool) -> Result<(Project, BoundBy)> {
    let registries = Registries::new(&ctx.dirs);
    match registries.bound(hint, sandbox)? {
        // Two sessions that set projects up do not see each other's, but what is kept beside their own.
        Bound::Here(entry) => match registries.rival(&entry, entry.token_name.as_str())? {
            Some(rival) if !(rival.sandbox && entry.sandbox) => Err(twice_bound(&entry, &rival)),
            _ => Ok((*entry, BoundBy::Registry)),
        },
        Bound::Elsewhere(_) if ctx.settings.servers.contains(hint.redcap_uri.origin()) => {
            Ok((hint.clone(), BoundBy::Site))
        }
        // Where the registry knows the name, it is the authority, and no store serves another origin or project.
        Bound::Elsewhere(others) if others.is_empty() && store::some_bind(ctx, &by_token_name(hint)) => {
            Ok((hint.clone(), BoundBy::Store))
        }
        Bound::Elsewhere(others) => Err(unbound(hint, &others)),
    }
}

/// Whether a token that was found may go to a project's origin. An origin that stands beside it binds it in any case.
///
/// # Errors
/// `origin`.
pub(crate) fn may_go(by: BoundBy, project: &Project, found: &Found) -> Result<()> {
    let (name, origin, source) = (project.token_name.as_str(), project.redcap_uri.origin(), found.source);
    let message = match (&found.origin, by) {
        (Some(beside), _) if beside == origin => return Ok(()),
        (None, BoundBy::Registry | BoundBy::Site) => return Ok(()),
        (None, BoundBy::Store) => {
            format!("`{name}` is not bound to `{origin}` for this user, and no origin stands beside it in `{source}`")
        }
        (Some(beside), BoundBy::Store) => {
            format!("`{name}` is bound to `{beside}` by `{source}`; it is not sent to `{origin}`")
        }
        (Some(beside), BoundBy::Registry) => {
            format!("`{name}` is bound to `{origin}` by your registry and to `{beside}` by `{source}`; it is not sent")
        }
        (Some(beside), BoundBy::Site) => {
            format!(
                "`{name}` may go to `{origin}` by the site's list and is bound to `{beside}` by `{source}`; it is not sent"
            )
        }
    };
    let error = Error::new(Kind::Origin, message);
    let error = if found.origin.is_some() {
        error
            .hint(format!(
                "find out which of the two is the server of this token before you change anything in `{source}`"
            ))
            .hint("if it is not the project's, set the project up with its address, its `dir_path` and `overwrite = TRUE`")
    } else {
        error
            .hint(format!("put the server's origin beside the token, in the field `origin` of `{source}`: `{origin}`"))
            .hint("or set the project up on this machine with `setup_project()`")
    };
    Err(error.field("token_name", name).field("origin", origin.to_string()).field("source", source))
}

/// The error for a token name that the registries have at two origins.
fn twice_bound(entry: &Project, rival: &Project) -> Error {
    let (name, origin, owner) = (entry.token_name.as_str(), entry.redcap_uri.origin(), rival.short_name.as_str());
    let message = format!(
        "`{name}` is bound to `{origin}` and, as a name of project `{owner}`, to `{}`; it is not sent",
        rival.redcap_uri.origin()
    );
    Error::new(Kind::Origin, message)
        .hint("delete the one of the two that is wrong with `delete_project()`, or give it names of its own")
        .field("token_name", name)
        .field("origin", origin.to_string())
}

/// The error for a project object that stands for no entry of the registries.
pub(super) fn unbound(hint: &Project, others: &[Project]) -> Error {
    let (name, origin) = (hint.token_name.as_str(), hint.redcap_uri.origin());
    let there = others.iter().find(|entry| entry.redcap_uri.origin() == origin);
    let message = match (there, others.first()) {
        (Some(entry), _) if entry.sandbox => format!("`{name}` was bound to a sandbox that does not run any more"),
        (Some(entry), _) => {
            let (owner, short_name) = (entry.short_name.as_str(), hint.short_name.as_str());
            format!("`{name}` is the token of project `{owner}`, not of `{short_name}`")
        }
        (None, Some(entry)) => {
            format!("`{name}` is bound to `{}`; it is not sent to `{origin}`", entry.redcap_uri.origin())
        }
        (None, None) => format!("`{name}` is not bound to `{origin}` for this user"),
    };
    Error::new(Kind::Origin, message)
        .hint("what a project file, an RDS or an object says is a hint; your own `setup_project()` decides")
        .hint(format!("if `{origin}` is right, set the project up yourself with `setup_project()`"))
        .field("token_name", name)
        .field("origin", origin.to_string())
}
/// A store that says of a name that it belongs to another server keeps its token: with another one beside that origin,
/// it would go to neither server.
pub(crate) fn bond_of_target(project: &Project, store: &str, beside: Option<&Origin>) -> Result<()> {
    let (name, origin) = (project.token_name.as_str(), project.redcap_uri.origin());
    let Some(beside) = beside.filter(|beside| *beside != origin) else { return Ok(()) };
    let message = format!(
        "`{store}` binds `{name}` to `{beside}`, in the field `origin` beside the token, and this project is at `{origin}`; \
         nothing was stored"
    );
    Err(Error::new(Kind::Origin, message)
        .hint(format!(
            "if `{origin}` is the server, change the field `origin` in `{store}` first, by that store's own means"
        ))
        .hint("otherwise set the project up with a `token_name` of its own")
        .field("token_name", name)
        .field("origin", origin.to_string())
        .field("source", store))
}
