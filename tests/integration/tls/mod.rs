//! TLS with a private authority, which the tests make, on a broker and a store of their own that ask for the hub's certificate; and HTTPS.

use crate::support::services::{PostgresServer, RabbitNode, free_port};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// An authority, with what it has signed, in a folder.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Each has a name of its own: one of the same name and another key is no stranger, but a forger.
        params.distinguished_name.push(DnType::CommonName, format!("authority {}", uuid::Uuid::now_v7()));
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { issuer, folder: tempfile::tempdir().unwrap() };
        fs::write(authority.file("ca.pem"), authority.issuer.pem()).unwrap();
        authority.sign("server", &["localhost"], ExtendedKeyUsagePurpose::ServerAuth);
        authority.sign("guest", &[], ExtendedKeyUsagePurpose::ClientAuth);
        authority
    }

    /// Writes `<name>.pem` and `<name>.key`.
    fn sign(&self, name: &str, hosts: &[&str], purpose: ExtendedKeyUsagePurpose) {
        let hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![purpose];
        let key = KeyPair::generate().unwrap();
        fs::write(self.file(&format!("{name}.pem")), params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// Runs the binary in this folder with these variables: exit code, and what it said.
fn atshub(folder: &Path, arguments: &[&str], variables: &[(&str, &Path)]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_atshub"));
    command.env_clear().env("PATH", "/usr/bin:/bin").envs(variables.iter().copied()).current_dir(folder).args(arguments);
    let output = command.output().unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn broker_and_store_of_a_private_authority_are_reached_with_the_hubs_own_certificate() {
    let authority = Authority::new();
    let (ca, cert, key) = (authority.file("ca.pem"), authority.file("guest.pem"), authority.file("guest.key"));
    let (amqps, shown) = (free_port(), |name: &str| authority.file(name).display().to_string());
    let _node = RabbitNode::start_with(
        &format!(
            "listeners.ssl.1 = 127.0.0.1:{amqps}\nssl_options.cacertfile = {}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\nssl_cert_login_from = common_name\n\
             auth_mechanisms.1 = EXTERNAL\n",
            shown("ca.pem"),
            shown("server.pem"),
            shown("server.key")
        ),
        "[rabbitmq_auth_mechanism_ssl]",
    );
    let server = PostgresServer::start_with(|data| {
        for name in ["ca.pem", "server.pem", "server.key"] {
            fs::copy(authority.file(name), data.join(name)).unwrap();
        }
        fs::set_permissions(data.join("server.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(data.join("pg_hba.conf"), "hostssl all all 127.0.0.1/32 trust clientcert=verify-ca\n").unwrap();
        let mut settings = fs::OpenOptions::new().append(true).open(data.join("postgresql.conf")).unwrap();
        writeln!(settings, "ssl = on\nssl_ca_file = 'ca.pem'\nssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'").unwrap();
    });
    fs::write(authority.file("seal.key"), "0123456789abcdef".repeat(4)).unwrap();
    let broker = format!("amqps://localhost:{amqps}/%2f?auth_mechanism=external");
    let store = |host: &str, query: &str| format!("postgres://postgres@{host}:{}/postgres{query}", server.port());
    let checked = store("localhost", "?sslmode=verify-full");
    let run = |arguments: &[&str], store: &str, tls: &[(&str, &Path)]| {
        let seal = authority.file("seal.key");
        let addresses =
            [("ATSHUB_BROKER__URL", Path::new(&broker)), ("ATSHUB_STORE__URL", Path::new(store)), ("ATSHUB_SEAL__KEY_FILE", &seal)];
        atshub(authority.folder.path(), arguments, &[&addresses[..], tls].concat())
    };
    let all = [("ATSHUB_TLS__CA_FILE", ca.as_path()), ("ATSHUB_TLS__CERT_FILE", &cert), ("ATSHUB_TLS__KEY_FILE", &key)];
    for command in [&["config", "check"][..], &["migrate"], &["check", "store"], &["check", "broker"]] {
        let (code, said) = run(command, &checked, &all);
        assert_eq!(code, 0, "{command:?}: {said}");
        assert!(!said.contains("clear text"), "{said}");
    }
    // Without the authority, without the certificate, by a name that the server's certificate has not, without TLS.
    for (store, tls, wanted) in [
        (&checked, &[][..], "UnknownIssuer"),
        (&checked, &all[..1], "certificate"),
        (&store("127.0.0.1", "?sslmode=require"), &all[..], "not valid for name"),
        (&store("localhost", "?sslmode=prefer"), &all[..], "no encryption"),
    ] {
        let (code, said) = run(&["check", "store"], store, tls);
        assert!(code == 1 && said.contains(wanted), "{store}: {code} {said}");
    }
    for tls in [&[][..], &all[..1]] {
        let (code, said) = run(&["check", "broker"], &checked, tls);
        assert_eq!(code, 1, "{said}");
    }
    for command in [&["check", "store"][..], &["check", "broker"], &["serve"]] {
        let (code, said) = run(command, &checked, &[("ATSHUB_TLS__CA_FILE", key.as_path())]);
        assert_eq!(code, 64, "{command:?}: {said}");
        assert!(said.contains("`tls.ca_file`: ") && said.contains("holds no certificate in PEM"), "{command:?}: {said}");
    }
}

/// Answers one request after another by TLS, with JSON that is no platform's.
fn https(authority: &Authority) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let chain = vec![CertificateDer::from_pem_file(authority.file("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(authority.file("server.key")).unwrap();
    let config = Arc::new(rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), stream);
            let mut asked = [0; 4096];
            // One that does not trust the certificate goes at once.
            if stream.read(&mut asked).is_ok_and(|count| count > 0) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    port
}

#[test]
fn platforms_and_atss_of_a_private_authority_are_trusted_beside_the_systems_list_and_others_are_not() {
    let (system, own, other) = (Authority::new(), Authority::new(), Authority::new());
    let (system_list, ca_file) = (system.file("ca.pem"), own.file("ca.pem"));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "a-token").unwrap();
    for (name, authority, trusted) in [("system", &system, true), ("own", &own, true), ("other", &other, false)] {
        let url = format!("https://localhost:{}", https(authority));
        let variables = [("SSL_CERT_FILE", system_list.as_path()), ("ATSHUB_TLS__CA_FILE", &ca_file)];
        let add = ["platform", "add", name, "--kind", "karat", "--url", &url, "--token-file", "token"];
        let (code, said) = atshub(folder.path(), &add, &variables);
        assert_eq!(code, 0, "{said}");
        let (code, said) = atshub(folder.path(), &["platform", "test", name], &variables);
        assert_eq!(code, 1, "it is no platform: {said}");
        assert_eq!(!said.contains("UnknownIssuer"), trusted, "{name}: {said}");
    }
}

#[test]
fn an_address_without_tls_on_another_machine_is_taken_with_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("token"), "a-token").unwrap();
    let run = |arguments: &[&str]| {
        let (code, said) = atshub(folder.path(), arguments, &[]);
        assert_eq!(code, 0, "{said}");
        said
    };
    let add = |url: &str| run(&["platform", "add", "main", "--kind", "karat", "--url", url, "--token-file", "token"]);
    let warning = |setting: &str, host: &str| format!("warning: `{setting}`: what is sent to {host} can be read on the way");
    for (url, host) in [("http://interview.example.com", "interview.example.com"), ("http://169.254.169.254/x", "169.254.169.254")] {
        let said = add(url);
        assert!(said.contains(&warning("--url", host)), "{said}");
    }
    for url in ["https://interview.example.com", "http://127.0.0.1:9", "http://localhost:9", "http://[::1]:9"] {
        let said = add(url);
        assert!(!said.contains("warning"), "{url}: {said}");
    }
    let base = ["tenant", "add", "acme", "--ats", "ashby", "--platform", "main", "--trigger-stage", "Screen", "--set"];
    let said = run(&[&base[..], &["api_base=http://ashby.example.com"]].concat());
    assert!(said.contains(&warning("api_base", "ashby.example.com")), "{said}");
    let said = run(&["tenant", "set", "acme", "--set", "api_base=http://other.example.com"]);
    assert!(said.contains(&warning("api_base", "other.example.com")), "{said}");
    let said = run(&["tenant", "set", "acme", "--set", "api_base=https://other.example.com"]);
    assert!(!said.contains("can be read on the way"), "{said}");
}
