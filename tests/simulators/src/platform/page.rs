//! Relay connections: `totalCount`, `pageInfo`, `nodes`. A cursor is an opaque position in the ordered list, so a list that
//! is reordered between two pages shows some rows twice and skips others, as it does with the real thing.

use super::nodes::{Candidacy, CodeChallenge, Group, Interview, Role, User};
use async_graphql::{Error, OutputType, SimpleObject, connection::PageInfo};
use base64::{Engine, prelude::BASE64_STANDARD};

/// Largest and default page; the real limit is not published.
pub(crate) const PAGE_LIMIT: usize = 100;

#[derive(SimpleObject)]
#[graphql(concrete(name = "UserConnection", params(User)))]
#[graphql(concrete(name = "GroupConnection", params(Group)))]
#[graphql(concrete(name = "RoleConnection", params(Role)))]
#[graphql(concrete(name = "CandidacyConnection", params(Candidacy)))]
#[graphql(concrete(name = "InterviewConnection", params(Interview)))]
#[graphql(concrete(name = "CodeChallengeConnection", params(CodeChallenge)))]
pub(crate) struct Page<T: OutputType> {
    total_count: usize,
    page_info: PageInfo,
    nodes: Vec<T>,
}

/// What the caller wants of a list.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) first: Option<i32>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

impl<T: OutputType> Page<T> {
    /// A list that is never cut.
    pub(crate) fn whole(nodes: Vec<T>) -> Self {
        Self { total_count: nodes.len(), page_info: info(0, nodes.len(), nodes.len()), nodes }
    }

    /// The wanted part of `rows`; only that part is made into nodes.
    pub(crate) fn cut<R>(rows: &[R], wanted: &Wanted, node: impl Fn(&R) -> T) -> Result<Self, Error> {
        let mut start = wanted.after.as_deref().map(position).transpose()?.unwrap_or(0).min(rows.len());
        let mut end = wanted.before.as_deref().map(position).transpose()?.map_or(rows.len(), |before| before.saturating_sub(1));
        end = end.clamp(start, rows.len());
        if let Some(first) = wanted.first {
            end = end.min(start + size(first, "first")?);
        }
        if let Some(last) = wanted.last {
            start = start.max(end.saturating_sub(size(last, "last")?));
        }
        end = end.min(start + PAGE_LIMIT);
        Ok(Self { total_count: rows.len(), page_info: info(start, end, rows.len()), nodes: rows[start..end].iter().map(node).collect() })
    }
}

fn info(start: usize, end: usize, total: usize) -> PageInfo {
    let filled = end > start;
    PageInfo {
        has_previous_page: start > 0,
        has_next_page: end < total,
        start_cursor: filled.then(|| cursor(start + 1)),
        end_cursor: filled.then(|| cursor(end)),
    }
}

/// Cursors count from one, so that "after" the cursor of row `n` starts at index `n`.
fn cursor(row: usize) -> String {
    BASE64_STANDARD.encode(row.to_string())
}

fn position(cursor: &str) -> Result<usize, Error> {
    let decoded = BASE64_STANDARD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok()?.parse().ok());
    decoded.ok_or_else(|| Error::new(format!("Invalid cursor: {cursor:?}")))
}

fn size(wanted: i32, name: &str) -> Result<usize, Error> {
    usize::try_from(wanted).map_err(|_| Error::new(format!("{name} can't be negative")))
}
