//! The store's address as the driver takes it, and what it means for the way there. It opens no connection.

use crate::config::{is_this_machine, unknown_parameter};
use std::{error::Error as _, net::IpAddr, str::FromStr};
use tokio_postgres::{
    Config,
    config::{Host, SslMode},
};

/// Parameters that the driver takes.
const PARAMETERS: [&str; 19] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslmode",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];
/// What other clients take, and what to use here.
const INSTEAD: [(&str, &str); 7] = [
    ("sslrootcert", "set `tls.ca_file`"),
    ("sslcert", "set `tls.cert_file`"),
    ("sslkey", "set `tls.key_file`"),
    ("sslpassword", "keep the key in `tls.key_file` without a password"),
    ("ssl", "use sslmode=require"),
    ("sslcrl", "take it away: revocation lists are not read"),
    ("gssencmode", "take it away: GSSAPI is not used"),
];
/// What libpq calls a checked certificate. `require` checks authority and name here, so these are the same.
const CHECKED: [&str; 2] = ["sslmode=verify-full", "sslmode=verify-ca"];

/// Reads it.
///
/// # Errors
/// A sentence that names what will not do, and repeats nothing that may be a password.
pub(super) fn read(url: &str) -> Result<Config, String> {
    if let Some(text) = unknown_parameter(url, &PARAMETERS, &INSTEAD) {
        return Err(text);
    }
    // The parser's own words may repeat the URL, with its password; but for this, which names a parameter.
    Config::from_str(&checked(url)).map_err(|error| match error.source().map(ToString::to_string) {
        Some(text) if text == "invalid value for option `sslmode`" => {
            "`sslmode` in the url is not understood; use require, verify-ca or verify-full, which all check the server's certificate and its name, or disable".to_owned()
        }
        Some(text) if text.starts_with("invalid value for option `") => format!("the store's url cannot be read: {text}"),
        _ => "the store's url cannot be read; use postgres://<user>[:<password>]@<host>[:<port>]/<database>".to_owned(),
    })
}

/// The machine that would be talked to in clear text, if it is another one.
///
/// # Errors
/// As [`read`].
pub fn clear_text(url: &str) -> Result<Option<String>, String> {
    let config = read(url)?;
    if config.get_ssl_mode() == SslMode::Require {
        return Ok(None);
    }
    let named = config.get_hosts().iter().enumerate().filter_map(|(at, host)| match (config.get_hostaddrs().get(at), host) {
        (Some(address), _) => Some(address.to_string()),
        (None, Host::Tcp(name)) => Some(name.clone()),
        (None, Host::Unix(_)) => None,
    });
    let beyond = config.get_hostaddrs().iter().skip(config.get_hosts().len()).map(IpAddr::to_string);
    Ok(named.chain(beyond).find(|host| !is_this_machine(host)))
}

/// With libpq's words for a checked certificate as the driver knows them.
fn checked(url: &str) -> String {
    let Some((place, query)) = url.split_once('?') else { return url.to_owned() };
    let parameters: Vec<&str> = query.split('&').map(|one| if CHECKED.contains(&one) { "sslmode=require" } else { one }).collect();
    format!("{place}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_will_not_do_is_named_with_what_to_use_and_no_password_is_repeated() {
        for (query, wanted) in [
            ("sslrootcert=/etc/ca.pem", "`sslrootcert` in the url is not taken; set `tls.ca_file`"),
            ("sslmode=require&sslcert=/c&sslkey=/k", "`sslcert` in the url is not taken; set `tls.cert_file`"),
            ("ssl=true", "use sslmode=require"),
            ("sslmod=require", "`sslmod` in the url is not taken; did you mean `sslmode`?"),
            ("pgbouncer=true", "`pgbouncer` in the url is not taken; the url may have user, password, dbname"),
            ("sslmode=allow", "`sslmode` in the url is not understood; use require"),
            ("sslmode=VERIFY-FULL", "`sslmode` in the url is not understood; use require"),
            ("connect_timeout=soon", "invalid value for option `connect_timeout`"),
            ("port=hush", "invalid value for option `port`"),
        ] {
            let error = read(&format!("postgres://hub:hush@db.example/hub?{query}")).expect_err(query);
            assert!(error.contains(wanted) && !error.contains("hush"), "{query}: {error}");
        }
        let error = read("postgres://hub:hush@db:port/hub").unwrap_err();
        assert!(error.contains("cannot be read") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn checked_certificates_have_many_names() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let config = read(&format!("postgres://hub@db.example/hub?application_name=x&sslmode={mode}")).unwrap();
            assert_eq!((config.get_ssl_mode(), config.get_application_name()), (SslMode::Require, Some("x")), "{mode}");
        }
        // A password that looks like a parameter stays what it is.
        assert_eq!(read("postgres://hub:sslmode=verify-full@db/hub").unwrap().get_password(), Some(&b"sslmode=verify-full"[..]));
    }

    #[test]
    fn every_parameter_of_the_list_is_one_that_the_driver_knows() {
        for name in PARAMETERS {
            let error = Config::from_str(&format!("postgres://db/hub?{name}=1")).err().and_then(|error| Some(error.source()?.to_string()));
            assert!(!error.as_deref().unwrap_or_default().contains("unknown option"), "{name}");
        }
    }

    #[test]
    fn clear_text_to_another_machine_is_noticed() {
        for (url, host) in [
            ("postgres://hub@db.example/hub", Some("db.example")),
            ("postgres://hub@db.example/hub?sslmode=prefer", Some("db.example")),
            ("postgres://hub@db.example/hub?sslmode=disable", Some("db.example")),
            ("postgres://hub@10.0.0.7:6432/hub", Some("10.0.0.7")),
            ("postgres://hub@127.0.0.1,db.example/hub", Some("db.example")),
            ("postgres://hub@localhost/hub?hostaddr=10.0.0.7", Some("10.0.0.7")),
            ("postgres://hub@db.example/hub?hostaddr=127.0.0.1", None),
            ("postgres://hub@db.example/hub?sslmode=require", None),
            ("postgres://hub@db.example/hub?sslmode=verify-full", None),
            ("postgres://hub@localhost/hub", None),
            ("postgres://hub@127.0.0.2/hub", None),
            ("postgres://hub@[::1]:5433/hub", None),
            ("postgres:///hub?host=/run/postgresql&user=hub", None),
            ("postgres://hub@%2Frun%2Fpostgresql/hub", None),
        ] {
            assert_eq!(clear_text(url).unwrap().as_deref(), host, "{url}");
        }
    }
}
