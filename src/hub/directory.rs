//! The tenants in memory: seats made from the store, made anew when what they are made from changes, and the roster of
//! children that follows.

use super::{
    Parts,
    not_set_up::NotSetUp,
    ownership::View,
    retest::{Retests, is_paused_for_credential},
    seats::{Connected, Seat, child_name, credentials, revision},
    workers::{self, Office},
};
use crate::platform;
use actix::{Actor, Addr, Context, Handler, Recipient};
use atshub_actors::{
    desk::Desk,
    gate::{Gate, Host, Hosts},
    invite::{Account, Accounts, InviteOffice},
    ports::{BrokerError, PlatformAccount, QueueSpec, SealedSecret, Standing, StoreError},
    supervision::{Birth, Board, ChildSnapshot, ChildSpec, Deliver, Lifeline, Roster, Supervisor},
};
use atshub_schemas::{TenantName, topology};
use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Queues declared at the same time.
const DECLARING: usize = 8;
/// How often a queue that could not go yet is looked at.
const RETIRE_AGAIN: Duration = Duration::from_secs(5);

pub(super) type Seats = BTreeMap<TenantName, Arc<Seat>>;
/// Credentials as stored, by their owner.
type Sealed = HashMap<String, Vec<SealedSecret>>;

/// The tenants in memory.
pub struct Directory {
    parts: Parts,
    desk: Desk,
    board: Board,
    views: watch::Receiver<View>,
    read: RwLock<Read>,
    seen: tokio::sync::Mutex<Seen>,
    enrolling: tokio::sync::Mutex<()>,
    retiring: Mutex<BTreeMap<TenantName, Retiring>>,
    retests: Retests,
    hosts: Hosts,
}

/// A tenant that is gone, whose queues are still to go.
#[derive(Clone, Copy)]
struct Retiring {
    next_look: Instant,
    told: bool,
}

/// The seats, as the store had them at a time.
struct Read {
    seats: Arc<Seats>,
    /// Before it was asked.
    at: Instant,
}

/// What the last reload saw.
#[derive(Default)]
struct Seen {
    version: Option<u64>,
    platforms: HashMap<String, (i128, Connected)>,
}

impl Directory {
    pub(super) fn new(parts: Parts, desk: Desk, board: Board, views: watch::Receiver<View>) -> Self {
        let (seen, enrolling, retiring, retests, hosts) = Default::default();
        let read = RwLock::new(Read { seats: Arc::default(), at: Instant::now() });
        Self { parts, desk, board, views, read, seen, enrolling, retiring, retests, hosts }
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn retests(&self) -> &Retests {
        &self.retests
    }

    pub(super) fn seats(&self) -> Arc<Seats> {
        Arc::clone(&self.read.read().unwrap_or_else(PoisonError::into_inner).seats)
    }

    /// A tenant's seat.
    #[must_use]
    pub fn seat(&self, tenant: &TenantName) -> Option<Arc<Seat>> {
        self.seats().get(tenant).cloned()
    }

    /// All seats, by name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Seat>> {
        self.seats().values().cloned().collect()
    }

    /// What a tenant's actor is doing.
    #[must_use]
    pub fn child(&self, tenant: &TenantName) -> Option<ChildSnapshot> {
        self.board.child(&child_name(tenant).0)
    }

    /// Whether this process is the one that runs a tenant, as far as it knows.
    #[must_use]
    pub fn owns(&self, tenant: &TenantName) -> bool {
        self.views.borrow().owns(tenant)
    }

    /// Ends the standings of this process's tenants whose time has come.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn end_standings(&self) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        for seat in self.seats().values() {
            let record = &seat.record;
            // A pause for a credential ends when that is accepted.
            if let Some(until) = record.until.filter(|until| *until <= now && !is_paused_for_credential(record))
                && self.owns(&record.name)
                && self.parts.store.end_standing(&record.name, until).await?
            {
                tracing::info!(tenant = %record.name, standing = %record.standing, "the time has come; the tenant goes on");
            }
        }
        Ok(())
    }

    /// Removes what this process's tenants' callers may show no longer.
    ///
    /// # Errors
    /// The store's.
    pub(super) async fn end_predecessors(&self) -> Result<(), StoreError> {
        let now = self.parts.clock.now();
        for seat in self.seats().values().filter(|seat| self.owns(&seat.record.name)) {
            let tenant = &seat.record.name;
            for name in seat.account.secrets.expired(now) {
                if self.parts.store.delete_secret(&format!("tenant/{tenant}"), name).await? {
                    tracing::info!(%tenant, name, "a credential that had been replaced is good no longer, and is removed");
                }
            }
        }
        Ok(())
    }

    /// Looks at the store, and makes anew the seats that have changed. True if anything had.
    ///
    /// # Errors
    /// The store's.
    pub async fn reload(&self) -> Result<bool, StoreError> {
        let mut seen = self.seen.lock().await;
        let (store, began) = (&self.parts.store, Instant::now());
        let version = store.tenants_version().await?;
        if seen.version == Some(version) {
            self.read.write().unwrap_or_else(PoisonError::into_inner).at = began;
            return Ok(false);
        }
        // All at once: one tenant's change must not cost a question for each of thousands.
        let mut secrets = Sealed::new();
        for secret in store.all_secrets().await? {
            secrets.entry(secret.owner.clone()).or_default().push(secret);
        }
        let platforms = self.platforms(&mut seen, &mut secrets).await?;
        let (before, mut after, mut new) = (self.seats(), Seats::new(), Vec::new());
        for record in store.tenants().await? {
            let sealed = secrets.remove(&format!("tenant/{}", record.name)).unwrap_or_default();
            let (platform_set, platform) = platforms.get(&record.platform).map_or((None, None), |(set, p)| (Some(*set), Some(p.clone())));
            let (revision, credentials) = (revision(&record, &sealed), credentials(&sealed));
            let kept = before.get(&record.name).filter(|seat| seat.revision == revision);
            let seat = match kept {
                Some(seat) if *seat.record == record && seat.credentials == credentials && seat.platform_set == platform_set => {
                    Arc::clone(seat)
                }
                Some(seat) => {
                    let mut seat = Seat { record: Arc::new(record.clone()), platform, platform_set, ..Seat::clone(seat) };
                    if seat.credentials != credentials {
                        (seat.account.secrets, seat.credentials) = (self.open(&record.name, &sealed), credentials);
                    }
                    Arc::new(seat)
                }
                None => {
                    let secrets = self.open(&record.name, &sealed);
                    let platform = (platform_set, platform);
                    Arc::new(Seat::new((&self.parts, &self.desk, &self.hosts), record.clone(), secrets, platform, (revision, credentials)))
                }
            };
            if kept.is_none() {
                new.push(Arc::clone(&seat));
            }
            after.insert(record.name, seat);
        }
        stream::iter(&new).for_each_concurrent(DECLARING, |seat| self.declare_queues(seat)).await;
        {
            let mut retiring = self.retiring.lock().unwrap_or_else(PoisonError::into_inner);
            retiring.retain(|name, _| !after.contains_key(name));
            let gone = before.keys().filter(|name| !after.contains_key(*name)).cloned();
            retiring.extend(gone.map(|name| (name, Retiring { next_look: Instant::now(), told: false })));
        }
        self.retests.see(&after);
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = Read { seats: Arc::new(after), at: began };
        seen.version = Some(version);
        Ok(true)
    }

    /// Each by itself: one that cannot be opened is named where it is needed, and keeps none of the others from being used.
    fn open(&self, tenant: &TenantName, sealed: &[SealedSecret]) -> crate::credentials::Secrets {
        let secrets = self.parts.sealer.open_each(sealed);
        for error in secrets.all_sealed() {
            tracing::error!(%tenant, %error, "failed to open a tenant's credential");
        }
        secrets
    }

    async fn platforms(&self, seen: &mut Seen, secrets: &mut Sealed) -> Result<HashMap<String, (i128, Connected)>, StoreError> {
        let mut now = HashMap::new();
        for account in self.parts.store.platforms().await? {
            let sealed = secrets.remove(&format!("platform/{}", account.name)).unwrap_or_default();
            let set = sealed.iter().map(|s| s.set_at.as_nanosecond()).max().unwrap_or(0);
            let stamp = account.updated_at.as_nanosecond().max(set);
            let platform = match seen.platforms.get(&account.name).filter(|(s, _)| *s == stamp) {
                Some((_, platform)) => platform.clone(),
                None => self.connect(account.clone(), &sealed),
            };
            now.insert(account.name, (stamp, platform));
        }
        seen.platforms.clone_from(&now);
        Ok(now)
    }

    fn connect(&self, account: PlatformAccount, sealed: &[SealedSecret]) -> Connected {
        let name = account.name.clone();
        let secrets = self.parts.sealer.open_each(sealed);
        let made = platform::entry(&account.kind)
            .ok_or_else(|| format!("this build knows no platform called `{}`", account.kind))
            .and_then(|entry| (entry.connect)(account, secrets, self.parts.http.under(self.desk.lease.clone())));
        let adapter = made.unwrap_or_else(|why| {
            tracing::error!(account = name, error = why, "failed to set up a platform account");
            Arc::new(NotSetUp(why))
        });
        let gate = Gate::new(Host::platform(&name), self.parts.options.gate, Arc::clone(&self.desk.clock), self.desk.lease.clone());
        Connected { adapter, gate }
    }

    /// Declares the queues of a tenant: its own, before anybody may call the hub ready (until it stands, what producers
    /// publish for the tenant is for nobody), and the one its bridge takes commands from, if its connector delegates.
    async fn declare_queues(&self, seat: &Seat) {
        let tenant = &seat.record.name;
        let mut queues = vec![seat.queue()];
        if seat.entry.is_some_and(|entry| entry.delegates) {
            let bindings = vec![(topology::COMMANDS.to_owned(), format!("{tenant}.#"))];
            queues.push(QueueSpec { name: topology::commands_queue(tenant), single_consumer: false, bindings, expires: None });
        }
        for queue in queues {
            match self.parts.broker.declare(queue).await {
                Ok(()) => {}
                // Kept, and declared when the broker is there.
                Err(BrokerError::Away(cause)) => tracing::debug!(%tenant, cause, "a tenant's queue is declared later"),
                Err(error) => tracing::error!(%tenant, %error, "failed to declare a tenant's queue"),
            }
        }
    }

    /// Removes the queues of tenants that are gone. A queue goes once there is nothing in it and nobody consumes from it: until
    /// then a child, here or in another process, may have something of it in hand.
    pub(super) async fn retire(&self) {
        let now = Instant::now();
        let due: Vec<(TenantName, Retiring)> = {
            let retiring = self.retiring.lock().unwrap_or_else(PoisonError::into_inner);
            retiring.iter().filter(|(_, gone)| gone.next_look <= now).map(|(name, gone)| (name.clone(), *gone)).collect()
        };
        for (tenant, gone) in due {
            let mut kept = false;
            for queue in [topology::tenant_queue(&tenant), topology::commands_queue(&tenant)] {
                kept |= match self.retire_queue(&tenant, &queue, gone.told).await {
                    Ok(removed) => !removed,
                    Err(error) => {
                        tracing::debug!(%tenant, queue, %error, "failed to remove the queue of a tenant that is gone; trying again");
                        true
                    }
                };
            }
            // What was in hand when the tenant was removed has been written down since.
            if !kept && let Err(error) = self.parts.store.forget_removed(Timestamp::UNIX_EPOCH).await {
                tracing::warn!(%tenant, %error, "failed to delete what a removed tenant had in hand; it is deleted with the next sweep");
            }
            let mut retiring = self.retiring.lock().unwrap_or_else(PoisonError::into_inner);
            match retiring.get_mut(&tenant) {
                Some(gone) if kept => *gone = Retiring { next_look: Instant::now() + RETIRE_AGAIN, told: true },
                _ => drop(retiring.remove(&tenant)),
            }
        }
    }

    /// False: it has to stay for now.
    async fn retire_queue(&self, tenant: &TenantName, queue: &String, told: bool) -> Result<bool, BrokerError> {
        let found = self.parts.broker.queues(std::slice::from_ref(queue)).await?;
        if let Some(found) = found.iter().find(|q| q.ready > 0 || q.consumers > 0 || q.unacked.unwrap_or(0) > 0) {
            if found.ready > 0 && !told {
                tracing::warn!(%tenant, queue, ready = found.ready, "the tenant is gone, and its queue still holds messages: it stays until they are gone too");
            }
            return Ok(false);
        }
        self.parts.broker.delete(queue).await?;
        Ok(true)
    }

    /// Tells the supervisor which children there should be.
    pub(super) async fn enrol(self: &Arc<Self>, supervisor: &Addr<Supervisor>) {
        // One at a time, so that an older roster does not overtake a newer one.
        let _turn = self.enrolling.lock().await;
        // Whether there still is a supervisor is looked at by `follow`.
        let _ = supervisor.send(self.roster()).await;
    }

    /// The children that there should be in this process: the tenants that it runs, and its part of the shared queues.
    fn roster(self: &Arc<Self>) -> Roster {
        let view = self.views.borrow().clone();
        let (seats, read_at) = {
            let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(&read.seats), read.at)
        };
        let mut children: Vec<ChildSpec> =
            seats.values().filter(|seat| view.owns(&seat.record.name)).map(|seat| seat.spec(&self.desk)).collect();
        if !view.works() {
            return Roster { children, read_at };
        }
        let options = self.parts.options;
        let accounts = Arc::clone(self) as Arc<dyn Accounts>;
        let invites = InviteOffice { accounts, desk: self.desk.clone(), prefetch: options.invite_prefetch };
        children.extend(workers::children(&options, &Office { invites }));
        Roster { children, read_at }
    }
}

impl Accounts for Directory {
    fn account(&self, tenant: &TenantName) -> Option<Account> {
        let seat = self.seat(tenant)?;
        let Connected { adapter, gate } = seat.platform.clone()?;
        let aside = matches!(seat.record.standing, Standing::Quarantined | Standing::Disabled);
        let set_aside = aside || seat.record.unreadable.is_some();
        let connector = seat.connector.as_ref().ok().map(Arc::clone);
        Some(Account { policy: Arc::clone(&seat.account.policy), platform: adapter, gate, connector, set_aside })
    }
}

/// Stands in for a tenant that has no connector, should somebody resume it all the same: dies at once, with its cause on
/// the board, and takes nothing.
pub(super) fn nobody(birth: Birth) -> Recipient<Deliver> {
    struct Nobody(#[expect(dead_code, reason = "its drop reports the death")] Lifeline);
    impl Actor for Nobody {
        type Context = Context<Self>;
        fn started(&mut self, ctx: &mut Context<Self>) {
            actix::ActorContext::stop(ctx);
        }
    }
    impl Handler<Deliver> for Nobody {
        type Result = ();
        fn handle(&mut self, _: Deliver, _: &mut Context<Self>) {}
    }
    let Birth { arbiter, lifeline } = birth;
    Nobody::start_in_arbiter(&arbiter, move |_| Nobody(lifeline)).recipient()
}
