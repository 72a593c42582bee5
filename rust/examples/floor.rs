//! The floor under every export: the same request by bare reqwest, the answer read and thrown away.
//!
//! `cargo run --release --example floor -- ADDRESS TIMES`: prints the seconds of each.

use std::io::{self, Write};
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let uri = args.first().cloned().unwrap_or_default();
    let times = args.get(1).and_then(|times| times.parse().ok()).unwrap_or(1);
    // reqwest is built without a TLS provider of its own and asks for the process's.
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let client = reqwest::Client::builder().no_proxy().build()?;
        for _ in 0..times {
            let begin = Instant::now();
            let request = client.post(&uri).header("content-type", "application/x-www-form-urlencoded");
            let mut answer = request.body("token=none&content=record&format=csv&type=flat").send().await?;
            let mut bytes = 0;
            while let Some(chunk) = answer.chunk().await? {
                bytes += chunk.len();
            }
            writeln!(io::stdout(), "{:.4} {bytes}", begin.elapsed().as_secs_f64())?;
        }
        Ok(())
    })
}
