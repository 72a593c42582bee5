//! The allocator wipes what it frees: libraries copy what they are given (a header map, a TLS buffer, a parser's
//! scratch space), and no such copy of a token may stay behind in freed memory.
//!
//! Blocks above [`LIMIT`] are not wiped: the core holds tokens in small buffers only, and wiping an export of some
//! hundred megabytes would cost time for nothing. The largest blocks through which a token can come back, in an answer
//! of a server that repeats it, are those that hyper reads into: up to 408 KiB.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{Ordering, compiler_fence};

/// The largest block that is wiped, in bytes.
const LIMIT: usize = 1024 * 1024;

struct Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping;

// SAFETY: every block comes from and goes back to `System` with the layout that the caller gave; wiping touches
// only bytes of a block that the caller has given up.
unsafe impl GlobalAlloc for Wiping {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises about `layout` are the ones that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() <= LIMIT {
            // SAFETY: the block is `layout.size()` bytes, and nobody else may use it any more.
            unsafe { wipe(block, layout.size()) };
        }
        // SAFETY: the block came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.size() > LIMIT {
            // SAFETY: the caller's promises are the ones that `System` asks for.
            return unsafe { System.realloc(block, layout, new_size) };
        }
        // `System.realloc` could move a block and leave its old bytes behind, so small blocks always move by hand.
        // SAFETY: the caller promises that `new_size` with this alignment is a legal layout, and not zero.
        let moved = unsafe { System.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !moved.is_null() {
            // SAFETY: both blocks are at least that long and distinct; the old one is the caller's to give up.
            unsafe {
                std::ptr::copy_nonoverlapping(block, moved, layout.size().min(new_size));
                self.dealloc(block, layout);
            }
        }
        moved
    }
}

/// Gives memory that was freed back to the system. Without being told so, glibc keeps what threads other than the first
/// have freed: a table would take up memory twice while it becomes R's.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            fn malloc_trim(keep: usize) -> std::ffi::c_int;
        }
        // SAFETY: may be called at any time, on any thread; it touches free memory only.
        unsafe { malloc_trim(0) };
    }
}

/// Overwrites a block in a way that the compiler may not leave out.
///
/// # Safety
/// `block` must be valid for writes of `size` bytes.
unsafe fn wipe(block: *mut u8, size: usize) {
    // SAFETY: the caller promises that the block is writable over its whole length.
    unsafe { std::ptr::write_bytes(block, 0, size) };
    // The compiler knows that nobody reads freed memory and would drop the write; past this point it cannot know.
    std::hint::black_box(block);
    compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_in_use_stays_as_it_is_when_the_rest_is_given_back() {
        let blocks: Vec<Vec<u8>> = (0..64).map(|n| vec![n; 100_000]).collect();
        let kept: Vec<Vec<u8>> = blocks.into_iter().filter(|block| block[0] % 2 == 0).collect();
        give_back();
        assert!(kept.iter().enumerate().all(|(n, block)| block.iter().all(|byte| usize::from(*byte) == 2 * n)));
    }

    #[test]
    fn a_block_is_wiped_over_its_whole_length() {
        for size in [1, 7, 8, 4097, LIMIT] {
            let mut block = vec![0xa5_u8; size + 1];
            // SAFETY: the block is longer than what is wiped.
            unsafe { wipe(block.as_mut_ptr(), size) };
            assert!(block[..size].iter().all(|byte| *byte == 0));
            assert_eq!(block[size], 0xa5);
        }
    }

    #[test]
    fn a_block_that_grows_or_shrinks_keeps_its_bytes_on_both_sides_of_the_limit() {
        for (from, to) in
            [(1, 100), (100, 1), (10, LIMIT + 1), (LIMIT, LIMIT + 1), (LIMIT + 1, 10), (LIMIT + 1, LIMIT * 4)]
        {
            let mut block: Vec<u8> = (0..from).map(|i| i as u8).collect();
            block.shrink_to_fit();
            block.reserve_exact(to.saturating_sub(from));
            block.truncate(to);
            block.shrink_to_fit();
            assert!(block.iter().enumerate().all(|(i, byte)| *byte == i as u8));
            assert_eq!(block.len(), from.min(to));
        }
    }
}
