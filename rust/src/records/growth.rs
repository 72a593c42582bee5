//! How columns grow. Sixty columns that double their memory again and again leave behind half as much as they use, in
//! pieces that nothing else fits into. So a column that has become large takes a piece of its own from the system, which
//! grows where it is, and of which only the part that is filled takes up memory.
//!
//! Memory may end, most often by a limit that a scheduler has set. A cell that finds no place is dropped and the thread
//! remembers it, so that no cell has to be asked; whoever works off a piece of data asks [`whole`] afterwards, and uses
//! nothing of what is there if the answer is an error.

use std::cell::Cell;

use crate::error::{Error, Result};

/// From here on a column counts as large, in bytes.
const LARGE: usize = 128 * 1024;

/// What a large column takes: above the size up to which freed memory is wiped, and so copied when it grows.
const OWN: usize = 1024 * 1024 + 4096;

/// So much has to be left when a large column has grown, in bytes: what else goes on meanwhile takes memory without
/// asking. Above what any C library keeps for later when it is freed.
const LEFT: usize = 40 * 1024 * 1024;

thread_local! {
    /// Something found no place on this thread since the last question.
    static DROPPED: Cell<bool> = const { Cell::new(false) };
}

/// Adds a cell.
#[inline(always)]
pub(super) fn add<T>(cells: &mut Vec<T>, cell: T) {
    if cells.len() == cells.capacity() && !grow(cells) {
        return;
    }
    cells.push(cell);
}

/// Whether everything found its place since the last question on this thread.
///
/// # Errors
/// `memory`: something did not.
pub(super) fn whole() -> Result<()> {
    if DROPPED.replace(false) { Err(Error::memory()) } else { Ok(()) }
}

/// Something found no place.
#[cold]
pub(super) fn dropped() {
    DROPPED.set(true);
}

/// Whether there is memory left for whatever else goes on.
pub(super) fn is_some_left() -> bool {
    let mut left: Vec<u8> = Vec::new();
    let is = left.try_reserve_exact(LEFT).is_ok();
    // Else the compiler leaves out the question.
    std::hint::black_box(&left);
    is
}

/// False if there is no memory.
#[cold]
fn grow<T>(cells: &mut Vec<T>) -> bool {
    if DROPPED.get() {
        return false;
    }
    let capacity = cells.capacity();
    let bytes = capacity * size_of::<T>();
    let wanted = if bytes < LARGE { capacity * 2 } else { (capacity * 2).max(OWN / size_of::<T>().max(1)) };
    let is_large = bytes >= LARGE;
    let grown =
        cells.try_reserve_exact(wanted.max(64).saturating_sub(cells.len())).is_ok() && (!is_large || is_some_left());
    if !grown {
        dropped();
    }
    grown
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cell_that_finds_no_place_is_dropped_and_remembered_until_somebody_asks() {
        // Room for 64 of these is in no computer.
        let mut huge: Vec<[u8; 1 << 46]> = Vec::new();
        assert!(!grow(&mut huge));
        let mut cells = Vec::new();
        add(&mut cells, 1);
        assert!(cells.is_empty());
        assert_eq!(whole().unwrap_err().kind, crate::Kind::Memory);
        add(&mut cells, 2);
        assert!(whole().is_ok() && cells == [2] && is_some_left());
    }

    #[test]
    fn cells_stay_in_their_order_whatever_the_size() {
        let mut cells = Vec::new();
        for n in 0..500_000_u32 {
            add(&mut cells, n);
            assert!(cells.capacity() <= 64 || cells.capacity() <= cells.len() * 2 + OWN / 4);
        }
        assert!(cells.iter().enumerate().all(|(at, n)| at as u32 == *n));
    }
}
