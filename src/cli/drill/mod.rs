//! `atshub drill`: makes a fault on purpose, tells what happens as it happens, and ends well only if the hub recovered in time.
//! It sees what any operator can see: the store, the depth of queues, and what becomes of messages of its own.

mod fault;
mod probes;
mod watch;

use super::{
    exit::{Ended, Exit, Stop},
    live::{Live, who},
    queue,
    session::{Session, tenant as stored},
    tenant::{let_go_on, tell},
};
use atshub_actors::{
    ports::{Broker, MessageView, Store, TenantRecord},
    supervision::Phase,
};
use atshub_schemas::{
    Envelope, Line, Message, TenantName,
    control::{ControlAction, DrillRequest},
    topology,
};
use fault::Fault;
use jiff::Timestamp;
use probes::Probes;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;
use watch::Watch;

/// How often the store is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Time between two probes.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Probes under way at most.
const PROBES: usize = 5;
/// Longest wait for a probe before the fault, and for the hub's word that it makes the fault.
const PATIENCE: Duration = Duration::from_secs(15);
/// Facts of a flood, in windows of so many.
const FLOOD: (usize, usize) = (2_000, 250);
/// Write-backs that are asked for, so that the ATS's failing shows: enough to trip a breaker.
const WRITES: usize = 12;
/// `source` of what a drill publishes.
const SOURCE: &str = "/atshub/drill";

/// Arguments of `drill`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Which fault
    #[arg(value_enum)]
    fault: Fault,
    /// Which tenant; it has to be a sandbox [default: the first sandbox that is running]
    #[arg(long, value_name = "NAME")]
    tenant: Option<TenantName>,
    /// How long the fault lasts, for faults that last
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: Option<u32>,
}

/// A drill under way.
struct Drill<'a> {
    session: &'a Session,
    store: Arc<dyn Store>,
    broker: Arc<dyn Broker>,
    tenant: TenantName,
    fault: Fault,
    time: Duration,
    by: Line,
}

/// Makes the fault and watches.
pub(super) async fn run(args: Args, session: &Session) -> Ended {
    let store = session.store().await?;
    let (tenant, neighbour) = whom(args.tenant.as_ref(), store.as_ref()).await?;
    let broker = session.broker().await?;
    let seconds = args.seconds.unwrap_or_else(|| args.fault.usual_seconds());
    let time = Duration::from_secs(seconds.into());
    let drill = Drill { session, store, broker: Arc::clone(&broker), tenant: tenant.name, fault: args.fault, time, by: who() };
    let ended = drill.run(neighbour.map(|neighbour| neighbour.name)).await;
    broker.close(PATIENCE).await;
    ended
}

/// The tenant to drill, and another sandbox beside it, if there is one, that should not notice.
async fn whom(named: Option<&TenantName>, store: &dyn Store) -> Result<(TenantRecord, Option<TenantRecord>), Stop> {
    let live = Live::all(store).await?;
    if !live.any() {
        return Err(Stop::failed("no hub process is live, so there is nothing to drill").next("`atshub demo` runs one to play with"));
    }
    let well = |tenant: &TenantRecord| live.phase(tenant) == Phase::Running && live.tenant(&tenant.name).is_some_and(|seen| seen.live);
    let sandboxes: Vec<TenantRecord> = store.tenants().await?.into_iter().filter(|tenant| tenant.policy.sandbox).collect();
    let tenant = match named {
        Some(name) => stored(store, name).await?,
        None => sandboxes.iter().find(|tenant| well(tenant)).cloned().ok_or_else(|| {
            Stop::not_allowed("no tenant that is running is a sandbox")
                .next("`atshub tenant set <name> --set sandbox=true`, for a tenant that nobody depends on; or `atshub demo`")
        })?,
    };
    if !tenant.policy.sandbox {
        return Err(Stop::not_allowed(format!("`{}` is no sandbox: somebody may depend on it", tenant.name))
            .next(format!("`atshub tenant set {} --set sandbox=true`, if nobody does", tenant.name)));
    }
    if !well(&tenant) {
        let phase = live.phase(&tenant).as_str().replace('_', " ");
        return Err(Stop::failed(format!("`{}` is {phase}; a drill begins with a tenant that is running", tenant.name))
            .next(format!("`atshub tenant show {}` says why", tenant.name)));
    }
    let neighbour = sandboxes.into_iter().find(|other| other.name != tenant.name && well(other));
    Ok((tenant, neighbour))
}

/// What an operator does for a tenant that a fault has set aside, once it is over: why, the verb, and what the hub is told.
fn remedy(fault: Fault, lasts: bool, phase: Option<Phase>) -> Option<(&'static str, &'static str, ControlAction)> {
    match (fault, phase?) {
        (Fault::KeyRevoked, Phase::Paused) => Some(("the key is good again", "resume", ControlAction::Resume)),
        // One panic is no reason to be quarantined.
        (Fault::TenantPanic, Phase::Quarantined) if lasts => Some(("the cause is gone", "release", ControlAction::Release)),
        _ => None,
    }
}

impl Drill<'_> {
    async fn run(&self, neighbour: Option<TenantName>) -> Ended {
        let mut probes = Probes::new(&self.tenant, Arc::clone(&self.store), Arc::clone(&self.broker));
        let mut beside = neighbour.map(|name| Probes::new(&name, Arc::clone(&self.store), Arc::clone(&self.broker)));
        self.is_well(&mut probes).await?;
        let before = Live::of(self.store.as_ref(), &self.tenant).await?;
        let mut watch = Watch::new(&self.tenant, self.fault, &before, self.session.out);
        watch.say(format!("{} on `{}`, run by {}", self.fault.word(), self.tenant, watch.place()));
        self.strike(&mut watch, &mut probes).await?;
        let end = self.time + self.fault.allowance();
        let (mut looks, mut probed, mut released) = (tokio::time::interval(LOOK), None::<Instant>, false);
        loop {
            looks.tick().await;
            if probed.is_none_or(|at| at.elapsed() >= PROBE_EVERY) {
                probed = Some(Instant::now());
                for probes in std::iter::once(&mut probes).chain(&mut beside).filter(|probes| probes.under_way() < PROBES) {
                    probes.send().await;
                }
            }
            let ready = self.ready().await;
            watch.look(&Live::of(self.store.as_ref(), &self.tenant).await?, ready);
            for done in probes.look().await? {
                watch.probe(&done, self.time);
            }
            if let Some(beside) = &mut beside {
                beside.look().await?;
            }
            let over = watch.elapsed() >= self.time;
            if let Some((why, verb, action)) = remedy(self.fault, !self.time.is_zero(), watch.phase()).filter(|_| over && !released) {
                watch.say(format!("{why}; `tenant {verb} {}`, as an operator would", self.tenant));
                let_go_on(&self.tenant, action, &self.by, self.store.as_ref(), &self.broker).await?;
                released = true;
            }
            if over && watch.has_recovered(&probes, ready) {
                return self.end(&watch, beside.as_ref(), true);
            }
            if watch.elapsed() > end {
                return self.end(&watch, beside.as_ref(), false);
            }
        }
    }

    /// A fault made to a tenant that does not work anyway shows nothing.
    async fn is_well(&self, probes: &mut Probes) -> Result<(), Stop> {
        let _progress = self.session.out.progress("a probe before the fault", None);
        probes.send().await;
        let (began, mut looks) = (Instant::now(), tokio::time::interval(LOOK));
        while probes.under_way() > 0 {
            looks.tick().await;
            probes.look().await?;
            if began.elapsed() > PATIENCE {
                return Err(Stop::failed(format!(
                    "`{}` did not handle a fact within {} s, before any fault",
                    self.tenant,
                    PATIENCE.as_secs()
                ))
                .next(format!("`atshub tenant show {}`; is `--broker` the hub's?", self.tenant)));
            }
        }
        Ok(())
    }

    /// Makes the fault.
    async fn strike(&self, watch: &mut Watch, probes: &mut Probes) -> Result<(), Stop> {
        let Some(fault) = self.fault.asked_of_the_hub() else {
            watch.begins();
            for window in 0..FLOOD.0 / FLOOD.1 {
                probes.flood(FLOOD.1).await?;
                watch.say(format!("{} of {} facts are published", (window + 1) * FLOOD.1, FLOOD.0));
            }
            return Ok(());
        };
        let seconds = u32::try_from(self.time.as_secs()).unwrap_or(u32::MAX);
        let source = Line::new(SOURCE).map_err(Stop::failed)?;
        let request = DrillRequest { fault, seconds, by: self.by.clone() };
        let envelope = Envelope::new(source, self.tenant.clone(), Timestamp::now(), Message::DrillRequested(request));
        tell(self.broker.as_ref(), &envelope).await?;
        let answer = self.answer(&envelope).await?;
        let disposition = answer.disposition.ok_or_else(|| Stop::failed("the hub said nothing of the drill"))?;
        if disposition.verdict.as_str() != "performed" {
            let stop = Stop::not_allowed(format!("the hub refuses: {}", disposition.text));
            return Err(match disposition.remedy {
                Some(remedy) => stop.next(remedy),
                None => stop,
            });
        }
        watch.begins();
        if self.fault.is_at_the_ats() {
            probes.writes(WRITES).await?;
        }
        Ok(())
    }

    /// What the hub says of the request, once it has said it.
    async fn answer(&self, envelope: &Envelope) -> Result<MessageView, Stop> {
        let (began, mut looks) = (Instant::now(), tokio::time::interval(LOOK));
        loop {
            looks.tick().await;
            let found = self.store.message(envelope.id.as_str()).await?;
            if let Some(view) = found.into_iter().find(|view| view.state == "handled") {
                return Ok(view);
            }
            if began.elapsed() > PATIENCE {
                return Err(Stop::failed(format!("no hub process took the drill on within {} s", PATIENCE.as_secs()))
                    .next("`atshub process list`; is `--broker` the hub's?"));
            }
        }
    }

    async fn ready(&self) -> Option<u64> {
        let queue = topology::tenant_queue(&self.tenant);
        let found = queue::look(self.broker.as_ref(), &[queue]).await.ok()?;
        found.first().map(|info| info.ready)
    }

    fn end(&self, watch: &Watch, beside: Option<&Probes>, recovered: bool) -> Ended {
        let seconds = watch.elapsed().as_secs_f64();
        let beside = beside.map(|probes| {
            json!({ "tenant": probes.tenant(), "slowest_probe_seconds": probes.slowest().as_secs_f64(), "still_under_way": probes.under_way() })
        });
        let word = self.fault.word();
        let mut text = if recovered {
            format!("{word}: `{}` recovered; everything was well {seconds:.1} s after the fault began", self.tenant)
        } else {
            format!("{word}: `{}` did not recover within {seconds:.0} s", self.tenant)
        };
        if let Some(beside) = &beside {
            let slowest = beside["slowest_probe_seconds"].as_f64().unwrap_or_default();
            text.push_str(&format!(
                "\nbeside it, `{}` took {slowest:.1} s for its slowest probe",
                beside["tenant"].as_str().unwrap_or_default()
            ));
        }
        let value = json!({
            "fault": word, "tenant": self.tenant, "recovered": recovered, "seconds": seconds, "observed": watch.lines(), "beside": beside
        });
        self.session.out.one(&text, &value)?;
        if recovered {
            return Ok(Exit::Done);
        }
        Err(Stop::failed(watch.missing()).next(format!("`atshub tenant show {}`, and the hub's log", self.tenant)))
    }
}
