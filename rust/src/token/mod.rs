//! Names, form, [`Secret`], fingerprint and scrubbing. Imports nothing of the other rooms.
//!
//! Where does a token exist? In a [`Secret`], from the look-up in `store` until the operation's end, and in
//! the one request body that `redcap` builds of it. Nowhere else, and never outside this crate: `Secret` is
//! not exported.

mod fingerprint;
mod form;
mod name;
mod scrub;
mod secret;

pub use fingerprint::Fingerprint;
pub use form::{Form, FormRule};
pub(crate) use name::{OF_KEYS, as_name, is_of_a_key, token_in_argument};
pub use name::{ShortName, TokenName, looks_like_token};
pub(crate) use scrub::{BodyWatch, Scrubber};
pub(crate) use secret::Secret;
