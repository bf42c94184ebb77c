//! The chart: a group of bars for each rate, p50 solid and p99 pale behind it, on a scale in powers of ten. Plain SVG, written by hand:
//! nothing to install, and it shows in a browser and in a pull request.

use crate::run::{Run, Size};
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
/// Room for the words at each side of the plot.
const LEFT: f64 = 60.0;
const TOP: f64 = 56.0;
const BOTTOM: f64 = 44.0;
const COLOURS: [&str; 4] = ["#2563eb", "#9ca3af", "#16a34a", "#d97706"];

/// Draws `Invited` of all runs.
pub(crate) fn draw(runs: &[Run], size: &Size, commit: &str) -> String {
    let at =
        |run: &Run, rate: f64, per_cent: f64| run.stages.iter().find(|s| s.rate == Some(rate)).and_then(|s| s.tally.percentile(per_cent));
    let all = runs.iter().flat_map(|run| size.rates.iter().filter_map(move |rate| at(run, *rate, 99.0)));
    let top = all.fold(10.0, f64::max).log10().ceil();
    let floor = HEIGHT - BOTTOM;
    // From 1 ms at the bottom to the next power of ten above the slowest.
    let height = |ms: f64| (ms.max(1.0).log10() / top * (floor - TOP)).clamp(1.0, floor - TOP);
    let mut svg = String::new();
    let mut draw = |element: String| {
        let _ = writeln!(svg, "{element}"); // a string takes all
    };
    draw(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">"
    ));
    draw(format!("<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>"));
    let title = format!("From the fact to `Invited`, ms (p50 solid, p99 pale), at {commit}");
    draw(format!("<text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{title}</text>"));
    for power in 0..=top as i32 {
        let y = floor - height(10f64.powi(power));
        draw(format!("<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{}\" y2=\"{y:.1}\" stroke=\"#e5e7eb\"/>", WIDTH - 10.0));
        draw(format!("<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, y + 4.0, 10f64.powi(power)));
    }
    let group = (WIDTH - LEFT - 20.0) / size.rates.len().max(1) as f64;
    let bar = (group * 0.7 / runs.len().max(1) as f64).min(60.0);
    for (n, rate) in size.rates.iter().enumerate() {
        let left = LEFT + 10.0 + group * n as f64;
        draw(format!("<text x=\"{left:.1}\" y=\"{:.1}\">{rate} a second</text>", floor + 18.0));
        for (run, colour) in runs.iter().zip(COLOURS.iter().cycle()).enumerate().map(|(k, (run, colour))| ((k, run), colour)) {
            let (k, run) = run;
            let x = left + bar * 1.1 * k as f64;
            for (per_cent, opacity) in [(99.0, 0.35), (50.0, 1.0)] {
                let Some(ms) = at(run, *rate, per_cent) else { continue };
                let (h, what) = (height(ms), format!("{}, {rate} a second, p{per_cent}: {ms:.1} ms", run.name));
                let place = format!("x=\"{x:.1}\" y=\"{:.1}\" width=\"{bar:.1}\" height=\"{h:.1}\"", floor - h);
                draw(format!("<rect {place} fill=\"{colour}\" fill-opacity=\"{opacity}\"><title>{what}</title></rect>"));
            }
        }
    }
    for (k, (run, colour)) in runs.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let x = LEFT + 220.0 * k as f64;
        let burst = run.stages.iter().find(|s| s.rate.is_none()).and_then(|s| s.tally.per_second());
        let words = burst.map_or_else(String::new, |n| format!(", burst {n:.0} a second"));
        draw(format!("<rect x=\"{x}\" y=\"32\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"));
        draw(format!("<text x=\"{}\" y=\"42\">{}{words}</text>", x + 18.0, run.name));
    }
    draw("</svg>".to_owned());
    svg
}
