//! What people search dossiers by: forms in which the same address, page or id compares equal, and fits into an index. No IO.

use super::from_json;
use atshub_actors::domain::{Dossier, Lookup, Page};
use atshub_schemas::ExternalId;
use sha2::{Digest as _, Sha256};

/// Longest key in bytes; of a longer one its digest is the key. Both databases' indexes take several times as much.
const LONGEST: usize = 512;

/// Which making of the keys this is, of search and of live candidacies: raised when the same dossier gives other keys than it did, which
/// are then made anew. 2: by the one comparison of texts, so that an address is found however its letters are composed.
pub(crate) const KEYS: i64 = 2;

/// The keys of one dossier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SearchKeys {
    /// The person's address.
    pub email: Option<String>,
    /// The person's page in the ATS, or the application's where the person has none.
    pub url: Option<String>,
    /// The job, by its id in the ATS.
    pub job: Option<String>,
    /// The newest candidacy's role on the platform.
    pub role: Option<String>,
    /// The address of the application's recruiter, or of the job's.
    pub recruiter: Option<String>,
}

impl SearchKeys {
    pub(crate) fn of(dossier: &Dossier) -> Self {
        let Dossier { application, candidate, job, recruiter, .. } = dossier;
        let recruiter = recruiter.as_ref().or(job.recruiter.as_ref()).and_then(|person| person.email.as_ref());
        Self {
            email: candidate.email.as_ref().map(|email| fitting(&email.key())),
            url: candidate.profile_url.as_ref().or(application.url.as_ref()).map(|link| fitting(&link.key())),
            job: job.id.as_ref().map(|id| fitting(id.as_str())),
            role: dossier.current().and_then(|c| c.role.as_ref()).map(|role| fitting(role.id.as_str())),
            recruiter: recruiter.map(|email| fitting(&email.key())),
        }
    }
}

/// The column and the key that a lookup goes by; `None` for one that goes by no such key.
pub(crate) fn sought(by: &Lookup) -> Option<(SearchColumn, String)> {
    Some(match by {
        Lookup::Email(email) => (SearchColumn::Email, fitting(&email.key())),
        Lookup::ProfileUrl(link) => (SearchColumn::Url, fitting(&link.key())),
        Lookup::Job(id) => (SearchColumn::Job, fitting(id.as_str())),
        Lookup::Role(id) => (SearchColumn::Role, fitting(id.as_str())),
        Lookup::Recruiter(email) => (SearchColumn::Recruiter, fitting(&email.key())),
        _ => return None,
    })
}

/// A column that dossiers are searched by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SearchColumn {
    Email,
    Url,
    Job,
    Role,
    Recruiter,
}

fn fitting(key: &str) -> String {
    let key = super::storable(key);
    if key.len() > LONGEST { format!("sha256:{}", hex::encode(Sha256::digest(key))) } else { key }
}

/// A page out of the rows that were found for it and one more.
pub(crate) fn page_of(mut found: Vec<(ExternalId, String)>, limit: u32) -> Page {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = found.len() > limit;
    found.truncate(limit);
    let mut page = Page { next: found.last().map(|(id, _)| id.clone()).filter(|_| more), ..Page::default() };
    for (application, body) in found {
        match from_json::<Dossier>("a dossier", &body) {
            Ok(dossier) => page.dossiers.push(dossier),
            Err(_) => page.unreadable.push(application),
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use atshub_schemas::Link;

    fn page(url: &str) -> String {
        fitting(&Link::new(url).unwrap().key())
    }

    #[test]
    fn a_key_that_is_too_long_for_an_index_is_a_digest_of_its_own() {
        let long = |last: &str| page(&format!("https://ats.example/{}{last}", "é".repeat(1_500)));
        assert!(long("a").len() <= LONGEST && long("a") != long("b") && long("a") == long("a"));
    }
}
