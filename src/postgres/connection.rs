//! Connections: the pool, TLS, and the one way in which work reaches the database: on a task of the io runtime, within a
//! time limit, on a connection that is thrown away unless the work on it came to its end. Knows no tables.

use super::PostgresOptions;
use atshub_actors::ports::StoreError;
use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime};
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio_postgres::{
    NoTls, SimpleQueryMessage,
    config::SslMode,
    error::{Error as DbError, SqlState},
};
use tokio_postgres_rustls::MakeRustlsConnect;

/// Why a piece of work on the database failed.
#[derive(Debug, Clone)]
pub(super) enum Fault {
    /// It cannot be said whether the database did it; or it could not be asked.
    Away(String),
    /// The database refused, and did nothing. Somebody else was faster; tried again, it goes well or says why not.
    Race(String),
    /// The database refused, and did nothing, or what it has cannot be read. It would be the same again; never [`StoreError::Away`].
    Lasting(StoreError),
}

impl From<DbError> for Fault {
    fn from(error: DbError) -> Self {
        let Some(db) = error.as_db_error() else {
            let lost = error.is_closed() || std::error::Error::source(&error).is_some_and(|s| s.is::<std::io::Error>());
            return if lost { Self::Away(told(&error)) } else { Self::Lasting(StoreError::Unreadable(told(&error))) };
        };
        // The detail of a database error may hold a candidate's data; its message does not.
        let text = format!("{} ({})", db.message(), db.code().code());
        match db.code() {
            &SqlState::PROTOCOL_VIOLATION if db.message().contains("startup parameter") => Self::Lasting(StoreError::Broken(pooler(&text))),
            // How a statement of a change says that somebody else was faster (`statement.rs`), and what the others of its transaction say then.
            &SqlState::DIVISION_BY_ZERO | &SqlState::IN_FAILED_SQL_TRANSACTION => Self::Race(text),
            &SqlState::UNIQUE_VIOLATION | &SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED => Self::Race(text),
            &SqlState::LOCK_NOT_AVAILABLE | &SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT | &SqlState::READ_ONLY_SQL_TRANSACTION => {
                Self::Away(text)
            }
            // Connection exceptions, insufficient resources, operator intervention.
            code if ["08", "53", "57"].iter().any(|class| code.code().starts_with(class)) => Self::Away(text),
            // Values that do not fit, constraints, triggers, limits of a row: about this change and no other.
            code if ["22", "23", "44", "54", "P0"].iter().any(|class| code.code().starts_with(class)) => {
                Self::Lasting(StoreError::Refused(text))
            }
            _ => Self::Lasting(StoreError::Broken(text)),
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Away(text) => Self::Away(text),
            lasting => Self::Lasting(lasting),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Away(text) | Fault::Race(text) => Self::Away(text),
            Fault::Lasting(error) => error,
        }
    }
}

/// The pool, and where its work runs.
#[derive(Clone)]
pub(super) struct Database {
    pool: Pool,
    io: tokio::runtime::Handle,
    answer_within: Duration,
}

/// A connection that goes back to the pool only if the work on it ended: else the next user would wait behind it.
struct Lease(Option<Object>);

impl Lease {
    fn give_back(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            drop(Object::take(object));
        }
    }
}

impl Database {
    pub(super) fn new(url: &str, io: tokio::runtime::Handle, options: &PostgresOptions) -> Result<Self, StoreError> {
        let config = settings(url, options)?;
        let recycle = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match tls(&config, options)? {
            Some(tls) => Manager::from_config(config, tls, recycle),
            None => Manager::from_config(config, NoTls, recycle),
        };
        let pool = Pool::builder(manager)
            .max_size(options.max_connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.answer_within))
            .create_timeout(Some(options.answer_within))
            .post_create(Hook::async_fn(|connection, _| Box::pin(through_no_pooler(connection))))
            .build()
            .map_err(|e| StoreError::Broken(format!("the pool cannot be made: {e}")))?;
        Ok(Self { pool, io, answer_within: options.answer_within })
    }

    pub(super) fn io(&self) -> &tokio::runtime::Handle {
        &self.io
    }

    /// Does the work on a connection of its own, within the usual limit.
    pub(super) async fn run<T, W>(&self, work: W) -> Result<T, Fault>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Object) -> BoxFuture<'c, Result<T, Fault>> + Send + 'static,
    {
        self.run_within(self.answer_within, work).await
    }

    /// The same with a limit of its own.
    pub(super) async fn run_within<T, W>(&self, limit: Duration, work: W) -> Result<T, Fault>
    where
        T: Send + 'static,
        W: for<'c> FnOnce(&'c mut Object) -> BoxFuture<'c, Result<T, Fault>> + Send + 'static,
    {
        let pool = self.pool.clone();
        let task = self.io.spawn(async move {
            tokio::time::timeout(limit, async move {
                let mut lease = Lease(Some(pool.get().await.map_err(no_connection)?));
                let Some(object) = lease.0.as_mut() else { return Err(Fault::Away("no connection".into())) };
                let outcome = work(object).await;
                if !matches!(outcome, Err(Fault::Away(_))) {
                    lease.give_back();
                }
                outcome
            })
            .await
            .unwrap_or_else(|_| Err(Fault::Away(format!("no answer within {limit:?}"))))
        });
        task.await.unwrap_or_else(|e| Err(Fault::Away(format!("the work did not end: {e}"))))
    }
}

/// Every statement here finds its rows by a key that has an index. A plan that PostgreSQL makes and keeps while a table is empty
/// reads all of it instead, until the next analysis: for minutes, while the table grows by thousands of rows. So there is one plan
/// for each, whatever is asked for, and it is made once: where a table has a partition for each day, making it takes several times
/// as long as following it. To keep a whole table at hand for a join, or to read it by a bitmap, looks cheap as well while it is small.
const PLANS: &str = "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_material=off -c enable_bitmapscan=off \
    -c jit=off -c plan_cache_mode=force_generic_plan";

/// Set for every session, so that a session without it is known: what stands between here and PostgreSQL has dropped our settings, and
/// gives one session's prepared statements to another.
const MARK: &str = "atshub.session";

/// Refuses a connection whose settings did not arrive: PgBouncer with `ignore_startup_parameters = options` takes it without them.
async fn through_no_pooler(connection: &mut deadpool_postgres::ClientWrapper) -> Result<(), HookError> {
    #[expect(clippy::disallowed_methods, reason = "in one message, not prepared: a pooler may give each message to another session")]
    let said = connection.simple_query(&format!("select current_setting('{MARK}', true)")).await.map_err(HookError::Backend)?;
    let arrived = said.iter().any(|said| matches!(said, SimpleQueryMessage::Row(row) if row.get(0) == Some("own")));
    if arrived { Ok(()) } else { Err(HookError::message(pooler("the session's settings did not arrive"))) }
}

/// The documentation of PgBouncer (config, `ignore_startup_parameters`; features, table of pooling modes) says what it drops.
fn pooler(what: &str) -> String {
    format!(
        "{what}: a pooler (PgBouncer or alike) stands before PostgreSQL, and does not pass on what the hub sets for its sessions (limits, plans, prepared statements); name PostgreSQL's own address in `store.url`: the hub keeps a pool of its own, of `store.connections` connections"
    )
}

fn settings(url: &str, options: &PostgresOptions) -> Result<tokio_postgres::Config, StoreError> {
    let mut config = super::url::read(url).map_err(StoreError::Broken)?;
    let limit = options.statement_timeout.as_millis();
    let limits = format!(
        "-c statement_timeout={limit} -c lock_timeout={limit} -c idle_in_transaction_session_timeout={limit} -c TimeZone=UTC -c {MARK}=own {PLANS}"
    );
    let all = config.get_options().map_or_else(|| limits.clone(), |own| format!("{limits} {own}"));
    config.options(all);
    if config.get_application_name().is_none() {
        config.application_name("atshub");
    }
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(options.answer_within / 2);
    }
    config.keepalives_idle(Duration::from_secs(30)).tcp_user_timeout(options.answer_within);
    Ok(config)
}

/// TLS only for `sslmode=require`, then with the server's certificate checked. `prefer`, the default, would have to take
/// any certificate, which protects nothing: it means no TLS here, and the configuration's check says so.
fn tls(config: &tokio_postgres::Config, options: &PostgresOptions) -> Result<Option<MakeRustlsConnect>, StoreError> {
    if config.get_ssl_mode() != SslMode::Require {
        return Ok(None);
    }
    options.tls.client().map(|client| Some(MakeRustlsConnect::new(client))).map_err(StoreError::Broken)
}

/// A database that refuses the user or has no such database is there, and stays as it is.
fn no_connection(error: PoolError) -> Fault {
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => error.into(),
        PoolError::PostCreateHook(HookError::Message(text)) => Fault::Lasting(StoreError::Broken(text.into_owned())),
        other => Fault::Away(other.to_string()),
    }
}

/// A database error with its cause, without the detail that may hold data.
fn told(error: &DbError) -> String {
    match (error.as_db_error(), std::error::Error::source(error)) {
        (Some(db), _) => format!("{} ({})", db.message(), db.code().code()),
        (None, Some(cause)) => crate::tls::explained(&format!("{error}: {cause}")),
        (None, None) => error.to_string(),
    }
}
