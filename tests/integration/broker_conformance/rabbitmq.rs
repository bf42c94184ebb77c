//! What only a broker across a network can show: lost, silent and refused connections, permissions, channel limits.

use super::{SIGNAL_LIMIT, block_on, id_of, info, is_unroutable, message, next, publish_all, queue, settle, until};
use crate::support::{
    proxy::Proxy,
    rabbitmq::{VirtualHost, address},
    services::RabbitNode,
};
use atshub::rabbitmq::{QueueType, RabbitBroker, RabbitOptions};
use atshub_actors::ports::{AckError, Broker, BrokerError, BrokerHealth, PublishError, QueueSpec};
use atshub_schemas::topology::{EVENTS, WORK};
use lapin::{
    Connection, ConnectionProperties,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{runtime::Handle, sync::watch, time::timeout};

async fn connect(url: &str, options: RabbitOptions) -> Result<RabbitBroker, BrokerError> {
    RabbitBroker::connect(url, Handle::current(), options).await
}

/// Short limits, for tests in which something has to run into one.
fn impatient() -> RabbitOptions {
    let second = Duration::from_secs(1);
    RabbitOptions { answer_limit: second, connect_limit: second, longest_pause: second / 5, ..RabbitOptions::default() }
}

/// Waits until the broker is up under an epoch past `past`.
async fn up_again(broker: &RabbitBroker, past: u64) {
    let mut health = broker.health();
    let up = health.wait_for(|health| matches!(health, BrokerHealth::Up { epoch } if *epoch > past));
    timeout(SIGNAL_LIMIT, up).await.expect("never up again").unwrap();
}

/// Publishes windows of new messages until told to stop, each again until it is confirmed, never far ahead of `settled`.
/// Returns what was confirmed.
async fn publish_until_stopped(
    broker: Arc<RabbitBroker>,
    mut settled: watch::Receiver<usize>,
    stop: watch::Receiver<bool>,
    hit: Arc<Hit>,
) -> BTreeSet<String> {
    let mut confirmed = BTreeSet::new();
    for window in 0.. {
        if *stop.borrow() {
            break;
        }
        let published = confirmed.len();
        settled.wait_for(|settled| settled + 200 > published).await.unwrap();
        let mut missing: Vec<String> = (0..20).map(|at| format!("{window}-{at}")).collect();
        while !missing.is_empty() {
            let answers = broker.publish(missing.iter().map(|id| message(WORK, "q", id)).collect()).await;
            let mut still = Vec::new();
            for (id, answer) in missing.into_iter().zip(answers) {
                match answer {
                    Ok(()) => drop(confirmed.insert(id)),
                    Err(PublishError::Away(_)) => still.push(id),
                    Err(other) => panic!("{other}"),
                }
            }
            if !still.is_empty() {
                hit.publishes.fetch_add(1, Ordering::Relaxed);
                up_again(&broker, 0).await;
            }
            missing = still;
        }
    }
    confirmed
}

/// What the closing of a connection met: windows being published, acknowledgements on their way or coming too late.
#[derive(Default)]
struct Hit {
    publishes: AtomicUsize,
    stale: AtomicUsize,
    unsure: AtomicUsize,
}

impl Hit {
    fn both(&self) -> bool {
        let [publishes, stale, unsure] = [&self.publishes, &self.stale, &self.unsure].map(|count| count.load(Ordering::Relaxed));
        publishes > 0 && stale + unsure > 0
    }
}

/// Three times at least, and until it has met both.
async fn close_under_load(broker: Arc<RabbitBroker>, host: VirtualHost, hit: Arc<Hit>) -> VirtualHost {
    let mut host = host;
    for epoch in 1.. {
        if epoch > 3 && hit.both() {
            break;
        }
        assert!(epoch < 30, "no connection was closed under load");
        // rabbitmqctl takes a second; the load goes on meanwhile.
        host = tokio::task::spawn_blocking(|| {
            host.close_all_connections();
            host
        })
        .await
        .unwrap();
        up_again(&broker, epoch).await;
    }
    host
}

#[test]
fn forced_closes_under_load_lose_nothing_and_every_publish_is_answered_honestly() {
    let host = VirtualHost::new();
    block_on(async {
        let broker = Arc::new(connect(&host.url(), impatient()).await.unwrap());
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        let mut consumption = broker.consume("q", 20).await.unwrap();
        let (settled, stop) = (watch::Sender::new(0), watch::Sender::new(false));
        let hit = Arc::new(Hit::default());
        let publishing = tokio::spawn(publish_until_stopped(Arc::clone(&broker), settled.subscribe(), stop.subscribe(), Arc::clone(&hit)));
        let closing = tokio::spawn(close_under_load(Arc::clone(&broker), host, Arc::clone(&hit)));
        let mut seen = BTreeSet::new();
        // Acknowledged as the connection ended: the broker may have taken it.
        let mut unsure = BTreeSet::new();
        while !closing.is_finished() {
            let delivery = next(&mut consumption).await;
            let id = id_of(&delivery);
            match delivery.ack.ack().await {
                Ok(()) => drop(seen.insert(id)),
                Err(AckError::Stale) => drop(hit.stale.fetch_add(1, Ordering::Relaxed)),
                Err(AckError::Unsure(_)) => {
                    hit.unsure.fetch_add(1, Ordering::Relaxed);
                    unsure.insert(id);
                }
            }
            settled.send_replace(seen.len() + unsure.len());
        }
        let _host = closing.await.unwrap();
        stop.send_replace(true);
        // The publisher may still wait for room.
        settled.send_replace(usize::MAX / 2);
        let confirmed = publishing.await.unwrap();
        while !confirmed.is_subset(&(&seen | &unsure)) {
            seen.extend(settle(&mut consumption, 1).await);
        }
        // What was taken as its connection ended comes no more; everything else of it came before what is published now.
        publish_all(&*broker, vec![message(WORK, "q", "last")]).await;
        while let Some(id) = settle(&mut consumption, 1).await.pop().filter(|id| id != "last") {
            seen.insert(id);
        }
        let taken = unsure.difference(&seen).count();
        // Nothing was published and answered otherwise: what came was confirmed.
        assert!(seen.is_subset(&confirmed) && unsure.is_subset(&confirmed), "{:?}", seen.difference(&confirmed));
        let (away, stale) = (hit.publishes.load(Ordering::Relaxed), hit.stale.load(Ordering::Relaxed));
        let (messages, unsure) = (confirmed.len(), unsure.len());
        println!(
            "{messages} messages; publish windows answered away: {away}; acknowledgements: {stale} stale, {unsure} unsure, of which taken: {taken}"
        );
        broker.close(Duration::from_secs(5)).await;
    });
}

#[test]
fn after_a_reconnect_an_old_acknowledgement_is_stale_and_the_message_comes_again() {
    let host = VirtualHost::new();
    block_on(async {
        let broker = connect(&host.url(), RabbitOptions::default()).await.unwrap();
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        publish_all(&broker, vec![message(WORK, "q", 1)]).await;
        let mut consumption = broker.consume("q", 1).await.unwrap();
        let old = next(&mut consumption).await;
        host.close_all_connections();
        up_again(&broker, 1).await;
        let new = next(&mut consumption).await;
        assert_eq!((id_of(&new).as_str(), new.redelivered, new.delivery_count), ("1", true, 1));
        assert_eq!(old.ack.ack().await, Err(AckError::Stale));
        new.ack.ack().await.unwrap();
        drop(consumption);
        until(&broker, "q", |info| info.ready == 0 && info.consumers == 0).await;
    });
}

#[test]
fn a_connection_that_falls_silent_is_given_up_and_another_is_made() {
    let host = VirtualHost::new();
    block_on(async {
        let proxy = Proxy::to(address()).await;
        let broker = connect(&host.url_at(proxy.address), impatient()).await.unwrap();
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        let mut consumption = broker.consume("q", 1).await.unwrap();
        proxy.fall_silent();
        let answers = broker.publish(vec![message(WORK, "q", 1)]).await;
        assert!(matches!(&answers[..], [Err(PublishError::Away(_))]), "{answers:?}");
        let mut health = broker.health();
        let down = health.wait_for(|health| matches!(health, BrokerHealth::Down { .. }));
        timeout(SIGNAL_LIMIT, down).await.expect("it was not noticed").unwrap();
        assert!(matches!(broker.queues(&["q".to_owned()]).await, Err(BrokerError::Away(_))));
        proxy.speak();
        up_again(&broker, 1).await;
        // The first may have arrived late: away means that it may be there.
        publish_all(&broker, vec![message(WORK, "q", 2)]).await;
        while settle(&mut consumption, 1).await != ["2"] {}
    });
}

#[test]
fn an_acknowledgement_on_a_silent_connection_ends_in_time() {
    let host = VirtualHost::new();
    block_on(async {
        let proxy = Proxy::to(address()).await;
        let options = RabbitOptions { heartbeat: Duration::from_secs(1), ..impatient() };
        let broker = connect(&host.url_at(proxy.address), options).await.unwrap();
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        publish_all(&broker, vec![message(WORK, "q", 1)]).await;
        let mut consumption = broker.consume("q", 1).await.unwrap();
        let held = next(&mut consumption).await;
        proxy.fall_silent();
        // Nobody asks the broker anything: the heartbeat has to notice.
        let mut health = broker.health();
        let down = health.wait_for(|health| matches!(health, BrokerHealth::Down { .. }));
        timeout(SIGNAL_LIMIT, down).await.expect("the heartbeat noticed nothing").unwrap();
        assert_eq!(timeout(SIGNAL_LIMIT, held.ack.ack()).await.expect("no answer"), Err(AckError::Stale));
        proxy.speak();
        assert_eq!(settle(&mut consumption, 1).await, ["1"]);
    });
}

#[test]
fn a_queue_that_exists_with_other_arguments_is_refused_and_the_rest_works_through_a_reconnect() {
    let host = VirtualHost::new();
    block_on(async {
        let raw = Connection::connect(&host.url(), ConnectionProperties::default()).await.unwrap();
        let mut classic = FieldTable::default();
        classic.insert("x-queue-type".into(), AMQPValue::LongString("classic".into()));
        let channel = raw.create_channel().await.unwrap();
        channel.queue_declare("old".into(), QueueDeclareOptions::durable(), classic).await.unwrap();
        let broker = connect(&host.url(), RabbitOptions::default()).await.unwrap();
        broker.declare(queue("new", &[(WORK, "new")])).await.unwrap();
        let mut consumption = broker.consume("new", 1).await.unwrap();
        let Err(BrokerError::Refused(cause)) = broker.declare(queue("old", &[(WORK, "old")])).await else { panic!("not refused") };
        assert!(cause.contains("PRECONDITION_FAILED") && cause.contains("broker.queue_type"), "{cause}");
        publish_all(&broker, vec![message(WORK, "new", 1)]).await;
        assert_eq!(settle(&mut consumption, 1).await, ["1"]);
        host.close_all_connections();
        up_again(&broker, 1).await;
        publish_all(&broker, vec![message(WORK, "new", 2)]).await;
        assert_eq!(settle(&mut consumption, 1).await, ["2"]);
    });
}

#[test]
fn queues_that_vanished_are_declared_again_after_a_reconnect() {
    let host = VirtualHost::new();
    block_on(async {
        let broker = connect(&host.url(), RabbitOptions::default()).await.unwrap();
        let other = connect(&host.url(), RabbitOptions::default()).await.unwrap();
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        let mut consumption = broker.consume("q", 1).await.unwrap();
        // Somebody else deletes it: the broker cancels the consumer, and the consumption puts the queue back.
        other.delete("q").await.unwrap();
        until(&other, "q", |info| info.consumers == 1).await;
        publish_all(&broker, vec![message(WORK, "q", 1)]).await;
        assert_eq!(settle(&mut consumption, 1).await, ["1"]);
        other.close(Duration::from_secs(5)).await;
        drop(consumption);
    });
}

#[test]
fn a_user_without_permissions_is_refused_with_what_to_grant() {
    let mut host = VirtualHost::new();
    let nothing = host.url_of_new_user("^$", "^$", "^$");
    let no_work = host.url_of_new_user(".*", "^(atshub\\.(events|dead|unrouted)|q.*)$", ".*");
    let address = host.url();
    block_on(async {
        let Err(BrokerError::Refused(cause)) = connect(&nothing, RabbitOptions::default()).await else { panic!("not refused") };
        assert!(cause.contains("ACCESS_REFUSED") && cause.contains("rabbitmqctl set_permissions"), "{cause}");
        let wrong = address.replacen("://", "://nobody-", 1);
        let Err(BrokerError::Refused(cause)) = connect(&wrong, RabbitOptions::default()).await else { panic!("not refused") };
        assert!(cause.contains("ACCESS_REFUSED") && !cause.contains("guest:"), "{cause}");
        let Err(BrokerError::Refused(cause)) = connect(&format!("{address}-not-there"), RabbitOptions::default()).await else {
            panic!("not refused")
        };
        assert!(cause.contains("virtual host"), "{cause}");
        // An alternate exchange asks for write on it: the second user may do all but publish to `atshub.work`.
        let broker = connect(&no_work, RabbitOptions::default()).await.unwrap();
        broker.declare(queue("q", &[(EVENTS, "acme.#"), (WORK, "q")])).await.unwrap();
        let mixed = vec![message(EVENTS, "acme.x", 1), message(WORK, "q", 2), message(EVENTS, "acme.x", 3)];
        let answers = broker.publish(mixed).await;
        assert!(
            matches!(&answers[..], [Ok(()), Err(PublishError::Refused(cause)), Ok(())] if cause.contains("ACCESS_REFUSED")),
            "{answers:?}"
        );
        assert_eq!(*broker.health().borrow(), BrokerHealth::Up { epoch: 1 });
        assert!(matches!(broker.declare(queue("elsewhere", &[(EVENTS, "x")])).await, Err(BrokerError::Refused(_))));
        broker.close(Duration::from_secs(5)).await;
    });
}

#[test]
fn nobody_at_the_address_is_an_absence_and_a_bad_address_a_refusal() {
    block_on(async {
        let nobody = "amqp://guest:secret-word@127.0.0.1:1/x";
        let Err(BrokerError::Away(cause)) = connect(nobody, RabbitOptions::default()).await else { panic!("not away") };
        assert!(!cause.contains("secret-word"), "{cause}");
        let Err(BrokerError::Refused(cause)) = connect("amqp//secret-word", RabbitOptions::default()).await else { panic!("not refused") };
        assert!(!cause.contains("secret-word"), "{cause}");
    });
}

#[test]
fn without_waiting_the_broker_is_sought_and_what_was_declared_meanwhile_is_there() {
    let host = VirtualHost::new();
    block_on(async {
        let proxy = Proxy::to(address()).await;
        proxy.fall_silent();
        let options = RabbitOptions { wait_for_broker: false, ..impatient() };
        let broker = connect(&host.url_at(proxy.address), options).await.unwrap();
        assert!(matches!(*broker.health().borrow(), BrokerHealth::Down { .. }));
        assert!(matches!(broker.declare(queue("q", &[(WORK, "q")])).await, Err(BrokerError::Away(_))));
        assert!(matches!(&broker.publish(vec![message(WORK, "q", 1)]).await[..], [Err(PublishError::Away(_))]));
        proxy.speak();
        up_again(&broker, 0).await;
        publish_all(&broker, vec![message(WORK, "q", 1)]).await;
    });
}

#[test]
fn more_consumptions_than_a_connection_has_channels_open_further_connections() {
    let host = VirtualHost::new();
    block_on(async {
        let options = RabbitOptions { channels_per_connection: 2, queue_type: QueueType::Classic, ..RabbitOptions::default() };
        let broker = connect(&host.url(), options).await.unwrap();
        let mut consumptions = Vec::new();
        for at in 0..7 {
            let name = format!("q{at}");
            broker.declare(queue(&name, &[(WORK, &name)])).await.unwrap();
            consumptions.push(broker.consume(&name, 1).await.unwrap());
        }
        host.close_all_connections();
        up_again(&broker, 1).await;
        publish_all(&broker, (0..7).map(|at| message(WORK, &format!("q{at}"), at)).collect()).await;
        for (at, consumption) in consumptions.iter_mut().enumerate() {
            assert_eq!(settle(consumption, 1).await, [at.to_string()]);
        }
    });
}

#[test]
fn a_standby_that_hears_nothing_keeps_its_place_and_takes_over() {
    let host = VirtualHost::new();
    block_on(async {
        let options = RabbitOptions { deaf_after: Duration::from_millis(30), ..RabbitOptions::default() };
        let standby = connect(&host.url(), options).await.unwrap();
        let active = connect(&host.url(), RabbitOptions::default()).await.unwrap();
        active.declare(QueueSpec { single_consumer: true, ..queue("q", &[(WORK, "q")]) }).await.unwrap();
        let mut first = active.consume("q", 1).await.unwrap();
        publish_all(&active, (0..3).map(|at| message(WORK, "q", at)).collect()).await;
        let held = next(&mut first).await;
        let mut second = standby.consume("q", 1).await.unwrap();
        // Two messages wait and the standby has room: it looks deaf, and is opened anew again and again.
        let silent = timeout(Duration::from_millis(300), second.deliveries.recv()).await;
        assert!(silent.is_err(), "{silent:?}");
        held.ack.ack().await.unwrap();
        drop(first);
        assert_eq!(settle(&mut second, 2).await, ["1", "2"]);
        assert!(is_unroutable(&active.publish(vec![message(WORK, "nowhere", 9)]).await[0]));
        assert_eq!(info(&active, "q").await.unwrap().ready, 0);
    });
}

#[test]
fn what_the_broker_refuses_again_and_again_uses_up_no_channels() {
    // As few channels as a broker may allow, so that each number comes again soon.
    let node = RabbitNode::start_with("channel_max = 24\n", "[]");
    block_on(async {
        let broker = connect(&node.url(), RabbitOptions::default()).await.unwrap();
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        let mut kept = broker.consume("q", 1).await.unwrap();
        for round in 0..60 {
            assert_eq!(info(&broker, "nowhere").await, None);
            assert!(matches!(broker.consume("nowhere", 1).await, Err(BrokerError::Refused(_))));
            let other = QueueSpec { single_consumer: true, ..queue("q", &[]) };
            let refused = broker.declare(other).await.unwrap_err().to_string();
            assert!(refused.contains("exists with other arguments"), "{refused}");
            broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
            publish_all(&broker, vec![message(WORK, "q", round)]).await;
            assert_eq!(settle(&mut kept, 1).await, [round.to_string()], "the consumption goes on");
        }
        assert_eq!(*broker.health().borrow(), BrokerHealth::Up { epoch: 1 }, "nothing was lost over it");
        // To publish, the first one for the rest with the consumption on it, the newest one, and one that is just being closed.
        let connections = tokio::task::block_in_place(|| node.ctl(&["--silent", "list_connections", "pid"]));
        assert!((2..=4).contains(&connections.lines().count()), "{connections}");
    });
}
