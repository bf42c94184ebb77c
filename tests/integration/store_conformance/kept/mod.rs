//! What is kept, as one table: every table and text column of both schemas stands in it, and by it a removed tenant and an erased person
//! are gone from all of them, and what has a time ends with it.

mod ground;
mod somebody;

use crate::support::build::{self, applied, claim, days_later, external, now, parked, publishes, tenant};
use atshub::kept::{KEPT, Kept};
use atshub_actors::{
    domain::Lookup,
    ports::{Change, Person, Standing},
};
use ground::Ground;
use jiff::Timestamp;
use somebody::{ADA, BOB, Somebody, lives, register};
use std::collections::{BTreeMap, BTreeSet};

/// Runs each of these on both stores.
macro_rules! on_both {
    ($($sentence:ident)*) => {
        mod on_sqlite { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::ground::Ground::sqlite().await).await;
            }
        )* }
        mod on_postgres { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::ground::Ground::postgres().await).await;
            }
        )* }
    };
}

on_both! {
    every_table_and_text_column_of_the_schema_is_in_the_table_of_what_is_kept
    of_a_removed_tenant_no_table_has_a_row_and_its_neighbour_keeps_all
    a_new_tenant_of_an_old_name_begins_with_nothing_whatever_an_earlier_release_left
    what_was_written_for_a_tenant_after_it_was_removed_goes_and_strays_stay_for_their_time
    an_erased_person_is_in_no_column_of_any_table_and_others_are_as_before
    a_message_of_an_erased_person_is_not_taken_for_new_when_it_comes_again
    to_ask_what_an_erasure_would_be_erases_nothing
    every_table_that_has_a_time_ends_with_it
    what_waits_for_a_tenant_that_was_disabled_long_ago_ends_and_for_others_it_stays
}

/// How many rows of each table name a tenant.
async fn of_tenant(ground: &Ground, name: &str) -> BTreeMap<&'static str, usize> {
    let mut found = BTreeMap::new();
    for kept in Kept::of(ground.kind()) {
        let Some(whose) = kept.tenant else { continue };
        let whose = whose.replace("$1", &format!("'{name}'"));
        let count = ground.ask(&format!("select cast(count(*) as text) from {} where {whose}", kept.table)).await;
        let count: usize = count[0][0].parse().unwrap();
        found.insert(kept.table, count);
    }
    found
}

async fn every_table_and_text_column_of_the_schema_is_in_the_table_of_what_is_kept(ground: Ground) {
    let schema = ground.schema().await;
    let kept: BTreeSet<&str> = Kept::of(ground.kind()).map(|kept| kept.table).collect();
    let there: BTreeSet<&str> = schema.keys().map(String::as_str).filter(|table| *table != "rusqlite_migrations").collect();
    assert_eq!(there, kept, "src/records/kept.rs has every table: what it holds, how long, and whose");
    for table in Kept::of(ground.kind()) {
        for column in &schema[table.table] {
            let named = |expression: &str| expression.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == column);
            let says = table.says.iter().any(|(expression, _, stores)| stores.include(ground.kind()) && named(expression));
            assert!(says || table.plain.contains(&column.as_str()), "`{}`.`{column}`: may it say something of a person?", table.table);
        }
        if schema[table.table].contains("tenant") {
            assert!(table.is_of_work(), "`{}` has rows of tenants", table.table);
        }
        assert!(table.holds.len() > 10, "`{}`", table.table);
    }
}

async fn of_a_removed_tenant_no_table_has_a_row_and_its_neighbour_keeps_all(ground: Ground) {
    let store = &*ground.store;
    for name in ["acme", "acme-2"] {
        register(store, name).await;
        lives(store, name, &ADA).await;
    }
    let before = of_tenant(&ground, "acme-2").await;
    let own = of_tenant(&ground, "acme").await;
    assert!(own.values().all(|rows| *rows > 0), "the test has something in every table: {own:?}");
    assert!(store.remove_tenant(&tenant("acme")).await.unwrap());
    let left = of_tenant(&ground, "acme").await;
    assert!(left.values().all(|rows| *rows == 0), "{left:?}");
    assert_eq!(of_tenant(&ground, "acme-2").await, before);
    let named: Vec<_> = ground.rows().await.into_iter().filter(|(_, row)| row.contains("acme") && !row.contains("acme-2")).collect();
    assert_eq!(named, [], "nothing names it");
    assert!(!store.remove_tenant(&tenant("acme")).await.unwrap());
}

async fn a_new_tenant_of_an_old_name_begins_with_nothing_whatever_an_earlier_release_left(ground: Ground) {
    let store = &*ground.store;
    // As releases before this one did: the tenant goes, all else stays.
    let key = lives(store, "acme", &ADA).await;
    let stray = parked("acme", Some("stray"), "unknown_tenant", b"{}");
    applied(store.commit(Change { parked: Some(stray), ..Change::default() }).await);
    register(store, "acme").await;
    let left = of_tenant(&ground, "acme").await;
    let own = ["tenants", "secrets", "children", "callers"];
    assert!(left.iter().all(|(table, rows)| *rows == usize::from(own.contains(table))), "{left:?}");
    assert!(!store.begin(&key, claim()).await.unwrap().handled, "another customer's message is not taken for handled");
    assert!(store.claim(days_later(now(), 99), 10, 10, std::time::Duration::from_secs(1)).await.unwrap().is_empty());
    assert!(store.journal(&tenant("acme"), &external(&ADA.application())).await.unwrap().is_empty());
    assert_eq!(store.message("stray").await.unwrap()[0].tenant, None, "what strayed before is still there, and nobody's");
}

async fn what_was_written_for_a_tenant_after_it_was_removed_goes_and_strays_stay_for_their_time(ground: Ground) {
    let store = &*ground.store;
    register(store, "acme").await;
    register(store, "birch").await;
    lives(store, "birch", &BOB).await;
    store.remove_tenant(&tenant("acme")).await.unwrap();
    lives(store, "acme", &ADA).await;
    let before = of_tenant(&ground, "birch").await;
    assert!(store.forget_removed(Timestamp::UNIX_EPOCH).await.unwrap() > 0);
    let left = of_tenant(&ground, "acme").await;
    assert!(left.iter().all(|(table, rows)| *rows == 0 || *table == "parked"), "{left:?}");
    assert_eq!(of_tenant(&ground, "birch").await, before);
    store.sweep(now(), days_later(now(), 1), Timestamp::UNIX_EPOCH).await.unwrap();
    assert_eq!(of_tenant(&ground, "acme").await["parked"], 0);
    assert_eq!(store.forget_removed(Timestamp::UNIX_EPOCH).await.unwrap(), 0);
}

async fn an_erased_person_is_in_no_column_of_any_table_and_others_are_as_before(ground: Ground) {
    let store = &*ground.store;
    register(store, "acme").await;
    register(store, "birch").await;
    for by_application in [false, true] {
        lives(store, "acme", &ADA).await;
        lives(store, "acme", &BOB).await;
        lives(store, "birch", &ADA).await;
        let about = |rows: &[(&'static str, String)], of: &Somebody, whose: &str| -> Vec<(&'static str, String)> {
            let traces = of.traces();
            rows.iter()
                .filter(|(_, row)| row.contains(whose) && traces.iter().any(|trace| row.to_lowercase().contains(trace.as_str())))
                .cloned()
                .collect()
        };
        let before = ground.rows().await;
        let tables: BTreeSet<&str> = about(&before, &ADA, "acme").iter().map(|(table, _)| *table).collect();
        let said: BTreeSet<&str> = Kept::of(ground.kind()).filter(|kept| !kept.says.is_empty()).map(|kept| kept.table).collect();
        assert!(said.is_subset(&tables), "the test has the person in every table that can say something of one: {tables:?}");
        let person = match by_application {
            true => Person::Application(external(&ADA.application())),
            false => Person::Email("ADA@example.org".parse().unwrap()),
        };
        let rows = store.erase(&tenant("acme"), &person, true).await.unwrap();
        assert_eq!((rows["dossiers"], rows["parked"]), (1, 4), "{rows:?}");
        let after = ground.rows().await;
        assert_eq!(about(&after, &ADA, "acme"), []);
        assert_eq!(about(&after, &BOB, "acme"), about(&before, &BOB, "acme"));
        assert_eq!(about(&after, &ADA, "birch"), about(&before, &ADA, "birch"), "another customer's is another customer's to erase");
        assert!(store.erase(&tenant("acme"), &person, true).await.unwrap().is_empty(), "there is nothing more");
        let found = store.dossiers(&tenant("acme"), Lookup::Email(ADA.email.parse().unwrap())).await.unwrap();
        assert!(found.is_empty());
        for name in ["acme", "birch"] {
            store.remove_tenant(&tenant(name)).await.unwrap();
            register(store, name).await;
        }
    }
}

async fn a_message_of_an_erased_person_is_not_taken_for_new_when_it_comes_again(ground: Ground) {
    let store = &*ground.store;
    register(store, "acme").await;
    let key = lives(store, "acme", &ADA).await;
    store.erase(&tenant("acme"), &Person::Email(ADA.email.parse().unwrap()), true).await.unwrap();
    assert!(store.begin(&key, claim()).await.unwrap().handled);
    let shown = store.message(key.id.as_str()).await.unwrap().remove(0);
    assert_eq!((shown.state.as_str(), shown.disposition.unwrap().verdict.as_str()), ("handled", "erased"));
}

async fn to_ask_what_an_erasure_would_be_erases_nothing(ground: Ground) {
    let store = &*ground.store;
    register(store, "acme").await;
    lives(store, "acme", &ADA).await;
    let before = ground.rows().await;
    let person = Person::Email(ADA.email.parse().unwrap());
    let would = store.erase(&tenant("acme"), &person, false).await.unwrap();
    assert_eq!(ground.rows().await, before);
    assert_eq!(store.erase(&tenant("acme"), &person, true).await.unwrap(), would);
    let nobody = Person::Application(external("no-such-application"));
    assert!(store.erase(&tenant("acme"), &nobody, true).await.unwrap().is_empty());
}

async fn every_table_that_has_a_time_ends_with_it(ground: Ground) {
    let store = &*ground.store;
    register(store, "acme").await;
    lives(store, "acme", &ADA).await;
    let sent = store.claim(days_later(now(), 10), 100, 100, std::time::Duration::from_secs(1)).await.unwrap();
    store.sent(sent).await.unwrap();
    let is_over = |kept: &Kept| kept.old(ground.kind()).is_some();
    let candidates = ["dossiers", "candidacies", "searched"];
    let far = days_later(now(), 99);
    store.sweep(now(), far, Timestamp::UNIX_EPOCH).await.unwrap();
    let left = of_tenant(&ground, "acme").await;
    for kept in Kept::of(ground.kind()).filter(|kept| is_over(kept) && !candidates.contains(&kept.table)) {
        assert_eq!(left[kept.table], 0, "`{}` ends with the retention of history", kept.table);
    }
    assert!(candidates.iter().all(|table| left[table] == 1), "{left:?}");
    store.sweep(now(), far, far).await.unwrap();
    let left = of_tenant(&ground, "acme").await;
    assert!(candidates.iter().all(|table| left[table] == 0), "{left:?}");
    let gone = ground.rows().await.into_iter().filter(|(_, row)| row.contains(ADA.email) || row.contains(ADA.name));
    assert_eq!(gone.collect::<Vec<_>>(), []);
    assert!(KEPT.iter().filter(|kept| kept.is_of_work()).count() > 8);
}

async fn what_waits_for_a_tenant_that_was_disabled_long_ago_ends_and_for_others_it_stays(ground: Ground) {
    let store = &*ground.store;
    for name in ["acme", "birch", "cedar"] {
        register(store, name).await;
        applied(store.commit(Change { outbox: vec![publishes(&build::moved(&tenant(name), "a-1"), None)], ..Change::default() }).await);
    }
    let _stands = store.set_standing(&tenant("acme"), Standing::Disabled, Some("its credential was deleted"), None, None).await.unwrap();
    let _stands = store.set_standing(&tenant("birch"), Standing::Paused, Some("by an operator"), None, None).await.unwrap();
    assert_eq!(store.forget_removed(days_later(now(), -1)).await.unwrap(), 0, "it was disabled just now");
    assert_eq!(store.forget_removed(days_later(now(), 1)).await.unwrap(), 1);
    let left = store.claim(days_later(now(), 1), 10, 10, std::time::Duration::from_secs(1)).await.unwrap();
    let mut whose: Vec<_> = left.iter().map(|row| row.routing_key.as_str()).collect();
    whose.sort_unstable();
    assert_eq!(whose, ["tenant.birch", "tenant.cedar"]);
}
