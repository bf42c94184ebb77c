//! What is kept, as one table: every table and text column of both schemas stands in it, and by it a removed tenant and an erased person
//! are gone from all of them, and what has a time ends with it.

use crate::support::{
    build::{
        self, applied, candidacy, claim, days_later, dossier, entered, external, handled, invitation, line, now, parked, publishes, record,
        saves, tenant, words,
    },
    postgres::{self, TestDatabase},
};
use atshub::{
    embedded::store::SqliteStore,
    kept::{KEPT, Kept, Stores},
};
use atshub_actors::{
    domain::{Dossier, EffectKey, Heard, Lookup, State, Subject},
    ports::{Attempt, Beat, Change, Dossiers as _, HeardWrite, JournalEntry, MessageKey, OutboxRow, Person, SealedSecret, Store},
    supervision::ChildSnapshot,
};
use atshub_schemas::{Envelope, Link, Message, TenantName, fact::Candidate};
use bytes::Bytes;
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use uuid::Uuid;

/// A store, and a way to look behind it.
struct Ground {
    store: Arc<dyn Store>,
    behind: Behind,
}

enum Behind {
    Sqlite(tempfile::TempDir),
    Postgres(TestDatabase),
}

impl Ground {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Arc::new(SqliteStore::open(folder.path()).unwrap()), behind: Behind::Sqlite(folder) }
    }

    async fn postgres() -> Self {
        let database = TestDatabase::empty().await;
        Self { store: Arc::new(database.store().await), behind: Behind::Postgres(database) }
    }

    fn kind(&self) -> Stores {
        match self.behind {
            Behind::Sqlite(_) => Stores::Sqlite,
            Behind::Postgres(_) => Stores::Postgres,
        }
    }

    /// Every row that a question finds, its columns as text.
    async fn ask(&self, sql: &str) -> Vec<Vec<String>> {
        match &self.behind {
            Behind::Sqlite(folder) => {
                let connection = rusqlite::Connection::open(folder.path().join("hub.db")).unwrap();
                let mut statement = connection.prepare(sql).unwrap();
                let columns = statement.column_count();
                let text = |row: &rusqlite::Row<'_>, column| match row.get_ref(column).unwrap() {
                    rusqlite::types::ValueRef::Text(bytes) | rusqlite::types::ValueRef::Blob(bytes) => {
                        String::from_utf8_lossy(bytes).into_owned()
                    }
                    other => format!("{other:?}"),
                };
                let rows = statement.query_map([], |row| Ok((0..columns).map(|column| text(row, column)).collect())).unwrap();
                rows.map(Result::unwrap).collect()
            }
            Behind::Postgres(database) => {
                let client = postgres::client(&database.url).await;
                let mut found = Vec::new();
                for message in client.simple_query(sql).await.unwrap() {
                    if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
                        found.push((0..row.len()).map(|column| row.get(column).unwrap_or("null").to_owned()).collect());
                    }
                }
                found
            }
        }
    }

    /// The tables of the schema, with their columns that hold text, JSON, bytes or an id.
    async fn schema(&self) -> BTreeMap<String, BTreeSet<String>> {
        let sql = match self.kind() {
            Stores::Postgres => {
                "select c.relname, a.attname, t.typname in ('text', 'varchar', 'json', 'jsonb', 'bytea', 'uuid', 'name') from pg_class c \
                 join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped join pg_type t on t.oid = a.atttypid \
                 where c.relnamespace = current_schema()::regnamespace and c.relkind in ('r', 'p') and not c.relispartition"
            }
            _ => {
                "select m.name, c.name, case when lower(c.type) in ('integer', 'real') then 'f' else 't' end from sqlite_master m \
                 join pragma_table_info(m.name) c where m.type = 'table' and m.name not like 'sqlite\\_%' escape '\\'"
            }
        };
        let mut tables = BTreeMap::<String, BTreeSet<String>>::new();
        for row in self.ask(sql).await {
            let columns = tables.entry(row[0].clone()).or_default();
            if row[2] == "t" {
                columns.insert(row[1].clone());
            }
        }
        tables
    }

    /// All rows of all tables: table, and the row as one text. Bytes are text as well.
    async fn rows(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        for kept in Kept::of(self.kind()) {
            let columns: Vec<String> = self.schema().await[kept.table].iter().cloned().collect();
            let read: Vec<String> = match self.kind() {
                Stores::Postgres if kept.table == "parked" => {
                    columns.iter().map(|c| if c == "body" { "encode(body, 'escape')".to_owned() } else { c.clone() }).collect()
                }
                _ => columns,
            };
            for row in self.ask(&format!("select {} from {}", read.join(", "), kept.table)).await {
                all.push((kept.table, row.join(" | ")));
            }
        }
        all
    }
}

/// Runs each of these on both stores.
macro_rules! on_both {
    ($($sentence:ident)*) => {
        mod on_sqlite { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::Ground::sqlite().await).await;
            }
        )* }
        mod on_postgres { $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $sentence() {
                super::$sentence(super::Ground::postgres().await).await;
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

/// Somebody, everything of whom can be told from what others have.
struct Somebody {
    name: &'static str,
    email: &'static str,
    phone: &'static str,
    number: &'static str,
}

const ADA: Somebody = Somebody { name: "Ada Lovelace", email: "ada@example.org", phone: "+442071234567", number: "17" };
const BOB: Somebody = Somebody { name: "Bob Babbage", email: "bob@example.org", phone: "+442079999999", number: "18" };

impl Somebody {
    fn application(&self) -> String {
        format!("app-{}", self.number)
    }

    fn page(&self) -> Link {
        Link::new(format!("https://ats.example/people/{}", self.number)).unwrap()
    }

    fn interview(&self) -> Link {
        Link::new(format!("https://platform.example/interviews/i-{}", self.number)).unwrap()
    }

    /// Every word by which the person could be told.
    fn traces(&self) -> Vec<String> {
        let words = [self.name, self.email, self.phone, self.page().as_str(), self.interview().as_str()].map(str::to_lowercase);
        words.into_iter().collect()
    }

    fn candidate(&self) -> Candidate {
        Candidate {
            id: Some(external(&format!("person-{}", self.number))),
            name: Some(words(self.name)),
            email: Some(self.email.parse().unwrap()),
            phone: Some(self.phone.to_owned().try_into().unwrap()),
            profile_url: Some(self.page()),
        }
    }

    fn dossier(&self, tenant: &TenantName) -> Dossier {
        let mut live = candidacy(State::Invited, "1201");
        live.invitation =
            Some(atshub_actors::ports::Invitation { link: Some(self.interview()), ..invitation(&format!("pc-{}", self.number)) });
        Dossier { candidate: self.candidate(), candidacies: vec![live], ..dossier(tenant, &self.application(), self.email) }
    }

    fn fact(&self, tenant: &TenantName) -> Envelope {
        let mut fact = entered(tenant, &self.application(), self.name, self.email, Some(self.phone));
        if let Message::ApplicationMoved(change) = &mut fact.message {
            change.candidate = Some(self.candidate());
        }
        fact
    }
}

fn entry(tenant: &TenantName, of: &Somebody, text: String) -> JournalEntry {
    JournalEntry { text, ..line(tenant, &of.application(), now(), "invited") }
}

/// Something of the person in every table that has anything of tenants' work; the message that was handled.
async fn lives(store: &dyn Store, name: &str, of: &Somebody) -> MessageKey {
    let acme = tenant(name);
    let dossier = of.dossier(&acme);
    let candidacy = dossier.candidacies[0].id;
    let (fact, later) = (of.fact(&acme), of.fact(&acme));
    let keyed = |message: &Envelope, what: &str, at| OutboxRow {
        key: Some(EffectKey { candidacy, intent: 1, what: what.into() }),
        ..publishes(message, at)
    };
    let heard = Heard {
        tenant: acme.clone(),
        subject: Subject::Person(external(&format!("person-{}", of.number))),
        version: 1,
        updated_at: now(),
        candidate: of.candidate(),
        ..serde_json::from_value(serde_json::json!({
            "tenant": name, "subject": { "kind": "person", "id": "x" }, "version": 1, "updated_at": now()
        }))
        .unwrap()
    };
    let change = Change {
        handled: handled(&fact),
        outbox: vec![publishes(&of.fact(&acme), None), keyed(&of.fact(&acme), "reminder", Some(days_later(now(), 9)))],
        journal: vec![entry(&acme, of, format!("{} was invited, see {}", of.email, of.interview()))],
        heard: vec![HeardWrite { heard, expected: None }],
        ..saves(&dossier)
    };
    applied(store.commit(change).await);
    // One that failed, and waits to be tried again.
    let key = MessageKey::from(&later);
    let begun = store.begin(&key, claim()).await.unwrap();
    let attempt = Attempt {
        key,
        owner: begun.owner,
        counts: true,
        code: "transient".into(),
        detail: format!("`{}` was not answered", of.page()),
        next_at: Some(days_later(now(), 1)),
    };
    applied(store.commit(Change { attempt: Some(attempt), outbox: vec![publishes(&later, None)], ..Change::default() }).await);
    // As programs write them: cut off, in other letters, with escapes.
    let broken = format!("{{\"data\": {{\"candidate\": {{\"email\": \"{}\"", of.email.to_uppercase());
    let escaped = serde_json::json!({ "data": { "candidate": { "name": of.name, "email": of.email }, "application": {} } }).to_string();
    let escaped = escaped.replace('@', "\\u0040");
    let unnamed = format!("{{\"candidate\": {{\"id\": \"person-{}\"}}, \"text\": \"{}\"}}", of.number, of.name);
    let nameless = format!("{} {}", of.name, of.phone);
    for (nth, body) in [broken, escaped, unnamed, nameless].into_iter().enumerate() {
        let aside = parked(name, Some(&format!("p-{}-{nth}", of.number)), "undecodable_body", body.as_bytes());
        applied(store.commit(Change { parked: Some(aside), ..Change::default() }).await);
    }
    MessageKey::from(&fact)
}

/// The tenant itself, with a credential, and what its actor does.
async fn register(store: &dyn Store, name: &str) {
    assert!(store.put_tenant(record(name), None).await.unwrap());
    let secret = SealedSecret {
        owner: format!("tenant/{name}"),
        name: "api_key".into(),
        sealed: Bytes::from_static(b"sealed"),
        fingerprint: "ab12".into(),
        set_at: now(),
    };
    store.put_secret(secret).await.unwrap();
    let process = Uuid::now_v7();
    let beat = Beat { process, name: "here:1".into(), started_at: now(), able: true };
    store.beat(beat, std::time::Duration::from_secs(9)).await.unwrap();
    store.show_children(process, vec![child(name)]).await.unwrap();
}

fn child(name: &str) -> ChildSnapshot {
    serde_json::from_value(serde_json::json!({
        "name": format!("tenant/{name}"), "phase": "running", "cause": null, "generation": 1, "restarts": 0, "history": [],
        "next_start": null, "in_hand": 0, "oldest": null, "last_in": null, "last_done": null, "last_written": null, "breakers": [],
        "done": 0, "poisoned": 0
    }))
    .unwrap()
}

/// How many rows of each table name a tenant.
async fn of_tenant(ground: &Ground, name: &str) -> BTreeMap<&'static str, usize> {
    let mut found = BTreeMap::new();
    for kept in Kept::of(ground.kind()) {
        let Some(whose) = kept.tenant else { continue };
        let whose = whose.replace("$1", &format!("'{name}'"));
        let count = ground.ask(&format!("select {} from {} where {whose}", kept.plain[0], kept.table)).await.len();
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
    let own = ["tenants", "secrets", "children"];
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
    store.set_standing(&tenant("acme"), "disabled", Some("its credential was deleted"), None).await.unwrap();
    store.set_standing(&tenant("birch"), "paused", Some("by an operator"), None).await.unwrap();
    assert_eq!(store.forget_removed(days_later(now(), -1)).await.unwrap(), 0, "it was disabled just now");
    assert_eq!(store.forget_removed(days_later(now(), 1)).await.unwrap(), 1);
    let left = store.claim(days_later(now(), 1), 10, 10, std::time::Duration::from_secs(1)).await.unwrap();
    let mut whose: Vec<_> = left.iter().map(|row| row.routing_key.as_str()).collect();
    whose.sort_unstable();
    assert_eq!(whose, ["tenant.birch", "tenant.cedar"]);
}
