//! `/`: the status page. Server-rendered, without scripts, refreshed by the browser; for the operator who wants to see at a glance
//! what is well and what to do next. Everything that is shown is escaped, by `maud` and by [`Text`]; nothing about a candidate is shown.

use super::{
    Shared,
    answer::TenantRow,
    status::{self, Status},
};
use actix_web::{HttpResponse, web};
use atshub_actors::supervision::{BreakerState, Trouble};
use atshub_schemas::TenantName;
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, sync::LazyLock};

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
    let page = render(&status, shared.since, shared.doors.clock.now()).into_string();
    HttpResponse::Ok().content_type("text/html; charset=utf-8").insert_header(("Content-Security-Policy", POLICY.as_str())).body(page)
}

/// Text of people and programs, made harmless wherever it stands: escaped, and without characters that reorder or hide what is beside it.
struct Text<'a>(&'a str);

impl Render for Text<'_> {
    fn render_to(&self, out: &mut String) {
        for c in self.0.chars() {
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
    }
}

/// A sentence: what stands between backticks is a command or a name.
struct Sentence<'a>(&'a str);

impl Render for Sentence<'_> {
    fn render(&self) -> Markup {
        let parts: Vec<&str> = self.0.split('`').collect();
        if parts.len().is_multiple_of(2) {
            return html! { (Text(self.0)) };
        }
        html! {
            @for (at, part) in parts.into_iter().enumerate() {
                @if at % 2 == 1 { code { (Text(part)) } } @else { (Text(part)) }
            }
        }
    }
}

fn render(status: &Status, since: jiff::Timestamp, now: jiff::Timestamp) -> Markup {
    let well = well(status);
    let up = now.duration_since(since).as_secs();
    let unknown = status.store.is_err().then_some("Not known while the store is not well.");
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="refresh" content=(REFRESH);
                link rel="icon" href=(PreEscaped(icon(well)));
                title { @if !well { "⚠ " } "atshub" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "atshub" }
                    span.soft { "version " (env!("CARGO_PKG_VERSION")) " · up since " (seconds(since)) " (" (duration(up)) ")" }
                    span.parts {
                        @if status.store.is_ok() { (chip("good", "store up")) } @else { (chip("bad", "store not well")) }
                        @if status.broker.is_ok() { (chip("good", "broker up")) } @else { (chip("bad", "broker not well")) }
                    }
                }
                main {
                    (part("Store", &status.store, "Nothing is accepted until it is well again: webhooks are answered 503 and sent again by the ATS."))
                    (part(
                        "Broker",
                        &status.broker,
                        "Nothing is lost: webhooks are taken into the store, and bridges keep what was not confirmed to them."
                    ))
                    (tenants(&status.tenants, &status.doors, now))
                    div.pair {
                        (counts(
                            "Candidacies",
                            "State",
                            &status.candidacies,
                            unknown.unwrap_or("None yet. One begins when an application enters a trigger stage.")
                        ))
                        (counts("Parked messages", "Code", &status.parked, unknown.unwrap_or("Nothing is set aside.")))
                    }
                    (queues(status))
                    (processes(status, now))
                }
                footer {
                    "As of " (seconds(now)) "; refreshed every " (REFRESH) " s. One message: " code { "atshub message show <id>" }
                }
            }
        }
    }
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

fn chip(tone: &str, text: &str) -> Markup {
    html! { span class={ "chip " (tone) } { (Text(text)) } }
}

/// A banner for what is away, or takes nothing: the cause, and what that means.
fn part(name: &str, state: &Result<(), String>, meaning: &str) -> Markup {
    html! {
        @if let Err(cause) = state {
            section.banner {
                h2 { (name) " is not well" }
                p { (Sentence(cause)) }
                p.soft { (meaning) }
            }
        }
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

/// What is wrong at tenants' doors, by tenant.
type Doors = BTreeMap<TenantName, Vec<Trouble>>;

/// Why a tenant is not running, when it is started again, which of its hosts are not called for now, and what is wrong at its doors.
fn concerns(row: &TenantRow, doors: &Doors, now: jiff::Timestamp) -> Markup {
    let until = |at: jiff::Timestamp| duration(at.duration_since(now).as_secs().max(0));
    let mut concerns: Vec<Markup> = row.cause.iter().map(|cause| Sentence(cause).render()).collect();
    concerns.extend(row.next_start.map(|at| html! { "next start in " (until(at)) }));
    concerns.extend(row.held_since.map(|at| html! { "held to its share for " (duration(now.duration_since(at).as_secs().max(0))) }));
    for breaker in row.breakers.iter().filter(|breaker| breaker.state != BreakerState::Closed) {
        concerns.push(html! {
            "breaker before its " (Text(&breaker.host)) ": " (chip("warn", &breaker.state.as_str().replace('_', " ")))
            @if let Some(at) = breaker.next_call { ", next call in " (until(at)) }
            @if let Some(trouble) = breaker.trouble(&row.name) { " · " (Sentence(&trouble.text)) }
        });
    }
    let troubles = doors.iter().filter(|(tenant, _)| tenant.as_str() == row.name).flat_map(|(_, troubles)| troubles);
    concerns.extend(troubles.map(|trouble| Sentence(&trouble.text).render()));
    html! { @for (at, concern) in concerns.iter().enumerate() { @if at > 0 { " · " } (concern) } }
}

fn tenants(rows: &[TenantRow], doors: &Doors, now: jiff::Timestamp) -> Markup {
    let mut shown: Vec<&TenantRow> = rows.iter().collect();
    shown.sort_by_key(|row| ["bad", "warn", "", "good"].iter().position(|t| *t == tone(&row.phase)));
    let kinds: Vec<&str> = crate::ats::REGISTRY.iter().map(|entry| entry.kind).collect();
    html! {
        section {
            h2 { "Tenants " span.soft { (rows.len()) } }
            @if rows.is_empty() {
                p { "No tenants yet. First the interview platform, then a tenant; the hub takes both over within a second:" }
                p { code { "atshub platform add main --kind … --url … --token-file token" } }
                p { code { "atshub tenant add acme --ats … --platform main --trigger-stage \"Phone screen\" --key-file key" } }
                p.soft { "This build knows these ATSs: " (kinds.join(", ")) "." }
            } @else {
                table {
                    thead {
                        tr {
                            th { "Tenant" } th { "ATS" } th { "Phase" } th.number { "In hand" } th.number { "Restarts" }
                            th.number { "Generation" } th { "Cause" }
                        }
                    }
                    tbody {
                        @for row in shown.iter().take(TENANTS) {
                            tr {
                                td { (Text(&row.name)) }
                                td { (Text(&row.ats)) }
                                td { (chip(tone(&row.phase), &row.phase.replace('_', " "))) }
                                td.number { (row.in_flight) }
                                td.number { (row.restarts) }
                                td.number { (row.generation) }
                                td.cause { (concerns(row, doors, now)) }
                            }
                        }
                    }
                }
                (more(rows.len(), TENANTS, "atshub tenant list"))
            }
        }
    }
}

fn counts(title: &str, column: &str, counts: &BTreeMap<String, u64>, empty: &str) -> Markup {
    html! {
        section {
            h2 { (title) }
            @if counts.is_empty() { p.soft { (empty) } } @else {
                table {
                    thead { tr { th { (column) } th.number { "Count" } } }
                    tbody { @for (code, count) in counts { tr { td { (Text(&code.replace('_', " "))) } td.number { (count) } } } }
                }
            }
        }
    }
}

fn queues(status: &Status) -> Markup {
    let mut shown: Vec<_> = status.queues.iter().collect();
    shown.sort_by_key(|queue| std::cmp::Reverse(queue.ready));
    html! {
        section {
            h2 { "Queues" }
            @if shown.is_empty() {
                p.soft {
                    @if status.broker.is_ok() { "No queues yet; they are declared with the first tenant." }
                    @else { "Not known while the broker is not well." }
                }
            } @else {
                table {
                    thead { tr { th { "Queue" } th.number { "Waiting" } th.number { "In hand" } th.number { "Consumers" } } }
                    tbody {
                        @for queue in shown.iter().take(QUEUES) {
                            tr {
                                td { (Text(&queue.name)) }
                                td.number { (queue.ready) }
                                td.number { @if let Some(unacked) = queue.unacked { (unacked) } @else { "·" } }
                                td.number { (queue.consumers) }
                            }
                        }
                    }
                }
                (more(shown.len(), QUEUES, "atshub queue list"))
            }
        }
    }
}

/// This process and the others. One alone needs no table.
fn processes(status: &Status, now: jiff::Timestamp) -> Markup {
    let mut shown: Vec<_> = status.processes.iter().collect();
    shown.sort_by_key(|process| (!process.live, std::cmp::Reverse(process.beat_at)));
    let state = |live, able| match (live, able) {
        (true, true) => chip("good", "runs tenants"),
        (true, false) => chip("warn", "cannot run tenants now"),
        (false, _) => chip("", "gone"),
    };
    html! {
        @if shown.len() > 1 {
            section {
                h2 { "Processes" }
                table {
                    thead { tr { th { "Process" } th { "State" } th { "Heard of" } th { "Started" } } }
                    tbody {
                        @for process in shown.iter().take(PROCESSES) {
                            tr {
                                td { (Text(&process.name)) }
                                td { (state(process.live, process.able)) }
                                td { (duration(now.duration_since(process.beat_at).as_secs().max(0))) " ago" }
                                td { (seconds(process.started_at)) }
                            }
                        }
                    }
                }
                (more(shown.len(), PROCESSES, "atshub process list"))
            }
        }
    }
}

fn more(all: usize, shown: usize, command: &str) -> Markup {
    html! { @if all > shown { p.soft { (shown) " of " (all) " are shown; " code { (command) } " prints them all." } } }
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
        let text = Text("<img src=x onerror='alert(1)'>&\"\u{202e}\u{0}").render().into_string();
        assert_eq!(text, "&lt;img src=x onerror=&#39;alert(1)&#39;&gt;&amp;&quot;\u{fffd}\u{fffd}");
    }

    #[test]
    fn commands_in_a_sentence_are_set_apart_and_stay_text() {
        let sentence = |text: &str| Sentence(text).render().into_string();
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
