//! Digests of record ids: who has the key can tell whether a record that is known was touched.

use std::io::{Read, Write};
use std::path::Path;

use ring::hmac;

use super::cause::Cause;
use super::entry::Body;
use super::file::{self, How};
use super::setup::Setup;
use super::who::Files;
use crate::ctx::{Random, SystemRandom};
use crate::error::Result;
use crate::hex::hex;

/// Characters of a digest: enough that no two of a project's records share one.
const LENGTH: usize = 16;

/// Characters of the key in its file.
const KEY: usize = 64;

/// What a line says of the records that its call writes or deletes.
pub(super) enum Named<'a> {
    Digests(Vec<String>),
    Plain(&'a [String]),
}

/// The digests of a batch.
pub(super) struct Digests(Option<hmac::Key>);

impl Digests {
    /// For a batch; none where no entry of it names a record. The key is made when it is needed first. Whoever asks
    /// holds the lock.
    ///
    /// # Errors
    /// `audit`: the key cannot be read or made.
    pub(super) fn of(bodies: &[Body<'_>], files: &Files, setup: &Setup) -> Result<Option<Self>> {
        if bodies.iter().all(|body| ids(body).is_empty()) {
            return Ok(None);
        }
        if setup.plain_record_ids {
            return Ok(Some(Self(None)));
        }
        let path = files.key();
        let damaged = || Cause::Damaged("it is not the key that keycap made").at(&path);
        let key = bytes_of(&key(&path)?).ok_or_else(damaged)?;
        Ok(Some(Self(Some(hmac::Key::new(hmac::HMAC_SHA256, &key)))))
    }

    pub(super) fn named<'a>(&self, body: &Body<'a>) -> Option<Named<'a>> {
        let ids = ids(body);
        if ids.is_empty() {
            return None;
        }
        Some(match &self.0 {
            None => Named::Plain(ids),
            Some(key) => Named::Digests(ids.iter().map(|id| digest(key, id)).collect()),
        })
    }
}

fn ids<'a>(body: &Body<'a>) -> &'a [String] {
    match body {
        Body::Intent(intent) => &intent.record_ids,
        _ => &[],
    }
}

fn digest(key: &hmac::Key, id: &str) -> String {
    let mut text = hex(hmac::sign(key, id.as_bytes()).as_ref());
    text.truncate(LENGTH);
    text
}

fn bytes_of(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// The key, made where there is none. One whose making was cut short was never used, and is made anew.
fn key(path: &Path) -> Result<String> {
    let mut file = file::open(path, How::Lock)?;
    let at = |error: std::io::Error| Cause::of(&error).at(path);
    let mut text = String::new();
    (&mut file).take(KEY as u64 + 2).read_to_string(&mut text).map_err(at)?;
    let known = text.trim_end();
    if known.len() == KEY && known.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(known.to_owned());
    }
    if text.len() > KEY || text.ends_with('\n') {
        return Err(Cause::Damaged("it is not the key that keycap made").at(path));
    }
    let mut bytes = [0; KEY / 2];
    SystemRandom.fill(&mut bytes)?;
    let key = hex(&bytes);
    file.set_len(0).map_err(at)?;
    std::io::Seek::rewind(&mut file).map_err(at)?;
    file.write_all(format!("{key}\n").as_bytes()).map_err(at)?;
    file.sync_all().map_err(at)?;
    file::sync_folder(file::parent(path)).map_err(at)?;
    Ok(key)
}
