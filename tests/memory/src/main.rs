//! Is a token left in the memory of R after keycap has used it? Asked from outside the process.
//!
//! `keycap-memory run DRIVER.R` goes through the scenarios and prints a table; it ends with 1 when a row is bad.
//! It has to run in a D-Bus session with a keyring: see `run.sh`. `keycap-memory serve FILE` is the server.

mod aws;
mod memory;
mod relay;
mod report;
mod run;
mod scenario;
mod search;
mod server;
mod session;
mod store;
mod token;
mod vault;

use std::io::BufRead;
use std::path::Path;
use std::process::{ChildStdout, ExitCode};
use std::sync::mpsc::{Receiver, channel};

/// The lines that a child prints, as they come.
fn lines(output: Option<ChildStdout>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(output) = output {
        std::thread::spawn(move || {
            for line in std::io::BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    receiver
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    let words: Vec<&str> = arguments.iter().skip(1).map(String::as_str).collect();
    let done = match words[..] {
        ["serve", file] => server::serve(Path::new(file)).map(|()| true),
        ["run", driver] => run::all(Path::new(driver), ""),
        ["run", driver, only] => run::all(Path::new(driver), only),
        _ => Err(std::io::Error::other("usage: keycap-memory run DRIVER.R [WHAT THE NAME OF A SCENARIO HOLDS]")),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("memory: {error}");
            ExitCode::from(2)
        }
    }
}
