//! `customField.*`: the list, and setting one value or several.

use super::{Arguments, Refusal, Reply, page, refuse, results, text};
use crate::ashby::{
    Account,
    recruiter::about_application,
    world::{Fields, World},
};
use serde_json::{Value, json};

pub(super) fn list(account: &Account, arguments: &Arguments) -> Reply {
    let world = account.lock();
    let shown = world.fields.iter().map(|field| {
        json!({ "id": field.id, "isPrivate": false, "title": field.title, "objectType": field.object, "isArchived": false,
                "fieldType": "String", "selectableValues": [] })
    });
    page(shown.collect(), arguments)
}

pub(super) fn set_value(account: &Account, arguments: &Arguments) -> Reply {
    let value = arguments.get("fieldValue").ok_or_else(|| refuse("invalid_input", "fieldValue is required"))?;
    set(account, arguments, &[(text(arguments, "fieldId")?, value)])
}

pub(super) fn set_values(account: &Account, arguments: &Arguments) -> Reply {
    let malformed = || refuse("invalid_input", "values must be a list of {fieldId, fieldValue}");
    let values = arguments.get("values").and_then(Value::as_array).ok_or_else(malformed)?;
    let pair = |it: &Value| -> Option<(String, Value)> { Some((it.get("fieldId")?.as_str()?.to_owned(), it.get("fieldValue")?.clone())) };
    let pairs = values.iter().map(|it| pair(it).ok_or_else(malformed)).collect::<Result<Vec<_>, _>>()?;
    set(account, arguments, &pairs.iter().map(|(field, value)| (field.as_str(), value)).collect::<Vec<_>>())
}

fn values_of<'a>(world: &'a mut World, object: &str, id: &str) -> Result<&'a mut Fields, Refusal> {
    let found = match object {
        "Application" => world.applications.get_mut(id).map(|it| &mut it.fields),
        "Candidate" => world.candidates.get_mut(id).map(|it| &mut it.fields),
        "Job" => world.jobs.get_mut(id).map(|it| &mut it.fields),
        _ => return Err(refuse("invalid_input", "objectType must be Application, Candidate or Job")),
    };
    found.ok_or_else(|| refuse("object_not_found", format!("{object} not found")))
}

/// All or nothing: every field is looked up before the first value is set.
fn set(account: &Account, arguments: &Arguments, pairs: &[(&str, &Value)]) -> Reply {
    let mut world = account.lock();
    let (object, id) = (text(arguments, "objectType")?, text(arguments, "objectId")?);
    values_of(&mut world, object, id)?;
    let mut titles = vec![];
    for (field, _) in pairs {
        let known = world.fields.iter().find(|it| it.id == *field && it.object == object);
        titles.push(known.ok_or_else(|| refuse("custom_field_not_found", "Custom field not found"))?.title.clone());
    }
    let mut set = vec![];
    for ((field, value), title) in pairs.iter().zip(titles) {
        values_of(&mut world, object, id)?.insert((*field).to_owned(), (*value).clone());
        if object == "Application" && title == account.inner.options.status_field {
            account.inner.ledger.record("status", id, None, (*value).clone());
        } else {
            account.inner.ledger.record("field", id, None, json!({ "field": title, "value": value }));
        }
        set.push(json!({ "id": field, "title": title, "isPrivate": false, "value": value }));
    }
    if object == "Application" {
        world.touch(id);
        if account.inner.options.echo_writes {
            let data = about_application(&world, id);
            account.emit(&mut world, None, vec![("applicationUpdate", data)]);
        }
    }
    Ok(results(if let [one] = set.as_slice() { one.clone() } else { Value::Array(set) }))
}
