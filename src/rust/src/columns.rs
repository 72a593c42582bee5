//! R's vectors, made in C (`src/within.c`): where R has no memory it jumps, and no jump may cross these frames. Numbers
//! are copied as one block, and each distinct text is made once and then pointed to, which takes a few nanoseconds an
//! element where extendr's wrappers take a hundred.

use std::ffi::{CStr, c_char, c_int, c_uint};
use std::panic::resume_unwind;

use extendr_api::prelude::*;
use extendr_api::{AsTypedSlice, rtype_to_sxp};
use extendr_ffi::{R_xlen_t, SEXP};
use keycap::{Column, Texts};

// R's objects are pointers to what only R knows.
#[allow(improper_ctypes)]
unsafe extern "C" {
    fn kc_vector(kind: c_uint, length: R_xlen_t) -> SEXP;
    fn kc_fill(
        column: SEXP,
        ids: *const c_uint,
        rows: usize,
        text: *const c_char,
        ends: *const usize,
        count: usize,
    ) -> c_int;
    fn kc_attribute(object: SEXP, name: *const c_char, value: SEXP) -> SEXP;
}

/// Why these frames unwind, up to `answered` in lib.rs.
pub(crate) enum Unwinding {
    /// R jumps. C holds the jump until Rust has returned.
    Jump,
    /// There is no memory for Rust.
    Memory,
}

fn unwind(why: Unwinding) -> ! {
    resume_unwind(Box::new(why))
}

/// An integer vector; the core's mark for a missing number is R's.
pub(crate) fn ints(cells: &[i32]) -> Robj {
    let mut vector = vector(Rtype::Integers, cells.len());
    if let Some(places) = vector.as_typed_slice_mut() {
        places.copy_from_slice(cells);
    }
    vector
}

/// A double vector; the core's mark for a missing number is R's.
pub(crate) fn reals(cells: &[f64]) -> Robj {
    let mut vector = vector(Rtype::Doubles, cells.len());
    if let Some(places) = vector.as_typed_slice_mut() {
        places.copy_from_slice(cells);
    }
    vector
}

/// A logical vector.
pub(crate) fn flags(cells: &[i8]) -> Robj {
    let mut vector = vector(Rtype::Logicals, cells.len());
    let places: Option<&mut [Rbool]> = vector.as_typed_slice_mut();
    for (place, flag) in places.unwrap_or_default().iter_mut().zip(cells) {
        *place = match flag {
            0 => Rbool::from(false),
            1 => Rbool::from(true),
            _ => Rbool::na(),
        };
    }
    vector
}

/// A list.
pub(crate) fn list(items: &[Robj]) -> Robj {
    let list = vector(Rtype::List, items.len());
    if let Some(mut places) = list.as_list() {
        for (place, item) in items.iter().enumerate() {
            // The place is there, so nothing can fail.
            let _ = places.set_elt(place, item.clone());
        }
    }
    list
}

/// A character vector of few texts.
pub(crate) fn strings<S: AsRef<str>>(all: impl IntoIterator<Item = S>) -> Robj {
    let mut dictionary = Texts::default();
    let mut ids = Vec::new();
    for text in all {
        ids.push(dictionary.try_push(text.as_ref()).unwrap_or_else(|_| unwind(Unwinding::Memory)));
    }
    texts(&ids, &dictionary)
}

/// A character vector from ids into a dictionary; an id past its end stands for `NA`, as [`Column::MISSING`] does.
pub(crate) fn texts(ids: &[u32], dictionary: &Texts) -> Robj {
    let column = blanks(ids.len());
    fill(&column, ids, dictionary);
    column
}

/// A character vector of blank texts, to be filled by [`fill`].
pub(crate) fn blanks(length: usize) -> Robj {
    vector(Rtype::Strings, length)
}

/// Fills a vector of [`blanks`] as [`texts`] would.
pub(crate) fn fill(column: &Robj, ids: &[u32], dictionary: &Texts) {
    let (text, ends) = dictionary.parts();
    // R ends a text at a NUL, by a jump: none may reach it. None is in the core's exports, but a server's word may
    // come by another way.
    if text.contains('\0') {
        let clean: Texts = dictionary.iter().map(crate::to_r::without_nul).collect();
        return fill(column, ids, &clean);
    }
    // R's texts end at 2^31 bytes, and so do the core's cells: nothing longer comes.
    let longest = ends.iter().scan(0, |begin, end| Some(end - std::mem::replace(begin, *end))).max().unwrap_or(0);
    // An id that marks a missing text is beyond the end of every dictionary.
    if longest > i32::MAX as usize || ends.len() > Column::MISSING as usize {
        unwind(Unwinding::Memory);
    }
    // Places behind the end of either are none.
    let rows = ids.len().min(column.len());
    // SAFETY: on R's thread; `column` is a character vector of at least `rows` elements, protected by its wrapper; the
    // other pointers are those of slices that outlive the call; no text holds a NUL or is longer than R's may be.
    let done = unsafe { kc_fill(column.get(), ids.as_ptr(), rows, text.as_ptr().cast(), ends.as_ptr(), ends.len()) };
    match done {
        0 => {}
        1 => unwind(Unwinding::Memory),
        _ => unwind(Unwinding::Jump),
    }
}

/// Sets an attribute; the value is of the type and length that R asks for.
pub(crate) fn attribute(object: &mut Robj, name: &CStr, value: &Robj) {
    // SAFETY: on R's thread; both objects are protected by their wrappers; the name ends with a NUL.
    let set = unsafe { kc_attribute(object.get(), name.as_ptr(), value.get()) };
    if set.is_null() {
        unwind(Unwinding::Jump);
    }
}

/// A new vector of R's, protected by its wrapper.
fn vector(kind: Rtype, length: usize) -> Robj {
    // SAFETY: on R's thread; the type is one of vectors.
    let made = unsafe { kc_vector(rtype_to_sxp(kind) as c_uint, length as R_xlen_t) };
    if made.is_null() {
        unwind(Unwinding::Jump);
    }
    // SAFETY: an object of R's that was made just now; nothing was allocated since.
    unsafe { Robj::from_sexp(made) }
}
