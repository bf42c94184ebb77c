//! One thing written in two ways: with marks that are not seen, in parts of letters, with other spaces. It is the same wherever two
//! texts are compared.

use super::*;

/// The same texts as another program writes them.
const WAYS: [(&str, &str); 6] = [
    ("J\u{fc}rgen Runde", "Ju\u{308}rgen Runde"),
    ("J\u{fc}rgen Runde", "\u{202a}J\u{fc}rgen\u{a0}Runde\u{202c}"),
    ("J\u{fc}rgen Runde", "\u{feff}J\u{fc}r\u{ad}gen Runde\r\n"),
    ("J\u{fc}rgen Runde", "J\u{fc}rgen\u{200d} \u{200e}Runde"),
    ("J\u{fc}rgen Runde", "J\u{dc}RGEN  RUNDE"),
    ("J\u{fc}rgen Runde", "\u{ff2a}\u{fc}rgen Runde"),
];

fn role(id: &str, name: &str) -> PlatformRole {
    PlatformRole { id: id.parse().unwrap(), name: line(name) }
}

#[test]
fn a_stage_invites_however_its_name_is_written() {
    for (plain, other) in WAYS {
        for (set, heard) in [(plain, other), (other, plain)] {
            let policy = Policy { trigger_stages: vec![set.into()], ..Policy::default() };
            let decision = run_with(&policy, None, 0, moved(heard));
            assert_eq!(invites(&decision), 1, "set as {set:?}, heard as {heard:?}: {:?}", decision.verdict);
        }
    }
    let policy = Policy { trigger_stages: vec!["s-1\u{200e}".into()], ..Policy::default() };
    let by_id = |id: &str| policy.is_trigger(&Stage { id: Some(id.parse().unwrap()), name: None }, None);
    assert!(by_id("s-1") && !by_id("S-1"), "an id is no name");
}

#[test]
fn a_role_is_found_however_it_is_named() {
    let roles = [role("7", "Other"), role("1201", "J\u{fc}rgen Runde")];
    for (plain, other) in WAYS {
        for named in [plain, other] {
            assert_eq!(resolve_role(named, &roles).map(|role| role.id.as_str()), Some("1201"), "{named:?}");
            let policy = Policy { roles: [(named.to_owned(), "1201".to_owned())].into(), ..Policy::default() };
            let titled = |title: &str| Job { title: Some(line(title)), ..Job::default() };
            assert_eq!(policy.mapped_role(&titled(plain)).as_deref(), Some("1201"), "{named:?}");
            assert_eq!(policy.mapped_role(&titled(other)).as_deref(), Some("1201"), "{named:?}");
        }
    }
    assert_eq!(resolve_role(" 1201\u{feff}", &roles).map(|role| role.id.as_str()), Some("1201"));
    assert_eq!(resolve_role("1202", &roles), None);
}

#[test]
fn a_role_that_is_only_written_in_another_way_is_no_other_candidacy() {
    for (plain, other) in WAYS {
        let with = |role: &str| Message::ApplicationMoved(ApplicationChange { job: Some(job(Some(role))), ..change("Interview") });
        let first = run(None, 0, with(plain)).dossier.unwrap();
        let again = run(Some(&first), 60, with(other)).dossier.unwrap();
        assert_eq!(again.candidacies.len(), 1, "{other:?}");
    }
}

#[test]
fn recruiter_and_candidate_are_one_person_however_the_address_is_written() {
    for address in [
        "ADA@example.org",
        "\u{feff}ada@example.org\u{a0}",
        "a\u{200d}da@example.org",
        "\u{ff41}da@example.org",
        "\u{202a}ada@example.org\u{202c}",
    ] {
        let fact = ApplicationChange { recruiter: person(address), ..change("Interview") };
        let decision = run(None, 0, Message::ApplicationMoved(fact));
        assert_eq!(decision.verdict.code.as_str(), "recruiter_is_candidate", "{address:?}");
    }
}

#[test]
fn a_phone_is_as_long_as_what_is_seen_of_it() {
    for (phone, refused) in
        [("\u{202a}123456\u{202c}", true), ("\u{202a}1234567\u{202c}", false), ("\u{200b}\u{a0}", false), ("\u{661}\u{662}\u{663}", true)]
    {
        let fact = ApplicationChange { candidate: Some(ada(Some(phone))), ..change("Interview") };
        let decision = run(None, 0, Message::ApplicationMoved(fact));
        assert_eq!(decision.verdict.code.as_str() == "phone_too_short", refused, "{phone:?}: {:?}", decision.verdict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Two applications of one person and role have one live key, so that only one of them is invited (B2).
    #[test]
    fn a_person_has_one_live_key_however_the_address_is_written(
        local in "[a-zA-Z\u{e0}-\u{f6}\u{3b1}-\u{3c9}\u{430}-\u{44f}]{1,10}",
        places in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(vec!['\u{200d}', '\u{200b}', '\u{200e}', '\u{feff}', '\u{202a}', '\u{ad}'])), 0..5),
    ) {
        let plain = format!("{local}@example.org");
        let mut other: Vec<char> = plain.chars().flat_map(|c| match c {
            '\u{fc}' => vec!['u', '\u{308}'],
            '\u{e9}' => vec!['e', '\u{301}'],
            '\u{439}' => vec!['\u{438}', '\u{306}'],
            c => vec![c],
        }).collect();
        for (place, mark) in places {
            other.insert(place.index(other.len() + 1), mark);
        }
        let key = |email: String| {
            let candidate = Candidate { email: Some(email.parse().unwrap()), ..Candidate::default() };
            let candidacy = Candidacy { role: Some(role("1201", "R")), ..Candidacy::asked(Uuid::nil(), None, at(0), at(0)) };
            candidacy.live_key(&candidate).unwrap()
        };
        let expected = key(plain.clone());
        prop_assert_eq!(&expected, &key(other.into_iter().collect()));
        if plain.is_ascii() {
            prop_assert_eq!(expected, format!("{}|1201", plain.to_lowercase()));
        }
    }
}

#[test]
fn times_at_the_ends_of_time_are_decided_on() {
    for (time, invited) in [(Timestamp::MAX, true), (Timestamp::MIN, true), (at(0), true)] {
        let mut envelope = envelope(0, moved("Interview"));
        envelope.time = time;
        let decision = decided(&policy(), None, &envelope, at(1), &Answer::CannotBeAsked);
        assert_eq!(invites(&decision) == 1, invited, "{time}: {:?}", decision.verdict);
        let dossier = decision.dossier.unwrap();
        for later in [Timestamp::MAX, Timestamp::MIN, at(0)] {
            envelope.time = later;
            decided(&policy(), Some(&dossier), &envelope, at(2), &Answer::CannotBeAsked);
        }
    }
}
