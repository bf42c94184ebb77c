//! Who called tenants' doors: told by many processes, shown as one.

use super::on_every_store;
use crate::support::build::{later, now, record};
use atshub_actors::ports::{Callers, Door, Store};
use atshub_schemas::TenantName;
use jiff::Timestamp;
use std::sync::Arc;

type Tested = Arc<dyn Store>;

on_every_store! {
    what_processes_tell_of_a_door_is_added_up_and_a_known_caller_takes_back_what_was_refused_before
    doors_are_told_and_forgotten_one_by_one
    a_tenant_that_is_removed_leaves_no_callers_to_one_of_its_name
}

fn acme() -> TenantName {
    "acme".parse().unwrap()
}

fn told(door: Door, known: Option<Timestamp>, refused: &[Timestamp]) -> Callers {
    let mut callers = Callers::none(acme(), door);
    known.into_iter().for_each(|at| callers.known(at));
    refused.iter().for_each(|at| callers.refused(*at));
    callers
}

async fn what_processes_tell_of_a_door_is_added_up_and_a_known_caller_takes_back_what_was_refused_before(store: Tested) {
    let start = now();
    let at = |seconds| later(start, seconds);
    for (known, refused, then) in [
        (None, &[at(1), at(2)][..], told(Door::Hook, None, &[at(1), at(2)])),
        (None, &[at(3)], told(Door::Hook, None, &[at(1), at(2), at(3)])),
        // It came before the last refusal, and was told of after it.
        (Some(at(2)), &[], Callers { known_at: Some(at(2)), ..told(Door::Hook, None, &[at(1), at(2), at(3)]) }),
        (Some(at(4)), &[], told(Door::Hook, Some(at(4)), &[])),
        (None, &[at(5)], told(Door::Hook, Some(at(4)), &[at(5)])),
        // Known and then refused, within one telling.
        (Some(at(6)), &[at(7)], told(Door::Hook, Some(at(6)), &[at(7)])),
        // An older one, told late by a process that was slow.
        (Some(at(3)), &[], told(Door::Hook, Some(at(6)), &[at(7)])),
    ] {
        store.tell_callers(vec![told(Door::Hook, known, refused)]).await.unwrap();
        assert_eq!(store.callers(None).await.unwrap(), [then]);
    }
}

async fn doors_are_told_and_forgotten_one_by_one(store: Tested) {
    let at = now();
    let hook = told(Door::Hook, Some(at), &[at, at]);
    let (partner, other) = (told(Door::Partner, None, &[at]), Callers { tenant: "globex".parse().unwrap(), ..hook.clone() });
    store.tell_callers(vec![partner.clone(), other.clone(), hook.clone()]).await.unwrap();
    store.tell_callers(Vec::new()).await.unwrap();
    assert_eq!(store.callers(None).await.unwrap(), [hook.clone(), partner.clone(), other.clone()]);
    assert_eq!(store.callers(Some(&acme())).await.unwrap(), [hook, partner.clone()]);
    store.forget_refusals(&acme(), Door::Hook).await.unwrap();
    assert_eq!(store.callers(None).await.unwrap(), [told(Door::Hook, Some(at), &[]), partner, other]);
}

async fn a_tenant_that_is_removed_leaves_no_callers_to_one_of_its_name(store: Tested) {
    assert!(store.put_tenant(record("acme"), None).await.unwrap());
    store.tell_callers(vec![told(Door::Hook, None, &[now()])]).await.unwrap();
    assert!(store.remove_tenant(&acme()).await.unwrap());
    assert_eq!(store.callers(None).await.unwrap(), []);
}
