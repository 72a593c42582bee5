//! The answer to any call: a table, a text, or a file.

use std::path::PathBuf;

use super::download::{InMemory, OnDisk, Place, Raw, Rows};
use super::intake::Intake;
use super::sheet::{Header, Sheet};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file::fault;
use crate::net::io::blocking;
use crate::redcap::{Answer, Expect, Operation, Plan, Shape, Upload};
use crate::value::Table;

/// The largest file that is sent. It goes through memory; REDCap's own limit is below that.
const MOST_SENT: u64 = 512 * 1024 * 1024;

/// What came.
#[derive(Debug)]
pub(crate) enum Got {
    Table(Table),
    Text(String),
    File(PathBuf),
}

/// Makes the call of a plan and gives what came of it. What was repaired is told.
///
/// # Errors
/// Those of a call; `not_redcap`: the answer is not what it should be; `file`: it cannot be written, or the file to
/// send cannot be read. On any of them nothing is left behind.
pub(crate) async fn answer(ctx: &Ctx, operation: &mut Operation, plan: Plan) -> Result<Got> {
    let Plan { mut request, content, answer, shape, to, upload, labels } = plan;
    if let Some(path) = upload {
        let random = std::sync::Arc::clone(&ctx.random);
        request.attach(blocking(move || read(&*random, &path)).await?);
    }
    let key = match answer {
        Answer::Rows(key) => key,
        _ => "",
    };
    let header = Header { content: content.clone(), key, labels };
    // The reader of tables knows commas only.
    let delimiter = request.delimiter();
    let rows = request.expect == Expect::Csv && delimiter == ',';
    let apart = (request.expect == Expect::Csv && !rows).then(|| (header.clone(), delimiter));
    match (shape, to) {
        (Shape::Table, _) => {
            let mut intake = Intake::new(ctx, Sheet::new(header));
            operation.call(&request, &mut intake).await?;
            let (table, repaired) = intake.finish()?.1.cells.finish();
            if repaired > 0 {
                let cells = if repaired == 1 { "1 cell was".to_owned() } else { format!("{repaired} cells were") };
                ctx.log.warning(format!("{cells} not UTF-8, as REDCap promises, and read as Latin-1"));
            }
            Ok(Got::Table(table))
        }
        (Shape::File, Some(to)) => {
            let ending = match request.expect {
                Expect::Csv => ".csv",
                Expect::Json => ".json",
                Expect::Xml => ".xml",
                Expect::Version | Expect::Text | Expect::Bytes => "",
            };
            let place = OnDisk::new(&to, format!("redcap_{content}{ending}"))?;
            let place = if rows {
                let mut intake = Intake::new(ctx, Rows::new(header, place)?);
                operation.call(&request, &mut intake).await?;
                intake.finish()?.1.place
            } else {
                raw(ctx, operation, &request, place, apart).await?
            };
            blocking(move || place.commit()).await.map(Got::File)
        }
        (Shape::Text | Shape::File, _) => {
            let place = if rows {
                let mut intake = Intake::new(ctx, Rows::new(header, InMemory::new())?);
                operation.call(&request, &mut intake).await?;
                intake.finish()?.1.place
            } else {
                raw(ctx, operation, &request, InMemory::new(), apart).await?
            };
            let (text, repaired) = place.text(request.expect)?;
            if repaired {
                ctx.log.warning("the answer was not UTF-8, as REDCap promises, and was read as Latin-1");
            }
            Ok(Got::Text(text))
        }
    }
}

async fn raw<P: Place>(
    ctx: &Ctx,
    operation: &mut Operation,
    request: &crate::redcap::Request,
    place: P,
    header: Option<(Header, char)>,
) -> Result<P> {
    let mut raw = Raw::new(ctx, place, header);
    operation.call(request, &mut raw).await?;
    Ok(raw.place)
}

/// Reads a file that is to be sent. Blocks.
fn read(random: &dyn crate::ctx::Random, path: &std::path::Path) -> Result<Upload> {
    let about = |what: &str| {
        Error::new(Kind::File, format!("`{}` {what}", path.display())).field("path", path.display().to_string())
    };
    let cannot = |e: &std::io::Error| fault(path, "cannot be read", e);
    // Before it is opened: opening a pipe waits for its other end.
    let known = std::fs::metadata(path).map_err(|e| cannot(&e))?;
    if !known.is_file() {
        return Err(about("is not an ordinary file").hint("give the path of the file to send"));
    }
    if known.len() > MOST_SENT {
        return Err(about("is larger than 512 MB, which REDCap does not take").hint("send a smaller file"));
    }
    let bytes = std::fs::read(path).map_err(|e| cannot(&e))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Upload::new(random, &name, bytes)
}
