//! The rows themselves: names, help, settings, credentials, and that the table of capabilities says what is so.

use super::{
    fixtures::{Case, Kind, Suite, load},
    outbound,
    script::Script,
};
use atshub::ats::{Entry, REGISTRY, entry};
use atshub_actors::{domain::Policy, ports::Feature};
use atshub_schemas::{catalog, samples};
use serde_json::Value;
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
        assert!(!row.name.is_empty() && row.capabilities.normal_delay_seconds != Some(0));
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

/// What a row was seen to do, fixture by fixture.
#[derive(Debug, Default)]
struct Seen {
    /// Facts that reach the hub: type, and `data`. Of a bridge, all there are: it may publish any.
    facts: Vec<(String, Value)>,
    /// Commands that go out to a bridge.
    commands: BTreeSet<String>,
    /// Kinds of writes that are done or handed on.
    writes: BTreeSet<String>,
    /// Kinds of writes that the row says it has no place for.
    refused: BTreeSet<String>,
    /// Webhooks and partner calls there are fixtures of.
    inbound: BTreeSet<&'static str>,
    /// A partner call answers with the platform's roles.
    roles: bool,
    /// An application was read.
    reads: bool,
    /// All that its fixtures say, and are asked.
    words: String,
}

async fn seen(row: &Entry, suite: &Suite, cases: &[Case]) -> Seen {
    let mut seen =
        Seen { words: serde_json::to_string(&row.secrets.iter().map(|s| s.help).collect::<Vec<_>>()).unwrap(), ..Seen::default() };
    if row.delegates {
        let facts = catalog::CATALOG.iter().filter(|entry| entry.family == catalog::Family::Fact);
        let whole = |kind: &str| samples::sample(kind).unwrap().to_value().unwrap();
        seen.facts.extend(facts.map(|entry| (entry.kind.to_owned(), whole(entry.kind)["data"].clone())));
    }
    for case in cases {
        seen.words.push_str(&serde_json::to_string(&[&case.path.clone().into(), &case.body, &case.request, &case.expect]).unwrap());
        seen.words.push_str(&case.calls.iter().map(|call| format!("{} {} {}", call.path, call.body, call.answer)).collect::<String>());
        match case.kind {
            Kind::Hook | Kind::Partner => {
                seen.inbound.insert(if case.kind == Kind::Hook { "hook" } else { "partner" });
                seen.roles |= case.kind == Kind::Partner && row.inbound.unwrap().partner_needs_roles(&case.path) == Some(true);
                if let Some(kind) = case.expect.pointer("/fact/type").and_then(Value::as_str) {
                    seen.facts.push((kind.to_owned(), case.expect["fact"]["data"].clone()));
                }
            }
            Kind::Write | Kind::Read | Kind::Look | Kind::Test => {
                let script = Script::of(&case.calls);
                let (actual, _) = outbound::outcome(outbound::connector(row, suite, case, &script.url).as_ref(), case).await;
                seen.reads |= actual["snapshot"].is_object();
                let kind = case.request.pointer("/write/kind").and_then(Value::as_str).unwrap_or_default().to_owned();
                seen.commands.extend(actual.pointer("/delegated/type").and_then(Value::as_str).map(str::to_owned));
                match actual.as_object().and_then(|outcome| outcome.keys().next()).map(String::as_str) {
                    Some("done" | "delegated") => drop(seen.writes.insert(kind)),
                    Some("not_supported") => drop(seen.refused.insert(kind)),
                    _ => {}
                }
            }
        }
    }
    seen
}

impl Seen {
    fn hears(&self, kinds: &[&str]) -> bool {
        self.facts.iter().any(|(kind, _)| kinds.iter().any(|wanted| kind.starts_with(wanted)))
    }

    fn hears_of(&self, pointers: &[&str]) -> bool {
        let there =
            |data: &Value, pointer: &str| data.pointer(pointer).is_some_and(|found| !found.is_null() && *found != Value::Array(vec![]));
        self.facts.iter().any(|(_, data)| pointers.iter().any(|pointer| there(data, pointer)))
    }

    /// Whether a feature was seen. One for which nothing in the code asks can be in no row.
    fn has(&self, feature: &str, own_webhooks: bool) -> bool {
        match feature {
            "invite_by_webhook" => own_webhooks && self.inbound.contains("hook") && self.hears(&["application.moved"]),
            "assessment_partner" => self.inbound.contains("partner") && self.hears(&["assessment.ordered"]),
            "status_field" => self.writes.contains("status"),
            "notes" => self.writes.contains("note"),
            "cancel" => self.hears(&["assessment.cancelled", "assessment.deleted", "application.archived"]),
            "roles_in_step" => self.roles || self.commands.contains("roles.synced.v1"),
            "person_follow" => self.hears(&["candidate.updated"]) && self.hears(&["candidate.merged", "application.hired"]),
            "recruiter_updates" => self.hears_of(&["/recruiter", "/job/recruiter"]),
            "follower_list" => self.commands.contains("followers.synced.v1"),
            "hiring_team" => self.hears_of(&["/job/followers", "/grader"]),
            "read_application" => self.reads,
            // The port has no call for either.
            "profile_url_match" | "result_fields" => false,
            other => panic!("`{other}` is in the table, and nothing says when it is so"),
        }
    }
}

/// Words of a row in backticks.
fn named(words: &str) -> impl Iterator<Item = &str> {
    words.split('`').skip(1).step_by(2)
}

#[tokio::test]
async fn every_row_that_says_yes_was_seen_to_do_it_and_every_one_that_says_no_was_not() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        let seen = seen(row, &suite, &cases).await;
        for (name, feature) in features(row) {
            let so = seen.has(name, row.inbound.is_some());
            assert_eq!(feature.available(), so, "`{name}` of `{}` says {feature:?}", row.kind);
        }
        for kind in ["status", "note"] {
            let written = features(row)
                .iter()
                .any(|(name, feature)| *name == if kind == "note" { "notes" } else { "status_field" } && feature.available());
            assert!(written || seen.refused.contains(kind), "`{}`: a fixture in which a {kind} is tried and refused", row.kind);
        }
    }
}

#[tokio::test]
async fn what_a_row_names_as_the_way_is_a_message_or_a_call_that_its_fixtures_go() {
    for row in REGISTRY {
        let (suite, cases) = load(row);
        let seen = seen(row, &suite, &cases).await;
        for (name, feature) in features(row) {
            let (Feature::Yes(words) | Feature::No(words)) = feature;
            for named in named(words) {
                let in_facts =
                    seen.facts.iter().any(|(kind, data)| kind == named || data.pointer(&format!("/{}", named.replace('.', "/"))).is_some());
                let is_so = in_facts || seen.commands.contains(named) || (!row.delegates && seen.words.contains(named));
                assert!(is_so, "`{name}` of `{}` names `{named}`, which no fixture has", row.kind);
            }
        }
    }
}

/// Each fact that a bridge may publish and that a row names is one from which something follows.
#[test]
fn no_row_names_a_message_that_the_catalog_says_nothing_follows_from() {
    for row in REGISTRY {
        for (name, feature) in features(row) {
            let Feature::Yes(words) = feature else { continue };
            for entry in named(words).filter_map(catalog::entry) {
                assert!(!entry.follows.starts_with("Nothing yet"), "`{name}` of `{}` names `{}`", row.kind, entry.kind);
            }
        }
    }
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
