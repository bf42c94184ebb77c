//! The broker's address as the client takes it, and what it means for the way there. It opens no connection.

use crate::config::{is_this_machine, unknown_parameter};
use lapin::uri::{AMQPScheme, AMQPUri};

/// Parameters that the client takes.
const PARAMETERS: [&str; 5] = ["heartbeat", "channel_max", "frame_max", "connection_timeout", "auth_mechanism"];
/// What other clients take, and what to use here.
const INSTEAD: [(&str, &str); 8] = [
    ("cacertfile", "set `tls.ca_file`"),
    ("certfile", "set `tls.cert_file`"),
    ("keyfile", "set `tls.key_file`"),
    ("password", "keep the key in `tls.key_file` without a password"),
    ("verify", "take it away: with amqps:// the broker's certificate and its name are always checked"),
    ("fail_if_no_peer_cert", "take it away: with amqps:// the broker's certificate and its name are always checked"),
    ("server_name_indication", "take it away: the name of the url is the one that is checked"),
    ("depth", "take it away: certificates are checked whatever the length of their chain"),
];

/// Reads it.
///
/// # Errors
/// A sentence that names what will not do, and repeats nothing that may be a password.
pub(super) fn read(url: &str) -> Result<AMQPUri, String> {
    if let Some(text) = unknown_parameter(url, &PARAMETERS, &INSTEAD) {
        return Err(text);
    }
    let mut uri: AMQPUri = url.parse().map_err(|cause| format!("the broker's address is not understood: {cause}"))?;
    // The client's own parser takes a numeric IPv6 address for no host at all, and so for this machine.
    if let Some(host) = ipv6(url) {
        uri.authority.host = host.to_owned();
    }
    Ok(uri)
}

/// The machine that would be talked to in clear text, if it is another one.
///
/// # Errors
/// As [`read`].
pub fn clear_text(url: &str) -> Result<Option<String>, String> {
    let uri = read(url)?;
    Ok((uri.scheme == AMQPScheme::AMQP && !is_this_machine(&uri.authority.host)).then_some(uri.authority.host))
}

fn ipv6(url: &str) -> Option<&str> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    authority.rsplit('@').next()?.strip_prefix('[')?.split_once(']').map(|(host, _)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_will_not_do_is_named_with_what_to_use_and_no_password_is_repeated() {
        for (query, wanted) in [
            ("cacertfile=/etc/ca.pem", "`cacertfile` in the url is not taken; set `tls.ca_file`"),
            ("heartbeat=5&certfile=/c", "`certfile` in the url is not taken; set `tls.cert_file`"),
            ("keyfile=/k&certfile=/c", "`keyfile` in the url is not taken; set `tls.key_file`"),
            ("verify=verify_none", "`verify` in the url is not taken; take it away"),
            ("heartbit=5", "`heartbit` in the url is not taken; did you mean `heartbeat`?"),
            ("foo=bar", "`foo` in the url is not taken; the url may have heartbeat, channel_max"),
            ("heartbeat=soon", "the broker's address is not understood: invalid digit"),
            ("auth_mechanism=kerberos", "Invalid SASL mechanism"),
        ] {
            let error = read(&format!("amqps://hub:hush@rabbit.example/hub?{query}")).expect_err(query);
            assert!(error.contains(wanted) && !error.contains("hush"), "{query}: {error}");
        }
        let uri = read("amqps://hub:hush@rabbit.example/hub?heartbeat=5&auth_mechanism=external").unwrap();
        assert_eq!((uri.query.heartbeat, uri.authority.port), (Some(5), 5671));
    }

    #[test]
    fn a_numeric_address_is_the_host_that_is_connected_to() {
        for (url, host, port) in [
            ("amqp://hub:p@[2001:db8::7]:5673/v", "2001:db8::7", 5673),
            ("amqps://[::1]", "::1", 5671),
            ("amqp://10.0.0.7/v", "10.0.0.7", 5672),
            ("amqp://hub:p@rabbit/[v]", "rabbit", 5672),
        ] {
            let uri = read(url).unwrap();
            assert_eq!((uri.authority.host.as_str(), uri.authority.port), (host, port), "{url}");
        }
    }

    #[test]
    fn clear_text_to_another_machine_is_noticed() {
        for (url, host) in [
            ("amqp://hub:p@rabbit.example/hub", Some("rabbit.example")),
            ("amqp://rabbit", Some("rabbit")),
            ("amqp://hub:p@[2001:db8::7]/hub", Some("2001:db8::7")),
            ("amqps://hub:p@rabbit.example/hub", None),
            ("amqp://hub:p@localhost:5672/hub", None),
            ("amqp://hub:p@127.0.0.1/hub", None),
            ("amqp://hub:p@[::1]/hub", None),
        ] {
            assert_eq!(clear_text(url).unwrap().as_deref(), host, "{url}");
        }
    }
}
