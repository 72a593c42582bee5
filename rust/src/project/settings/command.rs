//! Settings of the store `command`.

use toml::{Table, Value as Toml};

use super::{Template, text};

/// The table `[command]`: a program that prints one token. One table is used as a whole, the user's or the site's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandSettings {
    /// The preset that it comes from, if any.
    pub preset: Option<Preset>,
    /// An absolute path, or a name that is looked for in `PATH`.
    pub program: String,
    /// What it is given to print a token.
    pub read: Vec<Template>,
    /// The exit status with which it says that it has no such name.
    pub absent_status: Vec<i32>,
    /// Whether the token is the first of several lines. Without, a second line is an error.
    pub first_line: bool,
    /// What it is given to take a token on its standard input; without, it only reads.
    pub write: Option<Vec<Template>>,
    /// What it is given to remove a token.
    pub remove: Option<Vec<Template>>,
}

/// A program that is known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The standard Unix password manager.
    Pass,
    /// 1Password.
    Op,
    /// Bitwarden.
    Bw,
    /// Azure Key Vault.
    Az,
    /// Google Secret Manager.
    Gcloud,
    /// The Secret Service, by libsecret.
    SecretTool,
    /// AWS Secrets Manager.
    Aws,
}

/// Whether a preset has this name.
pub(crate) fn is_preset(name: &str) -> bool {
    PRESETS.iter().any(|known| known.name == name)
}

/// What a preset stands for.
struct Known {
    preset: Preset,
    name: &'static str,
    program: &'static str,
    /// What `item` is, where it can be told; otherwise it has to be set.
    item: Option<&'static str>,
    /// `{item}` is the setting `item`.
    read: &'static [&'static str],
    /// What these programs document. Where one status stands for "absent" and for failures alike, it is not listed:
    /// then a token that is absent is an error, and no failure passes for absent.
    absent_status: &'static [i32],
    first_line: bool,
    write: Option<&'static [&'static str]>,
    remove: Option<&'static [&'static str]>,
}

const PRESETS: [Known; 7] = [
    Known {
        preset: Preset::Pass,
        name: "pass",
        program: "pass",
        item: Some("redcap/{token_name}"),
        read: &["show", "{item}"],
        // 1 is "not in the password store"; where gpg fails, its own status (2) comes through.
        absent_status: &[1],
        // The password, then whatever else the user keeps there.
        first_line: true,
        // With whatever else the user keeps there.
        write: Some(&["insert", "--multiline", "--force", "{item}"]),
        remove: Some(&["rm", "--force", "{item}"]),
    },
    Known {
        preset: Preset::Op,
        name: "op",
        program: "op",
        item: None,
        read: &["read", "--no-newline", "{item}"],
        absent_status: &[],
        first_line: false,
        write: None,
        remove: None,
    },
    Known {
        preset: Preset::Bw,
        name: "bw",
        program: "bw",
        item: Some("{token_name}"),
        read: &["--nointeraction", "--raw", "get", "password", "{item}"],
        absent_status: &[],
        first_line: false,
        write: None,
        remove: None,
    },
    Known {
        preset: Preset::Az,
        name: "az",
        program: "az",
        item: None,
        read: &["keyvault", "secret", "show", "--id", "{item}", "--query", "value", "--output", "tsv"],
        // "Missing resource", of the commands that show one.
        absent_status: &[3],
        first_line: false,
        write: None,
        remove: None,
    },
    Known {
        preset: Preset::Gcloud,
        name: "gcloud",
        program: "gcloud",
        item: Some("{token_name}"),
        read: &["secrets", "versions", "access", "latest", "--secret={item}", "--quiet"],
        absent_status: &[],
        first_line: false,
        write: None,
        remove: None,
    },
    Known {
        preset: Preset::SecretTool,
        name: "secret-tool",
        program: "secret-tool",
        item: Some("{token_name}"),
        read: &["lookup", "service", "REDCapSync", "username", "{item}"],
        absent_status: &[1],
        first_line: false,
        // As R's keyring package finds it.
        write: Some(&[
            "store",
            "--label=REDCapSync",
            "service",
            "REDCapSync",
            "username",
            "{item}",
            "xdg:schema",
            "com.rstudio.keyring.password",
        ]),
        remove: Some(&["clear", "service", "REDCapSync", "username", "{item}"]),
    },
    Known {
        preset: Preset::Aws,
        name: "aws",
        program: "aws",
        item: Some("redcap/{token_name}"),
        read: &[
            "secretsmanager",
            "get-secret-value",
            "--secret-id",
            "{item}",
            "--query",
            "SecretString",
            "--output",
            "text",
        ],
        absent_status: &[],
        first_line: false,
        write: None,
        remove: None,
    },
];

impl Preset {
    /// The name in settings.
    pub fn as_str(self) -> &'static str {
        PRESETS.iter().find(|line| line.preset == self).map_or("", |line| line.name)
    }
}

impl CommandSettings {
    /// Reads the table.
    pub(super) fn read(value: &Toml) -> Result<Self, String> {
        const MEMBERS: [&str; 6] = ["preset", "item", "program", "arguments", "absent_status", "first_line"];
        let table = value.as_table().ok_or("it must be a table: begin it with `[command]`")?;
        if let Some(stranger) = table.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
            let stranger = crate::token::as_name(stranger);
            return Err(format!("`{stranger}` is none of `{}`", MEMBERS.join("`, `")));
        }
        let mut settings = match table.get("preset") {
            Some(preset) => Self::preset(&text(preset)?, table)?,
            None => Self::own(table)?,
        };
        if let Some(status) = table.get("absent_status") {
            settings.absent_status = statuses(status)?;
        }
        if let Some(first_line) = table.get("first_line") {
            settings.first_line = first_line.as_bool().ok_or("`first_line` must be `true` or `false`")?;
        }
        if !settings.read.iter().any(Template::names_the_token) {
            let what = if settings.preset.is_some() { "`item` has" } else { "`arguments` have" };
            return Err(format!("{what} no `{{token_name}}`, so that all projects would get the same token"));
        }
        Ok(settings)
    }

    fn preset(name: &str, table: &Table) -> Result<Self, String> {
        let line = PRESETS.iter().find(|line| line.name == name).ok_or_else(|| {
            let known = PRESETS.iter().map(|line| format!("`{}`", line.name)).collect::<Vec<_>>();
            format!("`preset` is none of {}", known.join(", "))
        })?;
        if table.contains_key("arguments") {
            return Err("it has both `preset` and `arguments`; a preset brings its own".to_owned());
        }
        let item = match (table.get("item"), line.item) {
            (Some(item), _) => text(item)?,
            (None, Some(item)) => item.to_owned(),
            (None, None) => {
                let example = match line.preset {
                    Preset::Op => "op://Research/{token_name}/credential",
                    _ => "https://my-vault.vault.azure.net/secrets/{token-name}",
                };
                return Err(format!("the preset `{name}` needs `item`, as `item = \"{example}\"`"));
            }
        };
        // What begins with a dash would be an option of the program's.
        if item.starts_with('-') {
            return Err("`item` begins with a dash".to_owned());
        }
        let filled = |list: &[&str]| -> Result<Vec<Template>, String> {
            list.iter().map(|part| Template::parse(&part.replace("{item}", &item))).collect()
        };
        Ok(Self {
            preset: Some(line.preset),
            program: table.get("program").map_or_else(|| Ok(line.program.to_owned()), program)?,
            read: filled(line.read)?,
            absent_status: line.absent_status.to_vec(),
            first_line: line.first_line,
            write: line.write.map(filled).transpose()?,
            remove: line.remove.map(filled).transpose()?,
        })
    }

    fn own(table: &Table) -> Result<Self, String> {
        let program = program(table.get("program").ok_or("it has neither `program` nor `preset`")?)?;
        if table.contains_key("item") {
            return Err("`item` belongs to a preset; write it into `arguments`".to_owned());
        }
        let Some(Toml::Array(arguments)) = table.get("arguments") else {
            return Err("`arguments` must be a list of texts; there is no shell that would split one".to_owned());
        };
        let read = arguments.iter().map(|part| Template::parse(&argument(part)?)).collect::<Result<_, _>>()?;
        Ok(Self {
            preset: None,
            program,
            read,
            absent_status: Vec::new(),
            first_line: false,
            write: None,
            remove: None,
        })
    }
}

/// An argument may be empty; a name may not.
fn argument(value: &Toml) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "`arguments` must be a list of texts".to_owned())
}

fn program(value: &Toml) -> Result<String, String> {
    let program = text(value)?;
    let relative = program.contains('/') || (cfg!(windows) && program.contains('\\'));
    if relative && !std::path::Path::new(&program).is_absolute() {
        return Err("`program` must be an absolute path, or a name that is looked for in `PATH`".to_owned());
    }
    if program.contains(char::is_control) || program.starts_with('-') {
        return Err("`program` is not the name of a program".to_owned());
    }
    Ok(program)
}

fn statuses(value: &Toml) -> Result<Vec<i32>, String> {
    let wrong = || "`absent_status` must be a list of whole numbers from 1 to 255".to_owned();
    let Toml::Array(items) = value else { return Err(wrong()) };
    let status =
        |item: &Toml| item.as_integer().filter(|status| (1..=255).contains(status)).map(|status| status as i32);
    items.iter().map(|item| status(item).ok_or_else(wrong)).collect()
}
