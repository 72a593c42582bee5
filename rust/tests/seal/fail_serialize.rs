#![allow(dead_code, unused_imports)]
// The room `token` as it stands in the crate: outside the crate its `Secret` cannot even be named.
#[path = "../../src/error.rs"]
mod error;
#[path = "../../src/hex.rs"]
mod hex;
#[path = "../../src/token/mod.rs"]
mod token;
#[path = "../../src/value.rs"]
mod value;

use token::{FormRule, Secret};
use zeroize::Zeroizing;

fn main() {
    let (secret, _form) = Secret::seal(Zeroizing::new(vec![b'7'; 32]), &FormRule::Redcap);
    let _text = serde_json::to_string(&secret);
}
