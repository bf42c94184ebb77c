//! What the addresses of broker and store have in common beside their scheme: parameters, and whether they name this machine.

use super::names::nearest_of;
use std::net::IpAddr;

/// The first parameter of an address that is none of the known ones, as a sentence with what would be right. No value is repeated.
pub(crate) fn unknown_parameter(url: &str, known: &[&str], instead: &[(&str, &str)]) -> Option<String> {
    let query = url.split_once("://")?.1;
    // A password may hold a question mark, and must not be taken for a parameter and named.
    let query = query.split_once('@').map_or(query, |(_, place)| place).split_once('?')?.1;
    let mut names = query.split('&').filter(|one| !one.is_empty()).map(|one| one.split('=').next().unwrap_or(one));
    let name = names.find(|name| !known.contains(name))?;
    let hint = match instead.iter().find(|(other, _)| *other == name) {
        Some((_, hint)) => (*hint).to_owned(),
        None => match nearest_of(name, known.iter().map(ToString::to_string)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the url may have {}", known.join(", ")),
        },
    };
    let name: String = name.chars().take(40).collect();
    Some(format!("`{name}` in the url is not taken; {hint}"))
}

/// Whether a host's name or address is this machine, whatever the network does.
pub(crate) fn is_this_machine(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost") || host.to_ascii_lowercase().ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names_and_addresses() {
        for host in ["localhost", "LOCALHOST", "hub.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["db.example", "localhost.example", "10.0.0.1", "0.0.0.0", "::", "127.0.0.1.example", ""] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn only_what_stands_behind_the_place_is_a_parameter() {
        let found = |url: &str| unknown_parameter(url, &["known"], &[]);
        for url in ["amqp://h", "amqp://u:a?b=c@h/v", "amqp://h/v?", "amqp://h/v?known=1&known=2", "amqp://u:p?x=1@h/v?known=@"] {
            assert_eq!(found(url), None, "{url}");
        }
        assert!(found("amqp://u:p?x=1@h/v?known=1&other=2").is_some_and(|text| text.starts_with("`other` in the url")));
        assert!(found("amqp://h/v?Known=2").is_some_and(|text| text.contains("did you mean `known`?")));
    }
}
