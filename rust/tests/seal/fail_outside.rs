use keycap::token::Secret;

fn main() {}
