//! Several hub processes on one broker and one store: each tenant runs on exactly one of them; one that dies, hangs, is cut off or
//! leaves loses its tenants to the others, and nothing is lost or doubled. Real processes; counted at the simulators.

mod asked;
mod stage;
mod standing;
mod upgrade;

use crate::support::{guards::with_and_without_guard, postgres, proxy::Proxy, rabbitmq};
use atshub::demo::script::{Size, play};
use atshub_simulators::platform::Guard;
use stage::on_stage;
use std::time::{Duration, Instant};

/// Candidates per tenant: enough to be in the middle of when something happens.
const SIZE: Size = Size { ordinary: 50 };
/// Invitations after which it happens.
const MIDDLE: usize = 60;

with_and_without_guard! {
    two_processes_share_the_tenants_and_each_runs_on_exactly_one
    the_tenants_of_a_process_that_is_killed_in_the_middle_of_its_work_move_and_nothing_is_lost_or_doubled
    the_tenants_of_a_process_that_hangs_move_and_when_it_goes_on_it_doubles_nothing
    a_process_that_joins_and_one_that_leaves_move_only_their_own_tenants_in_order
    the_tenants_of_a_process_that_is_cut_off_from_the_broker_move_and_come_back
    the_tenants_of_a_process_that_is_cut_off_from_the_store_move_and_come_back
}

fn report(what: &str, (since, moved_after): (Instant, Duration)) {
    let (moved, done) = (moved_after.as_secs_f64(), since.elapsed().as_secs_f64());
    eprintln!("{what}: its tenants were another's after {moved:.1} s, and all that there was to do was done after {done:.1} s");
}

fn two_processes_share_the_tenants_and_each_runs_on_exactly_one(guard: Guard) {
    on_stage("share", async |stage| {
        stage.world.platform.set_guard(guard);
        stage.start_hub().await;
        let alone = stage.shared_out_to(&[0]).await;
        stage.start_hub().await;
        let shared = stage.shared_out_to(&[0, 1]).await;
        let second = stage.process(1).await;
        for (tenant, process) in &shared {
            assert!(*process == second || alone[tenant] == *process, "{tenant} moved between two that were there");
        }
        let expected = play(&stage.world, Size { ordinary: 10 }, |_| {}).await.unwrap();
        stage.complete(&expected).await;
        stage.at_rest().await;
        stage.holds(&expected);
    });
}

#[test]
fn a_process_that_is_killed_and_started_again_does_not_wait_for_its_death_to_be_noticed() {
    on_stage("again", async |stage| {
        stage.start_hub().await;
        let before = stage.process(0).await;
        stage.shared_out_to(&[0]).await;
        stage.hubs[0].kill_and_restart();
        stage.hubs[0].ready().await;
        // It was heard of a moment ago, and counts no more all the same.
        let processes: Vec<_> = stage.processes().await.into_iter().map(|process| process.process).collect();
        assert!(processes.len() == 1 && processes[0] != before, "{processes:?}");
        stage.shared_out_to(&[0]).await;
    });
}

fn the_tenants_of_a_process_that_is_killed_in_the_middle_of_its_work_move_and_nothing_is_lost_or_doubled(guard: Guard) {
    on_stage("killed", async |stage| {
        stage.world.platform.set_guard(guard);
        stage.two_hubs_of_which_the_second_has_more().await;
        let victim = stage.process(1).await;
        let (expected, moved_after) = tokio::join!(play(&stage.world, SIZE, |_| {}), async {
            stage.effects(MIDDLE).await;
            stage.hubs[1].kill();
            let killed = Instant::now();
            stage.shared_out_to(&[0]).await;
            (killed, killed.elapsed())
        });
        let expected = expected.unwrap();
        stage.complete(&expected).await;
        report("killed", moved_after);
        stage.at_rest().await;
        stage.holds(&expected);
        assert!(!stage.processes().await.iter().any(|process| process.process == victim && process.live));
    });
}

fn the_tenants_of_a_process_that_hangs_move_and_when_it_goes_on_it_doubles_nothing(guard: Guard) {
    on_stage("hangs", async |stage| {
        stage.world.platform.set_guard(guard);
        stage.two_hubs_of_which_the_second_has_more().await;
        let (expected, moved_after) = tokio::join!(play(&stage.world, SIZE, |_| {}), async {
            stage.effects(MIDDLE).await;
            stage.hubs[1].freeze();
            let frozen = Instant::now();
            stage.shared_out_to(&[0]).await;
            (frozen, frozen.elapsed())
        });
        let expected = expected.unwrap();
        // All of it, the hanging one's tenants' as well, while it still hangs.
        stage.complete(&expected).await;
        report("hanging", moved_after);
        stage.hubs[1].thaw();
        stage.shared_out_to(&[0, 1]).await;
        assert!(stage.hubs[1].logged("everything in hand is let go"), "{}", stage.hubs[1].log_tail());
        stage.at_rest().await;
        stage.holds(&expected);
    });
}

fn a_process_that_joins_and_one_that_leaves_move_only_their_own_tenants_in_order(guard: Guard) {
    on_stage("joins", async |stage| {
        stage.world.platform.set_guard(guard);
        let before = stage.two_hubs_of_which_the_second_has_more().await;
        let playing = async |stage: &stage::Stage| play(&stage.world, SIZE, |_| {}).await.unwrap();
        // The third joins in the middle of the work.
        stage.start_hub().await;
        let third = stage.process(2).await;
        let after = stage.shared_out_to(&[0, 1, 2]).await;
        for (tenant, process) in &after {
            assert!(*process == third || *process == before[tenant], "{tenant} moved between two that were there");
        }
        let leaver = stage.process(1).await;
        let mut leaving = stage.hubs.remove(1);
        let (expected, ended) = tokio::join!(playing(stage), async {
            stage.effects(MIDDLE).await;
            tokio::task::spawn_blocking(move || (leaving.terminate(), leaving)).await.unwrap()
        });
        assert!(ended.0.success(), "{}\n{}", ended.0, ended.1.log_tail());
        assert!(!stage.processes().await.iter().any(|process| process.process == leaver), "it left in order");
        let left = stage.shared_out_to(&[0, 1]).await;
        for (tenant, process) in &left {
            assert!(*process == after[tenant] || after[tenant] == leaver, "{tenant} moved between two that stayed");
        }
        stage.complete(&expected).await;
        stage.at_rest().await;
        stage.holds(&expected);
    });
}

fn the_tenants_of_a_process_that_is_cut_off_from_the_broker_move_and_come_back(guard: Guard) {
    on_stage("cut", async |stage| {
        stage.world.platform.set_guard(guard);
        let proxy = Proxy::to(rabbitmq::address()).await;
        stage.start_hub().await;
        let (broker, store) = (stage.vhost.url_at(proxy.address), stage.database.url.clone());
        stage.start_hub_at(&broker, &store).await;
        stage.shared_out_to(&[0, 1]).await;
        let (expected, moved_after) = tokio::join!(play(&stage.world, SIZE, |_| {}), async {
            stage.effects(MIDDLE).await;
            proxy.fall_silent();
            let cut = Instant::now();
            stage.shared_out_to(&[0]).await;
            (cut, cut.elapsed())
        });
        let expected = expected.unwrap();
        let able = async |stage: &stage::Stage| {
            let processes = stage.processes().await;
            let cut_off = format!(":{}", stage.hubs[1].pid());
            processes.into_iter().find(|process| process.name.ends_with(&cut_off)).map(|process| (process.able, process.live))
        };
        assert_eq!(able(stage).await, Some((false, true)), "it lives, and says that it cannot run tenants");
        stage.complete(&expected).await;
        report("cut off from the broker", moved_after);
        proxy.speak();
        stage.shared_out_to(&[0, 1]).await;
        assert_eq!(able(stage).await, Some((true, true)));
        stage.at_rest().await;
        stage.holds(&expected);
    });
}

fn the_tenants_of_a_process_that_is_cut_off_from_the_store_move_and_come_back(guard: Guard) {
    on_stage("storeless", async |stage| {
        stage.world.platform.set_guard(guard);
        let proxy = Proxy::to(postgres::address()).await;
        stage.start_hub().await;
        let (broker, store) = (stage.vhost.url(), stage.database.url_at(proxy.address));
        stage.start_hub_at(&broker, &store).await;
        stage.shared_out_to(&[0, 1]).await;
        let (expected, moved_after) = tokio::join!(play(&stage.world, SIZE, |_| {}), async {
            stage.effects(MIDDLE).await;
            proxy.fall_silent();
            let cut = Instant::now();
            stage.shared_out_to(&[0]).await;
            (cut, cut.elapsed())
        });
        let expected = expected.unwrap();
        stage.complete(&expected).await;
        report("cut off from the store", moved_after);
        assert!(stage.hubs[1].logged("everything in hand is let go"), "{}", stage.hubs[1].log_tail());
        proxy.speak();
        stage.shared_out_to(&[0, 1]).await;
        stage.at_rest().await;
        stage.holds(&expected);
    });
}
