//! `atshub tenant show`: what it is doing, settings, which credentials are set, what the ATS can do, and how much there is of what.

use super::{doing, grace::predecessors, policy::WITHOUT_EFFECT};
use crate::{
    ats,
    cli::{
        exit::{Ended, Exit},
        live::Live,
        session::{Session, tenant},
    },
    credentials::predecessor,
};
use atshub_actors::ports::{SealedSecret, Standing, TenantRecord};
use atshub_schemas::TenantName;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, fmt::Write};

type Counts = BTreeMap<String, u64>;

/// Shows.
pub(super) async fn run(name: &TenantName, session: &Session) -> Ended {
    let store = session.store().await?;
    let record = tenant(store.as_ref(), name).await?;
    let set = store.secrets(&format!("tenant/{name}")).await?;
    let candidacies = store.candidacy_counts(Some(name)).await?;
    let parked = store.parked_counts(Some(name)).await?;
    let entry = ats::entry(&record.ats);
    // Of all children: what stands before the platform is said by those that invite.
    let live = Live::all(store.as_ref()).await?;
    let troubles = live.troubles(&record);
    let mut value = value(&record, entry, &set, &candidacies, &parked);
    value["live"] = doing::value(live.tenant(name).as_ref());
    value["troubles"] = json!(troubles);
    value["callers"] = json!(live.doors(name).collect::<Vec<_>>());
    let now = Timestamp::now();
    let doing = |line: &mut dyn FnMut(&str, &str)| {
        troubles.iter().for_each(|trouble| line("trouble", &format!("{}: {}", trouble.code, trouble.text)));
        doing::lines(&live, name, now, line);
        live.doors(name).for_each(|callers| doing::callers(callers, now, line));
    };
    session.out.one(&text(&record, entry, &set, &[("candidacies", &candidacies), ("parked", &parked)], doing), &value)?;
    Ok(Exit::Done)
}

/// Credentials by name: those the ATS wants, and those that are set.
fn credentials<'a>(
    entry: Option<&'static ats::Entry>,
    set: &'a [SealedSecret],
) -> Vec<(&'a str, Option<&'static ats::SecretSpec>, Option<&'a SealedSecret>)> {
    let specs = entry.map_or(&[][..], |entry| entry.secrets);
    let wanted = specs.iter().map(|spec| (spec.name, Some(spec), set.iter().find(|s| s.name == spec.name)));
    let own = |s: &&SealedSecret| predecessor(&s.name).is_none() && !specs.iter().any(|spec| spec.name == s.name);
    let others = set.iter().filter(own).map(|s| (s.name.as_str(), None, Some(s)));
    wanted.chain(others).collect()
}

/// Those before a credential that are still good.
fn before<'a>(name: &str, set: &'a [SealedSecret]) -> impl Iterator<Item = (&'a SealedSecret, Timestamp)> {
    let now = Timestamp::now();
    predecessors(name, set).into_iter().filter(move |(_, until)| *until > now)
}

fn value(record: &TenantRecord, entry: Option<&'static ats::Entry>, set: &[SealedSecret], candidacies: &Counts, parked: &Counts) -> Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    let credential = |(name, spec, secret): (&str, Option<&ats::SecretSpec>, Option<&SealedSecret>)| {
        let fields = json!({
            "required": spec.is_some_and(|s| s.required),
            "fingerprint": secret.map(|s| &s.fingerprint),
            "set_at": secret.map(|s| s.set_at),
            "before": before(name, set).map(|(s, until)| json!({ "fingerprint": s.fingerprint, "good_until": until })).collect::<Vec<_>>(),
        });
        (name.to_owned(), fields)
    };
    value["credentials"] = Value::Object(credentials(entry, set).into_iter().map(credential).collect::<Map<_, _>>());
    value["capabilities"] = entry.and_then(|entry| serde_json::to_value(entry.capabilities).ok()).unwrap_or_default();
    value["candidacies"] = json!(candidacies);
    value["parked"] = json!(parked);
    value
}

fn text(
    record: &TenantRecord,
    entry: Option<&'static ats::Entry>,
    set: &[SealedSecret],
    counts: &[(&str, &Counts)],
    doing: impl FnOnce(&mut dyn FnMut(&str, &str)),
) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let _ = writeln!(text, "{name:<22} {value}");
    };
    line("tenant", record.name.as_str());
    line("ats", entry.map_or("unknown to this build", |entry| entry.name));
    line("platform", &record.platform);
    let cause = record.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
    let by_itself =
        if record.standing == Standing::Paused && !record.is_stopped_by_operator() { "the ATS is asked again" } else { "active by itself" };
    let ends = record.until.map(|at| format!("; {by_itself} at {at}")).unwrap_or_default();
    line("standing", &format!("{}{cause}{ends}", record.standing));
    line("added", &format!("{}, changed {}", record.created_at, record.updated_at));
    line("\nLIVE", "");
    doing(&mut line);
    line("\nSETTINGS", record.unreadable.as_deref().unwrap_or_default());
    if record.unreadable.is_none()
        && let Ok(Value::Object(policy)) = serde_json::to_value(&record.policy)
    {
        let known = |key: &String| !record.policy.unknown.contains_key(key);
        let says = |key: &String| known(key) && !WITHOUT_EFFECT.iter().any(|(name, _)| name == key);
        policy.iter().filter(|(key, value)| says(key) && !empty(value)).for_each(|(key, value)| setting(&mut line, key, value));
        for (key, value) in record.policy.unknown.iter() {
            line(key, &format!("{value} (not known to this release: kept, without effect)"));
        }
        for (key, why) in WITHOUT_EFFECT.iter().filter(|(key, _)| is_set(record, key)) {
            line(key, &format!("is set and has no effect: {why}"));
        }
    }
    line("\nCREDENTIALS", "");
    for (name, spec, secret) in credentials(entry, set) {
        let shown = match (secret, spec) {
            (Some(secret), _) => format!("{}…, set {}", secret.fingerprint, secret.set_at),
            (None, Some(spec)) if spec.required => format!("MISSING: {}", spec.help),
            (None, spec) => format!("not set: {}", spec.map_or("", |spec| spec.help)),
        };
        line(name, &shown);
        before(name, set).for_each(|(secret, until)| line("", &format!("{}…, the one before, is good until {until}", secret.fingerprint)));
    }
    if credentials(entry, set).is_empty() {
        line("none", "this ATS wants none");
    }
    for (title, counts) in counts {
        line(&format!("\n{}", title.to_uppercase()), if counts.is_empty() { "none" } else { "" });
        counts.iter().for_each(|(code, count)| line(code, &count.to_string()));
    }
    if let Some(Ok(Value::Object(capabilities))) = entry.map(|entry| serde_json::to_value(entry.capabilities)) {
        line("\nWHAT THE ATS CAN DO", "");
        for (name, feature) in capabilities {
            if let (Some(is), Some(how)) = (feature["is"].as_str(), feature["how"].as_str()) {
                line(&name, &format!("{is:<4} {how}"));
            }
        }
        if let Some(seconds) = entry.and_then(|entry| entry.capabilities.normal_delay_seconds) {
            line("usual delay", &format!("{seconds} s from an action in the ATS until the hub hears of it"));
        }
    }
    text.trim_end().to_owned()
}

/// Whether a tenant has a setting from another release that has no effect in this one.
fn is_set(record: &TenantRecord, key: &str) -> bool {
    match key.split_once('.') {
        Some((_, state)) => record.policy.labels.contains_key(state),
        None => record.policy.cancel_from_ats,
    }
}

fn empty(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
}

fn setting(line: &mut impl FnMut(&str, &str), key: &str, value: &Value) {
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            items.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    };
    match value {
        Value::Object(table) => table.iter().for_each(|(name, value)| line(&format!("{key}.{name}"), &plain(value))),
        other => line(key, &plain(other)),
    }
}
