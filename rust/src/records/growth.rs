//! How columns grow. Sixty columns that double their memory again and again leave behind half as much as they use, in
//! pieces that nothing else fits into. So a column that has become large takes a piece of its own from the system, which
//! grows where it is, and of which only the part that is filled takes up memory.

/// From here on a column counts as large, in bytes.
const LARGE: usize = 128 * 1024;

/// What a large column takes: above the size up to which freed memory is wiped, and so copied when it grows.
const OWN: usize = 1024 * 1024 + 4096;

/// Adds a cell.
#[inline]
pub(super) fn add<T>(cells: &mut Vec<T>, cell: T) {
    if cells.len() == cells.capacity() {
        grow(cells);
    }
    cells.push(cell);
}

#[cold]
fn grow<T>(cells: &mut Vec<T>) {
    let capacity = cells.capacity();
    let bytes = capacity * size_of::<T>();
    let wanted = if bytes < LARGE { capacity * 2 } else { (capacity * 2).max(OWN / size_of::<T>().max(1)) };
    cells.reserve_exact(wanted.max(64) - cells.len());
}

#[cfg(test)]
mod tests {
    use super::*;

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
