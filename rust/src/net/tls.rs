//! Whom we trust: the operating system's certificates and the institution's.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme};

use super::TrustEnv;
use crate::error::{Error, Kind, Result};
use crate::file::{self, Source, Unfit};

/// All the authorities of an operating system are a quarter of this.
const CA_FILE_CAP: u64 = 4 << 20;

/// The TLS side of a client, made once and shared by its connections.
#[derive(Clone)]
pub(super) struct Tls {
    /// The configuration: ring, TLS 1.2 and 1.3, HTTP/1.1.
    pub(super) config: ClientConfig,
    /// Why no https server can be verified on this machine, if so. Loopback http needs no certificates: a bare
    /// container can run the sandbox.
    pub(super) usable: Result<()>,
}

/// Makes the operating system's verifier, with further trusted certificates.
type Platform = fn(Vec<CertificateDer<'static>>, Arc<CryptoProvider>) -> PlatformVerifier;
type PlatformVerifier = std::result::Result<Arc<dyn ServerCertVerifier>, rustls::Error>;

impl Tls {
    /// Reads the operating system's trusted certificates and those of a CA file. To be called on the host's thread,
    /// right after `trust` was taken there: the system's verifier looks at the environment itself.
    ///
    /// # Errors
    /// `certificate` where the CA file is missing or not PEM; it names the file. Where `SSL_CERT_FILE` names a pipe or
    /// a device, which the verifier would wait for without end.
    pub(super) fn new(ca_file: Option<&Path>, trust: &TrustEnv) -> Result<Self> {
        if let Some(file) = trust.file()
            && std::fs::metadata(file).is_ok_and(|found| !found.is_file())
        {
            return Err(Error::new(Kind::Certificate, "`SSL_CERT_FILE` does not name an ordinary file")
                .hint("give it the path of a PEM file with trusted certificates, or unset it"));
        }
        Self::with(ca_file, |extra, provider| {
            Ok(Arc::new(rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)?))
        })
    }

    fn with(ca_file: Option<&Path>, platform: Platform) -> Result<Self> {
        let extra = ca_file.map_or_else(|| Ok(Vec::new()), certificates)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|_| Error::new(Kind::Internal, "this build has no TLS version to offer"))?;
        let (builder, usable) = match platform(extra, provider) {
            Ok(inner) => (builder.dangerous().with_custom_certificate_verifier(Arc::new(Verifier(inner))), Ok(())),
            Err(_) => (builder.with_root_certificates(RootCertStore::empty()), Err(nobody_trusted(ca_file))),
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config, usable })
    }
}

fn nobody_trusted(ca_file: Option<&Path>) -> Error {
    Error::new(Kind::Certificate, "this machine has no trusted certificates, so no server can prove who it is")
        .hint("install the operating system's certificates (on Debian and Ubuntu the package `ca-certificates`)")
        .hint(if ca_file.is_some() {
            "check that the certificates in `ca_file` are those of a certificate authority"
        } else {
            "or name a file with the certificates of your institution's certificate authority as `ca_file`"
        })
}

/// The certificates of a PEM file.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let failed = |what: &str| {
        Error::new(Kind::Certificate, format!("the CA file `{}` {what}", path.display()))
            .hint("`ca_file` names a PEM file: it holds one or several blocks that begin with `-----BEGIN CERTIFICATE-----`")
            .hint("ask the administrator of the REDCap server for the certificates of its certificate authority")
            .field("ca_file", path.display().to_string())
    };
    // On the host's thread, where a pipe would hang the session.
    let bytes = file::read_small(path, CA_FILE_CAP, Source::Site).map_err(|unfit| match unfit {
        Unfit::System(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            failed("may not be read by this user")
        }
        Unfit::System(_) => failed("could not be read"),
        unfit => failed(&unfit.what()),
    })?;
    let bytes = bytes.ok_or_else(|| failed("does not exist"))?;
    let found: std::result::Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let found = found.map_err(|_| failed("is damaged"))?;
    if found.is_empty() {
        return Err(failed("holds no certificate"));
    }
    // The verifier would say no more than that some certificate is bad.
    let sound = found.iter().all(|certificate| webpki::anchor_from_trusted_cert(certificate).is_ok());
    if sound { Ok(found) } else { Err(failed("holds a damaged certificate")) }
}

/// A certificate that nobody else signed.
#[derive(Debug)]
pub(super) struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the certificate is self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// The operating system's verifier. What it refuses is refused; it does not tell self-signed from unknown, which
/// have different remedies.
#[derive(Debug)]
struct Verifier(Arc<dyn ServerCertVerifier>);

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let verified = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        verified.map_err(|error| match error {
            rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
                if is_self_signed(end_entity) =>
            {
                CertificateError::Other(OtherError(Arc::new(SelfSigned))).into()
            }
            error => error,
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

fn is_self_signed(certificate: &CertificateDer<'_>) -> bool {
    webpki::EndEntityCert::try_from(certificate).is_ok_and(|certificate| certificate.issuer() == certificate.subject())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn pem() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::new(vec!["a.example".to_owned()]).unwrap().self_signed(&key).unwrap().pem()
    }

    fn refused(file: &Path) -> Error {
        Tls::new(Some(file), &TrustEnv::default()).map(|_| ()).unwrap_err()
    }

    #[test]
    fn a_ca_file_may_hold_several_certificates_and_other_text() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ca.pem");
        std::fs::write(&file, format!("the hospital's CA\n{}\nand the old one\n{}", pem(), pem())).unwrap();
        assert_eq!(certificates(&file).unwrap().len(), 2);
        assert!(Tls::new(Some(&file), &TrustEnv::default()).unwrap().usable.is_ok());
    }

    #[test]
    fn a_ca_file_that_is_missing_or_garbled_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            file
        };
        let (good, bad) = (pem(), pem().replace("BEGIN", "BEG1N"));
        let cut = &good[..good.len() - 40];
        let swapped: String =
            good.lines().map(|line| if line.starts_with('-') { line } else { "AAAA" }.to_owned() + "\n").collect();
        for (path, what) in [
            (dir.path().join("absent.pem"), "does not exist"),
            (dir.path().to_owned(), "is not an ordinary file"),
            (file("large.pem", &vec![b'\n'; (CA_FILE_CAP + 1) as usize]), "is larger than 4 MiB"),
            (file("empty.pem", b""), "holds no certificate"),
            (file("text.pem", b"no certificate here"), "holds no certificate"),
            (file("key.pem", rcgen::KeyPair::generate().unwrap().serialize_pem().as_bytes()), "holds no certificate"),
            (file("binary.pem", &[0, 255, 10, 13, 0]), "holds no certificate"),
            (file("renamed.pem", bad.as_bytes()), "holds no certificate"),
            (file("cut.pem", cut.as_bytes()), "is damaged"),
            (file("second.pem", format!("{good}\n{cut}").as_bytes()), "is damaged"),
            (file("swapped.pem", swapped.as_bytes()), "holds a damaged certificate"),
        ] {
            let error = refused(&path);
            assert_eq!(error.kind, Kind::Certificate);
            assert_eq!(error.message, format!("the CA file `{}` {what}", path.display()));
            assert_eq!(error.hints.len(), 2);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_the_place_of_the_ca_file_is_an_error_and_nobody_waits() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("ca.pem");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        for path in [fifo, "/dev/zero".into()] {
            let error = refused(&path);
            assert_eq!(error.message, format!("the CA file `{}` is not an ordinary file", path.display()));
        }
    }

    #[test]
    fn a_machine_without_certificates_can_still_make_a_client_for_loopback() {
        let tls = Tls::with(None, |_, _| Err(rustls::Error::General("none".into()))).unwrap();
        assert_eq!(tls.usable.unwrap_err().kind, Kind::Certificate);
    }

    #[test]
    fn another_word_of_the_environment_on_trusted_certificates_is_another_client() {
        let named = |file: &str| TrustEnv::of(|name| (name == "SSL_CERT_FILE").then(|| file.into()));
        let net = crate::net::Net::new();
        let settings = |trust: TrustEnv| crate::net::NetSettings { trust, ..crate::net::NetSettings::default() };
        let missing = settings(named("/nowhere.pem"));
        assert_ne!(missing, settings(TrustEnv::of(|_| None)));
        assert_ne!(missing, settings(TrustEnv::of(|name| (name == "SSL_CERT_DIR").then(|| "/nowhere.pem".into()))));
        assert!(net.client(&missing).is_ok());
        // A pipe or a device would hold the session's thread for ever.
        #[cfg(unix)]
        {
            let error = net.client(&settings(named("/dev/zero"))).map(|_| ()).unwrap_err();
            assert_eq!(error.kind, Kind::Certificate);
            assert!(error.message.contains("SSL_CERT_FILE") && !error.hints.is_empty(), "{error:?}");
        }
    }
}
