//! What the hub keeps: every table of both stores, whose rows it has, how long they stay, by which key they are found, and what of them is
//! said of a person. The sweep, `tenant remove`, `tenant add` and `candidate erase` go by this table and by nothing else; a test holds that
//! every table and every text column of both schemas stands in it.

/// Which stores have a table, or a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stores {
    /// Both.
    Both,
    /// PostgreSQL alone.
    Postgres,
    /// SQLite alone.
    Sqlite,
}

impl Stores {
    /// Whether a store has it.
    #[must_use]
    pub fn include(self, store: Self) -> bool {
        self == Self::Both || self == store
    }
}

/// How long rows stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// For `retention.days`: a row ends once this holds of it, `$1` being that many days ago.
    History {
        /// In PostgreSQL's words.
        postgres: &'static str,
        /// In SQLite's.
        sqlite: &'static str,
    },
    /// For `retention.candidate_days` after the last change: a row ends once this holds of it, `$1` being that many days ago.
    Candidates(&'static str),
    /// With the dossier of the same application.
    Dossier,
    /// With the tenant or the platform account that it belongs to.
    Owner,
    /// By itself, as this says.
    Itself(&'static str),
}

/// What a column may say of a person, and how it is looked through when the person is erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// A document, or words in which a person may be named.
    Words,
    /// A body as it came, which may be anything.
    Body,
    /// The id of an application.
    Application,
    /// The id of a person in the ATS.
    Candidate,
    /// The id of a candidacy.
    Candidacy,
    /// The id of a message.
    Message,
    /// `<kind>:<id>` of what something was heard of.
    Subject,
}

/// What becomes of a row that says something of an erased person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Erased {
    /// It is deleted.
    Row,
    /// It stays, without what it said: this is set.
    Words(&'static str),
    /// It says nothing of a person, or goes with the row of another table.
    Nothing,
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Its name.
    pub table: &'static str,
    /// Which stores have it.
    pub stores: Stores,
    /// What it holds, for people.
    pub holds: &'static str,
    /// Which rows are a tenant's, `$1` being its name. `None`: it holds nothing of tenants.
    pub tenant: Option<&'static str>,
    /// How long a row stays.
    pub ends: Ends,
    /// What becomes of rows that say something of an erased person.
    pub erased: Erased,
    /// Where a person may be found: an expression over its columns, what it says, and which stores have it.
    pub says: &'static [(&'static str, Says, Stores)],
    /// Text columns in which nothing is said of a person by itself.
    pub plain: &'static [&'static str],
}

impl Kept {
    /// The tables of a store, in an order in which rows may be deleted.
    pub fn of(store: Stores) -> impl Iterator<Item = &'static Self> {
        KEPT.iter().filter(move |kept| kept.stores.include(store))
    }

    /// The condition on which a row ends with its retention, in a store's words, if it ends by age.
    #[must_use]
    pub fn old(&self, store: Stores) -> Option<&'static str> {
        match self.ends {
            Ends::History { postgres, sqlite } => Some(if store == Stores::Postgres { postgres } else { sqlite }),
            Ends::Candidates(condition) => Some(condition),
            Ends::Dossier | Ends::Owner | Ends::Itself(_) => None,
        }
    }

    /// Whether its rows are made by a tenant's work, and not by an operator.
    #[must_use]
    pub fn is_of_work(&self) -> bool {
        self.tenant == Some(TENANT)
    }

    /// Whether what is left of its rows belongs to nobody when there is no such tenant. What is parked may name one that was never there.
    #[must_use]
    pub fn goes_with_tenant(&self) -> bool {
        self.is_of_work() && self.table != "parked"
    }
}

/// Messages that were parked because there was no such tenant are not those of a tenant that is added later: nobody knows who published
/// them. `$1` is its name.
pub(crate) const STRAYS_ARE_NOBODYS: &str = "update parked set tenant = null where tenant = $1 and code = 'unknown_tenant'";

/// The rows of a tenant, almost everywhere.
pub(crate) const TENANT: &str = "tenant = $1";
/// A row whose dossier is gone: `t` is the table itself.
pub(crate) const WITHOUT_DOSSIER: &str =
    "not exists (select 1 from dossiers d where d.tenant = t.tenant and d.application_id = t.application_id)";
/// What is left of a handled message that was about an erased person: that it was handled, so that it is not taken for new when it comes
/// again.
const NO_ENVELOPE: &str = r#"envelope = '{"erased":true}', disposition = '{"verdict":"erased","code":null,"text":"what it said was erased with the person it was about","remedy":null}'"#;

use Says::{Application, Body, Candidacy, Candidate, Message, Subject, Words};
use Stores::{Both, Postgres, Sqlite};

/// All tables.
pub const KEPT: &[Kept] = &[
    Kept {
        table: "dossiers",
        stores: Both,
        holds: "applications: the person, the job, the candidacies and their states",
        tenant: Some(TENANT),
        ends: Ends::Candidates("updated_at < $1"),
        erased: Erased::Row,
        says: &[("body", Words, Both), ("application_id", Application, Both), ("candidate_id", Candidate, Both)],
        plain: &["tenant", "job_id", "state"],
    },
    Kept {
        table: "candidacies",
        stores: Both,
        holds: "candidacies, by what they are found: platform id, address and role",
        tenant: Some(TENANT),
        ends: Ends::Dossier,
        erased: Erased::Nothing,
        says: &[],
        plain: &["tenant", "id", "application_id", "state", "live_key", "platform_candidacy"],
    },
    Kept {
        table: "searched",
        stores: Both,
        holds: "what applications are searched by: addresses, pages, job, role",
        tenant: Some(TENANT),
        ends: Ends::Dossier,
        erased: Erased::Nothing,
        says: &[],
        plain: &["tenant", "application_id", "email_key", "url_key", "job_id", "role_id", "recruiter_key"],
    },
    Kept {
        table: "heard",
        stores: Both,
        holds: "what was heard of people, jobs, orders and interviews before any application",
        tenant: Some(TENANT),
        ends: Ends::History { postgres: "updated_at < $1", sqlite: "updated_at < $1" },
        erased: Erased::Row,
        says: &[("body", Words, Both), ("kind || ':' || id", Subject, Both)],
        plain: &["tenant"],
    },
    Kept {
        table: "inbox",
        stores: Both,
        holds: "messages that were handled, whole",
        tenant: Some(TENANT),
        // A fact may be older than the retention when it is handled; its key stays as long as that of a new one.
        ends: Ends::History { postgres: "time < $1 and handled_at < $1", sqlite: "time < $1 and handled_at < $1" },
        erased: Erased::Words(NO_ENVELOPE),
        says: &[("id", Message, Both), ("envelope", Words, Both), ("disposition", Words, Both)],
        plain: &["tenant", "source", "kind"],
    },
    Kept {
        table: "outbox",
        stores: Both,
        holds: "messages to send, and that were sent, whole",
        tenant: Some(TENANT),
        ends: Ends::History {
            postgres: "day < ($1::timestamptz at time zone 'utc')::date and not exists (select from waiting w where w.number = t.number)",
            sqlite: "due < $1 and sent_at is not null",
        },
        erased: Erased::Row,
        says: &[("message_id", Message, Both), ("body", Words, Both), ("effect_key", Words, Sqlite), ("last_error", Words, Sqlite)],
        plain: &["exchange", "routing_key", "tenant", "source", "kind"],
    },
    Kept {
        table: "waiting",
        stores: Postgres,
        holds: "what waits to be sent; what is due later with its message",
        tenant: Some(TENANT),
        ends: Ends::Itself("when the broker has confirmed it"),
        erased: Erased::Row,
        says: &[
            ("message_id", Message, Postgres),
            ("body", Words, Postgres),
            ("effect_key", Words, Postgres),
            ("last_error", Words, Postgres),
        ],
        plain: &["tenant", "exchange", "routing_key", "source", "kind"],
    },
    Kept {
        table: "parked",
        stores: Both,
        holds: "messages that were set aside with a reason, whole or their beginning",
        tenant: Some(TENANT),
        ends: Ends::History { postgres: "recorded_at < $1", sqlite: "recorded_at < $1" },
        erased: Erased::Row,
        says: &[
            ("message_id", Message, Both),
            ("body", Body, Both),
            ("detail", Words, Both),
            ("field", Words, Both),
            ("routing_key", Words, Both),
            ("source", Words, Both),
            ("kind", Words, Both),
        ],
        plain: &["fingerprint", "tenant", "queue", "exchange", "code"],
    },
    Kept {
        table: "journal",
        stores: Both,
        holds: "history: a line for each thing that happened",
        tenant: Some(TENANT),
        ends: Ends::History { postgres: "at < $1", sqlite: "at < $1" },
        erased: Erased::Row,
        says: &[("application", Application, Both), ("candidacy", Candidacy, Both), ("message", Message, Both), ("text", Words, Both)],
        plain: &["tenant", "code"],
    },
    Kept {
        table: "attempts",
        stores: Both,
        holds: "how far messages have come that are not handled yet",
        tenant: Some(TENANT),
        ends: Ends::History {
            postgres: "updated_at < $1 and (next_at is null or next_at < $1)",
            sqlite: "updated_at < $1 and (next_at is null or next_at < $1)",
        },
        erased: Erased::Row,
        says: &[("id", Message, Both), ("last_error", Words, Both)],
        plain: &["tenant", "source", "owner"],
    },
    Kept {
        table: "tenants",
        stores: Both,
        holds: "tenants: settings and standing",
        tenant: Some("name = $1"),
        ends: Ends::Owner,
        erased: Erased::Nothing,
        says: &[],
        plain: &["name", "ats", "platform", "policy", "standing", "cause"],
    },
    Kept {
        table: "secrets",
        stores: Both,
        holds: "credentials of tenants and platform accounts, sealed",
        tenant: Some("owner = 'tenant/' || $1"),
        ends: Ends::Owner,
        erased: Erased::Nothing,
        says: &[],
        plain: &["owner", "name", "sealed", "fingerprint"],
    },
    Kept {
        table: "children",
        stores: Both,
        holds: "what the actors of hub processes are doing",
        tenant: Some("name = 'tenant/' || $1"),
        ends: Ends::Itself("with its process, or a day after that was last heard of"),
        erased: Erased::Nothing,
        says: &[],
        plain: &["name", "process", "snapshot"],
    },
    Kept {
        table: "callers",
        stores: Both,
        holds: "whether those who call a tenant's doors could be known as its ATS",
        tenant: Some(TENANT),
        ends: Ends::Owner,
        erased: Erased::Nothing,
        says: &[],
        plain: &["tenant", "door"],
    },
    Kept {
        table: "processes",
        stores: Both,
        holds: "hub processes",
        tenant: None,
        ends: Ends::Itself("a day after it was last heard of"),
        erased: Erased::Nothing,
        says: &[],
        plain: &["process", "name"],
    },
    Kept {
        table: "platforms",
        stores: Both,
        holds: "accounts at the interview platform",
        tenant: None,
        ends: Ends::Owner,
        erased: Erased::Nothing,
        says: &[],
        plain: &["name", "kind", "url"],
    },
    Kept {
        table: "versions",
        stores: Both,
        holds: "counters of the store itself, and its name",
        tenant: None,
        ends: Ends::Itself("with the store"),
        erased: Erased::Nothing,
        says: &[],
        plain: &["name"],
    },
    Kept {
        table: "place",
        stores: Both,
        holds: "where the store was last worked on",
        tenant: None,
        ends: Ends::Itself("with the store"),
        erased: Erased::Nothing,
        says: &[],
        plain: &["mark"],
    },
    Kept {
        table: "refinery_schema_history",
        stores: Postgres,
        holds: "which changes of the schema were applied",
        tenant: None,
        ends: Ends::Itself("with the store"),
        erased: Erased::Nothing,
        says: &[],
        plain: &["name", "applied_on", "checksum"],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    /// The row of the documentation.
    fn row(kept: &Kept) -> String {
        let how = match kept.ends {
            Ends::History { .. } => "`retention.days`",
            Ends::Candidates(_) => "`retention.candidate_days` after the last change",
            Ends::Dossier => "as long as the application in `dossiers`",
            Ends::Owner => "as long as what it belongs to",
            Ends::Itself(how) => how,
        };
        let erased = match (kept.erased, kept.ends) {
            (Erased::Row, _) => "the row",
            (Erased::Words(_), _) => "what it said",
            (Erased::Nothing, Ends::Dossier) => "with its application",
            (Erased::Nothing, _) => "nothing: it says nothing of people",
        };
        let removed = if kept.tenant.is_some() { "all of the tenant" } else { "nothing" };
        format!("| `{}` | {} | {how} | {removed} | {erased} |\n", kept.table, kept.holds)
    }

    #[test]
    fn the_documentation_has_the_table_as_it_is() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/README.md")).unwrap();
        let section = text.split("## What is kept").nth(1).unwrap().split("\n## ").next().unwrap();
        let rows: String = KEPT.iter().map(row).collect();
        assert!(section.contains(&rows), "deploy/README.md, What is kept, is to have:\n{rows}");
    }
}
