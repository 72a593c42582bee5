//! The table of scenarios. Adding one is one line in [`HAPPENINGS`]: it is run for every source, over http and
//! https where both make sense.

/// Where R's session has the token from. A store is one line here, one in [`Source::ALL`] and one in `store.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the environment that R was started with.
    Environment,
    /// Set by `Sys.setenv()`: R itself makes copies before keycap is asked for anything.
    SetByR,
    /// In `.Renviron`: the same.
    Renviron,
    /// In the keyring.
    Keyring,
    /// In a vault, which is opened by a token of its own.
    Vault,
    /// In a vault, which is opened by an AppRole.
    VaultAppRole,
    /// In AWS, by a role that is taken with the keys of a profile.
    Aws,
    /// In a program that prints it.
    Command,
    /// In `pass`.
    Pass,
}

impl Source {
    pub const ALL: [Self; 9] = [
        Self::Environment,
        Self::SetByR,
        Self::Renviron,
        Self::Keyring,
        Self::Vault,
        Self::VaultAppRole,
        Self::Aws,
        Self::Command,
        Self::Pass,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Environment => "env",
            Self::SetByR => "Sys.setenv()",
            Self::Renviron => ".Renviron",
            Self::Keyring => "keyring",
            Self::Vault => "vault",
            Self::VaultAppRole => "vault by AppRole",
            Self::Aws => "aws",
            Self::Command => "command",
            Self::Pass => "pass",
        }
    }

    /// Whether R has copies of its own.
    pub fn is_rs_own(self) -> bool {
        matches!(self, Self::SetByR | Self::Renviron)
    }
}

/// The way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing is sent.
    Nowhere,
    Http,
    Https,
    /// https, with a certificate that nobody trusts.
    Untrusted,
}

impl Way {
    pub fn name(self) -> &'static str {
        match self {
            Self::Nowhere => "",
            Self::Http => "http",
            Self::Https | Self::Untrusted => "https",
        }
    }
}

/// What ends a call while the server holds its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The server answers.
    Answer,
    /// The client's patience, in seconds.
    Patience(&'static str),
    /// SIGINT, as Ctrl-C sends it.
    Interrupt,
}

/// What happens, and what the user must see of it (so that a scenario that does not take place is a failure).
#[derive(Clone, Copy, Debug)]
pub struct Happening {
    pub name: &'static str,
    pub ways: &'static [Way],
    /// The function of keycap: a command of `driver.R`.
    pub does: &'static str,
    /// The server's behaviour.
    pub server: &'static str,
    pub end: End,
    /// What `driver.R` answers.
    pub sees: &'static str,
}

const BOTH: &[Way] = &[Way::Http, Way::Https];

const fn test(name: &'static str, server: &'static str, end: End, sees: &'static str) -> Happening {
    Happening { name, ways: BOTH, does: "test", server, end, sees }
}

const fn many(name: &'static str, server: &'static str, end: End, sees: &'static str) -> Happening {
    Happening { does: "test-many", ..test(name, server, end, sees) }
}

const fn does(does: &'static str, happening: Happening) -> Happening {
    Happening { does, ..happening }
}

const fn import(name: &'static str, server: &'static str, sees: &'static str) -> Happening {
    Happening { name, ways: BOTH, does: "import", server, end: End::Answer, sees }
}

const fn alone(name: &'static str, does: &'static str, sees: &'static str) -> Happening {
    Happening { name, ways: &[Way::Nowhere], does, server: "answer", end: End::Answer, sees }
}

/// One process of R goes through these in their order, so the shared client is warm from the second one on, and
/// what one leaves in a connection stays there for the next.
pub const HAPPENINGS: &[Happening] = &[
    alone("set up", "set-up", "set up"),
    alone("view", "view", "seen"),
    test("success", "answer", End::Answer, "TRUE"),
    test("refused", "refused", End::Answer, "FALSE token_refused"),
    test("time-out", "answer", End::Patience("1.5"), "error timeout"),
    test("reset", "reset", End::Answer, "error connection"),
    test("redirect", "redirect", End::Answer, "error redirect"),
    Happening { ways: &[Way::Untrusted], ..test("bad certificate", "answer", End::Answer, "error certificate") },
    test("server error", "broken", End::Answer, "error server"),
    test("token in an error text", "echo-error", End::Answer, "error redcap"),
    test("token in a long error text", "echo-long", End::Answer, "error redcap"),
    test("token in a cookie", "echo-cookie", End::Answer, "TRUE"),
    test("token in data", "echo-data", End::Answer, "error token_echo"),
    test("token in long data", "echo-long-data", End::Answer, "error token_echo"),
    test("token in a redirect", "echo-header", End::Answer, "error redirect"),
    Happening { does: "export", ..test("export", "records", End::Answer, "2 rows") },
    Happening { does: "export", ..test("token in an export", "echo-records", End::Answer, "error token_echo") },
    Happening { does: "export", ..test("Ctrl-C in an export", "records", End::Interrupt, "interrupt") },
    does("call", test("any call", "answer", End::Answer, "called")),
    does("rights", test("rights, and the token in an error text", "echo-error", End::Answer, "checked")),
    does("rights", test("rights, and the token in data", "echo-data", End::Answer, "error token_echo")),
    does("rotate", test("a rotation with the old token in a file", "refused", End::Answer, "error rotation")),
    does(
        "rotate",
        Happening { ways: &[Way::Https], ..test("Ctrl-C in a rotation", "answer", End::Interrupt, "interrupt") },
    ),
    does("reconcile", test("REDCap's log, and the token in an error text", "echo-error", End::Answer, "error redcap")),
    does("file", test("a file", "answer", End::Answer, "written")),
    does("file", test("token in a file", "echo-data", End::Answer, "error token_echo")),
    does("file", test("Ctrl-C in a file", "answer", End::Interrupt, "interrupt")),
    does("send", test("a file that is sent", "answer", End::Answer, "sent")),
    import("import", "answer", "imported"),
    import("import, reset", "reset-import", "error outcome_unknown"),
    test("Ctrl-C", "answer", End::Interrupt, "interrupt"),
    many("side by side", "answer", End::Answer, "TRUE"),
    many("side by side, refused", "refused", End::Answer, "token_refused"),
    many("side by side, Ctrl-C", "answer", End::Interrupt, "interrupt"),
    alone("tokens that lie about", "scan", "2 places"),
    alone("move into the keyring", "move", "moved"),
    alone("remove", "remove", "removed"),
    test("success, again", "answer", End::Answer, "TRUE"),
];
