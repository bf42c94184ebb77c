//! Dossiers, and what was heard apart from them. What almost every message asks (the dossier of an application or of a candidacy, what
//! was heard of some subjects) is asked together with what others ask at the same time.

use super::{
    connection::{Database, Fault},
    reading::rows,
    searched,
};
use crate::records::{CANDIDATE_LIMIT, REFUSED_LIMIT, from_json, sought};
use atshub_actors::{
    domain::{Dossier, Heard, Lookup, Subject},
    ports::StoreError,
};
use atshub_schemas::TenantName;
use deadpool_postgres::Object;
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tokio_postgres::Row;
use uuid::Uuid;

/// One question.
pub(super) struct Question {
    pub tenant: TenantName,
    pub of: Of,
    pub reply: oneshot::Sender<Result<Found, StoreError>>,
}

/// What it is about.
pub(super) enum Of {
    Dossiers(Lookup),
    Heard(Vec<Subject>),
}

/// Its answer.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub dossiers: Vec<Dossier>,
    pub heard: Vec<Heard>,
}

const BY_APPLICATION: &str = "select k.ord, k.id, (select d.body::text from dossiers d where d.tenant = k.tenant and \
    d.application_id = k.id) from unnest($1::int4[], $2::text[], $3::text[]) as k (ord, tenant, id)";
// Not joins: the plan of a join of two tables that were empty when it was made reads all dossiers of the tenant.
const BY_CANDIDACY: &str = "select a.ord, a.id, (select d.body::text from dossiers d where d.tenant = a.tenant and d.application_id = a.id) \
    from (select k.ord, k.tenant, (select c.application_id from candidacies c where c.tenant = k.tenant and c.id = k.id) as id \
    from unnest($1::int4[], $2::text[], $3::uuid[]) as k (ord, tenant, id)) a";
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
const HEARD: &str = "select k.ord, k.id, (select h.body::text from heard h where h.tenant = k.tenant and h.kind = k.kind and h.id = k.id) \
    from unnest($1::int4[], $2::text[], $3::text[], $4::text[]) as k (ord, tenant, kind, id)";

/// Answers a group of questions.
pub(super) async fn answer(database: Database, group: Vec<Question>) {
    let (questions, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|q| ((q.tenant, q.of), q.reply)).unzip();
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

/// Who asks for what in one statement: the place of the question in its group, the tenant, and what is asked for.
type Asked<'a, T> = Vec<(i32, &'a str, T)>;

async fn found(connection: &Object, questions: &[(TenantName, Of)]) -> Result<Vec<Result<Found, Fault>>, Fault> {
    let (mut applications, mut candidacies, mut subjects) = (Asked::<&str>::new(), Asked::<Uuid>::new(), Asked::<&Subject>::new());
    let mut others = Vec::new();
    for (place, (tenant, of)) in (0..).zip(questions) {
        match of {
            Of::Dossiers(Lookup::Application(id)) => applications.push((place, tenant.as_str(), id.as_str())),
            Of::Dossiers(Lookup::Candidacy(id)) => candidacies.push((place, tenant.as_str(), *id)),
            Of::Dossiers(by) => others.push((place, tenant.as_str(), by)),
            Of::Heard(all) => subjects.extend(all.iter().map(|subject| (place, tenant.as_str(), subject))),
        }
    }
    let kinds: Vec<&str> = subjects.iter().map(|(.., of)| of.kind()).collect();
    let ids: Vec<&str> = subjects.iter().map(|(.., of)| of.id().as_str()).collect();
    let (by_application, by_candidacy, heard) = futures_util::try_join!(
        async {
            let ids: Vec<&str> = applications.iter().map(|(.., id)| *id).collect();
            if ids.is_empty() {
                Ok(vec![])
            } else {
                rows(connection, BY_APPLICATION, &[&places(&applications), &tenants(&applications), &ids]).await
            }
        },
        async {
            let ids: Vec<Uuid> = candidacies.iter().map(|(.., id)| *id).collect();
            if ids.is_empty() {
                Ok(vec![])
            } else {
                rows(connection, BY_CANDIDACY, &[&places(&candidacies), &tenants(&candidacies), &ids]).await
            }
        },
        async {
            if ids.is_empty() {
                Ok(vec![])
            } else {
                rows(connection, HEARD, &[&places(&subjects), &tenants(&subjects), &kinds, &ids]).await
            }
        },
    )?;
    let mut all: Vec<Result<Found, Fault>> = questions.iter().map(|_| Ok(Found::default())).collect();
    for row in by_application.iter().chain(&by_candidacy) {
        put(&mut all, row, |found, id, body| {
            found.dossiers.push(read(id, body)?);
            Ok(())
        })?;
    }
    for row in &heard {
        put(&mut all, row, |found, _, body| {
            found.heard.push(from_json("what was heard", body)?);
            Ok(())
        })?;
    }
    for (place, tenant, by) in others {
        let found = dossiers(connection, tenant, by).await.map(|dossiers| Found { dossiers, ..Found::default() });
        if let Some(answer) = usize::try_from(place).ok().and_then(|place| all.get_mut(place)) {
            *answer = found;
        }
    }
    Ok(all)
}

fn places<T>(asked: &Asked<'_, T>) -> Vec<i32> {
    asked.iter().map(|(place, ..)| *place).collect()
}

fn tenants<'a, T>(asked: &Asked<'a, T>) -> Vec<&'a str> {
    asked.iter().map(|(_, tenant, _)| *tenant).collect()
}

/// Puts a row to the question that it answers, unless there is nothing. One that cannot be read is the answer to that question alone.
fn put(
    all: &mut [Result<Found, Fault>],
    row: &Row,
    read: impl FnOnce(&mut Found, &str, &str) -> Result<(), StoreError>,
) -> Result<(), Fault> {
    let place: i32 = row.try_get(0)?;
    let (id, body): (Option<&str>, Option<&str>) = (row.try_get(1)?, row.try_get(2)?);
    if let (Some(answer), Some(body)) = (usize::try_from(place).ok().and_then(|place| all.get_mut(place)), body)
        && let Ok(found) = answer
        && let Err(error) = read(found, id.unwrap_or_default(), body)
    {
        *answer = Err(error.into());
    }
    Ok(())
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
