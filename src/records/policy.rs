//! A tenant's settings as they are stored, and what becomes of those that another version of the hub wrote. No IO.

use super::to_json;
use atshub_actors::{
    domain::Policy,
    ports::{StoreError, TenantRecord},
};

/// Longest piece of a parser's own words that is kept: they repeat what they were given, of whatever length.
const SAID_CHARS: usize = 500;

/// A tenant's settings, or why this version cannot read them: no reason to lose sight of the others.
pub(crate) fn policy_of(json: &str) -> (Policy, Option<String>) {
    match serde_json::from_str(json) {
        Ok(policy) => (policy, None),
        Err(error) => {
            let said: String = error.to_string().chars().take(SAID_CHARS).collect();
            (Policy::default(), Some(format!("this version of atshub cannot read its settings: {said}")))
        }
    }
}

/// A tenant's settings, to be stored.
pub(crate) fn policy_to_store(tenant: &TenantRecord) -> Result<String, StoreError> {
    match &tenant.unreadable {
        None => to_json(&tenant.policy),
        Some(why) => Err(StoreError::Broken(format!("tenant `{}` is not saved, because that would lose its settings: {why}", tenant.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_settings_cannot_be_read_is_said_shortly_however_long_they_are() {
        let json = format!("{{\"recruiter_from\": [\"{}\"]}}", "é".repeat(300_000));
        let (policy, why) = policy_of(&json);
        assert_eq!(policy, Policy::default());
        let why = why.unwrap();
        assert!(why.contains("unknown variant `ééé") && why.chars().count() < SAID_CHARS + 100, "{}", why.chars().count());
    }

    #[test]
    fn settings_that_only_another_version_knows_are_saved_again_as_they_were() {
        let json = r#"{"prefetch": 4, "of_tomorrow": {"deep": [1, null, "x"]}, "also": true}"#;
        let (policy, why) = policy_of(json);
        assert_eq!((policy.prefetch, why), (4, None));
        assert_eq!(policy.unknown.keys().collect::<Vec<_>>(), ["also", "of_tomorrow"]);
        let saved: serde_json::Value = serde_json::from_str(&to_json(&policy).unwrap()).unwrap();
        let given: serde_json::Value = serde_json::from_str(json).unwrap();
        for (key, value) in given.as_object().unwrap() {
            assert_eq!(&saved[key], value, "{key}");
        }
        assert_eq!(policy_of(&saved.to_string()).0, policy);
    }
}
