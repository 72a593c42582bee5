use keycap::token::Fingerprint;

fn main() {
    let _ = std::mem::size_of::<Fingerprint>();
}
