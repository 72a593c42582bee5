//! Running a sandbox, with or without the administrator's pipe.

use std::cell::RefCell;
use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc as lines;

use super::config::Config;
use super::world::World;
use super::{API_PATH, admin, answers};
use crate::error::{Error, Kind, Result};
use crate::serve::{Limits, block_on};
use crate::threads;

/// The first line of the output, for people who look at it.
const FIRST_LINE: &str = "This is not REDCap: it is the sandbox of keycap, with made-up data, on loopback only.";

/// How often a sandbox looks whether its parent is still there, besides the end of its input.
const PARENT_TICK: Duration = Duration::from_millis(500);

/// A command's line may have this many bytes.
const LINE_BYTES: u64 = 1 << 20;

/// Serves a sandbox on a listener until `stop` is ready. Blocks; holds no statics; has no administrator.
///
/// # Errors
/// `sandbox`: the listener is not on loopback, or the system gives no runtime.
pub fn serve(config: Config, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
    let world = Rc::new(RefCell::new(World::new(config)));
    block_on(host(world, listener, stop)).map_err(|error| unusable(&error))?
}

/// Serves a sandbox on 127.0.0.1 with its administrator's pipe, until `{"do":"stop"}` comes, `stop` is ready,
/// or (unless the configuration says otherwise) the input ends or the parent process is gone. Blocks.
///
/// The output gets a line that says that this is not REDCap, then one line of JSON:
/// `{"ready":true,"redcap_uri":"http://127.0.0.1:PORT/redcap/api/","projects":[…]}`, then one line of JSON
/// for each command. Input and output are read and written on threads of their own, which may outlive this
/// call if the input never ends; a host whose own input is needed elsewhere passes [`std::io::empty`].
///
/// # Errors
/// `sandbox`: the port cannot be bound, or the system gives no thread or runtime.
pub fn run(
    config: Config,
    input: impl Read + Send + 'static,
    output: impl Write + Send + 'static,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, config.port)).map_err(|error| {
        Error::new(Kind::Sandbox, format!("port {} on 127.0.0.1 cannot be used: {error}", config.port))
            .hint("Use port 0 to take any free port.")
    })?;
    let port = listener.local_addr().map_err(|error| unusable(&error))?.port();
    let with_input = config.end_with_input;
    let world = Rc::new(RefCell::new(World::new(config)));
    let (out, written) = writer(output).map_err(|error| unusable(&error))?;
    let commands = reader(input).map_err(|error| unusable(&error))?;
    let ready = json!({
        "ready": true,
        "redcap_uri": format!("http://127.0.0.1:{port}{API_PATH}"),
        "projects": admin::projects(&world.borrow()),
    });
    // Whoever reads the ready line may connect at once: the listener is open, its queue takes the connection.
    let _ = out.send(format!("{FIRST_LINE}\n{ready}\n"));
    let administrator = administer(Rc::clone(&world), commands, out, with_input);
    let stop = async {
        tokio::select! {
            () = stop => {}
            () = administrator => {}
            () = parent_gone(), if with_input => {}
        }
    };
    let served = block_on(host(world, listener, stop)).map_err(|error| unusable(&error))?;
    // The last answer should reach the administrator; one who does not read is not waited for.
    let _ = written.recv_timeout(Duration::from_secs(1));
    served
}

async fn host(world: Rc<RefCell<World>>, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
    let handler = move |call| answers::answer(Rc::clone(&world), call);
    crate::serve::serve(listener, Limits::default(), stop, handler).await.map_err(|error| unusable(&error))
}

fn unusable(error: &std::io::Error) -> Error {
    Error::new(Kind::Sandbox, format!("the sandbox cannot run: {error}"))
}

/// Obeys commands until told to stop, or until the input ends.
async fn administer(
    world: Rc<RefCell<World>>,
    mut commands: lines::UnboundedReceiver<String>,
    out: mpsc::Sender<String>,
    end_with_input: bool,
) {
    while let Some(line) = commands.recv().await {
        if line.trim().is_empty() {
            continue;
        }
        let obeyed = admin::obey(&mut world.borrow_mut(), &line);
        let _ = out.send(format!("{}\n", obeyed.answer));
        if obeyed.stop {
            return;
        }
    }
    if !end_with_input {
        std::future::pending::<()>().await;
    }
}

/// Ready when this process has another parent than at the start. The end of the input says the same, but a
/// forked sister process can hold the other end of the pipe open for longer than the parent lives.
async fn parent_gone() {
    let parent = parent_id();
    loop {
        tokio::time::sleep(PARENT_TICK).await;
        if parent_id() != parent {
            return;
        }
    }
}

#[cfg(unix)]
fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// Elsewhere a process does not get another parent; the end of the input has to do.
#[cfg(not(unix))]
fn parent_id() -> u32 {
    0
}

/// Reads lines on a thread. The channel closes when the input ends.
fn reader(input: impl Read + Send + 'static) -> std::io::Result<lines::UnboundedReceiver<String>> {
    let (send, receive) = lines::unbounded_channel();
    threads::spawn("keycap-admin-in", move || {
        let mut input = BufReader::new(input);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut input).take(LINE_BYTES).read_until(b'\n', &mut line) {
                // A line that is too long comes in pieces, none of which is a command.
                Ok(n) if n > 0 => {
                    if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                _ => return,
            }
        }
    })?;
    Ok(receive)
}

/// Writes texts on a thread. The second channel says when the last one is out.
fn writer(mut output: impl Write + Send + 'static) -> std::io::Result<(mpsc::Sender<String>, mpsc::Receiver<()>)> {
    let (send, receive) = mpsc::channel::<String>();
    let (done, written) = mpsc::channel();
    threads::spawn("keycap-admin-out", move || {
        for text in receive {
            if output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_err() {
                break;
            }
        }
        drop(done);
    })?;
    Ok((send, written))
}
