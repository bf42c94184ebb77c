//! Settings as operators and other versions write them, damaged: a tenant's policy and the configuration in all its layers are read, or
//! refused with a sentence that repeats no password. More cases, by hand:
//! `ATSHUB_TEST_FUZZ_CASES=100000 cargo test --test integration settings`.

use crate::damage::{ODD, config, damaged, damages, scratched, scratches};
use atshub::config::{Config, ConfigError, DEFAULT_FILE, Sources, load};
use atshub_actors::domain::Policy;
use proptest::prelude::*;
use serde_json::json;

/// A password that stands in the damaged file, and must not stand in what is said of it.
const PASSWORD: &str = "hush-hush-42";
/// Longest that is said of a file, in characters.
const MAX_TEXT: usize = 4_000;

/// The default file with a broker that has a password.
fn file() -> String {
    let url = "url = \"embedded:./data\"";
    assert!(DEFAULT_FILE.contains(url), "the default file has another address");
    DEFAULT_FILE.replacen(url, &format!("url = \"amqp://hub:{PASSWORD}@broker.example:5672/atshub\""), 1)
}

fn assert_sentence(error: &ConfigError) {
    let text = error.to_string();
    assert!(text.trim().contains(' ') && text.chars().count() <= MAX_TEXT, "{text}");
    assert!(!text.contains(PASSWORD), "a password in: {text}");
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

fn policy() -> serde_json::Value {
    json!({
        "trigger_stages": ["Assessment", "s-1"], "trigger_stages_by_job": {"j-1": ["Screen"]}, "roles": {"*": "1201", "Engineer": "1202"},
        "role_field": "Role", "status_field": "Status", "labels": {"invited": "Invited"}, "platform_name": "Karat",
        "recruiter_from": ["candidate", "grader", "job"], "invited_note": true, "cancel_from_ats": false, "sandbox": false, "prefetch": 16,
        "connector": {"api_base": "https://api.example"},
    })
}

#[test]
fn the_policy_that_is_damaged_has_every_field() {
    let all = serde_json::to_value(Policy::default()).unwrap();
    let names = |value: &serde_json::Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&policy()), names(&all), "add the new field to what is damaged here");
    assert!(serde_json::from_value::<Policy>(policy()).is_ok());
}

proptest! {
    #![proptest_config(config(1_000))]

    #[test]
    fn a_damaged_policy_is_read_the_same_again_or_refused(damage in damages(4), scratch in scratches(2)) {
        let body = scratched(serde_json::to_vec(&damaged(&policy(), &damage)).unwrap(), &scratch);
        match serde_json::from_slice::<Policy>(&body) {
            Ok(policy) => prop_assert_eq!(&serde_json::from_slice::<Policy>(&serde_json::to_vec(&policy).unwrap()).unwrap(), &policy),
            Err(error) => prop_assert!(error.to_string().contains(' '), "{}", error),
        }
    }
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn a_damaged_configuration_file_is_read_or_refused_without_its_passwords(scratch in scratches(6)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("atshub.toml");
        std::fs::write(&path, scratched(file().into_bytes(), &scratch)).unwrap();
        if let Err(error) = load(&Sources { file: Some(path), ..Sources::default() }) {
            assert_sentence(&error);
        }
    }

    #[test]
    fn an_odd_value_of_any_setting_is_read_or_refused(setting in any::<prop::sample::Index>(), odd in prop::sample::select(ODD), number in any::<i64>(), by_number in any::<bool>(), by_file in any::<bool>()) {
        let all = serde_json::to_value(Config::default()).unwrap();
        let sections = all.as_object().unwrap().iter().filter_map(|(section, settings)| Some((section, settings.as_object()?)));
        let names: Vec<String> = sections.flat_map(|(section, settings)| settings.keys().map(move |key| format!("{section}__{key}"))).collect();
        let value = if by_number { number.to_string() } else { odd.to_owned() };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("value");
        std::fs::write(&file, &value).unwrap();
        let name = format!("ATSHUB_{}", setting.get(&names).to_uppercase());
        let variable = if by_file { (format!("{name}_FILE"), file.display().to_string()) } else { (name, value) };
        if let Err(error) = load(&Sources { environment: vec![variable], ..Sources::default() }) {
            assert_sentence(&error);
        }
    }
}
