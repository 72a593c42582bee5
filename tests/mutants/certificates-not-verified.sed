# Any certificate is good.
# file: rust/src/net/tls.rs
# guard: net::tests::certificates::a_certificate_of_an_unknown_ca_has_its_own_message
s|let verified = self.0.verify_server_cert(\(.*\));|let verified = self.0.verify_server_cert(\1).or(Ok(ServerCertVerified::assertion()));|
