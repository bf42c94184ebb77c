//! Webhooks: envelope, signature, and Ashby's rules for trying again. Order is not kept, as Ashby does not document any.

use super::{Account, world::World};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{StatusCode, header};
use serde_json::{Value, json};
use sha2::Sha256;
use std::sync::Arc;

/// How often one webhook is sent at most.
pub(crate) const MAX_ATTEMPTS: u32 = 10;
/// Webhooks that are under way at the same time; the rest queue.
pub(crate) const PARALLEL: usize = 64;
/// After these answers Ashby never tries again.
const FINAL: [u16; 5] = [401, 403, 404, 405, 410];

/// What became of the webhooks so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Under way or waiting for the next attempt.
    pub pending: usize,
    /// Attempts made.
    pub attempts: usize,
    /// Answered 2xx.
    pub delivered: usize,
    /// Answered with a status after which there is no second attempt: lost.
    pub refused: usize,
    /// Tried as often as allowed: lost.
    pub gave_up: usize,
}

impl Deliveries {
    /// Webhooks that nobody will send again.
    #[must_use]
    pub fn lost(self) -> usize {
        self.refused + self.gave_up
    }
}

/// `Ashby-Signature` for a body.
pub(crate) fn signature(secret: &str, body: &[u8]) -> Option<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
    mac.update(body);
    Some(format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
}

/// The wait after the `attempt`-th failure, in units of ten seconds.
pub(crate) fn units_before_retry(attempt: u32) -> u32 {
    2_u32.saturating_pow(attempt) - 1
}

enum Outcome {
    Delivered,
    Refused,
    Failed,
}

impl Account {
    /// Sends the related events of one act, all with one `webhookActionId`, and returns that. Events about an application
    /// that the recruiter caused are remembered for [`Account::repeat_last_webhook`].
    pub(crate) fn emit(&self, world: &mut World, about: Option<&str>, events: Vec<(&'static str, Value)>) -> String {
        let action_id = super::world::fresh_id();
        let bodies: Vec<_> = events
            .into_iter()
            .map(|(action, data)| (action, json!({ "webhookActionId": action_id, "action": action, "data": data }).to_string()))
            .collect();
        self.send(world, &bodies);
        if let Some(application) = about.and_then(|id| world.applications.get_mut(id)) {
            application.last_hooks = bodies;
        }
        action_id
    }

    pub(crate) fn send(&self, world: &World, bodies: &[(&'static str, String)]) {
        for (action, body) in bodies {
            let body: Arc<str> = body.as_str().into();
            for hook in world.hooks.iter().filter(|hook| hook.enabled && hook.kind == *action) {
                self.inner.deliveries.send_modify(|it| it.pending += 1);
                let (account, hook, body) = (self.clone(), hook.id.clone(), Arc::clone(&body));
                self.inner.runtime.spawn(async move {
                    let mut closing = account.inner.closing.subscribe();
                    tokio::select! {
                        () = account.deliver(&hook, &body) => {}
                        _ = closing.wait_for(|closing| *closing) => {}
                    }
                    account.inner.deliveries.send_modify(|it| it.pending -= 1);
                });
            }
        }
    }

    async fn deliver(&self, hook: &str, body: &str) {
        for attempt in 1..=MAX_ATTEMPTS {
            // Looked up each time: an administrator may have changed or removed it meanwhile.
            let Some((url, secret)) = self.target(hook) else { return };
            let outcome = {
                let _place = self.inner.sending.acquire().await;
                self.inner.deliveries.send_modify(|it| it.attempts += 1);
                self.post_hook(&url, secret.as_deref(), body).await
            };
            match outcome {
                Outcome::Delivered => return self.inner.deliveries.send_modify(|it| it.delivered += 1),
                Outcome::Refused => return self.inner.deliveries.send_modify(|it| it.refused += 1),
                Outcome::Failed if attempt < MAX_ATTEMPTS => {
                    tokio::time::sleep(self.inner.options.retry_unit.saturating_mul(units_before_retry(attempt))).await;
                }
                Outcome::Failed => {}
            }
        }
        self.inner.deliveries.send_modify(|it| it.gave_up += 1);
    }

    fn target(&self, hook: &str) -> Option<(String, Option<String>)> {
        let world = self.lock();
        let hook = world.hooks.iter().find(|it| it.id == hook && it.enabled)?;
        Some((hook.url.clone(), hook.secret.clone()))
    }

    async fn post_hook(&self, url: &str, secret: Option<&str>, body: &str) -> Outcome {
        match self.post_signed(url, secret, body.to_owned()).await {
            Some(status) if status.is_success() => Outcome::Delivered,
            Some(status) if FINAL.contains(&status.as_u16()) => Outcome::Refused,
            Some(_) | None => Outcome::Failed,
        }
    }

    /// One attempt; `None` is a time-out or no connection.
    pub(crate) async fn post_signed(&self, url: &str, secret: Option<&str>, body: String) -> Option<StatusCode> {
        let mut request = self.inner.client.post(url).header(header::CONTENT_TYPE, "application/json");
        if let Some(signature) = secret.and_then(|secret| signature(secret, body.as_bytes())) {
            request = request.header("Ashby-Signature", signature);
        }
        request.timeout(self.inner.options.hook_timeout).body(body).send().await.ok().map(|answer| answer.status())
    }

    /// What became of the webhooks so far.
    #[must_use]
    pub fn deliveries(&self) -> Deliveries {
        *self.inner.deliveries.borrow()
    }

    /// Waits until no webhook is under way or waits for another attempt.
    pub async fn wait_until_idle(&self) {
        let mut deliveries = self.inner.deliveries.subscribe();
        // An error means that the simulator is gone, and then nothing is under way.
        let _ended = deliveries.wait_for(|it| it.pending == 0).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_between_attempts_are_those_of_the_documentation() {
        let seconds: Vec<_> = (1..=4).map(|attempt| units_before_retry(attempt) * 10).collect();
        assert_eq!(seconds, [10, 30, 70, 150]);
    }

    #[test]
    fn the_signature_is_lower_case_hex_of_hmac_sha256_over_the_raw_body() {
        // Computed with: printf '%s' '{"action":"ping"}' | openssl dgst -sha256 -hmac secret
        let expected = "sha256=189d1d212deae0d85ff95d0f13aaa4d55573d4ff7ae5c8d50dde602ceefcec05";
        assert_eq!(signature("secret", br#"{"action":"ping"}"#).unwrap(), expected);
    }
}
