//! The key that signs a log's checkpoints: where it is kept, and its public half beside the log.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::AuditLog;
use super::file::{self, How};
use super::line::sha256;
use super::note::{Signer, VerifierKey};
use crate::ctx::Ctx;
use crate::error::{Error, Kind, Result};
use crate::file::{Eyes, Readers, make_private_folder, read_secret, replace};
use crate::hex::hex;
use crate::store::{get_key, put_key, signing_key, store_for_key};
use crate::token::{OF_KEYS, TokenName};

/// The setting for a key in a file.
const FILE: &str = "file";

/// Where a log's signing key is.
pub(super) struct KeyPlace<'a> {
    ctx: &'a Ctx,
    origin: String,
    /// The file, where no store has it.
    file: PathBuf,
    /// Whether stores are asked; for a sandbox's log they are not.
    stores: bool,
}

/// A signing key, and where it is kept: a store's name, or `file`.
pub(super) struct Key {
    pub(super) signer: Signer,
    pub(super) kept_in: String,
}

impl<'a> KeyPlace<'a> {
    /// The place for a log. The key of a sandbox's log is gone with the session.
    pub(super) fn new(ctx: &'a Ctx, origin: &str, sandbox: bool) -> Self {
        let folder = if sandbox { &ctx.dirs.session } else { &ctx.dirs.config };
        Self { ctx, origin: origin.to_owned(), file: folder.join(format!("{origin}.signing-key")), stores: !sandbox }
    }

    /// The key, if there is one.
    ///
    /// # Errors
    /// `store`: a store that may have it fails. `file`, `damaged`: the file.
    pub(super) async fn find(&self) -> Result<Option<Key>> {
        if let Some(seed) = self.read()? {
            return self.key(&seed, FILE).map(Some);
        }
        let named = self.ctx.settings.checkpoints.key_store.as_deref();
        let stores = match named {
            _ if !self.stores => Vec::new(),
            Some(FILE) => Vec::new(),
            Some(store) => vec![store],
            None => self.ctx.settings.order.iter().map(String::as_str).filter(|name| *name != "env").collect(),
        };
        for store in stores {
            if let Some(seed) = get_key(self.ctx, store, &self.name()?).await? {
                return self.key(&seed, store).map(Some);
            }
        }
        Ok(None)
    }

    /// Makes a new key; nothing is kept yet.
    ///
    /// # Errors
    /// `internal`: the system gives no random bytes.
    pub(super) fn make(&self) -> Result<(Signer, Zeroizing<Vec<u8>>)> {
        let mut seed = Zeroizing::new(vec![0; 32]);
        self.ctx.random.fill(&mut seed)?;
        Ok((self.signer(&seed)?, seed))
    }

    /// Keeps a key in place of the one before: where that is, otherwise in the store that is set or in the first one
    /// that takes it, otherwise in the file. Gives where.
    ///
    /// # Errors
    /// Those of the store or the file.
    pub(super) async fn keep(&self, seed: &[u8], before: Option<&str>) -> Result<String> {
        let store = match before.or(self.ctx.settings.checkpoints.key_store.as_deref()) {
            _ if !self.stores => None,
            Some(FILE) => None,
            Some(store) => Some(store.to_owned()),
            None => store_for_key(self.ctx).await,
        };
        let Some(store) = store else {
            make_private_folder(self.file.parent().unwrap_or(Path::new(".")))?;
            let text = Zeroizing::new(format!("{}\n", *Zeroizing::new(hex(seed))).into_bytes());
            replace(&self.file, &text, Readers::Owner)?;
            return Ok(FILE.to_owned());
        };
        put_key(self.ctx, &store, &self.name()?, seed).await?;
        Ok(store)
    }

    fn read(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let bytes = read_secret(&self.file, 80, Eyes::Few).map_err(|unfit| unfit.at(&self.file, "cannot be read"))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let seed = signing_key(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).ok_or_else(|| {
            Error::new(Kind::Damaged, format!("the signing key in `{}` is damaged", self.file.display()))
                .hint("put it back from a copy, or move it away: then `checkpoint_audit_log()` makes a new one")
                .field("path", self.file.display().to_string())
        })?;
        Ok(Some(seed))
    }

    fn key(&self, seed: &[u8], kept_in: &str) -> Result<Key> {
        Ok(Key { signer: self.signer(seed)?, kept_in: kept_in.to_owned() })
    }

    fn signer(&self, seed: &[u8]) -> Result<Signer> {
        Signer::new(&self.origin, seed).ok_or_else(|| Error::new(Kind::Internal, "a signing key has not 32 bytes"))
    }

    /// The name in a store: that of the log, as far as names of tokens have room for it.
    pub(super) fn name(&self) -> Result<TokenName> {
        let log = self.origin.strip_prefix("audit-").unwrap_or(&self.origin);
        let mut name: String = log.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        if name.len() > 33 || name.chars().filter(|c| *c == '_').count() > 1 {
            // What was cut off, or written otherwise, makes the difference between two.
            name.truncate(24);
            name = format!("{name}_{}", &sha256(self.origin.as_bytes())[..8]);
        }
        TokenName::new(&format!("{OF_KEYS}{name}"))
    }
}

impl AuditLog {
    /// A file of the log's that is no segment.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}.{suffix}", self.origin()))
    }

    /// Adds a public key to the file beside the log, where it is not there yet.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn publish(&self, key: &VerifierKey) -> Result<()> {
        if VerifierKey::parse_all(&self.read_beside("pub")?).contains(key) {
            return self.append_beside("pub", "");
        }
        self.append_beside("pub", &format!("{key}\n{}", key.pem()))
    }

    /// The text of a file beside the log; empty where there is none.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn read_beside(&self, suffix: &str) -> Result<String> {
        use std::io::Read as _;
        let path = self.beside(suffix);
        if std::fs::symlink_metadata(&path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(String::new());
        }
        let mut bytes = Vec::new();
        let read = file::open(&path, How::Read)?.read_to_end(&mut bytes);
        read.map_err(|error| super::Cause::of(&error).at(&path))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Appends to a file beside the log that is no secret, durably. Whoever may read the log may read it too: without
    /// keys and notes nobody can verify anything. Without a text, only that is seen to.
    ///
    /// # Errors
    /// `audit`.
    pub(super) fn append_beside(&self, suffix: &str, text: &str) -> Result<()> {
        let path = &self.beside(suffix);
        let at = |error: std::io::Error| super::Cause::of(&error).at(path);
        let mut file = file::open(path, How::Append)?;
        let metadata = file.metadata().map_err(at)?;
        file::share(&metadata, 0o040, &self.setup, |permissions| file.set_permissions(permissions)).map_err(at)?;
        if text.is_empty() {
            return Ok(());
        }
        file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(at)?;
        if metadata.len() == 0 {
            file::sync_folder(file::parent(path)).map_err(at)?;
        }
        Ok(())
    }
}
