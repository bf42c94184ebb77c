//! Tenants that are disabled or removed, and people who are erased, beside a running hub: nobody is invited in the name of a disabled
//! tenant, nothing is left of a removed one for the next of its name, and an erased person is not to be found.

use crate::support::{
    build::{entered, tenant},
    hub::{Ground, Pair, Walk, happens, on_hub, on_tuned_hub, until},
};
use atshub::app::Tuning;
use atshub_actors::ports::Standing;
use atshub_actors::{domain::Lookup, gate::GatePolicy, ports::Publication};
use atshub_schemas::{CONTENT_TYPE, Envelope, topology};
use atshub_simulators::{Effect, Fault};
use std::{collections::BTreeMap, time::Duration};

/// Long enough to disable a tenant meanwhile.
const SLOW: Duration = Duration::from_secs(3);
/// The operator's files stand here in the test's own folder.
const ADD: [&str; 9] = ["tenant", "add", "dune", "--ats", "bridge", "--platform", "main", "--trigger-stage", "Karat Assessment"];

macro_rules! on_both_pairs {
    ($($sentence:ident)*) => {
        mod on_the_embedded_pair { $(
            #[test]
            fn $sentence() {
                super::$sentence(crate::support::hub::Pair::Embedded);
            }
        )* }
        mod on_rabbitmq_and_postgresql { $(
            #[test]
            fn $sentence() {
                super::$sentence(crate::support::hub::Pair::Real);
            }
        )* }
    };
}

on_both_pairs! {
    nobody_is_invited_in_the_name_of_a_tenant_that_is_disabled_while_its_request_is_in_hand
    a_removed_tenant_leaves_neither_queues_nor_rows_and_the_next_of_its_name_begins_with_nothing
    an_erased_person_is_not_found_any_more_and_the_erasure_is_noted_without_their_data
}

fn invitations(walk: &Walk<'_>) -> usize {
    walk.world.platform.ledger().effects().iter().filter(|effect| effect.kind == "invitation").count()
}

async fn applies(walk: &Walk<'_>, application: &str) -> Envelope {
    let bridge = &walk.world.bridges[0];
    let fact = entered(bridge.tenant(), application, "Ada Lovelace", &format!("{application}@dune.example"), None);
    bridge.publish(&fact).await;
    fact
}

async fn is_invited(walk: &Walk<'_>, count: usize) {
    let invited = |effects: &[Effect]| effects.iter().filter(|e| e.kind == "invitation").count() >= count;
    happens(&walk.world.platform.ledger(), "the invitation", invited).await;
    walk.nothing_is_left().await;
}

async fn ended(ground: &Ground, words: &[&str]) -> (Option<i32>, String) {
    let output = ground.command(words).await;
    (output.status.code(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

fn nobody_is_invited_in_the_name_of_a_tenant_that_is_disabled_while_its_request_is_in_hand(pair: Pair) {
    let often = GatePolicy { probe_every: Duration::from_millis(200), ..GatePolicy::default() };
    on_tuned_hub(pair, Tuning { gate: often, ..Tuning::default() }, &[], &["dune"], async |walk| {
        let dune = walk.world.bridges[0].tenant().clone();
        // The first is in hand at the platform's list of roles, the others wait.
        walk.world.platform.faults().next("roles", Fault::Slow(SLOW), 1);
        for application in ["in-hand", "second", "third"] {
            applies(walk, application).await;
        }
        assert!(until(async || walk.world.platform.faults().pending() == 0).await, "the platform is asked");
        let _stands = walk.store().set_standing(&dune, Standing::Disabled, Some("its credential was deleted"), None, None).await.unwrap();
        walk.running.hub.reload().await.unwrap();
        // The call ends, and the request with it, and whatever else was taken from the queue.
        let in_hand =
            || walk.running.hub.board().snapshot().iter().filter(|c| c.name.starts_with("invites")).map(|c| c.in_hand).sum::<usize>();
        assert!(until(async || in_hand() == 0).await, "requests of a disabled tenant are put off");
        assert_eq!(invitations(walk), 0);
        let _stands = walk.store().set_standing(&dune, Standing::Active, None, None, None).await.unwrap();
        walk.running.hub.reload().await.unwrap();
        is_invited(walk, 3).await;
        assert_eq!(invitations(walk), 3);
    });
}

fn a_removed_tenant_leaves_neither_queues_nor_rows_and_the_next_of_its_name_begins_with_nothing(pair: Pair) {
    on_hub(pair, &[], &["dune"], async |walk| {
        let (dune, ground) = (walk.world.bridges[0].tenant().clone(), walk.ground);
        let fact = applies(walk, "a-1").await;
        is_invited(walk, 1).await;
        let (code, said) = ended(ground, &["tenant", "remove", dune.as_str()]).await;
        assert!(code == Some(2) && said.contains("1 candidacies") && said.contains("--yes"), "{said}");
        assert_eq!(walk.store().tenants().await.unwrap().len(), 1);
        // What waits goes too: the tenant is paused, so this stays in its queue.
        ground.says(&["tenant", "pause", dune.as_str(), "--reason", "it leaves"]).await;
        applies(walk, "waits").await;
        let (code, said) = ended(ground, &["tenant", "remove", dune.as_str(), "--yes"]).await;
        assert_eq!(code, Some(0), "{said}");
        let queues = [topology::tenant_queue(&dune), topology::commands_queue(&dune)];
        let gone = until(async || walk.running.broker.queues(&queues).await.unwrap().is_empty());
        assert!(gone.await, "its queues are gone");
        assert!(walk.store().message(fact.id.as_str()).await.unwrap().is_empty());
        let (code, said) = ended(ground, &["tenant", "remove", dune.as_str(), "--yes"]).await;
        assert_eq!(code, Some(5), "{said}");
        // A queue of the name with something in it, as a removal leaves it that the broker was away for.
        walk.running.broker.declare(atshub::hub::inbox(&dune)).await.unwrap();
        applies(walk, "stray").await;
        // A quorum queue tells of what it took a moment later.
        let told = until(async || walk.running.broker.queues(&queues[..1]).await.unwrap().iter().any(|queue| queue.ready == 1));
        assert!(told.await, "the queue holds what strayed");
        let add = ADD.map(|word| if word == "dune" { dune.as_str() } else { word });
        let added = ended(ground, &add).await;
        assert!(added.0 == Some(0) && added.1.contains("had left 1 message(s) in its queue"), "{}", added.1);
        walk.running.hub.reload().await.unwrap();
        let store = walk.store();
        assert!(store.dossiers(&dune, Lookup::Application("a-1".parse().unwrap())).await.unwrap().is_empty());
        assert!(store.journal(&dune, &"a-1".parse().unwrap()).await.unwrap().is_empty());
        assert!(
            store.parked_counts(Some(&dune)).await.unwrap().is_empty() && store.candidacy_counts(Some(&dune)).await.unwrap().is_empty()
        );
        // A request of the old tenant that comes now asks for nothing, and leaves no trace.
        let late = applies(walk, "a-2").await;
        is_invited(walk, 2).await;
        assert_eq!(walk.message(late.id.as_str(), "handled").await.tenant.as_deref(), Some(dune.as_str()));
        assert!(store.dossiers(&dune, Lookup::Application("waits".parse().unwrap())).await.unwrap().is_empty());
    });
}

fn an_erased_person_is_not_found_any_more_and_the_erasure_is_noted_without_their_data(pair: Pair) {
    on_hub(pair, &[], &["dune"], async |walk| {
        let (dune, ground) = (walk.world.bridges[0].tenant().clone(), walk.ground);
        let erase = |person: &'static str, really: bool| {
            let words = ["candidate", "erase", person, "--tenant", dune.as_str(), "--yes"].map(str::to_owned);
            let words: Vec<String> = words.into_iter().take(if really { 6 } else { 5 }).collect();
            async move { ended(ground, &words.iter().map(String::as_str).collect::<Vec<_>>()).await }
        };
        let fact = applies(walk, "a-1").await;
        applies(walk, "a-2").await;
        is_invited(walk, 2).await;
        let (code, said) = erase("a-1@dune.example", false).await;
        assert!(code == Some(2) && said.contains("1 applications") && said.contains("lines of history"), "{said}");
        let found = async |application: &str| {
            let by = Lookup::Application(application.parse().unwrap());
            walk.store().dossiers(&dune, by).await.unwrap().len()
        };
        assert_eq!((found("a-1").await, found("a-2").await), (1, 1));
        let (code, said) = erase("a-1@dune.example", true).await;
        assert!(code == Some(0) && !said.contains("a-1@dune"), "{said}");
        assert_eq!((found("a-1").await, found("a-2").await), (0, 1));
        let shown = ground.shown(fact.id.as_str()).await;
        assert!(shown.contains("erased") && !shown.contains("Lovelace") && !shown.contains("a-1@"), "{shown}");
        let noted = said.split("as ").find_map(|rest| rest.split(". ").next().filter(|id| id.starts_with("erasure-"))).unwrap().to_owned();
        let line = walk.store().message(&noted).await.unwrap().remove(0).journal.remove(0);
        assert_eq!(line.code, "person_erased");
        assert!(line.application.is_none() && !line.text.contains("a-1") && !line.text.contains("Ada"), "{}", line.text);
        assert_eq!(erase("a-1@dune.example", true).await.0, Some(5), "there is nothing more");
        // Which application it was may be said as well.
        assert_eq!(erase("a-2", true).await.0, Some(0));
        assert_eq!(found("a-2").await, 0);
        // The same message again is no new one.
        walk.send(std::slice::from_ref(&fact)).await;
        walk.nothing_is_left().await;
        assert_eq!((found("a-1").await, invitations(walk)), (0, 2));
    });
}

/// A request for an invitation that is found at the broker when its tenant is gone ends there.
#[test]
fn a_request_of_a_tenant_that_is_gone_asks_for_nothing_and_leaves_no_trace() {
    on_hub(Pair::Real, &[], &["dune"], async |walk| {
        use atshub_schemas::{Line, Message, internal::InviteRequested};
        let request = Message::InviteRequested(InviteRequested { candidacy: uuid::Uuid::now_v7(), intent: 1 });
        let envelope = Envelope::new(Line::new("/atshub").unwrap(), tenant("left"), jiff::Timestamp::now(), request);
        let message = Publication {
            exchange: topology::WORK.into(),
            routing_key: topology::INVITES.into(),
            message_id: envelope.id.to_string(),
            content_type: CONTENT_TYPE.into(),
            headers: BTreeMap::new(),
            body: envelope.encode().unwrap().into(),
        };
        let done = || walk.running.hub.board().snapshot().iter().filter(|c| c.name.starts_with("invites")).map(|c| c.done).sum::<u64>();
        for answer in walk.running.broker.publish(vec![message]).await {
            answer.unwrap();
        }
        assert!(until(async || done() == 1).await, "it is taken from its queue");
        walk.nothing_is_left().await;
        assert!(walk.store().message(envelope.id.as_str()).await.unwrap().is_empty());
    });
}
