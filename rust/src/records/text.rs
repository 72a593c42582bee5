//! A column of texts that is being filled. Equal texts are stored once, as long as that pays.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::growth::{add, dropped, is_some_left};
use crate::redcap::repair;
use crate::value::{Column, Texts};

/// From this many distinct texts on it is asked whether looking for equals pays.
const ENOUGH: usize = 2048;

/// From this many texts on it is asked, whenever their number has doubled, whether memory is left.
const LARGE: u32 = 65_536;

/// Texts by their ids.
pub(super) struct TextBuilder {
    ids: Vec<u32>,
    texts: Texts,
    /// Ids by the hash of their texts; `None` since it did not pay.
    index: Option<HashTable<u32>>,
    hasher: RandomState,
    /// Cells that were looked for.
    seen: usize,
}

impl TextBuilder {
    pub(super) fn new() -> Self {
        Self {
            ids: Vec::new(),
            texts: Texts::default(),
            index: Some(HashTable::new()),
            hasher: RandomState::default(),
            seen: 0,
        }
    }

    /// Adds a missing text.
    pub(super) fn push_missing(&mut self) {
        add(&mut self.ids, Column::MISSING);
    }

    /// Adds a cell; where it is not UTF-8, repaired, and counted. False if it holds a NUL, which the host's texts
    /// cannot: then it is missing.
    #[inline(always)]
    pub(super) fn push(&mut self, cell: &[u8], repaired: &mut u64) -> bool {
        self.seen += 1;
        let hash = if self.index.is_some() { hash_of(&self.hasher, cell) } else { 0 };
        if let Some(id) = self.find(cell, hash) {
            add(&mut self.ids, id);
            return true;
        }
        self.push_new(cell, hash, repaired)
    }

    fn push_new(&mut self, cell: &[u8], hash: u64, repaired: &mut u64) -> bool {
        if memchr::memchr(0, cell).is_some() {
            self.push_missing();
            return false;
        }
        let id = if let Ok(text) = std::str::from_utf8(cell) {
            self.add(text, hash)
        } else {
            *repaired += 1;
            let text = repair::latin1(cell);
            let hash = hash_of(&self.hasher, text.as_bytes());
            self.find(text.as_bytes(), hash).unwrap_or_else(|| self.add(&text, hash))
        };
        add(&mut self.ids, id);
        true
    }

    #[inline(always)]
    fn find(&self, text: &[u8], hash: u64) -> Option<u32> {
        let texts = &self.texts;
        self.index.as_ref()?.find(hash, |id| texts.get(*id).is_some_and(|known| known.as_bytes() == text)).copied()
    }

    fn add(&mut self, text: &str, hash: u64) -> u32 {
        let Ok(id) = self.texts.try_push(text) else {
            dropped();
            return Column::MISSING;
        };
        // A block of texts grows as seldom as their number doubles.
        if id >= LARGE && id.is_power_of_two() && !is_some_left() {
            dropped();
        }
        let (texts, hasher) = (&self.texts, &self.hasher);
        if let Some(index) = &mut self.index {
            let hash_of_id = |id: &u32| hash_of(hasher, texts.get(*id).unwrap_or_default().as_bytes());
            if index.try_reserve(1, hash_of_id).is_err() {
                dropped();
                return id;
            }
            index.insert_unique(hash, id, hash_of_id);
            // Notes, names, ids: hardly a text comes twice, and each would be looked for in vain.
            let distinct = texts.len();
            if distinct >= ENOUGH && distinct.is_power_of_two() && distinct * 10 > self.seen * 7 {
                self.index = None;
            }
        }
        id
    }

    /// Forgets the cells behind the first `rows`; their texts may stay.
    pub(super) fn truncate(&mut self, rows: usize) {
        self.ids.truncate(rows);
    }

    pub(super) fn finish(self) -> Column {
        Column::Text { ids: self.ids, dictionary: self.texts }
    }
}

#[inline(always)]
fn hash_of(hasher: &RandomState, text: &[u8]) -> u64 {
    let mut hasher = hasher.build_hasher();
    hasher.write(text);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(cells: &[&[u8]]) -> (Column, Vec<bool>, u64) {
        let (mut builder, mut repaired) = (TextBuilder::new(), 0);
        let fits = cells.iter().map(|cell| builder.push(cell, &mut repaired)).collect();
        (builder.finish(), fits, repaired)
    }

    #[test]
    fn equal_texts_are_stored_once_also_when_one_was_repaired() {
        let (column, fits, repaired) = built(&[b"a", b"\xe4", "ä".as_bytes(), b"a", b"\xe4"]);
        let Column::Text { ids, dictionary } = column else { panic!() };
        assert_eq!((ids, dictionary.iter().collect::<Vec<_>>()), (vec![0, 1, 1, 0, 1], vec!["a", "ä"]));
        assert_eq!((fits, repaired), (vec![true; 5], 2));
    }

    #[test]
    fn a_nul_is_refused_each_time() {
        let (column, fits, _) = built(&[b"a\0b", b"a", b"a\0b", b"\0\xff"]);
        assert_eq!(fits, [false, true, false, false]);
        assert_eq!(
            (0..4).map(|row| column.text_at(row).map(str::to_owned)).collect::<Vec<_>>(),
            [None, Some("a".to_owned()), None, None]
        );
    }

    #[test]
    fn texts_that_hardly_repeat_are_not_looked_for_and_still_right() {
        let texts: Vec<String> = (0..10_000).map(|n| format!("note {}", n % 9_000)).collect();
        let (mut builder, mut repaired) = (TextBuilder::new(), 0);
        for text in &texts {
            assert!(builder.push(text.as_bytes(), &mut repaired));
        }
        assert!(builder.index.is_none());
        let column = builder.finish();
        assert!((0..texts.len()).all(|row| column.text_at(row) == Some(texts[row].as_str())));
        // Half of them distinct: looking for equals goes on.
        let (mut builder, mut repaired) = (TextBuilder::new(), 0);
        for n in 0..20_000 {
            builder.push(format!("{}", n / 2).as_bytes(), &mut repaired);
        }
        assert!(builder.index.is_some() && builder.texts.len() == 10_000);
    }

    #[test]
    fn what_is_truncated_is_gone_and_the_rest_stays() {
        let (mut builder, mut repaired) = (TextBuilder::new(), 0);
        for text in ["a", "b", "c"] {
            builder.push(text.as_bytes(), &mut repaired);
        }
        builder.truncate(1);
        builder.push(b"c", &mut repaired);
        let column = builder.finish();
        assert_eq!((column.len(), column.text_at(0), column.text_at(1)), (2, Some("a"), Some("c")));
    }
}
