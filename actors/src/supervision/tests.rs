//! The table of phases.

use crate::phase::{PHASES, Phase, Step};

const ALL: [Phase; 7] =
    [Phase::Starting, Phase::Running, Phase::Paused, Phase::BackingOff, Phase::Quarantined, Phase::Draining, Phase::Disabled];

#[test]
fn no_step_of_the_table_leads_to_two_phases() {
    for (i, (from, step, _)) in PHASES.iter().enumerate() {
        assert!(!PHASES[..i].iter().any(|(f, s, _)| f == from && s == step), "{from:?} by {step:?} stands twice");
    }
}

#[test]
fn from_every_phase_there_is_a_way_back_to_running() {
    for start in ALL {
        let (mut reached, mut grown) = (vec![start], true);
        while grown {
            grown = false;
            for (from, _, to) in PHASES {
                if reached.contains(from) && !reached.contains(to) {
                    reached.push(*to);
                    grown = true;
                }
            }
        }
        assert!(reached.contains(&Phase::Running), "{start:?} leads nowhere");
    }
}

#[test]
fn only_a_person_or_a_credential_gets_a_child_out_of_quarantine() {
    let ways: Vec<Step> = PHASES.iter().filter(|(from, ..)| *from == Phase::Quarantined).map(|(_, step, _)| *step).collect();
    assert_eq!(ways, [Step::Release, Step::Disable]);
    assert_eq!(Phase::Quarantined.after(Step::WaitOver), None);
    assert_eq!(Phase::Quarantined.after(Step::Restart), None);
}

#[test]
fn a_child_is_made_anew_only_where_it_is_to_be_there() {
    for phase in ALL {
        assert_eq!(phase.after(Step::Died).is_some(), phase.wants_actor(), "{phase:?}");
    }
}
