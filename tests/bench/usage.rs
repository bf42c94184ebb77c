//! What processes use, as Linux tells it in `/proc`: processor time, memory, file handles. Of a process and everything below
//! it, so that a service which is many processes counts as one.

use std::{collections::HashMap, fs, time::Duration};

/// What `/proc` counts processor time in. Fixed by the kernel's interface for programs, whatever the kernel itself uses.
const TICKS_PER_SECOND: u64 = 100;
/// What `/proc/<pid>/stat` counts memory in, on the machines that this runs on.
const PAGE: u64 = 4096;

/// What a process and those below it use.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// Processor time so far.
    pub(crate) cpu: Duration,
    /// Resident memory in bytes.
    pub(crate) memory: u64,
}

struct Row {
    parent: u32,
    ticks: u64,
    pages: u64,
}

fn row(pid: u32) -> Option<Row> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; what follows it is numbers.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Row { parent: u32::try_from(number(1)?).ok()?, ticks: number(11)? + number(12)?, pages: number(21)? })
}

fn usage(ticks: u64, pages: u64) -> Usage {
    Usage { cpu: Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND), memory: pages * PAGE }
}

/// Of this process alone.
pub(crate) fn of_process(pid: u32) -> Usage {
    row(pid).map_or_else(Usage::default, |row| usage(row.ticks, row.pages))
}

/// Of this process and all below it.
pub(crate) fn of_tree(root: u32) -> Usage {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let rows: HashMap<u32, Row> = pids.filter_map(|pid| Some((pid, row(pid)?))).collect();
    let below = |mut pid: u32| loop {
        if pid == root {
            return true;
        }
        match rows.get(&pid) {
            Some(row) if row.parent != 0 => pid = row.parent,
            _ => return false,
        }
    };
    let (ticks, pages) = rows.iter().filter(|(pid, _)| below(**pid)).fold((0, 0), |(t, p), (_, row)| (t + row.ticks, p + row.pages));
    usage(ticks, pages)
}

/// Most resident memory that a process has had, in bytes.
pub(crate) fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib * 1024)
}

/// Files, sockets and pipes that a process has open.
pub(crate) fn files(pid: u32) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Processor time that the whole machine has spent on anything, over all processors.
pub(crate) fn machine() -> Duration {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields: Vec<u64> = stat.lines().next().unwrap_or_default().split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    let ticks: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|at| fields.get(*at)).sum();
    Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
}

/// Mebibytes, for people.
pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
