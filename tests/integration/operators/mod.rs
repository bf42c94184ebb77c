//! Operators at the real command line, beside a running hub: what they ask of a tenant, what they see, and drills.

mod asking;
mod drills;
mod rotating;
mod seeing;

use crate::support::hub::{Ground, LIMIT, Pair, Walk, on_hub, on_hub_set, soon, until};
use atshub_actors::{
    ports::Publication,
    supervision::{ChildSnapshot, Phase},
};
use atshub_schemas::{
    CONTENT_TYPE, Envelope, Line, Message, TenantName,
    fact::{Candidate, CandidateUpdate},
};
use jiff::Timestamp;
use std::{collections::BTreeMap, process::Stdio};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    time::timeout,
};

/// What a command said that did not end well: its exit code, and what it said on standard error.
async fn refused(ground: &Ground, words: &[&str]) -> (Option<i32>, String) {
    let output = ground.command(words).await;
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

impl Walk<'_> {
    fn child(&self, tenant: &str) -> ChildSnapshot {
        self.running.hub.board().child(&format!("tenant/{tenant}")).unwrap()
    }

    /// Waits until a tenant's actor is as wanted.
    async fn until(&self, tenant: &str, what: &str, wanted: impl FnMut(&ChildSnapshot) -> bool) {
        let name = format!("tenant/{tenant}");
        if timeout(LIMIT, self.running.hub.board().until(&name, wanted)).await.is_err() {
            panic!("{tenant} is not {what}: {:?}", self.running.hub.board().child(&name));
        }
    }

    /// Waits until a tenant's actor is running, and the store says so to whoever asks.
    async fn running(&self, tenant: &str) {
        self.until(tenant, "running", |row| row.phase == Phase::Running).await;
        let name = format!("tenant/{tenant}");
        let shown = until(async || {
            let shown = self.store().children(Some(&name)).await.unwrap();
            shown.iter().any(|shown| shown.child.phase == Phase::Running)
        });
        assert!(shown.await, "{tenant} is running and nobody says so");
    }

    /// Publishes a fact that is handled and has no consequence; its id.
    async fn fact(&self, tenant: &str) -> String {
        let candidate = Candidate { id: Some("nobody".parse().unwrap()), ..Candidate::default() };
        let update = CandidateUpdate { candidate, application: None, job: None, recruiter: None, grader: None, to_stage: None };
        let envelope = envelope(tenant, Timestamp::now(), Message::CandidateUpdated(update));
        self.publish(atshub_schemas::topology::EVENTS, &envelope).await;
        envelope.id.to_string()
    }

    async fn publish(&self, exchange: &str, envelope: &Envelope) {
        let message = Publication {
            exchange: exchange.into(),
            routing_key: envelope.routing_key(),
            message_id: envelope.id.to_string(),
            content_type: CONTENT_TYPE.into(),
            headers: BTreeMap::new(),
            body: envelope.encode().unwrap().into(),
        };
        for answer in soon("a confirm", self.running.broker.publish(vec![message])).await {
            answer.unwrap();
        }
    }
}

fn envelope(tenant: &str, time: Timestamp, message: Message) -> Envelope {
    Envelope::new(Line::new("/test").unwrap(), TenantName::new(tenant).unwrap(), time, message)
}

/// The second half of the walkthrough: a newcomer types what the demonstration says.
#[test]
fn the_demo_says_how_to_drill_it() {
    let demo = tokio::process::Command::new(env!("CARGO_BIN_EXE_atshub"));
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let (mut demo, folder) = (demo, tempfile::tempdir().unwrap());
        let mut demo = demo.arg("demo").current_dir(folder.path()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
        let typed = soon("the line to type", async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the demonstration goes on");
                if let Some((_, typed)) = line.split_once("in another terminal: ") {
                    return typed.to_owned();
                }
            }
        });
        let typed = typed.await;
        // Whatever else it says is read, so that it can go on saying it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let words: Vec<&str> = typed.split(' ').collect();
        let [program, words @ ..] = words.as_slice() else { panic!("{typed}") };
        let listed = [&["tenant", "list", "-o", "json"], &words[2..]].concat();
        // The drill wants a tenant that is running; the store says when one is.
        let running = until(async || {
            let output = tokio::process::Command::new(program).args(&listed).current_dir(folder.path()).output().await.unwrap();
            String::from_utf8_lossy(&output.stdout).contains("\"phase\": \"running\"")
        });
        assert!(running.await, "no tenant of the demonstration is running");
        let drill = tokio::process::Command::new(program).args(words).current_dir(folder.path()).output();
        let drill = soon("the drill", drill).await.unwrap();
        let (said, seen) = (String::from_utf8_lossy(&drill.stdout), String::from_utf8_lossy(&drill.stderr));
        assert_eq!(drill.status.code(), Some(0), "{said}{seen}");
        assert!(said.contains("recovered") && seen.contains("ended (panic)"), "{said}{seen}");
        let pid = demo.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert_eq!(soon("the end of the demonstration", demo.wait()).await.unwrap().code(), Some(0));
    });
}

/// One test per case and pair.
macro_rules! on_both_pairs {
    ($($case:ident)*) => {
        mod on_rabbitmq_and_postgres { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Real); })* }
        mod embedded { $(#[test] fn $case() { super::$case(crate::support::hub::Pair::Embedded); })* }
    };
}
use on_both_pairs;

/// The README's walkthrough.
#[test]
fn an_operator_sets_a_tenant_aside_and_lets_it_go_on() {
    on_hub(Pair::Real, &["acme", "birch"], &[], async |walk| {
        walk.running("acme").await;
        let said = walk.ground.says(&["tenant", "pause", "acme", "--reason", "their ATS is being moved", "--until", "2h"]).await;
        assert!(
            said.starts_with("`acme` is paused; its messages wait at the broker") && said.contains("it goes on by itself at"),
            "{said}"
        );
        let held = walk.fact("acme").await;
        let beside = walk.fact("birch").await;
        walk.message(&beside, "handled").await;
        assert!(walk.store().message(&held).await.unwrap().is_empty(), "nobody has taken it");
        let shown = walk.ground.says(&["tenant", "show", "acme"]).await;
        assert!(shown.contains(": their ATS is being moved") && shown.contains("; active by itself at "), "{shown}");
        let (code, why) = refused(walk.ground, &["tenant", "pause", "acme", "--reason", "once more"]).await;
        assert_eq!(code, Some(1));
        assert!(why.contains("`acme` is paused; that does not allow `pause`") && why.contains("`tenant resume acme"), "{why}");
        let said = walk.ground.says(&["tenant", "resume", "acme", "--reason", "it is moved"]).await;
        assert!(said.starts_with("`acme` is running"), "{said}");
        walk.message(&held, "handled").await;
        let record = walk.store().tenants().await.unwrap().into_iter().find(|t| t.name.as_str() == "acme").unwrap();
        assert_eq!((record.standing.as_str(), record.cause, record.until), ("active", None, None));
    });
}

/// The README's walkthrough.
#[test]
fn a_drill_makes_a_fault_and_watches_the_hub_recover() {
    on_hub_set(
        Pair::Embedded,
        |config| config.hub.drills = true,
        &["acme", "birch"],
        &[],
        async |walk| {
            walk.running("acme").await;
            walk.running("birch").await;
            let (acme, birch) = (walk.child("acme").generation, walk.child("birch").generation);
            let output = walk.ground.command(&["drill", "tenant-panic", "--tenant", "acme"]).await;
            let (said, seen) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.status.code(), Some(0), "{said}{seen}");
            let running = format!("generation {} is running", acme + 1);
            for words in ["tenant-panic on `acme`, run by ", "the fault begins", "ended (panic)", &running] {
                assert!(seen.contains(words), "`{words}` was not seen:\n{seen}");
            }
            assert!(said.starts_with("tenant-panic: `acme` recovered;") && said.contains("beside it, `birch`"), "{said}");
            assert_eq!((walk.child("acme").generation, walk.child("birch").generation), (acme + 1, birch));
            assert_eq!(walk.child("acme").history.last().map(|last| last.code.as_str()), Some("panic"));
        },
    );
}
