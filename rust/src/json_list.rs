//! A list that keycap keeps in a JSON file of its own: read whole, changed under a lock, replaced whole.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::file::{self, Readers, SideLock, Source};

const VERSION: u32 = 1;
const CAP: u64 = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// The list in one file. Nothing is opened before it is read or changed.
pub(crate) struct JsonList<T> {
    path: PathBuf,
    items: PhantomData<T>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored<T> {
    keycap: u32,
    items: Vec<T>,
}

impl<T: Serialize + DeserializeOwned> JsonList<T> {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, items: PhantomData }
    }

    /// What is kept; nothing where there is no file.
    ///
    /// # Errors
    /// `file`, `damaged`.
    pub(crate) fn read(&self) -> Result<Vec<T>> {
        self.parse(&self.bytes()?)
    }

    /// Changes the list under its lock, for the user alone, and gives what `change` gives. A list that stays as it was
    /// is not written.
    ///
    /// # Errors
    /// `file`, `damaged`: the file is as it was.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Vec<T>) -> R) -> Result<R> {
        if let Some(folder) = self.path.parent() {
            file::make_private_folder(folder)?;
        }
        let _lock = SideLock::take(&self.path.with_extension("json.lock"), false, PATIENCE)?;
        let before = self.bytes()?;
        let mut items = self.parse(&before)?;
        let answer = change(&mut items);
        let mut text = serde_json::to_vec_pretty(&Stored { keycap: VERSION, items })
            .map_err(|_| Error::new(Kind::Internal, format!("`{}` cannot be written as JSON", self.path.display())))?;
        text.push(b'\n');
        if text.len() as u64 > CAP {
            return Err(self.damaged("it would be larger than 4 MiB"));
        }
        if text != before {
            file::replace(&self.path, &text, Readers::Owner)?;
        }
        Ok(answer)
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let read = file::read_small(&self.path, CAP, Source::User);
        Ok(read.map_err(|unfit| unfit.at(&self.path, "cannot be read"))?.unwrap_or_default())
    }

    fn parse(&self, bytes: &[u8]) -> Result<Vec<T>> {
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        // The parser's own words would repeat what stands there.
        let stored: Stored<T> =
            serde_json::from_slice(bytes).map_err(|_| self.damaged("it has not the form that keycap writes"))?;
        if stored.keycap != VERSION {
            return Err(self.damaged("it was written by a newer keycap"));
        }
        Ok(stored.items)
    }

    fn damaged(&self, why: &str) -> Error {
        let path = self.path.display();
        Error::new(Kind::Damaged, format!("`{path}` is damaged ({why}); keycap left it as it is"))
            .hint("repair the file by hand, or move it away: keycap then begins it anew")
            .field("path", path.to_string())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_the_users_alone_written_where_it_changed_and_left_where_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/list.json");
        let list = JsonList::<u8>::at(path.clone());
        assert!(list.read().unwrap().is_empty());
        assert!(!path.exists(), "reading makes nothing");
        assert_eq!(
            list.change(|items| {
                items.push(7);
                items.len()
            })
            .unwrap(),
            1
        );
        let written = || std::fs::metadata(&path).unwrap().modified().unwrap();
        let before = written();
        list.change(|_| ()).unwrap();
        assert_eq!((list.read().unwrap(), written()), (vec![7], before));
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(&path).unwrap()) & 0o777, 0o600);
        for text in ["{\"keycap\":1,\"items\":\"secret words\"}", "{\"keycap\":2,\"items\":[]}", "[7]", "{\"keycap\":1"]
        {
            std::fs::write(&path, text).unwrap();
            for error in [list.read().unwrap_err(), list.change(Vec::clear).unwrap_err()] {
                assert!(error.kind == Kind::Damaged && !error.message.contains("secret words"), "{error:?}");
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn changes_of_several_threads_are_all_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.json");
        std::thread::scope(|scope| {
            for n in 0..4_u8 {
                let list = JsonList::<u8>::at(path.clone());
                scope.spawn(move || (0..5).for_each(|m| list.change(|items| items.push(n * 5 + m)).unwrap()));
            }
        });
        let mut items = JsonList::<u8>::at(path).read().unwrap();
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<u8>>());
    }
}
