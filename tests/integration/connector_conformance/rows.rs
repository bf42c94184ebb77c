//! The rows themselves: names, help, settings, credentials, and that the table of capabilities says what is so.

use super::fixtures::{Kind, load};
use atshub::ats::{Entry, REGISTRY, entry};
use atshub_actors::{domain::Policy, ports::Feature};
use std::collections::{BTreeMap, BTreeSet};

fn features(row: &Entry) -> Vec<(&'static str, Feature)> {
    let c = row.capabilities;
    vec![
        ("invite_by_webhook", c.invite_by_webhook),
        ("assessment_partner", c.assessment_partner),
        ("status_field", c.status_field),
        ("notes", c.notes),
        ("cancel", c.cancel),
        ("roles_in_step", c.roles_in_step),
        ("person_follow", c.person_follow),
        ("recruiter_updates", c.recruiter_updates),
        ("follower_list", c.follower_list),
        ("hiring_team", c.hiring_team),
        ("profile_url_match", c.profile_url_match),
        ("result_fields", c.result_fields),
        ("read_application", c.read_application),
    ]
}

#[test]
fn every_row_is_found_by_its_kind_and_explains_itself() {
    let kinds: BTreeSet<_> = REGISTRY.iter().map(|row| row.kind).collect();
    assert_eq!(kinds.len(), REGISTRY.len(), "a kind is there twice");
    for row in REGISTRY {
        assert!(row.kind.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit()), "{}", row.kind);
        assert!(entry(row.kind).is_some_and(|found| found.kind == row.kind));
        assert!(!row.name.is_empty() && row.capabilities.normal_delay_seconds > 0);
        let mut names = BTreeSet::new();
        for setting in row.settings {
            assert!(names.insert(setting.key) && setting.help.len() > 10, "setting `{}` of `{}` is documented once", setting.key, row.kind);
        }
        for secret in row.secrets {
            assert!(names.insert(secret.name) && secret.help.len() > 10, "secret `{}` of `{}` is documented once", secret.name, row.kind);
        }
        for (name, feature) in features(row) {
            let (Feature::Yes(words) | Feature::No(words)) = feature;
            assert!(words.len() > 5, "`{name}` of `{}` says by what, or what happens instead", row.kind);
        }
    }
    assert!(entry("no-such-ats").is_none());
}

#[tokio::test]
async fn the_table_of_capabilities_says_what_is_so() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        let has = |kind: Kind| cases.iter().any(|case| case.kind == kind);
        let writes = |word: &str| {
            cases.iter().any(|case| case.kind == Kind::Write && case.request.pointer("/write/kind").is_some_and(|k| k == word))
        };
        let c = row.capabilities;
        assert_eq!(row.inbound.is_some(), c.invite_by_webhook.available() || c.assessment_partner.available(), "{}", row.kind);
        assert_eq!(has(Kind::Hook), c.invite_by_webhook.available(), "`{}`: webhooks and their fixtures", row.kind);
        assert_eq!(has(Kind::Partner), c.assessment_partner.available(), "`{}`: partner calls and their fixtures", row.kind);
        assert!(
            writes("status") && writes("note") && has(Kind::Look) && has(Kind::Read) && has(Kind::Test),
            "`{}`: a fixture of each",
            row.kind
        );
        let whole = |case: &&super::fixtures::Case| case.kind == Kind::Read && case.expect["snapshot"].is_object();
        assert_eq!(cases.iter().find(whole).is_some(), c.read_application.available(), "`{}`: reading an application", row.kind);
        for case in cases.iter().filter(|case| case.kind == Kind::Partner) {
            assert!(row.inbound.unwrap().partner_needs_roles(&case.path).is_some(), "{}: the path exists", case.file);
        }
        if let Some(inbound) = row.inbound {
            assert_eq!(inbound.partner_needs_roles("no.such.path"), None);
        }
        let connector = (row.connect)(suite.account(&Policy::default())).unwrap();
        assert!(std::ptr::eq(connector.capabilities(), c), "`{}`: one table", row.kind);
    }
}

#[tokio::test]
async fn a_connector_without_a_secret_it_needs_is_refused_with_its_name() {
    for row in REGISTRY {
        let (suite, _) = load(row);
        for missing in row.secrets {
            let mut secrets = suite.secrets.clone();
            secrets.remove(missing.name).unwrap_or_else(|| panic!("suite.json of `{}` has no `{}`", row.kind, missing.name));
            let made = (row.connect)(suite.account_with(&Policy::default(), secrets.clone()));
            match made {
                Ok(_) => assert!(!missing.required, "`{}` works without `{}`", row.kind, missing.name),
                Err(error) => {
                    assert!(missing.required, "`{}` does without `{}`: {error}", row.kind, missing.name);
                    assert!(error.contains(missing.name) && error.contains(&suite.tenant), "{error}");
                    assert!(secrets.values().all(|secret| !error.contains(secret.as_str())), "no secret in {error}");
                }
            }
        }
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_used_is_refused_without_repeating_it() {
    for row in REGISTRY {
        let (suite, _) = load(row);
        let Some(setting) = &suite.address_setting else { continue };
        assert!(row.settings.iter().any(|known| known.key == setting), "`{setting}` is a setting of `{}`", row.kind);
        for bad in ["", "not an address", "ftp://x.example", "https://user:hush@x.example", "https://x.example/?key=hush"] {
            let policy = Policy { connector: BTreeMap::from([(setting.clone(), bad.to_owned())]), ..Policy::default() };
            let error = (row.connect)(suite.account(&policy)).err().unwrap_or_else(|| panic!("`{}` takes {bad:?}", row.kind));
            assert!(error.contains(setting.as_str()) && !error.contains("hush"), "{error}");
        }
    }
}
