//! How Ashby calls us: who may (signature, partner key), and which path is what. What the calls mean is in `hook.rs` and
//! `partner.rs`.
//!
//! Ashby never sends a webhook again that was answered with 401, 403, 404, 405 or 410 (developers.ashbyhq.com,
//! docs/retries). So 401 means "you are not Ashby" and nothing else; what is missing on our side is 503.

use super::{
    entry::{APP_BASE, PARTNER_KEY, WEBHOOK_SECRET},
    hook, partner,
};
use crate::{
    ats::{Account, Call, Claim, Head, Heard, Inbound, Known, PartnerAnswer, PartnerContext, Refused},
    http::base_url,
};
use atshub_schemas::ExternalId;
use base64::Engine as _;
use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const SIGNATURE_HEADER: &str = "ashby-signature";
const SIGNATURE_PREFIX: &str = "sha256=";

/// Ashby's calls. Holds nothing: everything comes with the account.
pub(super) struct AshbyInbound;

impl Inbound for AshbyInbound {
    fn claim(&self, account: &Account, call: Call<'_>, head: Head<'_>, now: Timestamp) -> Result<Claim, Refused> {
        match call {
            Call::Hook => {
                is_set(account, WEBHOOK_SECRET)?;
                signature(head).map(|_| Claim::Signed)
            }
            Call::Partner(_) => known_partner(account, head, now).map(|()| Claim::Proven),
        }
    }

    fn signed(&self, account: &Account, _: Call<'_>, head: Head<'_>, body: &[u8], now: Timestamp) -> Result<(), Refused> {
        let given = signature(head)?;
        let fits = |secret: &SecretString| {
            Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes())
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&given).is_ok())
        };
        if account.secrets.accepted(WEBHOOK_SECRET, now).any(fits) { Ok(()) } else { Err(bad_signature()) }
    }

    fn hook(&self, account: &Account, request: &Known, now: Timestamp) -> Result<Heard, Refused> {
        let body = json(request.body())?;
        hook::heard(account, &app_base(account)?, request.body(), &body, now)
    }

    fn partner_needs_roles(&self, path: &str) -> Option<bool> {
        match path {
            partner::LIST | partner::START => Some(true),
            partner::CANCEL => Some(false),
            _ => None,
        }
    }

    fn partner_application(&self, path: &str, request: &Known) -> Option<ExternalId> {
        (path == partner::START).then(|| partner::application(&serde_json::from_slice(request.body()).ok()?))?
    }

    fn partner(
        &self,
        account: &Account,
        path: &str,
        request: &Known,
        context: PartnerContext<'_>,
        now: Timestamp,
    ) -> Result<PartnerAnswer, Refused> {
        let body = if request.body().is_empty() { Value::Object(serde_json::Map::new()) } else { json(request.body())? };
        match path {
            partner::LIST => Ok(partner::list(account, context)),
            partner::START => Ok(partner::start(account, &app_base(account)?, &body, context, now)),
            partner::CANCEL => Ok(partner::cancel(account, &body, now)),
            _ => Err(Refused {
                status: 404,
                code: "unknown_partner_call",
                detail: "there is no such partner call".into(),
                next_step: format!("use one of {}, {}, {}", partner::LIST, partner::START, partner::CANCEL),
            }),
        }
    }
}

/// `Ashby-Signature: sha256=<hex of HMAC-SHA256 over the body>`.
fn signature(head: Head<'_>) -> Result<[u8; 32], Refused> {
    let hex = head.header(SIGNATURE_HEADER).and_then(|value| value.trim().strip_prefix(SIGNATURE_PREFIX));
    hex.and_then(|hex| hex::decode(hex).ok()?.try_into().ok()).ok_or_else(bad_signature)
}

fn bad_signature() -> Refused {
    unknown_sender("bad_signature", "the signature is missing or does not fit the body", WEBHOOK_SECRET)
}

/// The partner key as Basic user name or as Bearer token: Ashby's specification declares Basic for the whole API, and does not
/// confirm it for the calls that Ashby makes.
fn known_partner(account: &Account, head: Head<'_>, now: Timestamp) -> Result<(), Refused> {
    is_set(account, PARTNER_KEY)?;
    let given = head.header("authorization").and_then(|value| value.trim().split_once(' ')).and_then(|(scheme, value)| match scheme {
        scheme if scheme.eq_ignore_ascii_case("bearer") => Some(value.trim().as_bytes().to_vec()),
        scheme if scheme.eq_ignore_ascii_case("basic") => {
            let pair = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
            pair.split(|byte| *byte == b':').next().map(<[u8]>::to_vec)
        }
        _ => None,
    });
    // Compared as digests, so that not even the length can be learnt from the time it takes.
    let same = |given: &[u8], key: &SecretString| bool::from(Sha256::digest(given).ct_eq(&Sha256::digest(key.expose_secret())));
    let good = given.is_some_and(|given| account.secrets.accepted(PARTNER_KEY, now).any(|key| same(&given, key)));
    if good { Ok(()) } else { Err(unknown_sender("bad_partner_key", "the partner key is missing or wrong", PARTNER_KEY)) }
}

fn is_set(account: &Account, secret: &'static str) -> Result<(), Refused> {
    account.secrets.get(secret).map(drop).ok_or_else(|| unset(account, secret))
}

/// Without the secret no sender can be known as Ashby. One that is set and cannot be opened is not called unset: the cause is another.
fn unset(account: &Account, secret: &'static str) -> Refused {
    let unset = || format!("tenant `{}` has no `{secret}`, so nobody can be known as Ashby", account.tenant);
    Refused {
        status: 503,
        code: "secret_not_set",
        detail: account.secrets.need(secret, unset).err().unwrap_or_default(),
        next_step: format!("set `{secret}` with `atshub tenant set-key`; what Ashby sends again until then is taken"),
    }
}

fn unknown_sender(code: &'static str, detail: &str, secret: &str) -> Refused {
    Refused { status: 401, code, detail: detail.into(), next_step: format!("make `{secret}` the same here and in Ashby") }
}

fn json(body: &[u8]) -> Result<Value, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused {
        status: 400,
        code: "undecodable_body",
        detail: atshub_schemas::text::flaw(body, &error).map_or_else(
            || format!("the body is not JSON (line {}, column {})", error.line(), error.column()),
            |flaw| format!("the body is not JSON that can be read: {flaw}"),
        ),
        next_step: "send the JSON that Ashby's documentation describes".into(),
    })
}

fn app_base(account: &Account) -> Result<Url, Refused> {
    base_url(account.setting(&APP_BASE)).map_err(|error| Refused {
        status: 503,
        code: "setting_unusable",
        detail: format!("the setting `{}` of tenant `{}` {error}", APP_BASE.key, account.tenant),
        next_step: format!("correct `{}` of the tenant", APP_BASE.key),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        credentials::{Sealer, Secrets},
        http::{Http, Options},
    };
    use std::{collections::BTreeMap, sync::Arc};

    #[tokio::test]
    async fn a_signature_is_hex_of_hmac_sha256_over_the_raw_body() {
        // printf '%s' '{"action":"ping"}' | openssl dgst -sha256 -hmac secret
        let signature = "189d1d212deae0d85ff95d0f13aaa4d55573d4ff7ae5c8d50dde602ceefcec05";
        let account = Account {
            tenant: "acme".parse().unwrap(),
            policy: Arc::default(),
            secrets: Secrets::new(BTreeMap::from([(WEBHOOK_SECRET.to_owned(), "secret".into())])),
            http: Http::new(tokio::runtime::Handle::current(), Options::default()).unwrap(),
        };
        let headers = [(SIGNATURE_HEADER.to_owned(), format!("sha256={signature}"))];
        let sent = |body: &[u8]| {
            let (headers, now) = (headers.to_vec(), Timestamp::UNIX_EPOCH);
            let known = Known::authenticate(&AshbyInbound, &account, Call::Hook, headers, body.to_vec(), now)?;
            AshbyInbound.hook(&account, &known, now)
        };
        assert!(matches!(sent(br#"{"action":"ping"}"#), Ok(Heard::Nothing(_))));
        assert_eq!(sent(br#"{"action": "ping"}"#).unwrap_err().status, 401);
    }

    #[tokio::test]
    async fn a_secret_that_cannot_be_opened_is_not_said_to_be_unset() {
        let other = Sealer::forgetful();
        let sealed = [WEBHOOK_SECRET, PARTNER_KEY].map(|name| other.seal("tenant/acme", name, "secret").unwrap());
        let account = |secrets| Account {
            tenant: "acme".parse().unwrap(),
            policy: Arc::default(),
            secrets,
            http: Http::new(tokio::runtime::Handle::current(), Options::default()).unwrap(),
        };
        for (secrets, words) in
            [(Sealer::forgetful().open_each(&sealed), "was sealed with another key"), (Secrets::default(), "has no `webhook_secret`")]
        {
            let refused = is_set(&account(secrets.clone()), WEBHOOK_SECRET).unwrap_err();
            assert!(refused.status == 503 && refused.detail.contains(words), "{refused:?}");
        }
        assert!(is_set(&account(Sealer::forgetful().open_each(&sealed)), PARTNER_KEY).unwrap_err().detail.contains("another key"));
    }
}
