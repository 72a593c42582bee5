//! A server that does no work, to measure clients with: every answer lies ready in memory.
//!
//! `cargo run --release --example static_server -- FOLDER [--port N]`
//!
//! Each folder below FOLDER is a project: `POST /<folder>/api/` answers with `<folder>/<content>.<format>`, such as
//! `record.csv`, `project.json`, `version.csv`; where a format is missing, with the one that is there. No token is
//! looked at. It prints its address and ends with its input.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// Answers by folder, content and format.
type Answers = HashMap<(String, String, String), Vec<u8>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let port = args.iter().position(|arg| arg == "--port").and_then(|at| args.get(at + 1)?.parse().ok()).unwrap_or(0);
    let served = args.first().ok_or_else(|| io::Error::other("a folder is missing")).and_then(|folder| {
        let answers = Arc::new(read(Path::new(folder))?);
        let listener = TcpListener::bind(("127.0.0.1", port))?;
        writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answers = Arc::clone(&answers);
                std::thread::spawn(move || serve(stream, &answers));
            }
        });
        io::copy(&mut io::stdin(), &mut io::sink())
    });
    match served {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn read(folder: &Path) -> io::Result<Answers> {
    let mut answers = Answers::new();
    for project in std::fs::read_dir(folder)? {
        let project = project?;
        if !project.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(project.path())? {
            let path = file?.path();
            let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
            let key = (part(Some(&project.file_name())), part(path.file_stem()), part(path.extension()));
            answers.insert(key, std::fs::read(&path)?);
        }
    }
    Ok(answers)
}

/// One connection: request after request.
fn serve(stream: TcpStream, answers: &Answers) {
    let _ = stream.set_nodelay(true);
    let Ok(mut out) = stream.try_clone() else { return };
    let mut requests = BufReader::new(stream);
    while let Ok(Some((folder, body))) = request(&mut requests) {
        let field = |name: &str| {
            form_urlencoded::parse(&body).find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
        };
        let content = field("content").unwrap_or_default();
        let format = field("format").unwrap_or_default();
        let found = [format.as_str(), "json", "csv", "txt"]
            .iter()
            .find_map(|format| answers.get(&(folder.clone(), content.clone(), (*format).to_owned())));
        let (status, body) = found.map_or(("404 Not Found", &[][..]), |body| ("200 OK", body));
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        // A small answer in one piece, as every server sends it.
        let sent = if body.len() < 65_536 {
            out.write_all(&[head.as_bytes(), body].concat())
        } else {
            out.write_all(head.as_bytes()).and_then(|()| out.write_all(body))
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The folder that a request names, and its body; nothing at the end of the connection.
fn request(stream: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let folder = line.split('/').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        line.clear();
        stream.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok(Some((folder, body)))
}
