//! A store, and a way to look behind it: its schema, and every row of every table as text.

use crate::support::postgres::{self, TestDatabase};
use atshub::{
    embedded::store::SqliteStore,
    kept::{Kept, Stores},
};
use atshub_actors::ports::Store;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// A store, and a way to look behind it.
pub(super) struct Ground {
    pub(super) store: Arc<dyn Store>,
    pub(super) behind: Behind,
}

pub(super) enum Behind {
    Sqlite(tempfile::TempDir),
    Postgres(TestDatabase),
}

impl Ground {
    pub(super) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { store: Arc::new(SqliteStore::open(folder.path()).unwrap()), behind: Behind::Sqlite(folder) }
    }

    pub(super) async fn postgres() -> Self {
        let database = TestDatabase::empty().await;
        Self { store: Arc::new(database.store().await), behind: Behind::Postgres(database) }
    }

    pub(super) fn kind(&self) -> Stores {
        match self.behind {
            Behind::Sqlite(_) => Stores::Sqlite,
            Behind::Postgres(_) => Stores::Postgres,
        }
    }

    /// Every row that a question finds; its columns are text.
    pub(super) async fn ask(&self, sql: &str) -> Vec<Vec<String>> {
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
                let text = |row: &tokio_postgres::Row, column| row.get::<_, Option<String>>(column).unwrap_or_else(|| "null".to_owned());
                let rows = client.query(sql, &[]).await.unwrap();
                rows.iter().map(|row| (0..row.len()).map(|column| text(row, column)).collect()).collect()
            }
        }
    }

    /// The tables of the schema, with their columns that hold text, JSON, bytes or an id.
    pub(super) async fn schema(&self) -> BTreeMap<String, BTreeSet<String>> {
        let sql = match self.kind() {
            Stores::Postgres => {
                "select c.relname::text, a.attname::text, case when t.typname in ('text', 'varchar', 'json', 'jsonb', 'bytea', 'uuid', 'name') \
                 then 't' else 'f' end from pg_class c \
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
    pub(super) async fn rows(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        for kept in Kept::of(self.kind()) {
            let columns: Vec<String> = self.schema().await[kept.table].iter().cloned().collect();
            let bytes = |column: &str| self.kind() == Stores::Postgres && kept.table == "parked" && column == "body";
            let cast =
                |column: &String| if bytes(column) { "encode(body, 'escape')".to_owned() } else { format!("cast({column} as text)") };
            let read: Vec<String> = columns.iter().map(cast).collect();
            for row in self.ask(&format!("select {} from {}", read.join(", "), kept.table)).await {
                all.push((kept.table, row.join(" | ")));
            }
        }
        all
    }
}
