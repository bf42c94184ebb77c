//! The list of roles, kept for a minute: every invite needs it, and it hardly changes. One call at a time fetches it, on
//! the client's runtime, so that a caller whose thread stands still keeps no other waiting. A platform that hangs or fails holds nobody up
//! who can do with an older list, and is not asked again for some seconds.

use atshub_actors::{failure::Failure, ports::PlatformRole};
use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, sync::watch, time::timeout};

/// How long a list is given out without asking again.
pub(super) const FRESH: Duration = Duration::from_secs(60);
/// How long an old list is given out while the platform is away.
pub(super) const STALE: Duration = Duration::from_secs(600);
/// How long the next list is waited for where there is an old one.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a failure is given out in place of asking again.
const REMEMBERED: Duration = Duration::from_secs(10);
/// How long one fetch may take, all pages together.
const FETCH_TIME: Duration = Duration::from_secs(45);

type Roles = Arc<Vec<PlatformRole>>;
type Outcome = Option<Result<Roles, Failure>>;
type Flight = (Instant, watch::Receiver<Outcome>);

/// The cache. Cheap to clone; clones share it.
#[derive(Clone, Default)]
pub(super) struct RoleCache(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    list: Option<(Instant, Roles)>,
    /// The last fetch, if it failed, and when it ended.
    failed: Option<(Instant, Failure)>,
    /// The fetch under way, if there is one, and when it began.
    flight: Option<Flight>,
}

impl RoleCache {
    /// A list that was asked for now: the only one that may say that a role is not there.
    ///
    /// # Errors
    /// As [`RoleCache::get`], without an older list to fall back on.
    pub(super) async fn fetched_now<F>(&self, io: &Handle, now: Instant, fetch: impl Fn() -> F) -> Result<Roles, Failure>
    where
        F: Future<Output = Result<Vec<PlatformRole>, Failure>> + Send + 'static,
    {
        // The first flight may have begun before; the one after it has not.
        let mut outcome = Err(Failure::transient("the list of roles was not fetched to its end"));
        for _ in 0..2 {
            let newest = self.lock().list.clone();
            if let Some((_, roles)) = newest.filter(|(at, _)| *at >= now) {
                return Ok(roles);
            }
            let (_, mut flight) = self.next(io, now, &fetch)?;
            outcome = match flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) {
                Some(Err(failure)) => Err(failure),
                _ => outcome,
            };
        }
        let newest = self.lock().list.clone();
        newest.filter(|(at, _)| *at >= now).map_or(outcome, |(_, roles)| Ok(roles))
    }

    /// The list: a fresh one, else what `fetch` brings, else, where that fails or does not come soon, one that is not too old. Such a one
    /// confirms that a role is there, and does not say that it is not: [`RoleCache::fetched_now`] does. A credential that is not accepted
    /// is never papered over.
    pub(super) async fn get<F>(&self, io: &Handle, now: Instant, fetch: impl FnOnce() -> F) -> Result<Roles, Failure>
    where
        F: Future<Output = Result<Vec<PlatformRole>, Failure>> + Send + 'static,
    {
        let old = match self.lock().list.clone() {
            Some((at, roles)) if now.saturating_duration_since(at) < FRESH => return Ok(roles),
            list => list.filter(|(at, _)| now.saturating_duration_since(*at) < STALE).map(|(_, roles)| roles),
        };
        let failure = match self.next(io, now, fetch) {
            Err(failure) => failure,
            Ok((began, mut flight)) => {
                let landed = async { flight.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone()) };
                let outcome = match &old {
                    None => landed.await,
                    Some(old) => match timeout(PATIENCE.saturating_sub(began.elapsed()), landed).await {
                        Ok(outcome) => outcome,
                        // It goes on, and who asks later has what it brings.
                        Err(_) => return Ok(old.clone()),
                    },
                };
                match outcome {
                    Some(Ok(roles)) => return Ok(roles),
                    Some(Err(failure)) => failure,
                    None => Failure::transient("the list of roles was not fetched to its end"),
                }
            }
        };
        match old {
            Some(old) if !matches!(failure, Failure::Unauthorized { .. }) => Ok(old),
            _ => Err(failure),
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        // Nothing panics while it is held, and the value is whole after every statement.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fetch that is under way, or a new one; the failure of the last one, if that is not long ago.
    fn next<F>(&self, io: &Handle, now: Instant, fetch: impl FnOnce() -> F) -> Result<Flight, Failure>
    where
        F: Future<Output = Result<Vec<PlatformRole>, Failure>> + Send + 'static,
    {
        match &self.lock().failed {
            Some((at, failure)) if now.saturating_duration_since(*at) < REMEMBERED => return Err(failure.clone()),
            _ => {}
        }
        Ok(self.start(io, now, fetch))
    }

    fn start<F>(&self, io: &Handle, now: Instant, fetch: impl FnOnce() -> F) -> Flight
    where
        F: Future<Output = Result<Vec<PlatformRole>, Failure>> + Send + 'static,
    {
        let ((tell, told), began) = (watch::channel(None), Instant::now());
        {
            let mut inner = self.lock();
            if let Some(flight) = &inner.flight {
                return flight.clone();
            }
            inner.flight = Some((began, told.clone()));
        }
        // Not under the lock from here: a runtime that is shutting down drops the task at once, and `Landed` takes the lock.
        let (cache, work) = (self.clone(), fetch());
        // Clears the flight however the task ends, a panic included: else nobody would ever fetch again.
        let landed = Landed(cache.clone());
        io.spawn(async move {
            let outcome = match timeout(FETCH_TIME, work).await {
                Ok(outcome) => outcome.map(Arc::new),
                Err(_) => Err(Failure::transient("the list of roles did not come in time")),
            };
            let mut inner = cache.lock();
            match &outcome {
                Ok(roles) => (inner.list, inner.failed) = (Some((now, roles.clone())), None),
                // From when it began if it failed at once, from when it ended if it took its time. What ends a request for good is
                // said to those who waited for it alone: whoever comes next has not had this answer.
                Err(failure) if waits(failure) => inner.failed = Some((now + began.elapsed(), failure.clone())),
                Err(_) => inner.failed = None,
            }
            drop(inner);
            drop(landed);
            // Nobody may be waiting any more.
            tell.send_replace(Some(outcome));
        });
        (began, told)
    }
}

/// Whether a request is made again after this: it comes when the failure is remembered no more.
fn waits(failure: &Failure) -> bool {
    !matches!(failure, Failure::Rejected { .. } | Failure::Unreadable { .. } | Failure::Bug { .. })
}

struct Landed(RoleCache);

impl Drop for Landed {
    fn drop(&mut self) {
        self.0.lock().flight = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    fn roles(name: &str) -> Vec<PlatformRole> {
        vec![PlatformRole { id: name.parse().unwrap(), name: name.parse().unwrap() }]
    }

    async fn get(cache: &RoleCache, now: Instant, outcome: Result<Vec<PlatformRole>, Failure>) -> Result<String, Failure> {
        cache.get(&Handle::current(), now, || async { outcome }).await.map(|roles| roles[0].name.to_string())
    }

    #[tokio::test]
    async fn a_list_is_fetched_again_only_after_a_minute() {
        let (cache, start) = (RoleCache::default(), Instant::now());
        assert_eq!(get(&cache, start, Ok(roles("one"))).await.unwrap(), "one");
        assert_eq!(get(&cache, start + FRESH - Duration::from_secs(1), Ok(roles("two"))).await.unwrap(), "one");
        assert_eq!(get(&cache, start + FRESH, Ok(roles("two"))).await.unwrap(), "two");
    }

    #[tokio::test]
    async fn an_old_list_serves_while_the_platform_is_away_and_not_for_ever() {
        let (cache, start) = (RoleCache::default(), Instant::now());
        let away = || Err(Failure::transient("away"));
        assert_eq!(get(&cache, start, away()).await, Err(Failure::transient("away")));
        let start = start + 2 * REMEMBERED;
        get(&cache, start, Ok(roles("one"))).await.unwrap();
        assert_eq!(get(&cache, start + FRESH, away()).await.unwrap(), "one");
        assert_eq!(get(&cache, start + STALE, away()).await, Err(Failure::transient("away")));
    }

    #[tokio::test]
    async fn a_failure_is_remembered_for_some_seconds_and_never_taken_for_an_empty_list() {
        let (cache, start, asked) = (RoleCache::default(), Instant::now(), Arc::new(AtomicUsize::new(0)));
        let away = || {
            let asked = asked.clone();
            async move {
                asked.fetch_add(1, Ordering::SeqCst);
                Err(Failure::transient("away"))
            }
        };
        let io = Handle::current();
        for _ in 0..20 {
            assert_eq!(cache.get(&io, start, away).await, Err(Failure::transient("away")));
            assert_eq!(cache.fetched_now(&io, start, away).await, Err(Failure::transient("away")));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        assert_eq!(get(&cache, start + 2 * REMEMBERED, Ok(roles("one"))).await.unwrap(), "one", "and then it is asked again");
        assert!(cache.fetched_now(&io, start + 2 * REMEMBERED, away).await.is_ok(), "what came since is what there is now");
    }

    #[tokio::test]
    async fn an_answer_that_ends_a_request_for_good_ends_no_other_one() {
        let cache = RoleCache::default();
        for failure in [
            Failure::Rejected { code: "http_404".into(), detail: "nothing of that kind".into() },
            Failure::Bug { detail: "a drill".into() },
        ] {
            let now = Instant::now();
            assert_eq!(get(&cache, now, Err(failure.clone())).await, Err(failure));
            assert_eq!(get(&cache, now, Ok(roles("one"))).await.unwrap(), "one");
            cache.lock().list = None;
        }
    }

    #[tokio::test]
    async fn while_the_platform_hangs_a_list_of_a_minute_ago_confirms_and_does_not_deny() {
        let (cache, start, asked) = (RoleCache::default(), Instant::now(), Arc::new(AtomicUsize::new(0)));
        get(&cache, start, Ok(roles("one"))).await.unwrap();
        let hangs = || {
            asked.fetch_add(1, Ordering::SeqCst);
            std::future::pending()
        };
        let io = Handle::current();
        for _ in 0..20 {
            assert_eq!(cache.get(&io, start + FRESH, hangs).await.unwrap().as_slice(), roles("one"));
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1, "one fetch for all of them");
        let mut now = Box::pin(cache.fetched_now(&io, start + FRESH, hangs));
        assert!(timeout(Duration::from_millis(20), &mut now).await.is_err(), "what is not there is said by a list of now alone");
    }

    #[tokio::test]
    async fn a_credential_that_is_not_accepted_is_not_hidden_by_an_old_list() {
        let (cache, start) = (RoleCache::default(), Instant::now());
        get(&cache, start, Ok(roles("one"))).await.unwrap();
        let refused = Failure::Unauthorized { detail: "revoked".into() };
        assert_eq!(get(&cache, start + FRESH, Err(refused.clone())).await, Err(refused));
    }

    #[tokio::test]
    async fn many_callers_make_one_fetch_and_one_that_goes_away_spoils_nothing() {
        let (cache, now) = (RoleCache::default(), Instant::now());
        let (count, gate, begun) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let caller = || {
            let (cache, count, gate, begun) = (cache.clone(), count.clone(), gate.clone(), begun.clone());
            tokio::spawn(async move {
                cache
                    .get(&Handle::current(), now, || async move {
                        count.fetch_add(1, Ordering::SeqCst);
                        begun.notify_one();
                        gate.notified().await;
                        Ok(roles("one"))
                    })
                    .await
            })
        };
        let first = caller();
        begun.notified().await;
        let others: Vec<_> = (0..20).map(|_| caller()).collect();
        first.abort();
        tokio::task::yield_now().await;
        gate.notify_one();
        for other in others {
            assert_eq!(other.await.unwrap().unwrap().len(), 1);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_client_whose_threads_are_gone_is_a_failure_and_no_standstill() {
        let (cache, io) = (RoleCache::default(), tokio::runtime::Runtime::new().unwrap());
        let gone = io.handle().clone();
        io.shutdown_background();
        let here = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let outcome = here.block_on(cache.get(&gone, Instant::now(), || async { Ok(roles("one")) }));
        assert_eq!(outcome.unwrap_err().code(), "transient");
    }

    #[tokio::test]
    async fn a_fetch_that_panics_is_a_failure_and_the_next_one_is_made() {
        let (cache, now) = (RoleCache::default(), Instant::now());
        let broken = cache.get(&Handle::current(), now, || async { panic!("drill") }).await;
        assert_eq!(broken.unwrap_err().code(), "transient");
        assert_eq!(get(&cache, now, Ok(roles("one"))).await.unwrap(), "one");
    }
}
