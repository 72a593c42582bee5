//! `fileRepository`: the files of a project that belong to no record, in folders.

use bytes::Bytes;

use super::{Asked, Done, Outcome};
use crate::sandbox::data::{Data, Kept};
use crate::sandbox::refusal::Refusal;
use crate::sandbox::sheet::{Cell, Sheet};
use crate::sandbox::world::Line;

/// What is in a folder: folders first. REDCap has a fourth column, whose name is not on record.
pub(super) fn sheet(asked: &Asked<'_>) -> Result<Sheet, Refusal> {
    check(asked)?;
    let folder = folder(asked)?;
    let mut sheet = Sheet::new("items", "item", &["folder_id", "doc_id", "name"]);
    let inside = || asked.project.data.repository.iter().filter(|kept| kept.folder == folder);
    for kept in inside().filter(|kept| kept.bytes.is_none()) {
        sheet.rows.push(vec![Cell::Whole(kept.id), Cell::text(""), Cell::text(&*kept.name)]);
    }
    for kept in inside().filter(|kept| kept.bytes.is_some()) {
        sheet.rows.push(vec![Cell::text(""), Cell::Whole(kept.id), Cell::text(&*kept.name)]);
    }
    Ok(sheet)
}

pub(super) fn export(asked: &Asked<'_>) -> Result<Outcome, Refusal> {
    check(asked)?;
    let kept = document(asked)?;
    let content_type = super::file::content_type(&kept.name);
    Ok(Outcome::File { content_type, name: kept.name.clone(), bytes: kept.bytes.clone().unwrap_or_default() })
}

pub(super) fn import(asked: &Asked<'_>) -> Result<Done, Refusal> {
    check(asked)?;
    let upload = asked.post.file("file").filter(|upload| !upload.name.is_empty()).ok_or_else(Refusal::no_upload)?;
    let mut data = asked.project.data.clone();
    add(&mut data, folder(asked)?, &upload.name, Some(Bytes::from(upload.bytes.clone())));
    Ok(done(data, Outcome::Bare(String::new()), format!("Upload file to File Repository (API), {}", upload.name)))
}

pub(super) fn delete(asked: &Asked<'_>) -> Result<Done, Refusal> {
    check(asked)?;
    let (id, name) = (document(asked)?.id, document(asked)?.name.clone());
    let mut data = asked.project.data.clone();
    data.repository.retain(|kept| kept.id != id);
    Ok(done(data, Outcome::Bare(String::new()), format!("Delete file from File Repository (API), {name}")))
}

/// Answers the new folder's number.
pub(super) fn create_folder(asked: &Asked<'_>) -> Result<Done, Refusal> {
    check(asked)?;
    let name = asked.post.text("name").trim();
    if name.is_empty() {
        return Err(Refusal::parameter("name"));
    }
    let mut data = asked.project.data.clone();
    let id = add(&mut data, folder(asked)?, name, None);
    let mut sheet = Sheet::new("items", "item", &["folder_id"]);
    sheet.rows.push(vec![Cell::Whole(id)]);
    Ok(done(data, Outcome::Sheet(sheet), format!("Create folder in File Repository (API), {name}")))
}

fn check(asked: &Asked<'_>) -> Result<(), Refusal> {
    if asked.user.may("file_repository") { Ok(()) } else { Err(Refusal::right("file_repository")) }
}

/// The folder that a request means; 0 is the top.
fn folder(asked: &Asked<'_>) -> Result<i64, Refusal> {
    let named = asked.post.text("folder_id");
    if named.is_empty() {
        return Ok(0);
    }
    let folders = asked.project.data.repository.iter().filter(|kept| kept.bytes.is_none());
    folders.map(|kept| kept.id).find(|id| id.to_string() == named).ok_or_else(|| Refusal::parameter("folder_id"))
}

fn document<'a>(asked: &Asked<'a>) -> Result<&'a Kept, Refusal> {
    let named = asked.post.text("doc_id");
    let mut documents = asked.project.data.repository.iter().filter(|kept| kept.bytes.is_some());
    documents.find(|kept| kept.id.to_string() == named).ok_or_else(|| Refusal::parameter("doc_id"))
}

fn add(data: &mut Data, folder: i64, name: &str, bytes: Option<Bytes>) -> i64 {
    let id = data.repository.iter().map(|kept| kept.id).max().unwrap_or_default() + 1;
    data.repository.push(Kept { id, folder, name: name.to_owned(), bytes });
    id
}

fn done(data: Data, outcome: Outcome, details: String) -> Done {
    Done { outcome, data: Some(data), log: vec![Line::new("Manage/Design", details)] }
}
