//! What the host can ask for, by name. The host hands over values and gets values; it decides nothing.
//!
//! [`start`] runs on the host's thread: there the environment is read and the HTTPS client is made, since both
//! read environment variables, which another thread must not do while the host may change them. Everything
//! else happens on the I/O thread.

mod arguments;
mod audit;
mod audited;
mod calls;
mod change;
mod checkpoint;
mod entry;
mod import;
mod keep;
mod leaks;
mod many;
mod patience;
mod policy;
mod projects;
mod reconcile;
mod records;
mod rights;
mod rotation;
mod sandboxes;
mod settings;
mod stores;
mod tokens;
#[cfg(test)]
mod world;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::audit::{PATIENCE, Program, Second, Setup};
use crate::ctx::{Ctx, Events, Shared, SystemClock, SystemRandom};
use crate::error::{Error, Kind, Result};
use crate::net::io::{self, Task};
use crate::net::{Net, Own};
use crate::project::{AuditSecond, AuditSettings, Settings};
use crate::store::Environment;
use crate::threads;
use crate::value::Value;

use arguments::{Arguments, Session};

/// Starts an operation by name. What the arguments and results are stands at each operation.
///
/// # Errors
/// `argument`, `token_in_argument`: the arguments; `damaged`, `file`: the settings; `internal`: no such
/// operation, or no thread to be had. Everything later comes through the task.
pub fn start(op: &str, args: Value, session: &Value) -> Result<Task> {
    let arguments = Arguments::new(args)?;
    let session = Session::read(session)?;
    match op {
        "setup_project" => projects::set_up(&arguments, &session),
        "setup_projects" => projects::set_up_all(&arguments, &session),
        "load_project" => projects::load(&arguments, &session),
        "get_projects" => projects::list(&session),
        "delete_project" => projects::delete(&arguments, &session),
        "view_token" => tokens::view(&arguments, &session),
        "test_token" => tokens::test(&arguments, &session),
        "move_token" => keep::relocate(&arguments, &session),
        "remove_token" => keep::remove(&arguments, &session),
        "list_tokens" => keep::list(&arguments, &session),
        "set_token" => entry::set(&arguments, &session),
        "test_tokens" => many::test(&arguments, &session),
        "export_records" => records::export(&arguments, &session),
        "export_many" => many::export_all(&arguments, &session),
        "call" => calls::call(&arguments, &session),
        "export_metadata" => calls::metadata(&arguments, &session),
        "export_instruments" => calls::instruments(&arguments, &session),
        "export_users" => calls::users(&arguments, &session),
        "export_log" => calls::log(&arguments, &session),
        "export_file" => calls::file(&arguments, &session),
        "next_record_name" => calls::next_record(&arguments, &session),
        "project_info" => calls::information(&arguments, &session),
        "redcap_version" => calls::version(&arguments, &session),
        "check_rights" => rights::check(&arguments, &session),
        "check_dag" => rights::confined(&arguments, &session),
        "rotate_begin" => rotation::begin(&arguments, &session),
        "rotate_finish" => rotation::finish(&arguments, &session),
        "rotate_cancel" => rotation::cancel(&arguments, &session),
        "declare_account" => rights::declare(&arguments, &session),
        "token_policy" => policy::read(&arguments, &session),
        "set_policy" => policy::set(&arguments, &session),
        "policy_status" => policy::status(&arguments, &session),
        "reauthorize_project" => policy::reauthorize(&arguments, &session),
        "import_records" => import::records(arguments, &session),
        "checkpoint_audit_log" => checkpoint::take(&arguments, &session),
        "sandbox_start" => sandboxes::start(&arguments),
        "sandbox_command" => sandboxes::command(&arguments),
        "sandbox_stop" => sandboxes::stop(&arguments, &session),
        "sandbox_run" => sandboxes::run(&arguments),
        "configure_stores" => stores::configure(&arguments, &session),
        "stores" => stores::show(&session),
        "verify_audit_log" => audit::verify(&arguments, &session),
        "audit_log" => audit::read(&arguments, &session),
        "reconcile_audit_log" => reconcile::run(&arguments, &session),
        "archive_audit_log" => audit::archive(&arguments, &session),
        "scan_for_tokens" => leaks::scan(&arguments, &session),
        "info" => info(&session),
        _ => Err(Error::new(Kind::Internal, format!("there is no operation `{op}`"))),
    }
}

/// Ends the threads, for the library to be unloaded; what runs is cancelled, and a later [`start`] begins anew.
/// Sandboxes are to be stopped before. Waits `bound` at most, and where the audit log is busy as long as it is waited
/// for otherwise: what was cancelled gets its outcome. False if a thread still runs then: the library's code must stay
/// in memory.
pub fn shutdown(bound: Duration) -> bool {
    let until = Instant::now() + bound;
    let io_ended = io::shutdown(bound);
    if let Some(shared) = known_shared() {
        shared.audit.settled(Instant::now() + PATIENCE);
    }
    // The one that wrote the last outcome is about to end.
    threads::all_ended(until.max(Instant::now() + Duration::from_millis(100))) && io_ended
}

/// The process's clients: kept between operations, so that a second call is quick. Touched on the host's
/// thread alone; `Net` itself minds forks.
fn net() -> Net {
    static NET: std::sync::OnceLock<Net> = std::sync::OnceLock::new();
    NET.get_or_init(Net::new).clone()
}

/// What the calls of this process do together. Touched on the host's thread alone, so that no lock of it can be held by
/// another thread when the host forks; a forked child forgets the parent's, whose locks it may have inherited locked.
fn shared() -> Shared {
    known_shared().unwrap_or_else(|| {
        let new = Shared::default();
        *SHARED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Own::new(new.clone()));
        new
    })
}

fn known_shared() -> Option<Shared> {
    SHARED.lock().unwrap_or_else(PoisonError::into_inner).as_ref().and_then(Own::get).cloned()
}

static SHARED: Mutex<Option<Own<Shared>>> = Mutex::new(None);

/// Builds the world of an operation, on the host's thread. Events are bound when the task starts.
fn ctx(session: &Session, env: Environment) -> Result<Ctx> {
    ctx_with(session, env, &[])
}

/// The world of an operation that asks stores besides those of the order.
fn ctx_with(session: &Session, env: Environment, stores: &[&str]) -> Result<Ctx> {
    let settings = Settings::load(session.settings_source(), &session.dirs)?;
    ctx_of(session, settings, env, stores)
}

/// The world of an operation with settings that were loaded.
fn ctx_of(session: &Session, settings: Settings, env: Environment, stores: &[&str]) -> Result<Ctx> {
    let net = net();
    let env = env.for_stores(&settings, &net, stores);
    let shared = shared();
    let audit_folder = settings.audit_folder(&session.dirs);
    if settings.audit.second == Some(AuditSecond::Folder(audit_folder.clone())) {
        let message = "the setting `audit_second` names the folder that the audit log is in already";
        return Err(Error::new(Kind::Argument, message).hint("name another folder, better on another disk"));
    }
    shared.audit.keep(&audit_folder, setup(&settings, session.program()));
    Ok(Ctx {
        clock: Arc::new(SystemClock::new()),
        random: Arc::new(SystemRandom),
        dirs: session.dirs.clone(),
        settings,
        env,
        log: Events::none(),
        net,
        shared,
    })
}

/// How the audit log is kept.
fn setup(settings: &Settings, program: Program) -> Setup {
    let AuditSettings { second, segment_mb, group_readable, plain_record_ids } = settings.audit.clone();
    Setup {
        program,
        second: second.map(|second| match second {
            AuditSecond::Folder(folder) => Second::Folder(folder),
            AuditSecond::Syslog(socket) => Second::Syslog(socket),
        }),
        segment_bytes: u64::from(segment_mb) << 20,
        group_readable,
        plain_record_ids,
    }
}

/// Runs blocking work as a task.
fn run_blocking(ctx: Ctx, work: impl FnOnce(&Ctx) -> Result<Value> + Send + 'static) -> Result<Task> {
    io::start(move |events| async move {
        let ctx = Ctx { log: events, ..ctx };
        io::blocking(move || work(&ctx)).await
    })
}

/// `info`: version and the settings that were found. No arguments.
fn info(session: &Session) -> Result<Task> {
    run_blocking(ctx(session, Environment::empty())?, |ctx| {
        Ok(Value::list([("version", env!("CARGO_PKG_VERSION").into()), ("settings", ctx.settings.to_value())]))
    })
}
