//! Dossiers, and what was heard apart from them. What almost every message asks (the dossier of an application or of a candidacy, what
//! was heard of some subjects) is asked together with what others ask at the same time.

use super::{
    connection::{Database, Fault},
    reading::rows,
    searched,
};
use crate::records::{CANDIDATE_LIMIT, REFUSED_LIMIT, from_json, sought};
use atshub_actors::{
    domain::{Dossier, Lookup, Subject},
    ports::{Found, StoreError},
};
use atshub_schemas::TenantName;
use deadpool_postgres::Object;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio_postgres::Row;
use uuid::Uuid;

/// One question: the dossiers that each lookup leads to, and what was heard of these subjects.
pub(super) struct Question {
    pub tenant: TenantName,
    pub by: Vec<Lookup>,
    pub of: Vec<Subject>,
    pub reply: oneshot::Sender<Result<Found, StoreError>>,
}

/// What almost every message asks, of many messages in one statement. Not joins: the plan of a join of two tables that were empty when it
/// was made reads all dossiers of the tenant.
const KNOWN: &str = "select false, k.ord, k.id, (select d.body::text from dossiers d where d.tenant = k.tenant and d.application_id = k.id) \
    from unnest($1::int4[], $2::text[], $3::text[]) as k (ord, tenant, id) \
    union all select false, a.ord, a.id, (select d.body::text from dossiers d where d.tenant = a.tenant and d.application_id = a.id) \
    from (select k.ord, k.tenant, (select c.application_id from candidacies c where c.tenant = k.tenant and c.id = k.id) as id \
        from unnest($4::int4[], $5::text[], $6::uuid[]) as k (ord, tenant, id)) a \
    union all select true, k.ord, k.id, (select h.body::text from heard h where h.tenant = k.tenant and h.kind = k.kind and h.id = k.id) \
    from unnest($7::int4[], $8::text[], $9::text[], $10::text[]) as k (ord, tenant, kind, id)";
const BY_LIVE_KEY: &str = "select application_id, body::text from dossiers where tenant = $1 and application_id = \
    (select application_id from candidacies where tenant = $1 and live_key = $2)";
const BY_PLATFORM: &str = "select application_id, body::text from dossiers where tenant = $1 and application_id = any (array(\
    select application_id from candidacies where tenant = $1 and platform_candidacy = $2)) order by created_at desc, application_id";
const BY_CANDIDATE: &str = "select application_id, body::text from dossiers where tenant = $1 and candidate_id = $2 \
    order by created_at desc, application_id limit $3";
const BY_WAITING_JOB: &str = "select application_id, body::text from dossiers where tenant = $1 and job_id = $2 \
    and state in ('refused', 'received') order by created_at desc, application_id limit $3";
const BY_REFUSED: &str = "select application_id, body::text from dossiers where tenant = $1 and state = 'refused' \
    order by created_at desc, application_id limit $2";

/// Answers a group of questions.
pub(super) async fn answer(database: Database, group: Vec<Question>) {
    let (questions, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|q| ((q.tenant, q.by, q.of), q.reply)).unzip();
    let found = database.run(move |connection| async move { found(connection, &questions).await }.boxed()).await;
    match found {
        Ok(found) => {
            for (found, reply) in found.into_iter().zip(replies) {
                // Whoever asked may have gone.
                let _gone = reply.send(found.map_err(StoreError::from));
            }
        }
        Err(fault) => {
            for reply in replies {
                let _gone = reply.send(Err(fault.clone().into()));
            }
        }
    }
}

/// Who asks for what in one statement: a place among the lookups, or among the questions; the tenant; and what is asked for.
type Asked<'a, T> = Vec<(i32, &'a str, T)>;

async fn found(connection: &Object, questions: &[(TenantName, Vec<Lookup>, Vec<Subject>)]) -> Result<Vec<Result<Found, Fault>>, Fault> {
    let (mut applications, mut candidacies, mut subjects) = (Asked::<&str>::new(), Asked::<Uuid>::new(), Asked::<&Subject>::new());
    let (mut others, mut lookups) = (Vec::new(), Vec::new());
    for (question, (place, (tenant, by, of))) in (0..).zip(questions).enumerate() {
        for (nth, lookup) in by.iter().enumerate() {
            let slot = i32::try_from(lookups.len()).unwrap_or(i32::MAX);
            lookups.push((question, nth));
            match lookup {
                Lookup::Application(id) => applications.push((slot, tenant.as_str(), id.as_str())),
                Lookup::Candidacy(id) => candidacies.push((slot, tenant.as_str(), *id)),
                other => others.push((question, nth, tenant.as_str(), other)),
            }
        }
        subjects.extend(of.iter().map(|subject| (place, tenant.as_str(), subject)));
    }
    let empty = |by: &Vec<Lookup>| Found { dossiers: vec![vec![]; by.len()], heard: vec![] };
    let mut all: Vec<Result<Found, Fault>> = questions.iter().map(|(_, by, _)| Ok(empty(by))).collect();
    for row in known(connection, &applications, &candidacies, &subjects).await? {
        let (heard, place): (bool, i32) = (row.try_get(0)?, row.try_get(1)?);
        let (id, Some(body)) = (row.try_get::<_, Option<&str>>(2)?, row.try_get::<_, Option<&str>>(3)?) else { continue };
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        let (question, nth) = if heard { (place, 0) } else { lookups.get(place).copied().unwrap_or((usize::MAX, 0)) };
        put(&mut all, question, |found| {
            if heard {
                found.heard.push(from_json("what was heard", body)?);
            } else if let Some(dossiers) = found.dossiers.get_mut(nth) {
                dossiers.push(read(id.unwrap_or_default(), body)?);
            }
            Ok(())
        });
    }
    for (question, nth, tenant, by) in others {
        let dossiers = dossiers(connection, tenant, by).await;
        put(&mut all, question, |found| found.dossiers.get_mut(nth).map_or(Ok(()), |place| dossiers.map(|dossiers| *place = dossiers)));
    }
    Ok(all)
}

/// Whether something was heard, the place, the id and the body of each that was asked for.
async fn known(
    connection: &Object,
    applications: &Asked<'_, &str>,
    candidacies: &Asked<'_, Uuid>,
    subjects: &Asked<'_, &Subject>,
) -> Result<Vec<Row>, Fault> {
    if applications.is_empty() && candidacies.is_empty() && subjects.is_empty() {
        return Ok(vec![]);
    }
    let by_application: Vec<&str> = applications.iter().map(|(.., id)| *id).collect();
    let by_candidacy: Vec<Uuid> = candidacies.iter().map(|(.., id)| *id).collect();
    let kinds: Vec<&str> = subjects.iter().map(|(.., of)| of.kind()).collect();
    let ids: Vec<&str> = subjects.iter().map(|(.., of)| of.id().as_str()).collect();
    rows(
        connection,
        KNOWN,
        &[
            &places(applications),
            &tenants(applications),
            &by_application,
            &places(candidacies),
            &tenants(candidacies),
            &by_candidacy,
            &places(subjects),
            &tenants(subjects),
            &kinds,
            &ids,
        ],
    )
    .await
}

fn places<T>(asked: &Asked<'_, T>) -> Vec<i32> {
    asked.iter().map(|(place, ..)| *place).collect()
}

fn tenants<'a, T>(asked: &Asked<'a, T>) -> Vec<&'a str> {
    asked.iter().map(|(_, tenant, _)| *tenant).collect()
}

/// Adds to an answer. What cannot be read is the answer to that question alone.
fn put(all: &mut [Result<Found, Fault>], question: usize, add: impl FnOnce(&mut Found) -> Result<(), Fault>) {
    if let Some(answer) = all.get_mut(question)
        && let Ok(found) = answer
        && let Err(fault) = add(found)
    {
        *answer = Err(fault);
    }
}

fn read(application: &str, body: &str) -> Result<Dossier, StoreError> {
    from_json(&format!("the dossier of application `{application}`"), body)
}

async fn dossiers(connection: &Object, whose: &str, by: &Lookup) -> Result<Vec<Dossier>, Fault> {
    let found = match by {
        Lookup::Application(_) | Lookup::Candidacy(_) => vec![], // asked together with others
        Lookup::Live(key) => rows(connection, BY_LIVE_KEY, &[&whose, key]).await?,
        Lookup::PlatformCandidacy(id) => rows(connection, BY_PLATFORM, &[&whose, &id.as_str()]).await?,
        Lookup::Candidate(id) => rows(connection, BY_CANDIDATE, &[&whose, &id.as_str(), &CANDIDATE_LIMIT]).await?,
        Lookup::Refused => rows(connection, BY_REFUSED, &[&whose, &REFUSED_LIMIT]).await?,
        Lookup::WaitingOfJob(id) => rows(connection, BY_WAITING_JOB, &[&whose, &id.as_str(), &REFUSED_LIMIT]).await?,
        Lookup::Email(_) | Lookup::ProfileUrl(_) | Lookup::Job(_) | Lookup::Role(_) | Lookup::Recruiter(_) => {
            let Some((column, key)) = sought(by) else { return Ok(vec![]) };
            rows(connection, searched::by(column), &[&whose, &key, &CANDIDATE_LIMIT]).await?
        }
    };
    found.iter().map(|row| Ok(read(row.try_get(0)?, row.try_get(1)?)?)).collect()
}
