//! The Karat adapter against the simulated platform.

use atshub::{
    credentials::Secrets,
    http::{Http, Options},
    platform,
};
use atshub_actors::{
    failure::Failure,
    ports::{InvitationRequest, Platform, PlatformAccount},
};
use atshub_simulators::{
    Fault,
    platform::{PlatformOptions, PlatformSimulator},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// For calls that hang on purpose; long enough for a busy machine to act first.
const SHORT: Duration = Duration::from_secs(1);

struct Stage {
    simulator: PlatformSimulator,
    platform: Arc<dyn Platform>,
    /// The same account, by a client that does not wait long.
    impatient: Arc<dyn Platform>,
}

async fn stage() -> Stage {
    let simulator = PlatformSimulator::start(PlatformOptions::default()).await.unwrap();
    let platform = connect(&simulator, simulator.token(), Options::default());
    let impatient = connect(&simulator, simulator.token(), Options { total_time: SHORT, ..Options::default() });
    Stage { simulator, platform, impatient }
}

fn connect(simulator: &PlatformSimulator, token: &str, options: Options) -> Arc<dyn Platform> {
    let account =
        PlatformAccount { name: "main".into(), kind: "karat".into(), url: simulator.base_url(), updated_at: jiff::Timestamp::UNIX_EPOCH };
    let secrets = Secrets::new(BTreeMap::from([("token".to_owned(), token.to_owned().into())]));
    let http = Http::new(tokio::runtime::Handle::current(), options).unwrap();
    (platform::entry("karat").unwrap().connect)(account, secrets, http).unwrap()
}

fn request(email: &str, ats_url: Option<&str>) -> InvitationRequest {
    InvitationRequest {
        name: "Ada Lovelace".parse().unwrap(),
        email: email.parse().unwrap(),
        role: "1201".parse().unwrap(),
        phone: None,
        ats_url: ats_url.map(|url| url.parse().unwrap()),
    }
}

fn rejected(outcome: Result<impl std::fmt::Debug, Failure>) -> (String, String) {
    match outcome {
        Err(Failure::Rejected { code, detail }) => (code, detail),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn an_invitation_has_a_candidacy_and_a_link_and_is_found_again() {
    let s = stage().await;
    let wanted = request("ada@example.org", Some("https://ats.example/a/1"));
    assert_eq!(s.platform.find(&wanted).await.unwrap(), None);
    let made = s.platform.invite(&wanted).await.unwrap();
    assert_eq!(s.simulator.candidacies_of("ada@example.org"), [made.candidacy.as_str()]);
    assert!(made.link.is_some() && made.id.is_some());
    let found = s.platform.find(&wanted).await.unwrap().unwrap();
    assert_eq!((&found.candidacy, &found.link), (&made.candidacy, &made.link));
    assert_eq!(found.state.unwrap().as_str(), "SCHEDULING");
    let other_address = request("ADA@example.org", None);
    assert_eq!(s.platform.find(&other_address).await.unwrap().unwrap().candidacy, made.candidacy);
    assert_eq!(s.simulator.ledger().count("invitation"), 1);
}

#[tokio::test]
async fn only_a_live_invitation_of_the_same_person_role_and_page_is_found() {
    let s = stage().await;
    let wanted = request("ada@example.org", Some("https://ats.example/a/1"));
    let made = s.platform.invite(&wanted).await.unwrap();
    let other_role = InvitationRequest { role: "1202".parse().unwrap(), ..wanted.clone() };
    let other_page = request("ada@example.org", Some("https://ats.example/a/2"));
    let other_person = request("bob@example.org", Some("https://ats.example/a/1"));
    for absent in [&other_role, &other_page, &other_person] {
        assert_eq!(s.platform.find(absent).await.unwrap(), None, "{absent:?}");
    }
    for (state, live) in
        [("SCHEDULED", true), ("RESCHEDULED", true), ("INTERVIEWING", true), ("QC", true), ("SHIPPED", false), ("CANCELLED", false)]
    {
        s.simulator.set_interview_state(made.candidacy.as_str(), state).unwrap();
        assert_eq!(s.platform.find(&wanted).await.unwrap().is_some(), live, "{state}");
    }
}

#[tokio::test]
async fn the_right_candidacy_is_found_on_a_later_page() {
    let s = stage().await;
    let wanted = request("ada@example.org", Some("https://ats.example/a/1"));
    let made = s.platform.invite(&wanted).await.unwrap();
    for n in 0..110 {
        s.platform.invite(&request(&format!("{n}ada@example.org"), None)).await.unwrap();
    }
    assert_eq!(s.platform.find(&request("ada@example.org", None)).await.unwrap().unwrap().candidacy, made.candidacy);
    assert_eq!(s.platform.find(&request("bob@example.org", None)).await.unwrap(), None);
}

#[tokio::test]
async fn each_of_the_four_refusals_has_its_code() {
    let s = stage().await;
    let good = request("ada@example.org", None);
    let no_role = InvitationRequest { role: "9999".parse().unwrap(), ..good.clone() };
    assert_eq!(rejected(s.platform.invite(&no_role).await).0, "role_missing");
    let short_phone = InvitationRequest { phone: Some("12345".into()), ..good.clone() };
    assert_eq!(rejected(s.platform.invite(&short_phone).await).0, "phone_too_short");
    assert_eq!(rejected(s.platform.invite(&request("rae@platform.example", None)).await).0, "recruiter_is_candidate");
    let blank_phone = InvitationRequest { phone: Some("  ".into()), ..good.clone() };
    let link = s.platform.invite(&blank_phone).await.unwrap().link.unwrap();
    let (code, detail) = rejected(s.platform.invite(&good).await);
    assert_eq!(code, "already_active");
    assert!(detail.ends_with(link.as_str()), "{detail}");
    assert_eq!(s.simulator.ledger().count("invitation"), 1);
}

#[tokio::test]
async fn an_invite_that_acted_without_answering_is_unclear_and_then_found() {
    for (fault, n) in [(Fault::ActThenHang, 1), (Fault::ActThenFail(502), 2), (Fault::ActThenFail(500), 3)] {
        let s = stage().await;
        let wanted = request("ada@example.org", Some(&format!("https://ats.example/a/{n}")));
        s.simulator.faults().next("createInvitation", fault.clone(), 1);
        let failure = s.impatient.invite(&wanted).await.unwrap_err();
        assert_eq!(failure.code(), "unclear", "{fault:?}: {failure:?}");
        assert!(s.platform.find(&wanted).await.unwrap().is_some());
        assert_eq!(s.simulator.ledger().count("invitation"), 1);
    }
}

#[tokio::test]
async fn an_invite_that_did_not_act_is_unclear_too_and_then_not_found() {
    let s = stage().await;
    let wanted = request("ada@example.org", Some("https://ats.example/a/1"));
    for fault in [Fault::Fail(503), Fault::Hang, Fault::Garbage] {
        s.simulator.faults().next("createInvitation", fault.clone(), 1);
        assert_eq!(s.impatient.invite(&wanted).await.unwrap_err().code(), "unclear", "{fault:?}");
        assert_eq!(s.platform.find(&wanted).await.unwrap(), None);
    }
    s.simulator.faults().next("createInvitation", Fault::RateLimit { retry_after: Some(9) }, 1);
    assert_eq!(s.platform.invite(&wanted).await.unwrap_err(), Failure::RateLimited { retry_after: Duration::from_secs(9) });
    s.platform.invite(&wanted).await.unwrap();
}

#[tokio::test]
async fn looking_never_counts_as_acting() {
    let s = stage().await;
    for fault in [Fault::Fail(500), Fault::Hang] {
        s.simulator.faults().next("candidacies", fault, 1);
        assert_eq!(s.impatient.find(&request("ada@example.org", None)).await.unwrap_err().code(), "transient");
    }
}

#[tokio::test]
async fn roles_are_those_that_may_be_chosen_and_are_kept_for_a_while() {
    let s = stage().await;
    s.simulator.archive_role("1202");
    for n in 0..120 {
        s.simulator.add_role(&format!("r{n}"), &format!("Role {n}"));
    }
    let roles = s.platform.roles().await.unwrap();
    assert_eq!(roles.len(), 121, "two pages, without the archived one");
    assert_eq!((roles[0].id.as_str(), roles[0].name.as_str()), ("1201", "Backend engineer"));
    s.simulator.faults().next("roles", Fault::Fail(500), 1);
    let (one, two) = futures_util::join!(s.platform.roles(), s.platform.roles());
    assert_eq!((one.unwrap().len(), two.unwrap().len()), (121, 121));
    assert_eq!(s.simulator.faults().pending(), 1, "nobody asked again");
}

#[tokio::test]
async fn many_who_ask_for_roles_at_once_make_one_call() {
    let s = stage().await;
    s.simulator.faults().next("roles", Fault::Slow(Duration::from_millis(50)), 1);
    s.simulator.faults().next("roles", Fault::Fail(500), 100);
    let all = futures_util::future::join_all((0..50).map(|_| s.platform.roles())).await;
    assert!(all.iter().all(|roles| roles.as_ref().is_ok_and(|roles| roles.len() == 2)));
    assert_eq!(s.simulator.faults().pending(), 100);
}

#[tokio::test]
async fn a_token_is_tested_and_a_revoked_one_is_told_from_everything_else() {
    let s = stage().await;
    assert_eq!(s.platform.whoami().await.unwrap(), "Rae Recruiter");
    assert_eq!(connect(&s.simulator, "another", Options::default()).whoami().await.unwrap_err().code(), "unauthorized");
    assert_eq!(connect(&s.simulator, "line\nfeed", Options::default()).whoami().await.unwrap_err().code(), "unauthorized");
    s.simulator.revoke_token();
    let wanted = request("ada@example.org", None);
    assert_eq!(s.platform.invite(&wanted).await.unwrap_err().code(), "unauthorized");
    assert_eq!(s.platform.find(&wanted).await.unwrap_err().code(), "unauthorized");
    s.simulator.restore_token();
    assert!(s.platform.invite(&wanted).await.is_ok());
}
