//! Goes through the scenarios, with one process of R for each source.

use std::collections::HashSet;
use std::io::Result;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::memory::{self, Find};
use crate::report::{self, Row};
use crate::scenario::{End, HAPPENINGS, Happening, Source, Way};
use crate::search::{Form, Search};
use crate::server::Server;
use crate::session::Session;
use crate::store::Ready;
use crate::token;

/// How long the end of an operation may take to reach the last corner: a thread that ends after R has its answer.
const SETTLING: Duration = Duration::from_secs(1);

/// The longest that a call may take until the server has it.
const LIMIT: Duration = Duration::from_secs(30);

/// Runs what has `only` in its name, prints the table; true when all is good.
pub fn all(driver: &Path, only: &str) -> Result<bool> {
    let place = Place::new()?;
    let mut server = Server::start(&place.file("ca.pem"))?;
    let mut rows = Vec::new();
    for source in Source::ALL {
        let scenarios = scenarios(source, only);
        if !scenarios.is_empty() {
            rows.extend(of_source(driver, &place, &mut server, source, scenarios)?);
        }
    }
    if "naive".contains(only) {
        rows.push(naive(driver, &place, &server)?);
    }
    Ok(report::print(&rows))
}

/// A scenario with its token.
struct Scenario {
    happening: Happening,
    way: Way,
    /// The project's short name; the token's name follows from it.
    short_name: String,
    token: String,
    name: String,
}

impl Scenario {
    fn token_name(&self) -> String {
        format!("REDCapSync_{}", self.short_name)
    }
}

fn scenarios(source: Source, only: &str) -> Vec<(Happening, Way, String)> {
    let mut scenarios = Vec::new();
    for happening in HAPPENINGS {
        for way in happening.ways {
            let name = [source.name(), way.name(), happening.name].join(" ").replace("  ", " ");
            if name.contains(only) {
                scenarios.push((*happening, *way, name));
            }
        }
    }
    scenarios
}

fn of_source(
    driver: &Path,
    place: &Place,
    server: &mut Server,
    source: Source,
    scenarios: Vec<(Happening, Way, String)>,
) -> Result<Vec<Row>> {
    let with_token = |(index, (happening, way, name)): (usize, (Happening, Way, String))| {
        Ok(Scenario { happening, way, short_name: format!("SCAN{index}"), token: token::random()?, name })
    };
    let scenarios: Vec<Scenario> = scenarios.into_iter().enumerate().map(with_token).collect::<Result<_>>()?;
    let tokens: Vec<(String, String)> = scenarios.iter().map(|s| (s.token_name(), s.token.clone())).collect();

    // A folder of the store's own, gone with it.
    let folder = Place::within(place, "store")?;
    let ready = Ready::with(source, &tokens, &folder.0)?;
    token::write(&place.file("Renviron"), &ready.renviron)?;
    let settings = place.file("config/R/keycap");
    std::fs::create_dir_all(&settings)?;
    token::write(&settings.join("config.toml"), &ready.settings)?;
    let mut r = Session::start(driver, &place.0, &ready.variables, &place.file("log"))?;
    r.ask(&["option", "keycap.ca_file", &place.file("ca.pem").to_string_lossy()])?;
    if source == Source::SetByR {
        let file = place.file("token");
        for (name, token) in &tokens {
            token::write(&file, token)?;
            r.ask(&["setenv", name, &file.to_string_lossy()])?;
        }
    }

    let mut rows = Vec::new();
    let before = memory::scan(r.process(), &Search::new(tokens.iter().map(|(_, token)| token.as_str())))?;
    rows.push(start(source, &before, tokens.len()));
    for (index, scenario) in scenarios.iter().enumerate() {
        let own: Vec<Find> = before.iter().filter(|find| find.token == index).cloned().collect();
        rows.push(one(&mut r, place, server, scenario, &own)?);
    }
    // At the end once more, and for all tokens at once: what was used long ago.
    let after = memory::scan(r.process(), &Search::new(tokens.iter().map(|(_, token)| token.as_str())))?;
    let mut end = Row {
        scenario: format!("{} at the end of the session, all tokens", source.name()),
        found: outside(&after).count(),
        allowed: outside(&before).count().to_string(),
        control: String::new(),
        faults: Vec::new(),
    };
    blame(&r, &mut end, &added(&after, &before));
    rows.push(end);
    rows.extend(own_secrets(&mut r, place, source, &ready)?);
    Ok(rows)
}

/// What the store itself was opened with: a secret like the tokens that it holds.
fn own_secrets(r: &mut Session, place: &Place, source: Source, ready: &Ready) -> Result<Option<Row>> {
    let own = ready.own_secrets();
    if own.is_empty() {
        return Ok(None);
    }
    let decoy = token::random()?;
    token::write(&place.file("token"), &decoy)?;
    r.ask(&["decoy", &place.file("token").to_string_lossy()])?;
    let search = Search::new(own.iter().map(String::as_str).chain([decoy.as_str()]));
    let (finds, decoys): (Vec<_>, Vec<_>) =
        memory::scan(r.process(), &search)?.into_iter().partition(|find| find.token < own.len());
    let mut row = Row {
        scenario: format!("{} at the end of the session, what the store was opened with", source.name()),
        found: finds.len(),
        allowed: "0".to_owned(),
        control: format!("{} secrets, {} of a decoy", own.len(), decoys.len()),
        faults: Vec::new(),
    };
    if decoys.is_empty() {
        row.faults.push("the decoy is not found".to_owned());
    }
    // A login by a role gives a token of the vault's; a role of AWS's gives a key and a session token.
    let least = match source {
        Source::VaultAppRole => 2,
        Source::Aws => 3,
        _ => 1,
    };
    if own.len() < least {
        row.faults.push("no login was seen".to_owned());
    }
    blame(r, &mut row, &finds);
    Ok(Some(row))
}

/// A folder with a token in a script, and in what is compressed.
fn litter(folder: &Path, token: &str) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let script = folder.join("script.R");
    token::write(&script, &format!("{}token <- '{token}'\n", "# a line\n".repeat(100_000)))?;
    let compressed = std::fs::File::create(folder.join("saved.rds"))?;
    let done = std::process::Command::new("gzip").arg("-c").arg(&script).stdout(compressed).status()?;
    if done.success() { Ok(()) } else { Err(std::io::Error::other("`gzip` fails")) }
}

/// What is there before keycap is asked for anything. It shows that the scanner sees, and how much is R's own.
fn start(source: Source, before: &[Find], tokens: usize) -> Row {
    let found = outside(before).count();
    let environment = before.len() - found;
    let mut faults = Vec::new();
    if environment != if source == Source::Environment { tokens } else { 0 } {
        faults.push(format!("{environment} copies are in the environment block"));
    }
    if source.is_rs_own() != (found > 0) {
        faults.push("R's own copies are not as expected".to_owned());
    }
    Row {
        scenario: format!("{} before any use, {tokens} tokens", source.name()),
        found,
        allowed: if source.is_rs_own() { "R's own".to_owned() } else { "0".to_owned() },
        control: format!("{environment} in the environment block"),
        faults,
    }
}

fn one(r: &mut Session, place: &Place, server: &mut Server, scenario: &Scenario, before: &[Find]) -> Result<Row> {
    let happening = &scenario.happening;
    let patience = match happening.end {
        End::Patience(seconds) => seconds,
        End::Answer | End::Interrupt => "30",
    };
    r.ask(&["option", "keycap.timeout", patience])?;
    let addresses = &server.addresses;
    let host = match scenario.way {
        Way::Nowhere | Way::Http => format!("http://{}", addresses.http),
        Way::Https => format!("https://{}", addresses.https),
        Way::Untrusted => format!("https://{}", addresses.untrusted),
    };
    let uri = format!("{host}/{}/api/", happening.server);
    let mut faults = Vec::new();
    let mut sees = r.ask(&["set-up", &scenario.short_name, &uri])?;

    if happening.does == "scan" {
        litter(&place.file("litter"), &scenario.token)?;
    }
    let mut control = Vec::new();
    if happening.does != "set-up" {
        let search = Search::new([scenario.token.as_str()]);
        let sends = scenario.way != Way::Nowhere;
        if sends {
            server.hold()?;
        }
        if happening.does == "rotate" {
            let file = place.file("rotated");
            token::write(&file, &scenario.token)?;
            r.tell(&[happening.does, &scenario.short_name, &file.to_string_lossy()])?;
        } else {
            r.tell(&[happening.does, &scenario.short_name])?;
        }
        if sends {
            server.held(LIMIT).map_err(|error| std::io::Error::other(format!("{}: {error}", scenario.name)))?;
            let during = added(&memory::scan(r.process(), &search)?, before).len();
            control.push(format!("{during} during the call"));
            if during == 0 {
                faults.push("nothing is found while the token is in use".to_owned());
            }
            match happening.end {
                End::Answer => server.go()?,
                End::Interrupt => r.interrupt()?,
                End::Patience(_) => {}
            }
        }
        sees = r.answer()?;
        if sends && happening.end != End::Answer {
            server.go()?;
        }
    }
    if sees != happening.sees {
        faults.push(format!("R sees `{sees}` instead of `{}`", happening.sees));
    }

    let decoy = token::random()?;
    let file = place.file("token");
    token::write(&file, &decoy)?;
    r.ask(&["decoy", &file.to_string_lossy()])?;
    let search = Search::new([scenario.token.as_str(), decoy.as_str()]);
    let mut settled = Duration::ZERO;
    let (finds, decoys) = loop {
        let (finds, decoys): (Vec<_>, Vec<_>) =
            memory::scan(r.process(), &search)?.into_iter().partition(|f| f.token == 0);
        if added(&finds, before).is_empty() || settled >= SETTLING {
            break (finds, decoys);
        }
        settled += SETTLING / 5;
        std::thread::sleep(SETTLING / 5);
    };
    control.push(format!("{} of a decoy", decoys.len()));
    if decoys.is_empty() {
        faults.push("the decoy is not found".to_owned());
    }
    if !settled.is_zero() {
        control.push(format!("after {} ms", settled.as_millis()));
    }
    let mut row = Row {
        scenario: scenario.name.clone(),
        found: outside(&finds).count(),
        allowed: outside(before).count().to_string(),
        control: control.join(", "),
        faults,
    };
    blame(r, &mut row, &added(&finds, before));
    Ok(row)
}

/// The control that shows what all this is for: R's own client, used as people use it.
fn naive(driver: &Path, place: &Place, server: &Server) -> Result<Row> {
    let token = token::random()?;
    token::write(&place.file("Renviron"), "")?;
    let variables = [("REDCapSync_NAIVE".to_owned(), token.clone())];
    let mut r = Session::start(driver, &place.0, &variables, &place.file("log"))?;
    let answer = r.ask(&["naive", "REDCapSync_NAIVE", &format!("http://{}/answer/api/", server.addresses.http)])?;
    let finds = memory::scan(r.process(), &Search::new([token.as_str()]))?;
    let found = outside(&finds).count();
    let mut faults = Vec::new();
    if answer != "done" {
        faults.push(format!("R sees `{answer}`"));
    }
    if found == 0 {
        faults.push("the naive client leaves nothing, or the scanner sees nothing".to_owned());
    }
    Ok(Row {
        scenario: "naive: url() of R, with rm() and gc()".to_owned(),
        found,
        allowed: "more than 0".to_owned(),
        control: "this row is one".to_owned(),
        faults,
    })
}

fn outside(finds: &[Find]) -> impl Iterator<Item = &Find> {
    finds.iter().filter(|find| !find.in_environment)
}

/// What was not there before: a copy at a new address, even where an old one has gone.
fn added(finds: &[Find], before: &[Find]) -> Vec<Find> {
    let known: HashSet<(u64, Form)> = before.iter().map(|find| (find.address, find.form)).collect();
    outside(finds).filter(|find| !known.contains(&(find.address, find.form))).cloned().collect()
}

/// Notes every copy that should not be there. With `KEYCAP_MEMORY_EXPLAIN` set it also shows the bytes around it.
fn blame(r: &Session, row: &mut Row, added: &[Find]) {
    for Find { address, form, chars, place, .. } in added {
        row.faults.push(format!("{chars} characters ({form:?}) at {address:x} in {place}"));
        if std::env::var_os("KEYCAP_MEMORY_EXPLAIN").is_some() {
            println!("{}: {address:x} {place}", row.scenario);
            let from = address.saturating_sub(96) & !15;
            for (line, bytes) in (from..).step_by(16).zip(memory::around(r.process(), *address).chunks(16)) {
                let text: String =
                    bytes.iter().map(|b| if b.is_ascii_graphic() { char::from(*b) } else { '.' }).collect();
                println!("  {line:x}  {bytes:02x?}  {text}");
            }
        }
    }
}

/// A folder for one run, gone at its end.
struct Place(PathBuf);

impl Place {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("keycap-memory-{}", std::process::id()));
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn within(place: &Self, name: &str) -> Result<Self> {
        let folder = place.file(name);
        std::fs::create_dir(&folder)?;
        Ok(Self(folder))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
