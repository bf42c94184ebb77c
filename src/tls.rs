//! What TLS connections to other machines stand on: the system's roots, an authority of the operator's own, and this hub's certificate.
//! Read once, at the start; a file that will not do is refused there, and not found out at the first connection.

use crate::config;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use std::path::Path;

/// Largest file that is read, in bytes: more than a system's whole list of roots.
const MAX_FILE: u64 = 8 * 1024 * 1024;

/// What TLS connections stand on. By default the system's roots alone.
#[derive(Default)]
pub struct Tls {
    authorities: Vec<CertificateDer<'static>>,
    own: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

/// Why the settings of a section `[tls]` will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {text}")]
pub struct TlsError {
    /// Which setting.
    pub key: &'static str,
    /// What is wrong, and what would be right.
    pub text: String,
}

impl Clone for Tls {
    fn clone(&self) -> Self {
        let own = self.own.as_ref().map(|(chain, key)| (chain.clone(), key.clone_key()));
        Self { authorities: self.authorities.clone(), own }
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("authorities", &self.authorities.len()).field("own", &self.own.is_some()).finish()
    }
}

impl Tls {
    /// Reads the files that are set.
    ///
    /// # Errors
    /// [`TlsError`]: a file that is missing, empty or something else, a certificate without its key, or with another one.
    pub fn read(settings: &config::Tls) -> Result<Self, TlsError> {
        let (ca, cert, key) = (&settings.ca_file, &settings.cert_file, &settings.key_file);
        let is_set = |path: &Path| !path.as_os_str().is_empty();
        let mut tls = Self::default();
        if is_set(ca) {
            tls.authorities = certificates("tls.ca_file", ca)?;
            let mut roots = RootCertStore::empty();
            for authority in &tls.authorities {
                roots.add(authority.clone()).map_err(|error| {
                    wrong(
                        "tls.ca_file",
                        format!(
                            "`{}` holds a certificate that cannot be used ({error}); put the authority's certificate there, in PEM",
                            ca.display()
                        ),
                    )
                })?;
            }
        }
        match (is_set(cert), is_set(key)) {
            (false, false) => {}
            (true, false) => return Err(wrong("tls.key_file", "is not set, and `tls.cert_file` is; set both or neither".to_owned())),
            (false, true) => return Err(wrong("tls.cert_file", "is not set, and `tls.key_file` is; set both or neither".to_owned())),
            (true, true) => {
                let chain = certificates("tls.cert_file", cert)?;
                let bytes = content("tls.key_file", key)?;
                let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| {
                    wrong(
                        "tls.key_file",
                        format!("`{}` holds no private key in PEM (PKCS#8, PKCS#1 or SEC1, without a password)", key.display()),
                    )
                })?;
                tls.own = Some((chain, private));
                tls.with_roots(RootCertStore::empty()).map_err(|cause| {
                    wrong(
                        "tls.key_file",
                        format!("`{}` does not belong to the certificate in `{}`: {cause}", key.display(), cert.display()),
                    )
                })?;
            }
        }
        Ok(tls)
    }

    /// The authorities beside the system's.
    #[must_use]
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// What a connection needs whose other side proves who it is, and to which this hub shows its certificate, if it has one.
    ///
    /// # Errors
    /// A sentence, if there are no roots at all.
    pub fn client(&self) -> Result<ClientConfig, String> {
        let mut roots = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs();
        if let Some(error) = found.errors.first() {
            tracing::warn!(count = found.errors.len(), %error, "some of the system's root certificates cannot be read");
        }
        roots.add_parsable_certificates(found.certs);
        roots.add_parsable_certificates(self.authorities.iter().cloned());
        if roots.is_empty() {
            return Err("no root certificates were found; install the system's (ca-certificates), or set `tls.ca_file`".to_owned());
        }
        self.with_roots(roots)
    }

    fn with_roots(&self, roots: RootCertStore) -> Result<ClientConfig, String> {
        // The first one to be installed stays; every part of the hub installs this one.
        let _already = rustls::crypto::ring::default_provider().install_default();
        let builder = ClientConfig::builder().with_root_certificates(roots);
        match &self.own {
            None => Ok(builder.with_no_client_auth()),
            Some((chain, key)) => builder.with_client_auth_cert(chain.clone(), key.clone_key()).map_err(|error| error.to_string()),
        }
    }
}

/// What libraries say of a connection that does not come about: a piece of it, how much of it a person is told, and what to do.
const WORDS: [(&str, &str, &str); 10] = [
    ("UnknownIssuer", "UnknownIssuer", "its authority is not in the system's list: put that authority's certificate into `tls.ca_file`"),
    (
        "BadSignature",
        "BadSignature",
        "an authority of that name is trusted, but its key is another: put its newest certificate into `tls.ca_file`",
    ),
    // Without the times that follow: they would make a new line of the log each time.
    ("certificate expired", "certificate expired", "renew it at the other side; if it is new, set the clock here"),
    ("certificate not valid yet", "certificate not valid yet", "set the clocks here and where it was issued"),
    (
        "UnsupportedCertVersion",
        "UnsupportedCertVersion",
        "it is of an old kind: issue it anew, X.509 version 3 with the host in subjectAltName",
    ),
    ("CertificateRequired", "CertificateRequired", "the other side asks for a certificate: set `tls.cert_file` and `tls.key_file`"),
    ("InvalidContentType", "InvalidContentType", "the other side speaks no TLS there: is it the port for clear text?"),
    ("ParserErrors", "not AMQP", "is it the port for TLS? use amqps:// then"),
    (
        "tls handshake eof",
        "tls handshake eof",
        "the other side ended the handshake: it may speak older versions than TLS 1.2 alone, or ask for a certificate (`tls.cert_file`)",
    ),
    ("without sending TLS close_notify", "without a word", "it may ask for a certificate (`tls.cert_file`), or be about to stop"),
];

/// An error of a connection with what to do, where a library's words do not say it.
#[must_use]
pub fn explained(said: &str) -> String {
    let found = WORDS.iter().find_map(|(piece, told, hint)| said.split_once(piece).map(|(before, _)| format!("{before}{told}; {hint}")));
    found.unwrap_or_else(|| said.to_owned())
}

fn wrong(key: &'static str, text: String) -> TlsError {
    TlsError { key, text }
}

fn content(key: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    let cannot = |error: std::io::Error| wrong(key, format!("`{}` cannot be read: {error}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_FILE + 1), &mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(wrong(key, format!("`{}` is larger than {MAX_FILE} bytes", path.display())));
    }
    Ok(bytes)
}

/// At least one, and nothing between its first and last line that is none.
fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let bytes = content(key, path)?;
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        Ok(_) => Err(wrong(key, format!("`{}` holds no certificate in PEM; it begins with -----BEGIN CERTIFICATE-----", path.display()))),
        Err(error) => Err(wrong(key, format!("`{}` is not right PEM ({error}); copy the certificate anew", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    struct Files(tempfile::TempDir);

    impl Files {
        fn with(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
            let path = self.0.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        }
    }

    fn pair(name: &str) -> (String, String) {
        let own = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (own.cert.pem(), own.signing_key.serialize_pem())
    }

    #[test]
    fn what_libraries_say_is_told_with_what_to_do_and_the_same_each_time() {
        let name = rustls::pki_types::ServerName::try_from("db.example").unwrap().to_owned();
        let time = |seconds| rustls::pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let of = |error: rustls::CertificateError| explained(&format!("connect: {}", rustls::Error::InvalidCertificate(error)));
        let expired = |now| of(rustls::CertificateError::ExpiredContext { time: time(now), not_after: time(1) });
        assert!(
            expired(100).ends_with("certificate expired; renew it at the other side; if it is new, set the clock here"),
            "{}",
            expired(100)
        );
        assert_eq!(expired(100), expired(101));
        assert!(of(rustls::CertificateError::UnknownIssuer).contains("connect: invalid peer certificate: UnknownIssuer; its authority"));
        let early = of(rustls::CertificateError::NotValidYetContext { time: time(1), not_before: time(9) });
        assert!(early.contains("not valid yet; set the clocks"), "{early}");
        let named = of(rustls::CertificateError::NotValidForNameContext { expected: name, presented: vec!["other".into()] });
        assert!(named.contains("not valid for name") && named.contains("other"), "that says enough: {named}");
        let alert = explained(&rustls::Error::AlertReceived(rustls::AlertDescription::CertificateRequired).to_string());
        assert!(alert.contains("set `tls.cert_file`"), "{alert}");
        let plain = explained(&rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType).to_string());
        assert!(plain.contains("is it the port for clear text?"), "{plain}");
        assert_eq!(explained("connection refused"), "connection refused");
    }

    #[test]
    fn what_will_not_do_is_refused_with_its_setting_and_file() {
        let files = Files(tempfile::tempdir().unwrap());
        let ((cert, key), (_, other_key)) = (pair("a.example"), pair("b.example"));
        let damaged = cert.replacen('\n', "\n!", 2);
        let (good, good_key) = (files.with("cert.pem", &cert), files.with("key.pem", &key));
        let no_certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let none = PathBuf::new;
        for (ca, cert, key, setting, wanted) in [
            ("/nowhere/ca.pem".into(), none(), none(), "tls.ca_file", "cannot be read: No such file"),
            (files.0.path().to_owned(), none(), none(), "tls.ca_file", "cannot be read: Is a directory"),
            (files.with("empty", ""), none(), none(), "tls.ca_file", "holds no certificate in PEM"),
            (files.with("rubbish", "rubbish\n"), none(), none(), "tls.ca_file", "holds no certificate in PEM"),
            (files.with("damaged", damaged), none(), none(), "tls.ca_file", "is not right PEM"),
            (files.with("other", no_certificate), none(), none(), "tls.ca_file", "cannot be used"),
            (good_key.clone(), none(), none(), "tls.ca_file", "holds no certificate in PEM"),
            (none(), good.clone(), none(), "tls.key_file", "set both or neither"),
            (none(), none(), good_key.clone(), "tls.cert_file", "set both or neither"),
            (none(), good.clone(), good.clone(), "tls.key_file", "holds no private key in PEM"),
            (none(), good.clone(), "/nowhere/key.pem".into(), "tls.key_file", "cannot be read"),
            (none(), good_key.clone(), good_key.clone(), "tls.cert_file", "holds no certificate in PEM"),
            (none(), good.clone(), files.with("other-key", other_key), "tls.key_file", "does not belong to the certificate"),
        ] {
            let settings = config::Tls { ca_file: ca, cert_file: cert, key_file: key };
            let error = Tls::read(&settings).expect_err(wanted);
            assert!(error.key == setting && error.text.contains(wanted), "{error}");
        }
        let all = config::Tls { ca_file: files.with("bom", format!("\u{feff}{cert}{cert}")), cert_file: good, key_file: good_key };
        let tls = Tls::read(&all).unwrap();
        assert_eq!((tls.authorities().len(), tls.own.is_some()), (2, true));
        assert!(!format!("{tls:?}").contains("BEGIN"));
    }
}
