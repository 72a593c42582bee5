//! Changes in the text of a settings file: what is set, what is taken away, and nothing else. Comments, the order of
//! the lines and other settings stay as somebody wrote them.

use std::ops::Range;

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value as Toml};

/// What a new file begins with.
const TITLE: &str = "# Settings of keycap: `?keycap_settings` in R explains them.\n\
                     # `configure_stores()` changes this file, and keeps what else stands in it.\n\n";

/// What one name at the top of a file is to be: a value, a table with these members and no others, or nothing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    /// The name: `stores`, `vault`, ….
    pub(crate) name: &'static str,
    /// What it is to be. An empty table is nothing.
    pub(crate) to: Option<Toml>,
}

impl Wish {
    /// The members of a table that is wished for.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Toml)> {
        self.to.as_ref().and_then(Toml::as_table).into_iter().flatten().map(|(name, value)| (name.as_str(), value))
    }

    fn apply(&self, table: &mut Table) {
        match &self.to {
            Some(Toml::Table(members)) if members.is_empty() => drop(table.remove(self.name)),
            Some(value) => drop(table.insert(self.name.to_owned(), value.clone())),
            None => drop(table.remove(self.name)),
        }
    }
}

/// The text with the wishes in it. `None` where that cannot be done without touching anything else: the text is read
/// again, and says what was wished for and what it said before, or it is not given.
pub(super) fn edited(text: &str, wishes: &[Wish]) -> Option<String> {
    let mut goal: Table = text.parse().ok()?;
    let mut now = text.to_owned();
    for wish in wishes {
        let before = goal.clone();
        wish.apply(&mut goal);
        if before == goal {
            continue;
        }
        if now.trim().is_empty() {
            TITLE.clone_into(&mut now);
        }
        let parsed = DeTable::parse(&now).ok()?;
        let edits = Edits::of(&now, parsed.get_ref(), before.get(wish.name), wish);
        now = edits.made(&now);
    }
    (now.parse::<Table>().ok()? == goal).then_some(now)
}

/// Parts of a text that are replaced.
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn of(text: &str, root: &DeTable<'_>, before: Option<&Toml>, wish: &Wish) -> Self {
        let mut edits = Self(Vec::new());
        let there = root.iter().find(|(key, _)| key.get_ref() == wish.name);
        match (&wish.to, there) {
            (Some(Toml::Table(members)), Some((key, value))) => {
                if let (DeValue::Table(old), Form::Headed) = (value.get_ref(), form(text, key, value)) {
                    edits.members(text, key, old, before, members);
                } else {
                    edits.away(text, key, value);
                    edits.new_table(text, wish.name, members);
                }
            }
            (Some(Toml::Table(members)), None) => edits.new_table(text, wish.name, members),
            (Some(new), Some((_, old))) => edits.replace(old.span(), written(new)),
            (Some(new), None) => {
                edits.insert(text, end_of_root(text, root), &format!("{} = {}", wish.name, written(new)));
            }
            (None, Some((key, value))) => edits.away(text, key, value),
            (None, None) => {}
        }
        edits
    }

    /// The members of a table that has a header.
    fn members(
        &mut self,
        text: &str,
        key: &Spanned<impl AsRef<str>>,
        old: &DeTable<'_>,
        before: Option<&Toml>,
        new: &Table,
    ) {
        let before = before.and_then(Toml::as_table);
        let mut end = line_end(text, key.span().end);
        for (name, value) in old {
            end = end.max(line_end(text, value.span().end));
            let is = before.and_then(|before| before.get(name.get_ref().as_ref()));
            match new.get(name.get_ref().as_ref()) {
                Some(wanted) if Some(wanted) == is => {}
                Some(wanted) => self.replace(value.span(), written(wanted)),
                None => self.replace(lines(text, name.span().start, value.span().end), String::new()),
            }
        }
        if new.is_empty() {
            self.replace(lines(text, key.span().start, key.span().end), String::new());
            return;
        }
        for (name, value) in new.iter().filter(|(name, _)| !old.keys().any(|other| other.get_ref() == name.as_str())) {
            self.insert(text, end, &format!("{name} = {}", written(value)));
        }
    }

    /// Takes a statement away, or all statements of a table.
    fn away(&mut self, text: &str, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) {
        let form = form(text, key, value);
        match value.get_ref() {
            DeValue::Table(members) if form != Form::Inline => {
                for (name, value) in members {
                    self.replace(lines(text, name.span().start, value.span().end), String::new());
                }
                if form == Form::Headed {
                    self.replace(lines(text, key.span().start, key.span().end), String::new());
                }
            }
            _ => self.replace(lines(text, key.span().start, value.span().end), String::new()),
        }
    }

    fn new_table(&mut self, text: &str, name: &str, members: &Table) {
        if members.is_empty() {
            return;
        }
        let blank = text.is_empty() || text.ends_with("\n\n") || text.ends_with("\r\n\r\n");
        if !blank {
            self.insert(text, text.len(), "");
        }
        self.insert(text, text.len(), &format!("[{name}]"));
        for (name, value) in members {
            self.insert(text, text.len(), &format!("{name} = {}", written(value)));
        }
    }

    /// A line of its own at the beginning of a line, or behind a last line that has no end.
    fn insert(&mut self, text: &str, at: usize, line: &str) {
        let end = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let open = at == text.len() && !text.is_empty() && !text.ends_with('\n');
        let first = open && !self.0.iter().any(|(range, new)| range.start == at && !new.is_empty());
        self.replace(at..at, format!("{}{line}{end}", if first { end } else { "" }));
    }

    fn replace(&mut self, range: Range<usize>, by: String) {
        self.0.push((range, by));
    }

    fn made(mut self, text: &str) -> String {
        // Those at the same place stay in their order; what is taken away before a place comes first.
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let mut made = String::with_capacity(text.len() + 256);
        let mut at = 0;
        for (range, new) in self.0 {
            made.push_str(text.get(at..range.start).unwrap_or_default());
            made.push_str(&new);
            at = at.max(range.end);
        }
        made.push_str(text.get(at..).unwrap_or_default());
        made
    }
}

/// How a table stands in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Below `[vault]`.
    Headed,
    /// `vault = { … }`.
    Inline,
    /// `vault.address = …`.
    Dotted,
}

fn form(text: &str, key: &Spanned<impl AsRef<str>>, value: &Spanned<DeValue<'_>>) -> Form {
    let line = &text[line_start(text, key.span().start)..];
    if line.trim_start().starts_with('[') {
        Form::Headed
    } else if text.get(value.span()).is_some_and(|value| value.starts_with('{')) {
        Form::Inline
    } else {
        Form::Dotted
    }
}

/// Where a further statement can stand that belongs to no table.
fn end_of_root(text: &str, root: &DeTable<'_>) -> usize {
    let mut end = None;
    for (key, value) in root {
        let last = match (value.get_ref(), form(text, key, value)) {
            (DeValue::Table(_), Form::Headed) => continue,
            (DeValue::Table(members), Form::Dotted) => members.values().map(|member| member.span().end).max(),
            _ => Some(value.span().end),
        };
        end = end.max(last);
    }
    if let Some(end) = end {
        return line_end(text, end);
    }
    // Behind what the file begins with, if that is a comment of its own and not that of the first table.
    let mut at = 0;
    let mut place = if text.starts_with('\u{feff}') { 3 } else { 0 };
    for line in text.split_inclusive('\n') {
        let said = line.trim_start_matches('\u{feff}').trim();
        if !said.is_empty() && !said.starts_with('#') {
            return place;
        }
        at += line.len();
        if said.is_empty() {
            place = at;
        }
    }
    text.len()
}

fn line_start(text: &str, at: usize) -> usize {
    let start = text[..at].rfind('\n').map_or(0, |found| found + 1);
    if start == 0 && text.starts_with('\u{feff}') { 3 } else { start }
}

/// The beginning of the next line.
fn line_end(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |found| at + found + 1)
}

/// Whole lines: a statement of TOML has its lines for itself.
fn lines(text: &str, from: usize, to: usize) -> Range<usize> {
    line_start(text, from)..line_end(text, to)
}

/// A value as TOML has it.
fn written(value: &Toml) -> String {
    match value {
        Toml::String(text) => quoted(text),
        Toml::Array(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        Toml::Table(members) => {
            let members = members.iter().map(|(name, value)| format!("{name} = {}", written(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        Toml::Integer(number) => number.to_string(),
        // With its point, or it would be an integer.
        Toml::Float(number) => format!("{number:?}"),
        Toml::Boolean(flag) => flag.to_string(),
        Toml::Datetime(time) => time.to_string(),
    }
}

fn quoted(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish(name: &'static str, toml: &str) -> Wish {
        let table: Table = format!("x = {toml}").parse().unwrap();
        Wish { name, to: table.get("x").cloned() }
    }

    fn without(name: &'static str) -> Wish {
        Wish { name, to: Some(Toml::Table(Table::new())) }
    }

    const FILE: &str = "\
# Mine, since 2025.

timeout = 120   # the export takes that long
# the order
stores = [
  \"env\", # first
  \"keyring\",
] # until the vault is there
# the vault of the ward
[vault]   # not the other one
# where it is
address = \"https://old.example:8200\" # port!
mount = 'kv'
# how
auth = \"token\"

[command]
preset = \"pass\"
# the end
";

    #[test]
    fn what_is_changed_is_changed_and_every_comment_and_other_line_stays() {
        let wishes = [
            wish("stores", "[\"vault\"]"),
            wish("vault", "{ address = \"https://new.example\", auth = \"token\", role = \"r\\\\\\\"\" }"),
        ];
        let text = edited(FILE, &wishes).unwrap();
        let expected = "\
# Mine, since 2025.

timeout = 120   # the export takes that long
# the order
stores = [\"vault\"] # until the vault is there
# the vault of the ward
[vault]   # not the other one
# where it is
address = \"https://new.example\" # port!
# how
auth = \"token\"
role = \"r\\\\\\\"\"

[command]
preset = \"pass\"
# the end
";
        assert_eq!(text, expected);
        // The same again changes nothing, not a byte.
        assert_eq!(edited(&text, &wishes).unwrap(), text);
        assert_eq!(edited(FILE, &[]).unwrap(), FILE);
    }

    #[test]
    fn a_table_is_taken_away_with_its_header_in_each_of_its_forms() {
        let inline = "stores = [\"env\"]\nvault = { address = \"https://a.example\" } # x\n# y\n";
        assert_eq!(edited(inline, &[without("vault")]).unwrap(), "stores = [\"env\"]\n# y\n");
        let dotted = "vault.address = \"https://a.example\"\ntimeout = 3\nvault.mount = \"kv\"\n";
        assert_eq!(edited(dotted, &[without("vault")]).unwrap(), "timeout = 3\n");
        let text = edited(FILE, &[without("vault"), Wish { name: "stores", to: None }]).unwrap();
        for (part, there) in
            [("[vault]", false), ("stores", false), ("address", false), ("# how", true), ("[command]", true)]
        {
            assert_eq!(text.contains(part), there, "{part}");
        }
        // A table of another form gets a header.
        for old in [inline, dotted] {
            let text = edited(old, &[wish("vault", "{ mount = \"m\" }")]).unwrap();
            assert!(text.ends_with("\n\n[vault]\nmount = \"m\"\n"), "{text}");
        }
    }

    #[test]
    fn what_is_new_comes_where_it_belongs() {
        let both = [wish("stores", "[\"env\"]"), wish("vault", "{ mount = \"m\" }")];
        let new = edited("", &both).unwrap();
        assert!(new.starts_with("# Settings of keycap"), "{new}");
        assert!(new.ends_with("\n\nstores = [\"env\"]\n\n[vault]\nmount = \"m\"\n"), "{new}");
        assert_eq!(
            edited("timeout = 3", &both).unwrap(),
            "timeout = 3\nstores = [\"env\"]\n\n[vault]\nmount = \"m\"\n"
        );
        // Before the first table and its comment, behind the file's own.
        let text = edited("# mine\n\n# the command\n[command]\npreset = \"pass\"\n", &both[..1]).unwrap();
        assert_eq!(text, "# mine\n\nstores = [\"env\"]\n# the command\n[command]\npreset = \"pass\"\n");
        let text = edited("[command]\r\npreset = \"pass\"", &both).unwrap();
        assert_eq!(text, "stores = [\"env\"]\r\n[command]\r\npreset = \"pass\"\r\n\r\n[vault]\r\nmount = \"m\"\r\n");
    }

    #[test]
    fn what_is_not_toml_is_not_touched() {
        assert!(edited("timeout = \n", &[wish("stores", "[\"env\"]")]).is_none());
    }

    proptest! {
        /// Whatever stands in a file: what was wished for is there, the rest says what it said, and no comment is lost
        /// but those on lines that go.
        #[test]
        fn files_of_all_kinds_keep_what_nobody_wished_to_change(
            parts in proptest::collection::vec(0..14_usize, 0..12), crlf: bool, end: bool, form in 0..3_usize,
            members in proptest::collection::btree_map("[a-z]{1,5}", "\\PC{0,12}", 0..4), list: bool,
        ) {
            let root = ["# one", "", "timeout = 1.5 # two", "retries = 0x2", "stores = [ # three\n 'env', ]", "# four"];
            let table = ["# five", "a = \"\"\"x\ny\"\"\" # six", "", "b = ['[x]', \"# no\"]", "c = 1979-05-27", "# seven", "ab = true", "# [z]"];
            let mut seen = std::collections::BTreeSet::new();
            let mut take = |lines: &[&str], shift: usize, prefix: &str| {
                let chosen = parts.iter().filter_map(|n| n.checked_sub(shift)).filter_map(|n| lines.get(n).copied());
                let mut text = String::new();
                for line in chosen {
                    if line.starts_with('#') || line.is_empty() || seen.insert(format!("{shift}{line}")) {
                        let prefix = if line.starts_with('#') || line.is_empty() { "" } else { prefix };
                        text.extend([prefix, line, "\n"]);
                    }
                }
                text
            };
            let top = take(&root, 0, "");
            let body = take(&table, 6, ["", "vault.", ""][form]);
            let mut text = match form {
                0 => format!("{top}[vault]\n{body}[command]\npreset = 'pass' # eight"),
                1 => format!("{top}{body}# eight"),
                _ => format!("{top}vault = {{ a = 1, b = [2] }}\n# eight"),
            };
            if end { text.push('\n'); }
            if crlf { text = text.replace('\n', "\r\n"); }
            let old: Table = text.parse().unwrap();
            let members: Table = members.into_iter().map(|(name, value)| (name, Toml::String(value))).collect();
            let stores = list.then(|| Toml::Array(vec![Toml::String("vault".to_owned())]));
            let wishes = [Wish { name: "vault", to: Some(Toml::Table(members)) }, Wish { name: "stores", to: stores }];
            let new = edited(&text, &wishes);
            prop_assert!(new.is_some(), "{text}");
            let new = new.unwrap();
            let mut wished = old;
            for wish in &wishes { wish.apply(&mut wished); }
            prop_assert_eq!(new.parse::<Table>().unwrap(), wished);
            for comment in text.lines().map(str::trim).filter(|line| line.starts_with('#')) {
                prop_assert!(new.contains(comment), "{}\n{}", text, new);
            }
            prop_assert_eq!(edited(&new, &wishes), Some(new));
        }
    }
}
