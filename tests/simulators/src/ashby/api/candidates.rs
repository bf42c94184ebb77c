//! `candidate.*` and `candidateTag.*`: reading, notes, tags.

use super::{Arguments, Refusal, Reply, page, refuse, results, text};
use crate::ashby::{
    Account, shape,
    world::{Note, Tag, World, fresh_id},
};
use jiff::Timestamp;
use serde_json::{Value, json};

fn not_found() -> Refusal {
    refuse("candidate_not_found", "Candidate not found")
}

/// The application that an effect on a candidate is booked under: the newest, as notes and tags hang on the candidate.
fn booked_under(world: &World, candidate: &str) -> String {
    world.applications_of(candidate).pop().unwrap_or_else(|| candidate.to_owned())
}

fn shape_of(note: &Note) -> Value {
    json!({ "id": note.id, "createdAt": shape::time(note.created), "isPrivate": false, "content": note.text, "author": null })
}

pub(super) fn info(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let it = world.candidates.get(text(arguments, "id")?).ok_or_else(not_found)?;
    Ok(results(shape::candidate(&world, it)))
}

pub(super) fn create_note(account: &Account, arguments: &Arguments) -> Reply {
    let mut world = account.lock();
    let candidate = text(arguments, "candidateId")?;
    world.candidates.get(candidate).ok_or_else(not_found)?;
    let malformed = || refuse("invalid_input", "note must be a string or {type, value} with a text type");
    let note = match arguments.get("note") {
        Some(Value::String(note)) => note.as_str(),
        Some(Value::Object(note)) => {
            let kind = note.get("type").and_then(Value::as_str);
            kind.filter(|kind| matches!(*kind, "text/plain" | "text/html")).ok_or_else(malformed)?;
            text(note, "value")?
        }
        _ => return Err(malformed()),
    };
    let subject = booked_under(&world, candidate);
    let note = Note { id: fresh_id(), text: note.to_owned(), created: Timestamp::now() };
    let reply = shape_of(&note);
    account.inner.ledger.record("note", &subject, None, json!(note.text));
    world.candidates.get_mut(candidate).ok_or_else(not_found)?.notes.push(note);
    Ok(results(reply))
}

pub(super) fn list_notes(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let it = world.candidates.get(text(arguments, "candidateId")?).ok_or_else(not_found)?;
    page(it.notes.iter().map(shape_of).collect(), arguments)
}

pub(super) fn create_tag(account: &Account, arguments: &Arguments) -> Reply {
    let mut world = account.lock();
    let title = text(arguments, "title")?;
    let known = world.tags.iter().find(|tag| tag.title == title).map(|tag| tag.id.clone());
    let id = known.unwrap_or_else(|| {
        let id = fresh_id();
        world.tags.push(Tag { id: id.clone(), title: title.to_owned() });
        id
    });
    Ok(results(json!({ "id": id, "title": title, "isArchived": false })))
}

pub(super) fn list_tags(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    page(world.tags.iter().map(|tag| json!({ "id": tag.id, "title": tag.title, "isArchived": false })).collect(), arguments)
}

pub(super) fn tag(account: &Account, arguments: &Arguments, add: bool) -> Reply {
    let mut world = account.lock();
    let (candidate, tag) = (text(arguments, "candidateId")?, text(arguments, "tagId")?);
    let known = world.tags.iter().find(|it| it.id == tag).map(|it| it.title.clone());
    let title = known.ok_or_else(|| refuse("tag_not_found", "Tag not found"))?;
    let subject = booked_under(&world, candidate);
    let it = world.candidates.get_mut(candidate).ok_or_else(not_found)?;
    if add && it.tags.insert(tag.to_owned()) {
        account.inner.ledger.record("tag", &subject, None, json!(title));
    } else if !add {
        it.tags.remove(tag);
    }
    let it = world.candidates.get(candidate).ok_or_else(not_found)?;
    Ok(results(shape::candidate(&world, it)))
}
