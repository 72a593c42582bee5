//! R, driven over its standard input. R is this program's child, and the process that is scanned.

use std::fs::File;
use std::io::{Error, Result, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No answer of R takes longer.
const LIMIT: Duration = Duration::from_secs(40);

pub struct Session {
    child: Child,
    lines: Receiver<String>,
}

impl Session {
    /// Starts R with some environment variables and a `.Renviron`. What R prints goes to `log`.
    pub fn start(driver: &Path, home: &Path, variables: &[(String, String)], log: &Path) -> Result<Self> {
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new("Rscript");
        for proxy in ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        // `--vanilla` without `--no-environ`: one of the sources is `.Renviron`.
        let mut child = command
            .args(["--no-save", "--no-restore", "--no-site-file", "--no-init-file"])
            .arg(driver)
            .env("R_ENVIRON", "/nonexistent")
            .env("R_ENVIRON_USER", home.join("Renviron"))
            .env("R_USER_CONFIG_DIR", home.join("config"))
            .env("R_USER_DATA_DIR", home.join("data"))
            .env("TMPDIR", home)
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()?;
        let lines = crate::lines(child.stdout.take());
        Ok(Self { child, lines })
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Gives a command, without waiting for the answer. No token may be in it.
    pub fn tell(&mut self, words: &[&str]) -> Result<()> {
        let input = self.child.stdin.as_mut().ok_or_else(|| Error::other("R is gone"))?;
        writeln!(input, "{}", words.join("\t"))
    }

    /// Waits for the answer. What else R prints is passed over.
    pub fn answer(&mut self) -> Result<String> {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                Ok(line) => {
                    if let Some(answer) = line.strip_prefix('=') {
                        return Ok(answer.to_owned());
                    }
                }
                Err(_) => return Err(Error::other("R does not answer")),
            }
        }
    }

    /// A command and its answer.
    pub fn ask(&mut self, words: &[&str]) -> Result<String> {
        self.tell(words)?;
        self.answer()
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) -> Result<()> {
        kill(Pid::from_raw(self.process().cast_signed()), Signal::SIGINT)?;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // R ends when its input does; if it hangs, it is not waited for without end.
        for _ in 0..100 {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(50)),
                _ => return,
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
