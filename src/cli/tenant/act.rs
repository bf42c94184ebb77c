//! `atshub tenant restart|pause|resume|quarantine|release|drain`: checks against the table of phases, stores what is to last,
//! rings the bell of every hub process, and waits until the effect shows.

use crate::cli::{
    exit::{Ended, Exit, Stop},
    live::{Live, Seen, span, who},
    session::{ANSWER, Session, tenant},
};
use atshub_actors::{
    ports::{Broker, Change, JournalEntry, Publication, PublishError, Standing, Store, TenantRecord},
    supervision::{PHASES, Phase, Step},
};
use atshub_schemas::{
    CONTENT_TYPE, Envelope, Line, Message, TenantName,
    control::{ControlAction, ControlRequest},
    text::trimmed,
    topology,
};
use jiff::{Span, SpanRelativeTo, Timestamp};
use serde_json::json;
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

/// How often the store is looked at for the effect.
const LOOK: Duration = Duration::from_millis(100);
/// Longest wait for the effect.
const WAIT: Duration = Duration::from_secs(60);
/// `source` of what operators ask.
const SOURCE: &str = "/atshub/cli";

/// Arguments of what ends when it is done.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Which tenant
    name: TenantName,
    /// Why; it is kept
    #[arg(long, value_name = "WORDS")]
    reason: Line,
}

/// Arguments of what lasts.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct AsideArgs {
    #[command(flatten)]
    args: Args,
    /// When the tenant goes on by itself: a time (RFC 3339) or a span from now (2h, 30m, 1d 12h)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// What can be asked, and what comes of it.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Act {
    action: ControlAction,
    verb: &'static str,
    step: Step,
    /// What is stored, if it lasts.
    standing: Option<Standing>,
    /// The phase in which it has been done.
    done: Phase,
    said: &'static str,
}

pub(super) const RESTART: Act = Act {
    action: ControlAction::Restart,
    verb: "restart",
    step: Step::Restart,
    standing: None,
    done: Phase::Running,
    said: "was made anew and is running",
};
pub(super) const PAUSE: Act = Act {
    action: ControlAction::Pause,
    verb: "pause",
    step: Step::Pause,
    standing: Some(Standing::Paused),
    done: Phase::Paused,
    said: "is paused; its messages wait at the broker",
};
pub(super) const RESUME: Act = Act {
    action: ControlAction::Resume,
    verb: "resume",
    step: Step::Resume,
    standing: Some(Standing::Active),
    done: Phase::Running,
    said: "is running",
};
pub(super) const QUARANTINE: Act = Act {
    action: ControlAction::Quarantine,
    verb: "quarantine",
    step: Step::Quarantine,
    standing: Some(Standing::Quarantined),
    done: Phase::Quarantined,
    said: "is quarantined; its messages wait at the broker",
};
pub(super) const RELEASE: Act = Act {
    action: ControlAction::Release,
    verb: "release",
    step: Step::Release,
    standing: Some(Standing::Active),
    done: Phase::Running,
    said: "is running",
};
pub(super) const DRAIN: Act = Act {
    action: ControlAction::Drain,
    verb: "drain",
    step: Step::Drain,
    standing: Some(Standing::Draining),
    done: Phase::Paused,
    said: "has finished what it had in hand and is paused",
};
/// All of them: which word leads where.
const ACTS: [Act; 6] = [RESTART, PAUSE, RESUME, QUARANTINE, RELEASE, DRAIN];

/// What lasts, with its end.
pub(super) async fn aside(act: &Act, AsideArgs { args, until }: AsideArgs, session: &Session) -> Ended {
    let until = until.map(|text| end(&text, Timestamp::now())).transpose()?;
    ask(act, args, until, session).await
}

/// What has no end of its own.
pub(super) async fn run(act: &Act, args: Args, session: &Session) -> Ended {
    ask(act, args, None, session).await
}

/// A time, or a span from now.
fn end(text: &str, now: Timestamp) -> Result<Timestamp, Stop> {
    let wrong = || {
        Stop::usage(format!("`--until {text}` is no time")).next("use a time like 2026-12-01T08:00:00Z, or a span like 2h, 30m or 1d 12h")
    };
    let at = match trimmed(text).parse::<Timestamp>() {
        Ok(at) => at,
        Err(_) => {
            let span: Span = trimmed(text).parse().map_err(|_| wrong())?;
            let span = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
            now.checked_add(span).map_err(|_| wrong())?
        }
    };
    if at <= now {
        return Err(Stop::usage(format!("`--until {text}` is over")).next("name a time to come, or a span like 2h"));
    }
    Ok(at)
}

/// Whether the table of phases allows it; else what it does allow.
fn check(act: &Act, name: &TenantName, phase: Phase) -> Result<(), Stop> {
    if phase.after(act.step).is_some() {
        return Ok(());
    }
    let allowed: Vec<&str> = ACTS
        .iter()
        .filter(|other| PHASES.iter().any(|(from, by, _)| *from == phase && *by == other.step))
        .map(|other| other.verb)
        .collect();
    let on = [RELEASE, RESUME].into_iter().find(|on| phase.after(on.step).is_some());
    let stop = Stop::failed(format!("`{name}` is {}; that does not allow `{}`", phase.as_str().replace('_', " "), act.verb));
    Err(match (on, allowed.as_slice()) {
        (Some(on), _) => stop.next(format!("`tenant {} {name} --reason …` lets it go on; allowed here: {}", on.verb, allowed.join(", "))),
        (None, []) => stop.next("nothing can be asked of it in this phase"),
        (None, _) => stop.next(format!("allowed here: {}", allowed.join(", "))),
    })
}

async fn ask(act: &Act, Args { name, reason }: Args, until: Option<Timestamp>, session: &Session) -> Ended {
    let store = session.store().await?;
    let record = tenant(store.as_ref(), &name).await?;
    let live = Live::of(store.as_ref(), &name).await?;
    check(act, &name, live.phase(&record))?;
    if act.standing.is_none() && !live.any() {
        return Err(Stop::failed("no hub process is live, so there is nothing to make anew")
            .next("`atshub serve` starts one, and every tenant with it; `atshub process list` shows who was heard of"));
    }
    let by = who();
    let request = ControlRequest { action: act.action, reason: reason.clone(), by: by.clone(), until };
    let source = Line::new(SOURCE).map_err(Stop::failed)?;
    let envelope = Envelope::new(source, name.clone(), Timestamp::now(), Message::ControlRequested(request));
    keep(act, &record, &envelope, (&reason, &by), until, store.as_ref()).await?;
    let rung = ring(&envelope, session).await;
    match rung {
        Err(stop) if act.standing.is_none() => return Err(stop),
        Err(stop) if live.any() => {
            session.out.warn(format!("the hub could not be told ({}); it looks by itself within a second", stop.text));
        }
        _ => {}
    }
    if !live.any() {
        let text = format!("`{name}`: stored; takes effect when a hub starts (no hub process is live)");
        session.out.one(&text, &json!({ "tenant": name, "action": act.verb, "stored": true, "done": false, "until": until }))?;
        return Ok(Exit::Done);
    }
    let before = live.tenant(&name).map(|seen| (seen.process, seen.child.generation));
    let done = wait(act, &name, before, store.as_ref(), session).await?;
    let seen = done.tenant(&name);
    let place = seen.as_ref().map_or("", |seen| seen.place);
    let ends = until.map(|at| format!("; it goes on by itself at {at}")).unwrap_or_default();
    let text = format!("`{name}` {} (at {place}){ends}", act.said);
    let value = json!({
        "tenant": name, "action": act.verb, "stored": act.standing.is_some(), "done": true, "until": until,
        "phase": seen.as_ref().map(|seen| seen.child.phase), "process": place,
        "generation": seen.as_ref().map(|seen| seen.child.generation),
    });
    session.out.one(&text, &value)?;
    Ok(Exit::Done)
}

/// Stores what is to last, and a line of history.
async fn keep(
    act: &Act,
    record: &TenantRecord,
    envelope: &Envelope,
    (reason, by): (&Line, &Line),
    until: Option<Timestamp>,
    store: &dyn Store,
) -> Result<(), Stop> {
    let name = &record.name;
    if let Some(standing) = act.standing.clone() {
        let cause = TenantRecord::operators_cause(by, reason);
        let cause = (standing != Standing::Active).then_some(cause.as_str());
        if store.set_standing(name, standing, cause, until, Some(record.stood)).await?.is_none() {
            return Err(overtaken(name, store).await?);
        }
    }
    let ends = until.map(|at| format!(", until {at}")).unwrap_or_default();
    let line = JournalEntry {
        at: envelope.time,
        tenant: name.clone(),
        application: None,
        candidacy: None,
        message: Some(envelope.id.clone()),
        code: "operator".into(),
        text: format!("{by} asked for `{}`{ends}: {reason}", act.verb),
    };
    // A line of history alone: nothing can stand in its way.
    let _committed = store.commit(Change { journal: vec![line], ..Change::default() }).await?;
    Ok(())
}

/// The tenant's standing is not the one that was looked at when this was asked for.
async fn overtaken(name: &TenantName, store: &dyn Store) -> Result<Stop, Stop> {
    let Some(now) = store.tenants().await?.into_iter().find(|found| found.name == *name) else {
        return Ok(Stop::not_found(format!("tenant `{name}` was removed at this moment")));
    };
    let cause = now.cause.map(|cause| format!(": {cause}")).unwrap_or_default();
    let text = format!("`{name}` was changed by somebody else at this moment, and is {} now{cause}; nothing was done", now.standing);
    Ok(Stop::failed(text).next(format!("look at it (`atshub tenant show {name}`), and ask again")))
}

/// Tells every hub process.
async fn ring(envelope: &Envelope, session: &Session) -> Result<(), Stop> {
    let broker = session.broker().await?;
    let told = tell(broker.as_ref(), envelope).await;
    broker.close(ANSWER).await;
    told
}

/// Publishes what an operator asks. Nobody to hear it is a failure.
pub(in crate::cli) async fn tell(broker: &dyn Broker, envelope: &Envelope) -> Result<(), Stop> {
    let message = Publication {
        exchange: topology::CONTROL.to_owned(),
        routing_key: envelope.routing_key(),
        message_id: envelope.id.to_string(),
        content_type: CONTENT_TYPE.to_owned(),
        headers: BTreeMap::new(),
        body: envelope.encode().map_err(Stop::failed)?.into(),
    };
    let answer = timeout(ANSWER, broker.publish(vec![message])).await;
    match answer.ok().and_then(|mut answers| answers.pop()) {
        Some(Ok(())) => Ok(()),
        Some(Err(PublishError::Unroutable { .. })) => Err(Stop::failed("no hub process listens at this broker")
            .next("`--broker` and `--store` must be those of the hub; `atshub process list` shows who is live")),
        Some(Err(error)) => Err(Stop::failed(error)),
        None => Err(Stop::failed(format!("the broker did not answer within {} s", ANSWER.as_secs()))),
    }
}

/// What the store shows of the effect.
enum Effect {
    Done,
    Wrong(String),
    NotYet(String),
}

fn effect(act: &Act, before: Option<(Uuid, u64)>, seen: Option<&Seen<'_>>) -> Effect {
    let Some(seen) = seen.filter(|seen| seen.live) else { return Effect::NotYet("no live process has spoken of it yet".into()) };
    let anew = Some((seen.process, seen.child.generation)) != before;
    let phase = seen.child.phase;
    let cause = seen.child.cause.as_deref().unwrap_or("no cause is known");
    if act.done == Phase::Running {
        return match phase {
            Phase::Running if anew => Effect::Done,
            Phase::BackingOff | Phase::Paused | Phase::Quarantined | Phase::Disabled if anew => {
                Effect::Wrong(format!("was started and is {} again: {cause}", phase.as_str().replace('_', " ")))
            }
            _ => Effect::NotYet(format!("it is {}", phase.as_str())),
        };
    }
    if phase == act.done {
        return Effect::Done;
    }
    Effect::NotYet(match seen.child.in_hand {
        0 => format!("it is {}", phase.as_str()),
        n => format!("it is {}, with {n} in hand", phase.as_str()),
    })
}

/// Waits until the effect shows.
async fn wait(act: &Act, name: &TenantName, before: Option<(Uuid, u64)>, store: &dyn Store, session: &Session) -> Result<Live, Stop> {
    let progress = session.out.progress(&format!("waiting for `{name}`"), None);
    let (began, mut looks) = (Instant::now(), tokio::time::interval(LOOK));
    loop {
        looks.tick().await;
        let live = Live::of(store, name).await?;
        let so_far = match effect(act, before, live.tenant(name).as_ref()) {
            Effect::Done => return Ok(live),
            Effect::Wrong(why) => return Err(Stop::failed(format!("`{name}` {why}")).next(format!("`atshub tenant show {name}`"))),
            Effect::NotYet(so_far) => so_far,
        };
        progress.now(&format!("waiting for `{name}`: {so_far}"));
        if began.elapsed() > WAIT {
            let waited = span(jiff::SignedDuration::from_secs(i64::try_from(WAIT.as_secs()).unwrap_or(i64::MAX)));
            let next = match &act.standing {
                Some(_) => format!("it is stored and takes effect when the hub can; `atshub tenant show {name}` says how far it is"),
                None => format!("`atshub tenant show {name}` says what it is doing, the hub's log why"),
            };
            return Err(Stop::failed(format!("`{name}` is not there after {waited}: {so_far}")).next(next));
        }
    }
}

/// Asks a tenant to go on, for whoever paused it; used by drills, which clear up after themselves.
pub(in crate::cli) async fn let_go_on(
    name: &TenantName,
    action: ControlAction,
    by: &Line,
    store: &dyn Store,
    broker: &Arc<dyn Broker>,
) -> Result<(), Stop> {
    let reason = Line::new("the drill is over").map_err(Stop::failed)?;
    let request = ControlRequest { action, reason, by: by.clone(), until: None };
    let source = Line::new(SOURCE).map_err(Stop::failed)?;
    let envelope = Envelope::new(source, name.clone(), Timestamp::now(), Message::ControlRequested(request));
    let _stands = store.set_standing(name, Standing::Active, None, None, None).await?;
    tell(broker.as_ref(), &envelope).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> TenantName {
        TenantName::new("acme").unwrap()
    }

    #[test]
    fn what_a_phase_does_not_allow_is_refused_with_what_it_does() {
        let stop = check(&PAUSE, &name(), Phase::Quarantined).unwrap_err();
        assert_eq!(stop.text, "`acme` is quarantined; that does not allow `pause`");
        assert!(stop.next.unwrap().starts_with("`tenant release acme --reason …` lets it go on"));
        let stop = check(&RELEASE, &name(), Phase::BackingOff).unwrap_err();
        assert_eq!(stop.text, "`acme` is backing off; that does not allow `release`");
        assert_eq!(stop.next.unwrap(), "allowed here: restart, pause, quarantine, drain");
        assert!(check(&RESTART, &name(), Phase::Disabled).unwrap_err().next.unwrap().contains("nothing"));
    }

    #[test]
    fn every_act_is_allowed_in_some_phase_and_leads_to_where_it_says() {
        for act in ACTS {
            let to: Vec<Phase> = PHASES.iter().filter(|(_, by, _)| *by == act.step).map(|(_, _, to)| *to).collect();
            assert!(!to.is_empty(), "{}", act.verb);
            let by_itself = |to: Phase| matches!((to, act.done), (Phase::Starting, Phase::Running) | (Phase::Draining, Phase::Paused));
            assert!(to.iter().all(|to| *to == act.done || by_itself(*to)), "{}: {to:?}", act.verb);
        }
    }

    #[test]
    fn an_end_is_a_time_or_a_span_to_come() {
        let now: Timestamp = "2026-11-25T10:00:00Z".parse().unwrap();
        let at = |text: &str| end(text, now).map(|at| at.to_string()).map_err(|stop| stop.text);
        assert_eq!(at("2h").unwrap(), "2026-11-25T12:00:00Z");
        assert_eq!(at("1d 12h").unwrap(), "2026-11-26T22:00:00Z");
        assert_eq!(at("30m").unwrap(), "2026-11-25T10:30:00Z");
        assert_eq!(at("2026-12-01T08:00:00+01:00").unwrap(), "2026-12-01T07:00:00Z");
        assert!(at("2026-11-25T09:00:00Z").unwrap_err().contains("is over"));
        assert!(at("-2h").unwrap_err().contains("is over"));
        for text in ["soon", "", "2", "3 months"] {
            assert!(at(text).unwrap_err().contains("is no time"), "{text}");
        }
    }
}
