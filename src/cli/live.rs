//! What running hub processes say of themselves and of tenants, as the store has it; and who is at this keyboard. It asks nobody
//! but the store.

use super::exit::Stop;
use crate::hub::ALIVE;
use atshub_actors::{
    ports::{Callers, ProcessRecord, ShownChild, Store, TenantRecord},
    supervision::{ChildSnapshot, Phase, Trouble},
};
use atshub_schemas::{Line, TenantName};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// What was said last.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    /// The processes heard of within a day.
    pub(super) processes: Vec<ProcessRecord>,
    /// What children were doing.
    pub(super) children: Vec<ShownChild>,
    /// Who called tenants' doors.
    pub(super) callers: Vec<Callers>,
}

/// A tenant's actor, by what was said last.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Seen<'a> {
    /// What it was doing.
    pub(super) child: &'a ChildSnapshot,
    /// When that was said.
    pub(super) at: Timestamp,
    /// The process that said so.
    pub(super) process: Uuid,
    /// Its name, as far as it is known.
    pub(super) place: &'a str,
    /// Whether that process is still heard of.
    pub(super) live: bool,
}

impl Live {
    /// Of all tenants.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn all(store: &dyn Store) -> Result<Self, Stop> {
        Ok(Self { processes: store.processes(ALIVE).await?, children: store.children(None).await?, callers: store.callers(None).await? })
    }

    /// Of one tenant.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn of(store: &dyn Store, tenant: &TenantName) -> Result<Self, Stop> {
        let name = format!("tenant/{tenant}");
        Ok(Self {
            processes: store.processes(ALIVE).await?,
            children: store.children(Some(&name)).await?,
            callers: store.callers(Some(tenant)).await?,
        })
    }

    /// Whether any process is alive.
    pub(super) fn any(&self) -> bool {
        self.processes.iter().any(|process| process.live)
    }

    /// A tenant's actor, if one was ever spoken of.
    pub(super) fn tenant(&self, tenant: &TenantName) -> Option<Seen<'_>> {
        let name = format!("tenant/{tenant}");
        let ShownChild { process, at, child } = self.children.iter().find(|shown| shown.child.name == name)?;
        let known = self.processes.iter().find(|known| known.process == *process);
        let place = known.map_or("a process that is forgotten", |known| known.name.as_str());
        Some(Seen { child, at: *at, process: *process, place, live: known.is_some_and(|known| known.live) })
    }

    /// What keeps a tenant's work from being done, as the processes that are heard of say: at its ATS, at its platform account, and at its
    /// own doors.
    pub(super) fn troubles(&self, record: &TenantRecord) -> Vec<Trouble> {
        let own = self.tenant(&record.name).filter(|seen| seen.live).map(|seen| seen.child.breakers.as_slice()).unwrap_or_default();
        let account = format!("platform/{}", record.platform);
        let is_live = |shown: &&ShownChild| self.processes.iter().any(|known| known.live && known.process == shown.process);
        let elsewhere = self.children.iter().filter(is_live).flat_map(|shown| &shown.child.breakers);
        let of_account = elsewhere.filter(|breaker| breaker.host == account).max_by_key(|breaker| breaker.since);
        own.iter()
            .filter(|breaker| breaker.host != account)
            .chain(of_account)
            .filter_map(|breaker| breaker.trouble(record.name.as_str()))
            .chain(self.doors(&record.name).filter_map(Callers::trouble))
            .collect()
    }

    /// Who called a tenant's doors.
    pub(super) fn doors<'a>(&'a self, tenant: &'a TenantName) -> impl Iterator<Item = &'a Callers> {
        self.callers.iter().filter(move |callers| callers.tenant == *tenant)
    }

    /// What a tenant is doing: what its actor says, while its process lives; else what is stored.
    pub(super) fn phase(&self, record: &TenantRecord) -> Phase {
        match self.tenant(&record.name) {
            Some(seen) if seen.live => seen.child.phase,
            _ => record.standing.phase(),
        }
    }
}

/// A span for people: `3 s`, `5 min`, `2 h 10 min`, `4 days`.
pub(super) fn span(span: SignedDuration) -> String {
    let seconds = span.as_secs().max(0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Who is at this keyboard: `user@host`.
pub(super) fn who() -> Line {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
    let user = set("USER").or_else(|| set("LOGNAME")).unwrap_or_else(|| "somebody".into());
    // Linux says it here; elsewhere shells often do.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok().map(|host| host.trim().to_owned());
    let host = host.filter(|host| !host.is_empty()).or_else(|| set("HOSTNAME")).unwrap_or_else(|| "somewhere".into());
    #[expect(clippy::expect_used, reason = "the words stand here")]
    Line::new(format!("{user}@{host}")).unwrap_or_else(|_| Line::new("somebody@somewhere").expect("a word is a line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_as_people_say_them() {
        let said = |seconds| span(SignedDuration::from_secs(seconds));
        assert_eq!([said(-3), said(0), said(119), said(120)], ["0 s", "0 s", "119 s", "2 min"]);
        assert_eq!([said(7_200), said(9_000), said(200_000)], ["2 h 0 min", "2 h 30 min", "2 days"]);
    }

    #[test]
    fn somebody_is_always_at_the_keyboard() {
        assert!(who().as_str().contains('@'));
    }
}
