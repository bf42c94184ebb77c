//! Credentials that were refused, by host and over all tenants of the process: when many tenants of one host are refused at the same time,
//! the host is in trouble, and not their keys. In memory, and bounded.

use super::breaker::later;
use atshub_schemas::TenantName;
use jiff::Timestamp;
use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Refusals of the last so long are counted together.
const WINDOW: Duration = Duration::from_secs(60);
/// With the refusals of so many tenants it is the host.
const CROWD: usize = 10;

/// Refusals by host, newest last.
type Refused = HashMap<String, VecDeque<(Timestamp, TenantName)>>;

/// The hosts. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Hosts(Arc<Mutex<Refused>>);

/// One host, as a tenant's actor has it.
#[derive(Debug, Clone)]
pub struct HostRefusals {
    hosts: Hosts,
    host: String,
}

impl Hosts {
    /// The host of this name.
    #[must_use]
    pub fn host(&self, name: impl Into<String>) -> HostRefusals {
        HostRefusals { hosts: self.clone(), host: name.into() }
    }
}

impl HostRefusals {
    /// A tenant's credential was refused. True: so many other tenants of this host were refused at the same time that it says nothing
    /// about the credential.
    pub(crate) fn refused(&self, tenant: &TenantName, now: Timestamp) -> bool {
        let mut hosts = self.hosts.0.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = hosts.entry(self.host.clone()).or_default();
        refused.retain(|(at, who)| who != tenant && *at <= now && later(*at, WINDOW) > now);
        refused.push_back((now, tenant.clone()));
        let crowd = refused.len() >= CROWD;
        if refused.len() > CROWD {
            // As many as tell that it is a crowd are enough to remember.
            refused.pop_front();
        }
        crowd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantName {
        TenantName::new(format!("t{number}")).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn ten_tenants_of_one_host_within_a_minute_are_the_host_and_nine_are_nine_keys() {
        let (hosts, host) = (Hosts::default(), "api.example.org");
        let told: Vec<bool> = (0..12).map(|n| hosts.host(host).refused(&tenant(n), at(n as i64))).collect();
        assert_eq!(told, [[false; 9].as_slice(), &[true; 3]].concat());
        assert!(!hosts.host("other.example.org").refused(&tenant(99), at(12)), "another host has its own count");
    }

    #[test]
    fn one_tenant_is_one_however_often_it_is_refused_and_what_is_long_past_counts_no_more() {
        let host = Hosts::default().host("api.example.org");
        assert!((0..50).all(|n| !host.refused(&tenant(0), at(n))));
        assert!((0..50).all(|n| !host.refused(&tenant(n), at(100 + 7 * n as i64))), "never ten within a minute");
        // A clock that was set back forgets what lies ahead.
        assert!((0..9).all(|n| !host.refused(&tenant(n), at(0))));
    }
}
