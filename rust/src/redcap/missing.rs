//! A token that is not there, or is none: what is said, and where one is to be put.

use crate::ctx::Ctx;
use crate::error::{Error, Kind};
use crate::project::{Project, StoreSettings};
use crate::store::Found;
use crate::token::Form;

/// The error for a name that is blank in every store. Its hints name the stores that are asked here, and no other: a
/// token in a store that the site forbids would not be found.
pub(crate) fn blank(ctx: &Ctx, project: &Project) -> Error {
    let name = project.token_name.as_str();
    let error = Error::new(Kind::TokenMissing, format!("no token is found under `{name}`")).field("token_name", name);
    let (short_name, stores) = (project.short_name.as_str(), &ctx.settings.stores);
    if !ctx.settings.order.iter().any(|store| store == "env") {
        return ctx.settings.order.iter().map(|store| place(store, stores, name, short_name)).fold(error, Error::hint);
    }
    let others = ctx.settings.order.iter().filter(|store| *store != "env");
    let error = others.map(|store| place(store, stores, name, short_name)).fold(error, Error::hint);
    error
        .hint(format!("for this session: `Sys.setenv({name} = \"...\")`, typed in the console, never in a script"))
        .hint(format!(
            "for every session: a line `{name}=...` in `.Renviron` (`usethis::edit_r_environ()`), then restart R"
        ))
}

/// Where a token goes in a store, and how.
fn place(store: &str, settings: &StoreSettings, name: &str, short_name: &str) -> String {
    let set = format!("`set_project_token(\"{short_name}\", store = \"{store}\")`");
    let StoreSettings { vault, aws, command, .. } = settings;
    match store {
        "vault" => {
            let path = vault.path.fill(name, short_name).unwrap_or_default();
            let (mount, field) = (&vault.mount, &vault.field);
            format!(
                "put it into the vault, under the path `{mount}/{path}` in the field `{field}`: {set}, if you may write there"
            )
        }
        "aws" => {
            let secret = aws.name.fill(name, short_name).unwrap_or_default();
            let field = aws.field.as_ref().map(|field| format!(" in the field `{field}`")).unwrap_or_default();
            format!("put it into AWS Secrets Manager, as the secret `{secret}`{field}: {set}, if you may write there")
        }
        "command" => match command {
            Some(command) if command.write.is_some() => format!("put it where `{}` has it: {set}", command.program),
            Some(command) => format!("put it where `{}` has it, by that program's own means", command.program),
            None => "`command` is among the stores that are asked, and not set up: `configure_stores()` does that"
                .to_owned(),
        },
        _ => format!("put it into the store `{store}`: {set} asks for it"),
    }
}

/// The error for a value that is set and is not a project token.
pub(crate) fn malformed(ctx: &Ctx, project: &Project, found: &Found) -> Error {
    let name = project.token_name.as_str();
    let source = found.source;
    let rule = ctx.settings.token_form.describe();
    let error = match &found.form {
        Form::Super => Error::new(
            Kind::TokenForm,
            format!("`{name}` in `{source}` is a super token (64 characters); keycap does not use super tokens"),
        )
        .hint("store the token of the one project instead, from the project's API page"),
        Form::Malformed { what, .. } => Error::new(
            Kind::TokenForm,
            format!("`{name}` in `{source}` is set but malformed ({what}); a token has {rule}"),
        )
        .hint("copy the token again from the project's API page in REDCap, without quotes, blanks or comments"),
        Form::Project => Error::new(Kind::Internal, "a well-formed token was called malformed"),
    };
    error.field("token_name", name).field("source", source)
}
