//! `/`: the status page. Server-rendered, without scripts, refreshed by the browser; for the operator who wants to see at a glance
//! what is well and what to do next. Everything that is shown is escaped; nothing about a candidate is shown.

use super::{
    Shared,
    answer::TenantRow,
    status::{self, Status},
};
use actix_web::{HttpResponse, web};
use atshub_actors::supervision::BreakerState;
use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt::Write, sync::LazyLock};

/// Seconds after which the browser asks again.
const REFRESH: u32 = 5;
/// Tenants shown; those that need attention come first.
const TENANTS: usize = 200;
/// Processes shown.
const PROCESSES: usize = 20;
/// Queues shown.
const QUEUES: usize = 50;
/// What every answer that is no page may load: nothing.
pub(super) const POLICY_OF_NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("page.css");
/// The page may load its own style, known by its digest, and the icon that stands in it, and nothing else.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("{POLICY_OF_NO_PAGE}; style-src 'sha256-{digest}'; img-src data:")
});

/// Shows it.
pub(super) async fn show(shared: web::Data<Shared>) -> HttpResponse {
    let status = status::look(&shared).await;
    let now = shared.doors.clock.now();
    HttpResponse::Ok().content_type("text/html; charset=utf-8").insert_header(("Content-Security-Policy", POLICY.as_str())).body(render(
        &status,
        shared.since,
        now,
    ))
}

/// Text for people, made harmless: what it is put in is always an element's content.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A sentence: what stands between backticks is a command or a name.
fn sentence(text: &str) -> String {
    let parts = text.split('`').map(safe).collect::<Vec<_>>();
    let whole = parts.len() % 2 == 1;
    let show = |(at, part): (usize, &String)| if whole && at % 2 == 1 { format!("<code>{part}</code>") } else { part.clone() };
    parts.iter().enumerate().map(show).collect::<Vec<_>>().join(if whole { "" } else { "`" })
}

fn render(status: &Status, since: jiff::Timestamp, now: jiff::Timestamp) -> String {
    let well = well(status);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"refresh\" content=\"{REFRESH}\">\n<link rel=\"icon\" href=\"{}\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        icon(well),
        if well { "atshub" } else { "⚠ atshub" }
    );
    let up = now.duration_since(since).as_secs();
    let _ = writeln!(
        page,
        "<header><h1>atshub</h1><span class=\"soft\">version {} · up since {} ({})</span><span class=\"parts\">{}{}</span></header>\n<main>",
        env!("CARGO_PKG_VERSION"),
        seconds(since),
        duration(up),
        if status.store.is_ok() { chip(("good", "store up")) } else { chip(("bad", "store away")) },
        if status.broker.is_ok() { chip(("good", "broker up")) } else { chip(("bad", "broker away")) },
    );
    part(&mut page, "Store", &status.store, "Nothing is accepted until it is back: webhooks are answered 503 and sent again by the ATS.");
    part(
        &mut page,
        "Broker",
        &status.broker,
        "Nothing is lost: webhooks are taken into the store, and bridges keep what was not confirmed to them.",
    );
    tenants(&mut page, &status.tenants, now);
    page.push_str("<div class=\"pair\">\n");
    let wait = if status.store.is_ok() { None } else { Some("Not known while the store is away.") };
    let none = "None yet. One begins when an application enters a trigger stage.";
    counts(&mut page, "Candidacies", "State", &status.candidacies, wait.unwrap_or(none));
    let none = "Nothing is set aside.";
    counts(&mut page, "Parked messages", "Code", &status.parked, wait.unwrap_or(none));
    page.push_str("</div>\n");
    queues(&mut page, status);
    processes(&mut page, status, now);
    let _ = writeln!(
        page,
        "</main>\n<footer>As of {}; refreshed every {REFRESH} s. One message: <code>atshub message show &lt;id&gt;</code></footer>\n</body>\n</html>",
        seconds(now)
    );
    page
}

/// A dot in the tab: green, or red where something needs attention.
fn icon(well: bool) -> String {
    let colour = if well { "2e9e5b" } else { "d33a2f" };
    format!(
        "data:image/svg+xml,%3Csvg xmlns=%27http://www.w3.org/2000/svg%27 viewBox=%270 0 16 16%27%3E%3Ccircle cx=%278%27 cy=%278%27 r=%277%27 fill=%27%23{colour}%27/%3E%3C/svg%3E"
    )
}

fn well(status: &Status) -> bool {
    status.store.is_ok() && status.broker.is_ok() && status.tenants.iter().all(|row| tone(&row.phase) != "bad")
}

fn chip((tone, text): (&str, &str)) -> String {
    format!("<span class=\"chip {tone}\">{}</span>", safe(text))
}

/// A banner for what is away: the cause, and what that means.
fn part(page: &mut String, name: &str, state: &Result<(), String>, meaning: &str) {
    if let Err(cause) = state {
        let _ = writeln!(
            page,
            "<section class=\"banner\"><h2>{name} is away</h2><p>{}</p><p class=\"soft\">{meaning}</p></section>",
            sentence(cause)
        );
    }
}

/// How a phase looks: words of `supervision::Phase`, and `elsewhere` for a tenant that another process runs.
fn tone(phase: &str) -> &'static str {
    match phase {
        "running" => "good",
        "quarantined" | "backing_off" => "bad",
        "starting" | "draining" | "elsewhere" => "",
        _ => "warn",
    }
}

/// Why a tenant is not running, when it is started again, and which of its hosts are not called for now.
fn concerns(row: &TenantRow, now: jiff::Timestamp) -> String {
    let until = |at: jiff::Timestamp| duration(at.duration_since(now).as_secs().max(0));
    let mut concerns: Vec<String> = row.cause.iter().map(|cause| sentence(cause)).collect();
    concerns.extend(row.next_start.map(|at| format!("next start in {}", until(at))));
    concerns.extend(row.held_since.map(|at| format!("held to its share for {}", duration(now.duration_since(at).as_secs().max(0)))));
    for breaker in row.breakers.iter().filter(|breaker| breaker.state != BreakerState::Closed) {
        let next = breaker.next_call.map(|at| format!(", next call in {}", until(at))).unwrap_or_default();
        let state = breaker.state.as_str().replace('_', " ");
        concerns.push(format!("breaker before its {}: {}{next}", safe(&breaker.host), chip(("warn", &state))));
    }
    concerns.join(" · ")
}

fn tenants(page: &mut String, rows: &[TenantRow], now: jiff::Timestamp) {
    let _ = write!(page, "<section><h2>Tenants <span class=\"soft\">{}</span></h2>", rows.len());
    if rows.is_empty() {
        let kinds: Vec<&str> = crate::ats::REGISTRY.iter().map(|entry| entry.kind).collect();
        let _ = writeln!(
            page,
            "<p>No tenants yet. First the interview platform, then a tenant; the hub takes both over within a second:</p>\
             <p><code>atshub platform add main --kind … --url … --token-file token</code></p>\
             <p><code>atshub tenant add acme --ats … --platform main --trigger-stage \"Phone screen\" --key-file key</code></p>\
             <p class=\"soft\">This build knows these ATSs: {}.</p></section>",
            kinds.join(", ")
        );
        return;
    }
    page.push_str(
        "<table><thead><tr><th>Tenant</th><th>ATS</th><th>Phase</th><th class=\"number\">In hand</th>\
         <th class=\"number\">Restarts</th><th class=\"number\">Generation</th><th>Cause</th></tr></thead><tbody>\n",
    );
    let mut shown: Vec<&TenantRow> = rows.iter().collect();
    shown.sort_by_key(|row| ["bad", "warn", "", "good"].iter().position(|t| *t == tone(&row.phase)));
    for row in shown.iter().take(TENANTS) {
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"number\">{}</td><td class=\"cause\">{}</td></tr>",
            safe(&row.name),
            safe(&row.ats),
            chip((tone(&row.phase), &row.phase.replace('_', " "))),
            row.in_flight,
            row.restarts,
            row.generation,
            concerns(row, now),
        );
    }
    page.push_str("</tbody></table>");
    more(page, rows.len(), TENANTS, "atshub tenant list");
    page.push_str("</section>\n");
}

fn counts(page: &mut String, title: &str, column: &str, counts: &BTreeMap<String, u64>, empty: &str) {
    let _ = write!(page, "<section><h2>{title}</h2>");
    if counts.is_empty() {
        let _ = writeln!(page, "<p class=\"soft\">{empty}</p></section>");
        return;
    }
    let _ = writeln!(page, "<table><thead><tr><th>{column}</th><th class=\"number\">Count</th></tr></thead><tbody>");
    for (code, count) in counts {
        let _ = writeln!(page, "<tr><td>{}</td><td class=\"number\">{count}</td></tr>", safe(&code.replace('_', " ")));
    }
    page.push_str("</tbody></table></section>\n");
}

fn queues(page: &mut String, status: &Status) {
    page.push_str("<section><h2>Queues</h2>");
    if status.queues.is_empty() {
        let text = if status.broker.is_ok() {
            "No queues yet; they are declared with the first tenant."
        } else {
            "Not known while the broker is away."
        };
        let _ = writeln!(page, "<p class=\"soft\">{text}</p></section>");
        return;
    }
    page.push_str(
        "<table><thead><tr><th>Queue</th><th class=\"number\">Waiting</th><th class=\"number\">In hand</th><th class=\"number\">Consumers</th></tr></thead><tbody>\n",
    );
    let mut shown: Vec<_> = status.queues.iter().collect();
    shown.sort_by_key(|queue| std::cmp::Reverse(queue.ready));
    for queue in shown.into_iter().take(QUEUES) {
        let in_hand = queue.unacked.map_or_else(|| "·".to_owned(), |n| n.to_string());
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td class=\"number\">{}</td><td class=\"number\">{in_hand}</td><td class=\"number\">{}</td></tr>",
            safe(&queue.name),
            queue.ready,
            queue.consumers
        );
    }
    page.push_str("</tbody></table>");
    more(page, status.queues.len(), QUEUES, "atshub queue list");
    page.push_str("</section>\n");
}

/// This process and the others. One alone needs no table.
fn processes(page: &mut String, status: &Status, now: jiff::Timestamp) {
    if status.processes.len() < 2 {
        return;
    }
    page.push_str(
        "<section><h2>Processes</h2><table><thead><tr><th>Process</th><th>State</th><th>Heard of</th><th>Started</th></tr></thead><tbody>\n",
    );
    let mut shown: Vec<_> = status.processes.iter().collect();
    shown.sort_by_key(|process| (!process.live, std::cmp::Reverse(process.beat_at)));
    for process in shown.into_iter().take(PROCESSES) {
        let state = match (process.live, process.able) {
            (true, true) => ("good", "runs tenants"),
            (true, false) => ("warn", "cannot run tenants now"),
            (false, _) => ("", "gone"),
        };
        let _ = writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{} ago</td><td>{}</td></tr>",
            safe(&process.name),
            chip(state),
            duration(now.duration_since(process.beat_at).as_secs().max(0)),
            seconds(process.started_at),
        );
    }
    page.push_str("</tbody></table>");
    more(page, status.processes.len(), PROCESSES, "atshub process list");
    page.push_str("</section>\n");
}

fn more(page: &mut String, all: usize, shown: usize, command: &str) {
    if all > shown {
        let _ = write!(page, "<p class=\"soft\">{shown} of {all} are shown; <code>{command}</code> prints them all.</p>");
    }
}

/// A time to the second.
fn seconds(at: jiff::Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn duration(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_content() {
        let text = safe("<img src=x onerror='alert(1)'>&\"\u{202e}\u{0}");
        assert_eq!(text, "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;\u{fffd}\u{fffd}");
    }

    #[test]
    fn commands_in_a_sentence_are_set_apart_and_stay_text() {
        assert_eq!(sentence("run `a <b>`, then `c`"), "run <code>a &lt;b&gt;</code>, then <code>c</code>");
        assert_eq!(sentence("one ` alone <i>"), "one ` alone &lt;i&gt;");
    }

    #[test]
    fn what_needs_attention_is_told_apart() {
        use atshub_actors::supervision::Phase;
        assert_eq!(tone(Phase::Running.as_str()), "good");
        for phase in [Phase::Quarantined, Phase::BackingOff] {
            assert_eq!(tone(phase.as_str()), "bad");
        }
        for phase in [Phase::Paused, Phase::Disabled] {
            assert_eq!(tone(phase.as_str()), "warn");
        }
    }
}
