//! What only a broker in one file can show: kill -9 in the middle, two processes on one folder.

use super::{block_on, id_of, info, message, next, publish_all, queue, settle};
use atshub::embedded::broker::EmbeddedBroker;
use atshub_actors::ports::{AckError, Broker, BrokerError};
use atshub_schemas::topology::{DEAD, DELIVERY_LIMIT, WORK};
use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::timeout;

/// Tells [`child_that_publishes_and_settles_until_it_is_killed`] where to work; without it that test has nothing to do.
const CHILD_FOLDER: &str = "ATSHUB_TEST_CHILD_FOLDER";
/// Lines the parent waits for before it kills.
const LINES: usize = 400;

#[test]
fn after_kill_9_everything_confirmed_is_there_and_nothing_settled_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut confirmed, mut settled) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "broker_conformance::embedded::child_that_publishes_and_settles_until_it_is_killed", "--nocapture"])
            .env(CHILD_FOLDER, folder.path())
            .env("ATSHUB_TEST_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while seen < LINES {
            seen += usize::from(note(&lines.next().unwrap().unwrap(), &mut confirmed, &mut settled));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died, and the parent had not read yet, counts as well.
        for line in lines.map_while(Result::ok) {
            note(&line, &mut confirmed, &mut settled);
        }
    }
    assert!(confirmed.len() > 3 * LINES / 4 && !settled.is_empty(), "{} confirmed, {} settled", confirmed.len(), settled.len());
    block_on(async {
        let broker = EmbeddedBroker::open(folder.path()).unwrap();
        let waiting = info(&broker, "q").await.unwrap();
        assert_eq!(waiting.unacked, Some(0));
        let mut consumption = broker.consume("q", 100).await.unwrap();
        let mut left = BTreeSet::new();
        let mut again = 0;
        for _ in 0..waiting.ready {
            let delivery = next(&mut consumption).await;
            assert_eq!(delivery.redelivered, delivery.delivery_count > 0);
            again += usize::from(delivery.redelivered);
            left.insert(id_of(&delivery));
            delivery.ack.ack().await.unwrap();
        }
        let lost: Vec<_> = confirmed.difference(&settled).filter(|id| !left.contains(*id)).collect();
        // At most the acknowledgement that was durable and not yet said, once a round.
        assert!(lost.len() <= 3, "{lost:?}");
        let back: Vec<_> = settled.intersection(&left).collect();
        assert!(back.is_empty(), "{back:?}");
        assert!(again > 0, "the child had messages in hand when it died");
        println!(
            "confirmed {}, settled {}, left {}, redelivered {again}, settled and not yet said {lost:?}",
            confirmed.len(),
            settled.len(),
            left.len()
        );
    });
}

fn note(line: &str, confirmed: &mut BTreeSet<String>, settled: &mut BTreeSet<String>) -> bool {
    // The test harness writes its own words to the same pipe.
    match line.rsplit_once("confirmed ").map(|(_, id)| (id, true)).or_else(|| line.rsplit_once("settled ").map(|(_, id)| (id, false))) {
        Some((id, true)) => confirmed.insert(id.to_owned()),
        Some((id, false)) => settled.insert(id.to_owned()),
        None => false,
    }
}

#[test]
fn child_that_publishes_and_settles_until_it_is_killed() {
    let (Ok(folder), Ok(round)) = (std::env::var(CHILD_FOLDER), std::env::var("ATSHUB_TEST_ROUND")) else { return };
    let say = |word: &str, id: &str| {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{word} {id}").and_then(|()| out.flush()).unwrap();
    };
    block_on(async {
        let broker = EmbeddedBroker::open(Path::new(&folder)).unwrap();
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        let mut consumption = broker.consume("q", 8).await.unwrap();
        let publishing = async {
            for at in 0_u64.. {
                let ids: Vec<String> = (0..4).map(|part| format!("{round}-{at}-{part}")).collect();
                publish_all(&broker, ids.iter().map(|id| message(WORK, "q", id)).collect()).await;
                ids.iter().for_each(|id| say("confirmed", id));
            }
        };
        let settling = async {
            loop {
                let first = next(&mut consumption).await;
                let id = id_of(&first);
                first.ack.ack().await.unwrap();
                say("settled", &id);
            }
        };
        tokio::join!(publishing, settling);
    });
}

#[test]
fn another_process_may_publish_and_does_not_touch_what_is_in_hand() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let hub = EmbeddedBroker::open(folder.path()).unwrap();
        hub.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        publish_all(&hub, vec![message(WORK, "q", 1)]).await;
        let mut consumption = hub.consume("q", 5).await.unwrap();
        let held = next(&mut consumption).await;
        let other = EmbeddedBroker::open(folder.path()).unwrap();
        assert_eq!(info(&other, "q").await.unwrap().unacked, Some(1));
        publish_all(&other, vec![message(WORK, "q", 2)]).await;
        let second = timeout(Duration::from_secs(1), consumption.deliveries.recv()).await.expect("it was not noticed").unwrap();
        assert_eq!((id_of(&second).as_str(), second.redelivered), ("2", false));
        held.ack.ack().await.unwrap();
        second.ack.ack().await.unwrap();
        // A queue that the other one declares is known here too.
        other.declare(queue("late", &[(WORK, "late")])).await.unwrap();
        publish_all(&hub, vec![message(WORK, "late", 3)]).await;
        let refused = other.consume("q", 1).await;
        assert!(matches!(&refused, Err(BrokerError::Refused(cause)) if cause.contains("another process")), "{refused:?}");
        hub.close(Duration::from_secs(5)).await;
        let mut consumption = other.consume("late", 1).await.unwrap();
        assert_eq!(settle(&mut consumption, 1).await, ["3"]);
    });
}

#[test]
fn a_folder_opened_again_has_everything_and_counts_what_was_in_hand() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let first = EmbeddedBroker::open(folder.path()).unwrap();
        first.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        publish_all(&first, (1..=3).map(|at| message(WORK, "q", at)).collect()).await;
        let mut consumption = first.consume("q", 2).await.unwrap();
        let held = [next(&mut consumption).await, next(&mut consumption).await];
        first.close(Duration::from_secs(5)).await;
        let second = EmbeddedBroker::open(folder.path()).unwrap();
        let mut again = second.consume("q", 3).await.unwrap();
        for (id, count) in [("1", 1), ("2", 1), ("3", 0)] {
            let delivery = next(&mut again).await;
            assert_eq!((id_of(&delivery).as_str(), delivery.delivery_count), (id, count));
        }
        for old in held {
            assert_eq!(old.ack.ack().await, Err(AckError::Stale));
        }
    });
}

#[test]
fn a_message_that_kills_its_process_again_and_again_becomes_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let setup = EmbeddedBroker::open(folder.path()).unwrap();
        setup.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        publish_all(&setup, vec![message(WORK, "q", "poison")]).await;
        setup.close(Duration::from_secs(5)).await;
    });
    // As a process would leave the file: claimed, and nobody there.
    for _ in 0..=DELIVERY_LIMIT {
        let file = rusqlite::Connection::open(folder.path().join("broker.db")).unwrap();
        assert_eq!(file.execute("update message set claimed = 1 where queue = 'q'", []).unwrap(), 1);
        drop(file);
        drop(EmbeddedBroker::open(folder.path()).unwrap());
    }
    block_on(async {
        let broker = EmbeddedBroker::open(folder.path()).unwrap();
        assert_eq!(info(&broker, "q").await.unwrap().ready, 0);
        assert_eq!(info(&broker, DEAD).await.unwrap().ready, 1);
    });
}

#[test]
fn a_folder_that_cannot_be_made_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let refused = EmbeddedBroker::open(&file.path().join("inside"));
    assert!(matches!(refused, Err(BrokerError::Refused(_))));
}

#[test]
fn messages_in_the_folder_are_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    block_on(async {
        let broker = EmbeddedBroker::open(folder.path()).unwrap();
        broker.declare(queue("q", &[(WORK, "q")])).await.unwrap();
        publish_all(&broker, vec![message(WORK, "q", "m-1")]).await;
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).collect();
        for file in files.iter().filter(|file| file.file_name().to_string_lossy().starts_with("broker.db")) {
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", file.file_name());
        }
        assert!(files.len() >= 2, "{files:?}");
    });
}
