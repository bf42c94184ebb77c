//! What is shown of the runs: one table for people, and the same as JSON for programs that compare.

use crate::{
    ground,
    run::{Run, Size, Stage},
    usage,
};
use serde_json::{Value, json};

type Of<'a> = &'a dyn Fn(&Run) -> Option<f64>;

fn at(run: &Run, rate: Option<f64>) -> Option<&Stage> {
    run.stages.iter().find(|stage| stage.rate == rate)
}

/// What is counted where PostgreSQL does not count statements.
fn statements(runs: &[Run]) -> &'static str {
    if runs.iter().all(|run| run.counts_statements) { "statements (pg_stat_statements)" } else { "transactions (pg_stat_database)" }
}

/// Prints the table, a column for each program. The last column is the first program's figure by the second's.
pub(crate) fn print(runs: &[Run], size: &Size) {
    println!(
        "path at {}: {} tenants behind bridges, {} s for each rate, {} at once",
        ground::commit(),
        size.tenants,
        size.seconds,
        size.burst
    );
    if cfg!(debug_assertions) {
        println!("NOT OPTIMISED: these figures compare with none of a release build");
    }
    println!("timed at the outside: from handing the fact to the broker until the bridge is told `Invited`");
    let names: String = runs.iter().map(|run| format!("{:>12}", run.name)).collect();
    println!("{:<66}{names}{}", "", if runs.len() == 2 { format!("{:>9}", "ratio") } else { String::new() });
    let line = |what: &str, digits: usize, of: Of<'_>| {
        let values: Vec<Option<f64>> = runs.iter().map(of).collect();
        let shown: String = values.iter().map(|v| format!("{:>12}", v.map_or_else(|| "-".into(), |v| format!("{v:.digits$}")))).collect();
        let ratio = match values.as_slice() {
            [Some(first), Some(second)] if *second > 0.0 && digits > 0 => format!("{:>9.2}", first / second),
            _ => String::new(),
        };
        println!("{what:<66}{shown}{ratio}");
    };
    for rate in size.rates.iter().copied() {
        for (name, per_cent) in [("p50", 50.0), ("p99", 99.0)] {
            line(&format!("Invited at {rate} a second, {name}, ms"), 1, &|run| at(run, Some(rate))?.tally.percentile(per_cent));
        }
    }
    line("Invited in a burst, candidacies a second", 1, &|run| at(run, None)?.tally.per_second());
    for rate in size.rates.iter().copied().map(Some).chain([None]) {
        let when = rate.map_or_else(|| "in the burst".to_owned(), |rate| format!("at {rate} a second"));
        line(&format!("processor of the program, {when}, ms a candidacy"), 2, &|run| Some(at(run, rate)?.cost.program_cpu_ms));
    }
    line("processor of the broker, in the burst, ms a candidacy", 2, &|run| at(run, None)?.cost.broker_cpu_ms);
    line("processor of its database sessions, the same", 2, &|run| at(run, None)?.cost.database_cpu_ms);
    let counted = statements(runs);
    for rate in size.rates.first().copied().map(Some).into_iter().chain([None]) {
        let when = rate.map_or_else(|| "in the burst".to_owned(), |rate| format!("at {rate} a second"));
        line(&format!("{counted}, {when}, a candidacy"), 2, &|run| Some(at(run, rate)?.cost.statements));
        line(&format!("written-ahead log of the server, {when}, KiB a candidacy"), 2, &|run| Some(at(run, rate)?.cost.wal_kib));
    }
    line("most memory of the program, MiB", 1, &|run| Some(usage::mib(run.peak)));
    line("candidacies", 0, &|run| Some(run.stages.iter().map(|s| s.tally.candidacies).sum::<usize>() as f64));
    line("candidacies without `Invited` or its note", 0, &|run| Some(run.missing() as f64));
    line("effects made twice", 0, &|run| Some(run.doubled() as f64));
}

/// All that was measured.
pub(crate) fn json(runs: &[Run], size: &Size) -> Value {
    let stage = |stage: &Stage| {
        let percentile = |per_cent: f64| stage.tally.percentile(per_cent);
        json!({
            "rate": stage.rate, "candidacies": stage.tally.candidacies, "missing": stage.tally.missing, "doubled": stage.tally.doubled,
            "invited_ms": {"p50": percentile(50.0), "p90": percentile(90.0), "p99": percentile(99.0), "max": percentile(100.0)},
            "per_second": stage.tally.per_second(), "cost_per_candidacy": stage.cost,
        })
    };
    let run = |run: &Run| {
        json!({
            "program": run.name, "peak_memory_bytes": run.peak, "missing": run.missing(), "doubled": run.doubled(),
            "statements_are": if run.counts_statements { "pg_stat_statements calls" } else { "pg_stat_database transactions" },
            "stages": run.stages.iter().map(stage).collect::<Vec<_>>(),
        })
    };
    json!({
        "bench": "path", "commit": ground::commit(), "at": jiff::Timestamp::now().to_string(), "tenants": size.tenants,
        "seconds": size.seconds, "burst": size.burst, "runs": runs.iter().map(run).collect::<Vec<_>>(),
    })
}
