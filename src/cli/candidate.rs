//! `atshub candidate`: people, as the hub knows them. What is kept of a person, and where, is one table in the code (`records::kept`).

use super::{
    exit::{Ended, Exit, Stop},
    live::who,
    session::{Session, tenant},
};
use atshub_actors::ports::{Change, JournalEntry, Person};
use atshub_schemas::{Email, ExternalId, MessageId, TenantName};
use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use uuid::Uuid;

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Erase a person: all that the hub keeps of them. What the ATS and the platform have stays there
    Erase(EraseArgs),
}

/// Arguments of `candidate erase`.
#[derive(Debug, clap::Args)]
pub(super) struct EraseArgs {
    /// The person's e-mail address, or the id of one of their applications in the ATS
    person: String,
    /// Of which tenant
    #[arg(long, value_name = "TENANT")]
    tenant: TenantName,
    /// Really
    #[arg(long)]
    yes: bool,
}

/// Does it.
pub(super) async fn run(verb: Verb, session: &Session) -> Ended {
    let Verb::Erase(args) = verb;
    erase(args, session).await
}

async fn erase(EraseArgs { person, tenant: name, yes }: EraseArgs, session: &Session) -> Ended {
    let who_is_it = named(&person)?;
    let store = session.store().await?;
    tenant(store.as_ref(), &name).await?;
    let rows = store.erase(&name, &who_is_it, yes).await?;
    if rows.is_empty() {
        return Err(Stop::not_found(format!("nothing is kept of such a person for tenant `{name}`"))
            .next("take the address, or the id of the application, as the ATS has it"));
    }
    let told = told(&rows);
    if !yes {
        let text = format!("of this person would be erased for good: {told}");
        let next = format!("`atshub candidate erase <e-mail or application> --tenant {name} --yes`");
        return Err(Stop { exit: Exit::Cancelled, text, next: None }.next(next));
    }
    let id = MessageId::new(format!("erasure-{}", Uuid::now_v7())).map_err(Stop::failed)?;
    let line = JournalEntry {
        at: Timestamp::now(),
        tenant: name.clone(),
        application: None,
        candidacy: None,
        message: Some(id.clone()),
        code: "person_erased".into(),
        text: format!("{} had a person erased: {told}", who()),
    };
    // A line of history alone: nothing can stand in its way.
    let _committed = store.commit(Change { journal: vec![line], ..Change::default() }).await?;
    let text = format!(
        "erased: {told}. Noted in the history of `{name}` as {id}. What waits at the broker, and what the ATS says of the person from now \
         on, is taken as of somebody new; a bridge's own records, back-ups and logs of other programs are not the hub's to erase"
    );
    session.out.one(&text, &json!({ "tenant": name, "erased": rows, "noted_as": id }))?;
    Ok(Exit::Done)
}

/// An address has an `@`; ids of ATSs that have one too are taken for addresses if they are well-formed ones.
fn named(person: &str) -> Result<Person, Stop> {
    if let Ok(email) = Email::new(person.trim()) {
        return Ok(Person::Email(email));
    }
    let id = ExternalId::new(person.trim()).map_err(|why| {
        Stop::usage(format!("this is neither an e-mail address nor the id of an application: {why}"))
            .next("take the address, or the id of the application, as the ATS has it")
    })?;
    Ok(Person::Application(id))
}

/// How many rows of which table, in words.
fn told(rows: &BTreeMap<&'static str, u64>) -> String {
    let words = rows.iter().map(|(table, count)| {
        let what = match *table {
            "dossiers" => "applications",
            "inbox" => "handled messages",
            "outbox" => "messages sent or to send",
            "waiting" => "waiting messages",
            "parked" => "parked messages",
            "journal" => "lines of history",
            "attempts" => "attempts",
            "heard" => "things heard before any application",
            other => other,
        };
        format!("{count} {what}")
    });
    words.collect::<Vec<_>>().join(", ")
}
