//! `webhook.*`. Creating or changing one sends a ping first; a webhook that does not answer it is saved disabled. There is
//! no list.

use super::{Arguments, Refusal, Reply, refuse, results, text};
use crate::ashby::{
    Account,
    world::{Hook, fresh_id},
};
use serde_json::{Value, json};

/// A ping fails above this status.
const WORST_PING_STATUS: u16 = 400;

fn not_found() -> Refusal {
    refuse("webhook_not_found", "Webhook not found")
}

fn shape_of(hook: &Hook) -> Value {
    json!({ "id": hook.id, "enabled": hook.enabled, "requestUrl": hook.url, "secretToken": hook.secret, "webhookType": hook.kind })
}

async fn pinged(account: &Account, mut hook: Hook) -> Hook {
    let body = json!({ "action": "ping", "data": { "webhookActionType": "ping" } }).to_string();
    let answer = account.post_signed(&hook.url, hook.secret.as_deref(), body).await;
    hook.enabled = answer.is_some_and(|status| status.as_u16() <= WORST_PING_STATUS);
    hook
}

pub(super) async fn create(account: &Account, arguments: &Arguments) -> Reply {
    let (kind, url) = (text(arguments, "webhookType")?.to_owned(), text(arguments, "requestUrl")?.to_owned());
    if !url.starts_with("http") {
        return Err(refuse("invalid_input", "requestUrl must be a URL"));
    }
    let secret = arguments.get("secretToken").and_then(Value::as_str).map(str::to_owned);
    let hook = pinged(account, Hook { id: fresh_id(), kind, url, secret, enabled: false, by_hand: false }).await;
    let reply = shape_of(&hook);
    account.lock().hooks.push(hook);
    Ok(results(reply))
}

pub(super) fn info(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let id = text(arguments, "webhookId")?;
    Ok(results(shape_of(world.hooks.iter().find(|hook| hook.id == id).ok_or_else(not_found)?)))
}

pub(super) async fn update(account: &Account, arguments: &Arguments) -> Reply {
    let id = text(arguments, "webhookId")?;
    let known = account.lock().hooks.iter().find(|hook| hook.id == id).cloned();
    let mut hook = known.ok_or_else(not_found)?;
    if let Some(url) = arguments.get("requestUrl").and_then(Value::as_str) {
        url.clone_into(&mut hook.url);
    }
    if let Some(secret) = arguments.get("secretToken").and_then(Value::as_str) {
        hook.secret = Some(secret.to_owned());
    }
    let mut hook = pinged(account, hook).await;
    if arguments.get("enabled") == Some(&Value::Bool(false)) {
        hook.enabled = false;
    }
    let reply = shape_of(&hook);
    let mut world = account.lock();
    *world.hooks.iter_mut().find(|it| it.id == id).ok_or_else(not_found)? = hook;
    Ok(results(reply))
}

pub(super) fn delete(account: &Account, arguments: &Arguments) -> Reply {
    let mut world = account.lock();
    let id = text(arguments, "webhookId")?;
    let at = world.hooks.iter().position(|hook| hook.id == id).ok_or_else(not_found)?;
    world.hooks.remove(at);
    Ok(results(json!({ "webhookId": id })))
}
