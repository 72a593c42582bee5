# Debug prints the token.
# file: rust/src/token/secret.rs
# guard: token::secret::tests::debug_prints_a_mask_whatever_the_token
s|f.write_str("Secret(\*\*\*\*)")|write!(f, "Secret({:?})", self.0.expose_secret())|
