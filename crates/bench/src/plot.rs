//! A picture of a row: bars of its first figure, case by case.
//!
//! Owns: the SVG. Does not own: the figures.

use std::fmt::Write as _;

use crate::figures::Results;

const WIDTH: f64 = 860.0;
/// Where the bars begin: left of it stand the cases.
const LEFT: f64 = 280.0;
/// Right of the longest bar there is room for its number.
const RIGHT: f64 = 110.0;
const BAR: f64 = 16.0;
const GAP: f64 = 12.0;
const TOP: f64 = 56.0;

/// Colours that are told apart in grey too.
fn colour(system: &str) -> &'static str {
    match system {
        "yardstick" => "#b8b8b8",
        "ottla" => "#1f6f8b",
        _ => "#e09f3e",
    }
}

/// The picture of a row; `None` when nothing of it was measured.
pub fn row(results: &Results, row: u32) -> Option<String> {
    let figure = *results.names(row).first()?;
    let cases = results.cases(row);
    let spread = |case: &str, system| results.spread(row, case, (system, figure));
    let all =
        cases.iter().flat_map(|case| results.systems(row, case).into_iter().map(|system| (*case, system)));
    let most = all.filter_map(|(case, system)| Some(spread(case, system)?.most)).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let (mut body, mut y) = (String::new(), TOP);
    for case in cases {
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 12.0,
            escaped(case)
        );
        for system in results.systems(row, case) {
            let Some(spread) = spread(case, system) else { continue };
            let (width, middle) = (spread.median * scale, y + BAR / 2.0);
            let _ = writeln!(
                body,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" fill=\"{}\"/>",
                colour(system)
            );
            let (from, to) = (LEFT + spread.least * scale, LEFT + spread.most * scale);
            let _ = writeln!(
                body,
                "<line x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{middle}\" y2=\"{middle}\" stroke=\"#222\"/>"
            );
            let _ =
                writeln!(body, "<text x=\"{:.1}\" y=\"{}\">{:.1}</text>", to + 6.0, y + 12.0, spread.median);
            y += BAR;
        }
        y += GAP;
    }
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"12\" y=\"20\" font-size=\"15\">Row {row}: {}</text>\n",
        escaped(figure)
    );
    for (at, system) in [(12.0, "yardstick"), (112.0, "ottla"), (182.0, "peer")] {
        let _ = writeln!(
            text,
            "<rect x=\"{at}\" y=\"30\" width=\"10\" height=\"10\" fill=\"{}\"/>",
            colour(system)
        );
        let _ = writeln!(text, "<text x=\"{}\" y=\"39\">{system}</text>", at + 14.0);
    }
    Some(text + &body + "</svg>\n")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Load, Sample};

    #[test]
    fn the_longest_bar_fills_the_room_and_others_are_in_proportion() {
        let sample = |system, value| Sample {
            row: 1,
            case: "a < b".to_owned(),
            system,
            round: 0,
            figures: vec![("MB/s", value)],
            load: Load::default(),
        };
        let picture = row(&Results(vec![sample("yardstick", 200.0), sample("ottla", 100.0)]), 1).unwrap();
        assert!(picture.contains("width=\"470.0\"") && picture.contains("width=\"235.0\""), "{picture}");
        assert!(picture.contains("a &lt; b"), "{picture}");
        assert!(row(&Results::default(), 1).is_none());
    }
}
