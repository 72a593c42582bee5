//! Columns as R's vectors, through R's own interface: numbers are copied as one block, and each distinct text is made
//! once and then pointed to, which takes a few nanoseconds an element where extendr's wrappers take a hundred.

use std::os::raw::c_char;

use extendr_api::prelude::*;
use extendr_api::{AsTypedSlice, rtype_to_sxp};
use extendr_ffi::{R_NaString, R_xlen_t, Rf_mkCharLenCE, SET_STRING_ELT, SEXP, cetype_t};
use keycap::{Column, Texts};

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
    // Places behind the end of either are none.
    let ids = &ids[..ids.len().min(column.len())];
    // R's text for each id that has come. The column points to every one of them, and so keeps it alive.
    let mut made: Vec<SEXP> = vec![std::ptr::null_mut(); dictionary.len()];
    for (row, id) in ids.iter().enumerate() {
        let known = made.get(*id as usize).copied().filter(|_| *id != Column::MISSING);
        let text = match known {
            // SAFETY: reading a constant of R's, which is set before any package is loaded.
            None => unsafe { R_NaString },
            Some(text) if !text.is_null() => text,
            Some(_) => {
                let text = made_in_r(dictionary.get(*id).unwrap_or_default());
                made[*id as usize] = text;
                text
            }
        };
        // SAFETY: on R's thread; `column` is a character vector at least this long, protected by its wrapper; `text` is
        // R's own, and nothing was allocated since it was made or put into the column.
        unsafe { SET_STRING_ELT(column.get(), row as R_xlen_t, text) };
    }
}

/// One of R's own texts, not protected yet.
fn made_in_r(text: &str) -> SEXP {
    let text = crate::to_r::without_nul(text);
    // The core's exports hold no longer text, and R can hold none.
    let length = i32::try_from(text.len()).unwrap_or(i32::MAX);
    // SAFETY: on R's thread; pointer and length are those of a text that outlives the call; it holds no NUL, at which
    // R would jump out.
    unsafe { Rf_mkCharLenCE(text.as_ptr().cast::<c_char>(), length, cetype_t::CE_UTF8) }
}

/// A new vector of R's, protected by its wrapper.
fn vector(kind: Rtype, length: usize) -> Robj {
    Robj::alloc_vector(rtype_to_sxp(kind), length)
}
