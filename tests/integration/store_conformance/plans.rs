//! Every statement of the PostgreSQL store finds its rows by an index, also while no table was ever analysed.

use crate::support::{
    build::{
        applied, candidacy, claim, days_later, dossier, external, handled, invitation, line, moved, next, now, parked, publishes, saves,
        tenant,
    },
    postgres::{TestDatabase, client},
};
use atshub::postgres::PostgresStore;
use atshub_actors::{
    domain::{Candidacy, Dossier, EffectKey, Heard, Lookup, State, Subject},
    ports::{Attempt, Change, Claim, Dossiers, HeardWrite, Journal, MessageKey, OutboxRow, Rail, Store},
};
use atshub_schemas::{Email, Link, TenantName, fact::Person, topology};
use std::time::Duration;

/// Rows that an index may lead to for each message: of one index, and of all together.
const MOST_BY_ONE: i64 = 20;
const MOST_BY_ALL: i64 = 120;

/// How many rows each index led to. What waits is handed out in order, past the entries of what was sent just before: how soon those are
/// known to be dead is up to everything else that the database server does, so that there only living rows count.
const LED: &str = "select indexrelname, case when indexrelname in ('waiting_at_once', 'waiting_timed', 'waiting_invites_at_once', \
    'waiting_invites_timed') then idx_tup_fetch else idx_tup_read end as led from pg_stat_user_indexes";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_grow_from_nothing_are_read_by_their_indexes_before_anybody_has_analysed_them() {
    const MESSAGES: i64 = 500;
    let database = TestDatabase::empty().await;
    let behind = client(&database.url).await;
    let store = database.store().await;
    // Partitioned tables are never analysed by themselves; the others are not to be either.
    let tables =
        behind.query("select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r'", &[]).await;
    for table in tables.unwrap() {
        let off = format!("alter table {} set (autovacuum_enabled = off)", table.get::<_, String>(0));
        behind.batch_execute(&off).await.unwrap();
    }
    let acme = tenant("acme");
    for n in 0..MESSAGES {
        let id = format!("a-{n}");
        let fact = moved(&acme, &id);
        store.begin(&MessageKey::from(&fact), claim()).await.unwrap();
        let mut fresh = dossier(&acme, &id, &format!("{id}@example.org"));
        fresh.job.id = Some(external(&format!("job-{n}")));
        fresh.candidate.profile_url = Some(Link::new(format!("https://ats.example/people/{n}")).unwrap());
        let recruiter = Email::new(format!("r{n}@acme.example")).unwrap();
        fresh.recruiter = Some(Person { id: None, name: None, email: Some(recruiter.clone()) });
        fresh.candidacies =
            vec![Candidacy { invitation: Some(invitation(&format!("pc-{n}"))), ..candidacy(State::Invited, &format!("r-{n}")) }];
        let lookups = [
            Lookup::Application(external(&id)),
            Lookup::Candidacy(fresh.candidacies[0].id),
            Lookup::Live(format!("{id}@example.org|r-{n}")),
            Lookup::Candidate(external(&format!("person-{id}@example.org"))),
            Lookup::PlatformCandidacy(external(&format!("pc-{n}"))),
            Lookup::WaitingOfJob(external(&format!("job-{n}"))),
            Lookup::Email(fresh.candidate.email.clone().unwrap()),
            Lookup::ProfileUrl(fresh.candidate.profile_url.clone().unwrap()),
            Lookup::Job(external(&format!("job-{n}"))),
            Lookup::Role(external(&format!("r-{n}"))),
            Lookup::Recruiter(recruiter.clone()),
            Lookup::Refused,
        ];
        let found = async |dossier: Option<&Dossier>| {
            for by in lookups.clone() {
                let refused = matches!(by, Lookup::WaitingOfJob(_) | Lookup::Refused);
                let wanted = dossier.filter(|_| !refused).into_iter().cloned().collect::<Vec<_>>();
                assert_eq!(store.dossiers(&acme, by).await.unwrap(), wanted);
            }
        };
        found(None).await;
        let change = Change { handled: handled(&fact), outbox: vec![publishes(&fact, None)], ..saves(&fresh) };
        applied(store.commit(change).await);
        let later = next(&fresh);
        applied(store.commit(saves(&later)).await);
        found(Some(&later)).await;
        let before = n.checked_sub(1).map(|n| external(&format!("a-{n}")));
        store.page(&acme, "invited", before.as_ref(), 2).await.unwrap();
        everything_else(&store, &acme, n).await;
        let rows = store.claim(now(), 10, 10, Duration::from_secs(60)).await.unwrap();
        let (put_off, sent): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.routing_key == topology::INVITES);
        store.unsent_all(put_off, now(), "refused").await.unwrap();
        store.sent(sent).await.unwrap();
        let rows = store.claim(now(), 10, 10, Duration::from_secs(60)).await.unwrap();
        store.sent(rows).await.unwrap();
        store.next_due().await.unwrap();
    }
    // These look through all of a tenant's, or of a day's, by what they are: once.
    store.candidacy_counts(Some(&acme)).await.unwrap();
    store.parked_counts(Some(&acme)).await.unwrap();
    store.send_again(&topology::tenant_queue(&acme)).await.unwrap();
    store.sweep(now(), days_later(now(), -30), jiff::Timestamp::UNIX_EPOCH).await.unwrap();
    drop(store);
    // What a connection has counted is there to be read soon after it has ended.
    let counted = format!(
        "select coalesce(sum(seq_tup_read), 0)::int8, coalesce(sum(n_tup_ins) filter (where relname = 'dossiers'), 0)::int8, \
         (select sum(led)::int8 from ({LED}) i) from pg_stat_user_tables"
    );
    let (read, led_to) = loop {
        let row = behind.query_one(&counted, &[]).await.unwrap();
        if row.get::<_, i64>(1) == MESSAGES {
            break (row.get::<_, i64>(0), row.get::<_, i64>(2));
        }
        tokio::task::yield_now().await;
    };
    // To read all of one table for every message would be half of their number squared: 125,000 rows.
    assert!(read < 10 * MESSAGES, "{read} rows were read that no index led to");
    // The same for an index that only begins with the key, as one by tenant.
    let most = format!(
        "select string_agg(indexrelname || ': ' || led, ', ' order by led desc), max(led)::int8 from \
         (select * from ({LED}) i order by led desc limit 5) most"
    );
    let most = behind.query_one(&most, &[]).await.unwrap();
    let (names, worst): (String, i64) = (most.get(0), most.get(1));
    assert!(worst < MOST_BY_ONE * MESSAGES && led_to < MOST_BY_ALL * MESSAGES, "indexes led to {led_to} rows; most of them: {names}");
}

/// What is asked of the store about one more message, beside its dossier: attempts, keys, what was heard, history, parked work.
async fn everything_else(store: &PostgresStore, acme: &TenantName, n: i64) {
    let [work, other] = [(); 2].map(|()| moved(acme, &format!("a-{n}")));
    let key = MessageKey::from(&work);
    let owner = claim();
    store.begin(&key, owner).await.unwrap();
    store.begin(&key, Claim { takes_over: Some(owner.owner), ..claim() }).await.unwrap();
    store.renew(&key, owner).await.unwrap();
    let attempt = Attempt { key, owner: None, counts: true, code: "x".into(), detail: "y".into(), next_at: Some(now()) };
    applied(store.commit(Change { attempt: Some(attempt), ..Change::default() }).await);
    store.crashed(&MessageKey::from(&other), None, "panic").await.unwrap();
    let effect = |what: &str| EffectKey { candidacy: uuid::Uuid::from_u128(n as u128), intent: 1, what: what.into() };
    let asks = |what: &str| OutboxRow { routing_key: topology::INVITES.into(), key: Some(effect(what)), ..publishes(&work, None) };
    let subject = Subject::Job(external(&format!("job-{n}")));
    let mut heard = Heard::nothing(acme.clone(), subject.clone(), now());
    for (expected, outbox) in [(None, vec![asks("invite"), asks("command")]), (Some(1), vec![asks("invite")])] {
        heard.version += 1;
        let heard = vec![HeardWrite { heard: heard.clone(), expected }];
        let journal = vec![line(acme, &format!("a-{n}"), now(), "x")];
        applied(store.commit(Change { heard, outbox, journal, ..Change::default() }).await);
    }
    applied(store.commit(Change { taken_back: vec![(acme.clone(), effect("command"))], ..Change::default() }).await);
    let third = moved(acme, &format!("a-{n}"));
    let clocks = ["unanswered", "rings"].map(|what| OutboxRow { key: Some(effect(what)), ..publishes(&third, Some(now())) });
    let begins = Some((MessageKey::from(&third), claim()));
    let unheard = vec![(acme.clone(), Subject::Interview(external(&format!("i-{n}"))))];
    applied(store.commit(Change { outbox: clocks.to_vec(), begins, unheard, ..Change::default() }).await);
    applied(store.commit(Change { ends: Some((acme.clone(), effect("unanswered"))), ..Change::default() }).await);
    assert_eq!(store.heard(acme, vec![subject]).await.unwrap().len(), 1);
    let aside = parked("acme", Some(other.id.as_str()), "code", n.to_string().as_bytes());
    applied(store.commit(Change { parked: Some(aside), ..Change::default() }).await);
    assert_eq!(store.message(other.id.as_str()).await.unwrap().len(), 1);
    assert_eq!(store.journal(acme, &external(&format!("a-{n}"))).await.unwrap().len(), 2);
}
