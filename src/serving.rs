//! A hub as a process of its own: it waits for its store, runs until it is told to stop, and tells systemd how it fares. Without a
//! broker it begins all the same: what comes in by its doors waits in the store. What is wrong by itself (an address, a password, a
//! schema) is not waited for.

use crate::{
    api::{Waited, waiting},
    app::{self, AppError, Ground, Tuning},
    config::{BrokerAddress, Config, StoreAddress},
    embedded::Alone,
    sealing,
    signals::{ToldToStop, WithoutEffect},
};
use atshub_actors::ports::{BrokerError, StoreError};
use std::time::Duration;
use tokio::runtime::Handle;

/// Pause before a store that is away is looked for again, and a broker with it.
const AGAIN: Duration = Duration::from_secs(2);
/// How long systemd is to go on waiting for a hub that waits: longer than a pause and two attempts.
const PATIENCE_USEC: u32 = 60_000_000;

/// What the end takes beside the drain: the doors' last requests, threads, and some.
const BESIDE_THE_DRAIN: Duration = Duration::from_secs(15);
/// File handles below which a hub is not begun: with these it starts, opens its doors, and has some left for connections.
const FEWEST_HANDLES: u64 = 128;

/// Runs the hub until it is told to stop, then drains it. Tells systemd when it is ready, and that it lives.
///
/// # Errors
/// [`AppError`] if it does not start.
pub fn serve(config: &Config) -> Result<(), AppError> {
    enough_handles(std::fs::read_to_string("/proc/self/limits").ok().as_deref())?;
    let _alone = alone(config)?;
    let io = app::io_runtime(config.hub.io_threads)?;
    let handle = io.handle().clone();
    let result = actix_rt::System::new().block_on(async {
        actix_rt::spawn(WithoutEffect::hear()?.run());
        let mut stop = ToldToStop::hear()?;
        let ground = tokio::select! {
            () = stop.told() => return Ok(()),
            ground = ground(config, &handle) => ground?,
        };
        let running = app::start_on(ground, config, handle, Tuning::default()).await?;
        notify(&[sd_notify::NotifyState::Ready, sd_notify::NotifyState::Status("running")]);
        let watchdog = actix_rt::spawn(watchdog());
        let fatal = tokio::select! {
            () = stop.told() => None,
            fatal = running.hub.fatal() => Some(fatal),
            fatal = running.doors_fell() => Some(fatal),
        };
        // The unit's limit may be shorter than the drain that is set.
        let limit = config.hub.drain_time() + BESIDE_THE_DRAIN;
        let limit = sd_notify::NotifyState::ExtendTimeoutUsec(u32::try_from(limit.as_micros()).unwrap_or(u32::MAX));
        notify(&[sd_notify::NotifyState::Stopping, limit]);
        tracing::info!("told to stop; draining");
        running.stop(config.hub.drain_time()).await;
        watchdog.abort();
        tracing::info!("stopped");
        fatal.map_or(Ok(()), |sentence| Err(AppError::Fatal(sentence)))
    });
    io.shutdown_timeout(Duration::from_secs(2));
    result
}

/// A process that has too few file handles for its own threads would lose them one by one, and stand there without doors.
fn enough_handles(limits: Option<&str>) -> Result<(), AppError> {
    let soft = |line: &str| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<u64>().ok();
    match limits.and_then(|limits| limits.lines().find_map(soft)) {
        Some(handles) if handles < FEWEST_HANDLES => Err(AppError::Fatal(format!(
            "{handles} file handles are too few to run on, and every connection takes one; allow at least {FEWEST_HANDLES}, better 65536 (`ulimit -n`, LimitNOFILE= of the unit, `ulimits` of the container)"
        ))),
        // Where the system does not say, or there is no end to them.
        _ => Ok(()),
    }
}

/// An embedded store or broker is for one hub: a second one would stand there with open doors and do nothing.
fn alone(config: &Config) -> Result<Vec<Alone>, AppError> {
    let mut folders = Vec::new();
    if let BrokerAddress::Embedded(folder) = config.broker.url.broker()? {
        folders.push(folder);
    }
    if let StoreAddress::Embedded(folder) = config.store.url.store()?
        && !folders.contains(&folder)
    {
        folders.push(folder);
    }
    let mut alone = Vec::new();
    for folder in folders {
        match Alone::in_folder(&folder)? {
            Some(lock) => alone.push(lock),
            None => {
                return Err(AppError::Fatal(format!(
                    "another hub runs on `{}`, which is for one hub alone; stop that one, or give this one a folder of its own in `broker.url` and `store.url`",
                    folder.display()
                )));
            }
        }
    }
    Ok(alone)
}

/// Broker, store and the place of the doors. As long as the store is away, the doors say so; a broker that is away then is sought by
/// the hub itself.
async fn ground(config: &Config, io: &Handle) -> Result<Ground, AppError> {
    // What no wait makes right comes first.
    sealing::check(config)?;
    let listener = app::listen(config)?;
    let (mut store, mut broker) = (None, None);
    let (waited, mut door) = (Waited::default(), None);
    loop {
        let (mut store_away, mut broker_away) = (None, None);
        if store.is_none() {
            match app::open_store(config, io.clone()).await {
                Ok(opened) => store = Some(opened),
                Err(error @ AppError::Store { source: StoreError::Away(_), .. }) => store_away = Some(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        if broker.is_none() {
            match app::open_broker(config, io.clone()).await {
                Ok(opened) => broker = Some(opened),
                Err(error @ AppError::Broker { source: BrokerError::Away(_), .. }) => broker_away = Some(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        if let Some(store) = store {
            let broker = match (broker, broker_away) {
                (Some(broker), _) => broker,
                (None, away) => {
                    let away = away.unwrap_or_default();
                    tracing::warn!("{away}; the hub starts without it: what comes in by its doors waits in the store");
                    app::seek_broker(config, io.clone()).await?
                }
            };
            if let Some(door) = door {
                actix_web::dev::ServerHandle::stop(&door, false).await;
            }
            return Ok(Ground { store, broker, listener });
        }
        for away in [&store_away, &broker_away].into_iter().flatten() {
            tracing::warn!("{away}; looking again in {} s; the hub starts when the store is there", AGAIN.as_secs());
        }
        waited.say(store_away, broker_away);
        if door.is_none() {
            let server = waiting(waited.clone(), listener.try_clone()?)?;
            door = Some(server.handle());
            actix_rt::spawn(server);
        }
        notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(PATIENCE_USEC), sd_notify::NotifyState::Status("waiting for the store")]);
        tokio::time::sleep(AGAIN).await;
    }
}

/// Lives on the supervisor's own thread: a supervisor that stands still lets systemd's watchdog bite.
async fn watchdog() {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    loop {
        notify(&[sd_notify::NotifyState::Watchdog]);
        tokio::time::sleep(limit / 3).await;
    }
}

/// Without systemd this does nothing.
fn notify(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd was not told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_file_handles_are_refused_with_what_to_do() {
        let limits = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \nMax processes             7                    7                    processes \nMax open files            {soft}                 1048576              files     \n"
            )
        };
        for (soft, enough) in [("0", false), ("64", false), ("127", false), ("128", true), ("65536", true), ("unlimited", true)] {
            let judged = enough_handles(Some(&limits(soft)));
            assert_eq!(judged.is_ok(), enough, "{soft}");
            if let Err(error) = judged {
                assert!(
                    error.to_string().starts_with(&format!("{soft} file handles are too few"))
                        && error.to_string().contains("LimitNOFILE=")
                );
            }
        }
        assert!(enough_handles(None).is_ok() && enough_handles(Some("")).is_ok());
    }
}
