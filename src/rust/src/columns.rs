//! Columns of texts, through R's own interface: each distinct text is made once and then pointed to, which takes
//! a few nanoseconds an element where extendr's wrappers take a hundred.

use extendr_api::prelude::*;
use extendr_ffi::{R_NaString, R_xlen_t, SET_STRING_ELT, STRING_ELT};
use keycap::Column;

/// A character vector from ids into a dictionary; an id past its end stands for `NA`, as [`Column::MISSING`] does.
pub(crate) fn texts(ids: &[u32], dictionary: &[String]) -> Robj {
    let distinct = Strings::from_values(dictionary.iter().map(|text| crate::to_r::without_nul(text)));
    let column = Strings::new(ids.len());
    for (row, id) in ids.iter().enumerate() {
        // SAFETY: on R's thread; `row` is below the length of `column` by construction, the index below the length
        // of `distinct` by the check; both vectors are protected by their wrappers; neither call allocates.
        unsafe {
            let text = if (*id as usize) < dictionary.len() && *id != Column::MISSING {
                STRING_ELT(distinct.get(), *id as R_xlen_t)
            } else {
                R_NaString
            };
            SET_STRING_ELT(column.get(), row as R_xlen_t, text);
        }
    }
    column.into()
}
