//! `--set key=value`: which keys there are, and what their values mean. The keys of a connector come from its registry row.

use crate::{ats::Entry, cli::exit::Stop, cli::key_input, config::nearest};
use atshub_actors::domain::{Policy, RecruiterSource};
use atshub_schemas::{
    Line,
    text::{names_id, trimmed},
};

/// Keys of the policy that take one value, and what they mean.
pub(super) const PLAIN: [(&str, &str); 7] = [
    ("status_field", "name of the ATS's custom field that shows the status"),
    ("role_field", "name of the job's custom field that names the platform's role"),
    ("platform_name", "name of the platform in the words that recruiters read"),
    ("recruiter_from", "where the recruiter is taken from, in the order tried: candidate, grader, job"),
    ("invited_note", "whether a note with the link is added when the candidate was invited: true or false"),
    ("sandbox", "nobody depends on this tenant, so drills may make faults here: true or false"),
    ("prefetch", "most messages of this tenant in hand at once: 1 to 1000"),
];
/// Keys of the policy that are tables, with what stands behind the full stop, and what they mean.
pub(super) const TABLES: [(&str, &str, &str); 3] = [
    ("roles", "<job id or title, or *>", "the platform's role for a job, by id or name"),
    ("labels", "<state>", "the words that the status field shows for a state"),
    ("trigger_stages_by_job", "<job id>", "the stages that mean \"invite\" for one job, with commas between, in place of --trigger-stage"),
];
/// Settings that tenants may have from another release, and that have no effect in this one: read, kept and taken back, and refused with
/// this where they are set anew.
pub(super) const WITHOUT_EFFECT: [(&str, &str); 5] = [
    (
        "cancel_from_ats",
        "no platform of this version can cancel an interview: the recruiter is told, in the ATS, where it can be cancelled",
    ),
    ("labels.inviting", "nothing is written into the ATS while the platform is being asked"),
    ("labels.refused", "the status field shows why the invite was refused, in words that are the same for all"),
    ("labels.timed_out", "no candidacy comes to this state in this version: there is no clock for it yet"),
    ("labels.no_show", "no candidacy comes to this state in this version: the platform does not say it"),
];
/// States whose words the status field shows.
const STATES: [&str; 8] = ["received", "invited", "scheduled", "rescheduled", "in_progress", "processing", "completed", "cancelled"];
/// Most messages of one tenant in hand.
const PREFETCH: std::ops::RangeInclusive<u16> = 1..=1000;

/// Parts of names that belong to credentials; a key that has one is refused before it is looked up.
const CREDENTIALS: [&str; 5] = ["key", "secret", "token", "password", "credential"];

/// Applies `key=value` pairs to a policy.
///
/// # Errors
/// With the key, and what would be right.
pub(super) fn apply(policy: &mut Policy, entry: &Entry, pairs: &[String]) -> Result<(), Stop> {
    pairs.iter().try_for_each(|pair| one(policy, entry, pair))
}

/// Replaces the trigger stages.
///
/// # Errors
/// For a stage that cannot be one.
pub(super) fn stages(policy: &mut Policy, stages: &[String]) -> Result<(), Stop> {
    policy.trigger_stages = stages.iter().map(|stage| line("--trigger-stage", stage)).collect::<Result<_, _>>()?;
    Ok(())
}

fn one(policy: &mut Policy, entry: &Entry, pair: &str) -> Result<(), Stop> {
    let Some((key, value)) = pair.split_once('=') else {
        return Err(Stop::usage("--set takes key=value").next(format!("keys are: {}", known(entry).join(", "))));
    };
    let key = trimmed(key);
    if let Some((_, why)) = WITHOUT_EFFECT.iter().find(|(name, _)| *name == key) {
        return Err(Stop::usage(format!("the setting `{key}` would have no effect: {why}")).next("leave it out"));
    }
    match key {
        "status_field" => policy.status_field = line(key, value)?,
        "role_field" => policy.role_field = line(key, value)?,
        "platform_name" => policy.platform_name = line(key, value)?,
        "invited_note" => policy.invited_note = truth(key, value)?,
        "sandbox" => policy.sandbox = truth(key, value)?,
        "recruiter_from" => policy.recruiter_from = value.split(',').map(recruiter).collect::<Result<_, _>>()?,
        "prefetch" => {
            let number = trimmed(value).parse().ok().filter(|n| PREFETCH.contains(n));
            policy.prefetch =
                number.ok_or_else(|| Stop::usage(format!("`{key}` takes a number from {} to {}", PREFETCH.start(), PREFETCH.end())))?;
        }
        _ => return table_or_connector(policy, entry, key, value),
    }
    Ok(())
}

fn table_or_connector(policy: &mut Policy, entry: &Entry, key: &str, value: &str) -> Result<(), Stop> {
    if entry.settings.iter().any(|setting| setting.key == key) {
        policy.connector.insert(key.to_owned(), line(key, value)?);
        return Ok(());
    }
    match key.split_once('.') {
        Some(("roles", job)) if !job.is_empty() => {
            policy.roles.insert(line(key, job)?, line(key, value)?);
        }
        Some(("labels", state)) => {
            if !STATES.contains(&state) {
                let near = nearest(state, STATES.iter().map(|s| (*s).to_owned())).map(|near| format!("; did you mean `labels.{near}`?"));
                return Err(Stop::usage(format!("there is no state `{state}`{}", near.unwrap_or_default()))
                    .next(format!("states are: {}", STATES.join(", "))));
            }
            policy.labels.insert(state.to_owned(), line(key, value)?);
        }
        Some(("trigger_stages_by_job", job)) if !job.is_empty() => {
            let stages: Result<Vec<String>, Stop> = value.split(',').map(|stage| line(key, stage)).collect();
            policy.trigger_stages_by_job.insert(line(key, job)?, stages?);
        }
        _ if CREDENTIALS.iter().any(|part| key.to_lowercase().contains(part)) => return Err(key_input::in_argument()),
        _ => {
            let known = known(entry);
            let near = nearest(key, known.iter().cloned()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(Stop::usage(format!("there is no setting `{key}` for {}{near}", entry.name))
                .next(format!("settings are: {}", known.join(", "))));
        }
    }
    Ok(())
}

/// Every key there is for this kind.
fn known(entry: &Entry) -> Vec<String> {
    let plain = PLAIN.iter().map(|(key, _)| (*key).to_owned());
    let tables = TABLES.iter().map(|(key, behind, _)| format!("{key}.{behind}"));
    plain.chain(tables).chain(entry.settings.iter().map(|setting| setting.key.to_owned())).collect()
}

/// Takes a setting back: it is as by default. False: it was so already.
///
/// # Errors
/// For a key that no setting has.
pub(super) fn unset(policy: &mut Policy, entry: &Entry, key: &str) -> Result<bool, Stop> {
    let before = policy.clone();
    let default = Policy::default();
    match (key, key.split_once('.')) {
        ("trigger_stages", _) => policy.trigger_stages = default.trigger_stages,
        ("status_field", _) => policy.status_field = default.status_field,
        ("role_field", _) => policy.role_field = default.role_field,
        ("platform_name", _) => policy.platform_name = default.platform_name,
        ("recruiter_from", _) => policy.recruiter_from = default.recruiter_from,
        ("invited_note", _) => policy.invited_note = default.invited_note,
        ("cancel_from_ats", _) => policy.cancel_from_ats = default.cancel_from_ats,
        ("sandbox", _) => policy.sandbox = default.sandbox,
        ("prefetch", _) => policy.prefetch = default.prefetch,
        ("roles", _) => policy.roles = default.roles,
        ("labels", _) => policy.labels = default.labels,
        ("trigger_stages_by_job", _) => policy.trigger_stages_by_job = default.trigger_stages_by_job,
        (_, Some(("roles", job))) => policy.roles.retain(|written, _| !names_id(job, written)),
        (_, Some(("labels", state))) => drop(policy.labels.remove(state)),
        (_, Some(("trigger_stages_by_job", job))) => policy.trigger_stages_by_job.retain(|written, _| !names_id(job, written)),
        // Also what another release, or another connector, has left.
        _ if policy.unknown.drop_field(key) || policy.connector.remove(key).is_some() => {}
        _ if entry.settings.iter().any(|setting| setting.key == key) => {}
        _ => {
            let known = known(entry);
            let near = nearest(key, known.iter().cloned()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(Stop::usage(format!("there is no setting `{key}` for {}{near}", entry.name))
                .next(format!("settings are: {}", known.join(", "))));
        }
    }
    Ok(*policy != before)
}

fn line(key: &str, value: &str) -> Result<String, Stop> {
    let line = Line::new(value).map_err(|why| Stop::usage(format!("`{key}`: the value {why}")))?;
    if line.is_blank() {
        return Err(
            Stop::usage(format!("`{key}`: the value is empty")).next("give it one, or take the setting back with `atshub tenant unset`")
        );
    }
    Ok(line.into())
}

fn truth(key: &str, value: &str) -> Result<bool, Stop> {
    trimmed(value).parse().map_err(|_| Stop::usage(format!("`{key}` takes true or false")))
}

fn recruiter(word: &str) -> Result<RecruiterSource, Stop> {
    match trimmed(word) {
        "candidate" => Ok(RecruiterSource::Candidate),
        "grader" => Ok(RecruiterSource::Grader),
        "job" => Ok(RecruiterSource::Job),
        _ => {
            Err(Stop::usage("`recruiter_from` takes candidate, grader and job, in the order in which they are tried, with commas between"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ats::REGISTRY, cli::exit::Exit};
    use atshub_actors::domain::State;
    use std::collections::BTreeSet;

    fn set(pairs: &[&str]) -> Result<Policy, Stop> {
        let mut policy = Policy::default();
        let pairs: Vec<String> = pairs.iter().map(|pair| (*pair).to_owned()).collect();
        apply(&mut policy, REGISTRY.iter().find(|entry| !entry.settings.is_empty()).unwrap(), &pairs).map(|()| policy)
    }

    #[test]
    fn every_kind_of_setting_is_taken() {
        let policy = set(&[
            "status_field=Interview",
            "recruiter_from=job, candidate",
            "invited_note=false",
            "prefetch=4",
            "roles.*=Backend",
            "roles.J.1=role=x",
            "labels.completed=Done",
            "trigger_stages_by_job.j-9=Screen, s-2",
        ])
        .unwrap();
        assert_eq!(policy.recruiter_from, [RecruiterSource::Job, RecruiterSource::Candidate]);
        assert_eq!((policy.status_field.as_str(), policy.invited_note, policy.prefetch), ("Interview", false, 4));
        assert_eq!((policy.roles["*"].as_str(), policy.roles["J.1"].as_str()), ("Backend", "role=x"));
        assert_eq!(
            (policy.labels["completed"].as_str(), &policy.trigger_stages_by_job["j-9"]),
            ("Done", &vec!["Screen".to_owned(), "s-2".into()])
        );
    }

    #[test]
    fn a_setting_is_kept_without_what_a_page_or_an_editor_put_around_it() {
        let policy = set(&[
            "\u{feff}status_field=\u{202a}Interview\u{a0}Status\u{202c}",
            "prefetch=\u{a0}4\u{200b}",
            "invited_note=\u{feff}false",
            "recruiter_from=job,\u{a0}candidate\u{200e}",
            "roles.Ju\u{308}rgen=Ba\u{ad}ckend",
        ])
        .unwrap();
        assert_eq!((policy.status_field.as_str(), policy.prefetch, policy.invited_note), ("Interview Status", 4, false));
        assert_eq!(policy.recruiter_from, [RecruiterSource::Job, RecruiterSource::Candidate]);
        assert_eq!(policy.roles["J\u{fc}rgen"], "Backend");
        let mut policy = Policy::default();
        stages(&mut policy, &["\u{202a}Karat\u{a0}Assessment\u{202c}".to_owned()]).unwrap();
        assert_eq!(policy.trigger_stages, ["Karat Assessment"]);
        assert!(stages(&mut policy, &["\u{feff}".to_owned()]).unwrap_err().text.contains("is empty"));
    }

    #[test]
    fn a_connectors_own_settings_come_from_its_registry_row() {
        let entry = REGISTRY.iter().find(|entry| !entry.settings.is_empty()).unwrap();
        let key = entry.settings[0].key;
        let policy = set(&[&format!("{key}=http://127.0.0.1:1")]).unwrap();
        assert_eq!(policy.connector[key], "http://127.0.0.1:1");
    }

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_and_all_known_ones() {
        let stop = set(&["status_feild=x"]).unwrap_err();
        assert!(stop.text.contains("did you mean `status_field`?") && stop.next.unwrap().contains("roles.<job"), "{}", stop.text);
        assert!(set(&["labels.invitd=x"]).unwrap_err().text.contains("did you mean `labels.invited`?"));
        assert!(set(&["nothing"]).unwrap_err().text.contains("key=value"));
    }

    #[test]
    fn a_credential_is_not_taken_and_not_repeated() {
        for pair in ["api_key=sk_live_1", "webhook_secret=sk_live_1", "token=sk_live_1"] {
            let stop = set(&[pair]).unwrap_err();
            let text = format!("{stop:?}");
            assert!(text.contains("--key-file") && !text.contains("sk_live_1"), "{text}");
        }
    }

    #[test]
    fn wrong_values_are_refused() {
        for pair in [
            "prefetch=0",
            "prefetch=many",
            "invited_note=maybe",
            "recruiter_from=nobody",
            "status_field=",
            "roles.=x",
            "status_field=a\u{1b}b",
            "status_field=\u{200b}\u{a0}",
        ] {
            assert!(set(&[pair]).is_err(), "{pair}");
        }
    }

    #[test]
    fn whatever_can_be_set_can_be_taken_back() {
        let entry = REGISTRY.iter().find(|entry| !entry.settings.is_empty()).unwrap();
        let connector = format!("{}=http://127.0.0.1:1", entry.settings[0].key);
        for pair in [
            "status_field=x",
            "role_field=x",
            "platform_name=x",
            "recruiter_from=job",
            "invited_note=false",
            "sandbox=true",
            "prefetch=4",
            "roles.J.1=x",
            "labels.invited=x",
            "trigger_stages_by_job.j-9=x",
            &connector,
        ] {
            let mut policy = set(&[pair]).unwrap();
            assert_ne!(policy, Policy::default(), "{pair}");
            let key = pair.split_once('=').unwrap().0;
            assert!(unset(&mut policy, entry, key).unwrap(), "{pair}");
            assert_eq!(policy, Policy::default(), "{pair}");
            assert!(!unset(&mut policy, entry, key).unwrap(), "{pair} is taken back already");
        }
        for (key, _) in PLAIN {
            assert!(unset(&mut Policy::default(), entry, key).is_ok(), "{key}");
        }
        for (table, ..) in TABLES {
            assert!(unset(&mut Policy::default(), entry, table).is_ok(), "{table}");
        }
        let mut policy: Policy = serde_json::from_str(r#"{"of_tomorrow": 1}"#).unwrap();
        assert!(unset(&mut policy, entry, "of_tomorrow").unwrap());
        assert!(unset(&mut policy, entry, "prefetchh").unwrap_err().text.contains("did you mean `prefetch`?"));
    }

    #[test]
    fn every_key_of_the_policy_can_be_set() {
        let policy = serde_json::to_value(Policy::default()).unwrap();
        let elsewhere = ["trigger_stages", "connector", "cancel_from_ats"];
        for key in policy.as_object().unwrap().keys().filter(|key| !elsewhere.contains(&key.as_str())) {
            assert!(PLAIN.iter().any(|(plain, _)| plain == key) || TABLES.iter().any(|(table, ..)| table == key), "{key}");
        }
        for state in STATES {
            let state = serde_json::json!({ "state": state, "reason": "x", "error": { "code": "role_missing" } });
            assert!(serde_json::from_value::<atshub_actors::domain::State>(state).is_ok());
        }
    }

    #[test]
    fn a_setting_without_effect_is_refused_with_the_reason_and_one_that_is_stored_is_read_kept_and_taken_back() {
        let entry = REGISTRY[0];
        let stored = r#"{"cancel_from_ats":true,"labels":{"inviting":"Gleich","refused":"Nein","timed_out":"Zu spät","no_show":"Fehlt","invited":"Eingeladen"}}"#;
        let mut policy: Policy = serde_json::from_str(stored).unwrap();
        assert!(policy.cancel_from_ats && policy.labels.len() == 5);
        assert_eq!(serde_json::from_str::<Policy>(&serde_json::to_string(&policy).unwrap()).unwrap(), policy);
        for (key, why) in WITHOUT_EFFECT {
            for value in ["true", "false", "Words"] {
                let stop = set(&[&format!("{key}={value}")]).unwrap_err();
                assert!(stop.exit == Exit::Usage && stop.text.contains(key) && stop.text.contains(why), "{}", stop.text);
            }
            assert!(unset(&mut policy, entry, key).unwrap(), "{key}");
            assert!(!known(entry).iter().any(|known| known == key), "`{key}` is in no list of settings");
        }
        assert_eq!(policy.labels.len(), 1);
    }

    /// The states that a candidacy comes to: by being asked for and answered, and by what the platform says of interviews.
    #[test]
    fn a_state_has_a_label_exactly_if_the_status_field_can_show_it() {
        let said = ["SCHEDULING", "SCHEDULED", "RESCHEDULED", "INTERVIEWING", "PROCESSING", "SHIPPED", "CANCELLED"];
        let by_platform = said.into_iter().map(|word| State::from_platform(word).unwrap().code().to_owned());
        let shown: BTreeSet<String> = ["received", "invited", "cancelled"].map(str::to_owned).into_iter().chain(by_platform).collect();
        assert_eq!(STATES.map(str::to_owned).into_iter().collect::<BTreeSet<_>>(), shown);
        for code in WITHOUT_EFFECT.iter().filter_map(|(key, _)| key.strip_prefix("labels.")) {
            assert!(!shown.contains(code), "{code}");
            let state = serde_json::json!({ "state": code, "error": { "code": "role_missing" } });
            assert_eq!(serde_json::from_value::<State>(state).unwrap().code(), code, "a state that there is");
        }
        // Each label is what is written.
        for code in STATES {
            let policy = set(&[&format!("labels.{code}=In unseren Worten")]).unwrap();
            assert_eq!(atshub_actors::domain::label(&policy, code), "In unseren Worten");
        }
    }
}
