//! From what an operator types as the account's address to the address that is called.

use crate::http::base_url;
use reqwest::Url;

/// Where the API is on every Karat site.
const PATH: &str = "/api/v1/graphql";

/// Takes the site (`https://acme.karat.io`) or the whole endpoint.
///
/// # Errors
/// A fragment that finishes "the url …".
pub(super) fn endpoint(value: &str) -> Result<Url, String> {
    let mut url = base_url(value)?;
    let path = url.path().trim_end_matches('/').to_owned();
    match path.as_str() {
        "" => url.set_path(PATH),
        path if path.ends_with("/graphql") => url.set_path(path),
        _ => return Err(format!("has another path than {PATH}; give the site alone, for example https://acme.karat.io")),
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_and_a_whole_endpoint_come_to_the_same() {
        let table = [
            ("https://acme.karat.io", "https://acme.karat.io/api/v1/graphql"),
            ("https://acme.karat.io/", "https://acme.karat.io/api/v1/graphql"),
            (" https://acme.karat.io/api/v1/graphql/ ", "https://acme.karat.io/api/v1/graphql"),
            ("http://acme.localtest.me:3000", "http://acme.localtest.me:3000/api/v1/graphql"),
            ("http://127.0.0.1:8080/sim/api/v1/graphql", "http://127.0.0.1:8080/sim/api/v1/graphql"),
        ];
        for (value, expected) in table {
            assert_eq!(endpoint(value).map(String::from), Ok(expected.to_owned()), "{value}");
        }
    }

    #[test]
    fn an_address_that_cannot_be_the_api_is_refused() {
        for value in ["acme", "https://acme.karat.io/roles", "https://acme.karat.io/api/v1", "https://a:b@acme.karat.io", "file:///graphql"]
        {
            assert!(endpoint(value).is_err(), "{value}");
        }
    }
}
