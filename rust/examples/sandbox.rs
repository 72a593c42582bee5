//! The sandbox as a program, for tests and for whoever wants a REDCap-compatible server to try clients with.
//!
//! `cargo run --example sandbox -- [--port N] [--ban-after N] [--no-sample-tokens] [--size S|M|L]… [--stay]`
//!
//! `--size` adds a generated project, for benchmarks. It takes administrator's commands as lines of JSON on its input and ends when the input does; with
//! `--stay` it stays when the input ends.

use std::io::{stdin, stdout};
use std::process::ExitCode;

use keycap::sandbox::{Config, Size, run};

fn main() -> ExitCode {
    let outcome = config()
        .and_then(|config| run(config, stdin(), stdout(), std::future::pending()).map_err(|error| error.to_string()));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            // A program's own place for its last words; if even that fails, the exit code must do.
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("{message}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

fn config() -> Result<Config, String> {
    let mut config = Config::default();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("`{arg}` needs a value"));
        let wrong = |_| format!("the number of `{arg}` is not usable");
        match arg.as_str() {
            "--port" => config.port = value()?.parse().map_err(wrong)?,
            "--ban-after" => config.ban_after = Some(value()?.parse().map_err(wrong)?),
            "--no-sample-tokens" => config.sample_tokens = false,
            "--size" => config.generated.push(match value()?.as_str() {
                "S" => Size::S,
                "M" => Size::M,
                "L" => Size::L,
                _ => return Err("a size is `S`, `M` or `L`".to_owned()),
            }),
            "--stay" => config.end_with_input = false,
            other => return Err(format!("`{other}` is not an argument of the sandbox")),
        }
    }
    Ok(config)
}
