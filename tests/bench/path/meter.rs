//! What a candidacy costs: processor time of the program, the broker and the database as `/proc` tells it, statements and written-ahead
//! log as PostgreSQL counts them. Of the database only the sessions of this benchmark's own database are counted, so that others who
//! use the server are not; broker and log are counted whole. What cannot be read is left out, never guessed.

use crate::{postgres, usage};
use std::{collections::HashMap, fs, time::Duration};
use tokio_postgres::Client;

/// Counters of one run.
pub(crate) struct Meter {
    client: Client,
    program: u32,
    broker: Option<u32>,
    database_is_here: bool,
    /// Whether PostgreSQL counts statements; if not, its transactions are counted.
    pub(crate) counts_statements: bool,
}

/// What they stood at.
#[derive(Debug, Clone)]
pub(crate) struct Reading {
    program: Duration,
    broker: Option<Duration>,
    database: Option<HashMap<u32, Duration>>,
    statements: i64,
    log: i64,
}

/// What so many candidacies cost, each.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(crate) struct Cost {
    pub(crate) program_cpu_ms: f64,
    pub(crate) broker_cpu_ms: Option<f64>,
    pub(crate) database_cpu_ms: Option<f64>,
    pub(crate) statements: f64,
    pub(crate) wal_kib: f64,
}

impl Meter {
    /// `broker` and `database` are the services' addresses; `program` is the process that is measured.
    pub(crate) async fn new(program: u32, broker: &str, database: &str) -> Self {
        let client = postgres::client(database).await;
        // Only a server that was started with its library can count; others refuse one of the two.
        let counts = "create extension if not exists pg_stat_statements; select count(*) from pg_stat_statements";
        let counts_statements = client.batch_execute(counts).await.is_ok();
        Self { client, program, broker: listener(broker), database_is_here: listener(database).is_some(), counts_statements }
    }

    pub(crate) async fn read(&self) -> Reading {
        let statements = if self.counts_statements {
            "select coalesce(sum(calls), 0)::bigint from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())"
        } else {
            "select xact_commit from pg_stat_database where datname = current_database()"
        };
        let number = async |query: &str| self.client.query_one(query, &[]).await.map_or(0, |row| row.get::<_, i64>(0));
        let sessions = "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        let database = if self.database_is_here {
            let rows = self.client.query(sessions, &[]).await.unwrap_or_default();
            let pids = rows.iter().filter_map(|row| u32::try_from(row.get::<_, i32>(0)).ok());
            Some(pids.map(|pid| (pid, usage::of_process(pid).cpu)).collect())
        } else {
            None
        };
        Reading {
            program: self.program_cpu(),
            broker: self.broker.map(|pid| usage::of_tree(pid).cpu),
            database,
            statements: number(statements).await,
            log: number("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").await,
        }
    }

    pub(crate) fn program_cpu(&self) -> Duration {
        usage::of_process(self.program).cpu
    }

    /// Most memory that the program has had, in bytes.
    pub(crate) fn peak(&self) -> u64 {
        usage::peak(self.program)
    }
}

impl Reading {
    pub(crate) fn until(&self, later: &Self, candidacies: usize) -> Cost {
        let each = |total: f64| total / candidacies.max(1) as f64;
        let ms = |from: Duration, to: Duration| each(to.saturating_sub(from).as_secs_f64() * 1000.0);
        let sessions = self.database.as_ref().zip(later.database.as_ref()).map(|(from, to)| {
            let spent = to.iter().map(|(pid, cpu)| cpu.saturating_sub(from.get(pid).copied().unwrap_or_default()));
            each(spent.sum::<Duration>().as_secs_f64() * 1000.0)
        });
        Cost {
            program_cpu_ms: ms(self.program, later.program),
            broker_cpu_ms: self.broker.zip(later.broker).map(|(from, to)| ms(from, to)),
            database_cpu_ms: sessions,
            statements: each((later.statements - self.statements) as f64),
            wal_kib: each((later.log - self.log) as f64 / 1024.0),
        }
    }
}

/// The process on this machine that listens where this address points to; `None` if it is elsewhere, or not ours to see.
fn listener(url: &str) -> Option<u32> {
    let place = url.split_once("://")?.1.split(['/', '?']).next()?;
    let place = place.rsplit_once('@').map_or(place, |(_, host)| host);
    let (host, port) = place.rsplit_once(':').unwrap_or((place, if url.starts_with("amqp") { "5672" } else { "5432" }));
    if !matches!(host, "127.0.0.1" | "localhost" | "[::1]") {
        return None;
    }
    let port = format!(":{:04X}", port.parse::<u16>().ok()?);
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let inodes: Vec<String> = tables
        .iter()
        .flat_map(|table| table.lines().skip(1))
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            // 0A is "listening" (include/net/tcp_states.h).
            (fields.get(1)?.ends_with(&port) && *fields.get(3)? == "0A").then(|| format!("socket:[{}]", fields.get(9).unwrap_or(&"")))
        })
        .collect();
    let mut pids: Vec<u32> = fs::read_dir("/proc").ok()?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable(); // a parent comes before the children that share its socket
    pids.into_iter().find(|pid| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|to| inodes.iter().any(|inode| to.as_os_str() == inode.as_str()))
    })
}
