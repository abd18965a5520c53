//! The picture of the live view.
//!
//! Owns: where things stand, how numbers are shortened. Does not own: the numbers (`view`).

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Row, Table};

use super::view::{Front, GroupRow, TopicRow, View};

/// Draws the view.
pub fn draw(frame: &mut Frame<'_>, view: &View, address: &str) {
    let parts = [Constraint::Length(1), Constraint::Fill(3), Constraint::Fill(2), Constraint::Length(1)];
    let [head, topics, groups, foot] = Layout::vertical(parts).areas(frame.area());
    let (topic_rows, group_rows) = (view.topics(), view.groups());
    frame.render_widget(Line::from(title(view, (&topic_rows, &group_rows), address)), head);
    draw_topics(frame, topics, (view, topic_rows));
    draw_groups(frame, groups, (view, group_rows));
    let keys = "q quit  Tab other table  s order  arrows scroll  space hold";
    let line = match view.trouble() {
        Some(trouble) => Line::styled(trouble.to_owned(), Style::new().add_modifier(Modifier::REVERSED)),
        None => Line::styled(keys, Style::new().add_modifier(Modifier::DIM)),
    };
    frame.render_widget(line, foot);
}

fn title(view: &View, (topics, groups): (&[TopicRow], &[GroupRow]), address: &str) -> String {
    if !view.has_sample() {
        return format!("ottla top  {address}  waiting for the cluster");
    }
    let records: f64 = topics.iter().filter_map(|row| row.records_per_second).sum();
    let bytes: f64 = topics.iter().filter_map(|row| row.bytes_per_second).sum();
    let lag: i64 = groups.iter().filter_map(|row| row.lag).sum();
    let hold = if view.holds() { "  HOLD" } else { "" };
    format!(
        "ottla top  {address}  {} records/s  {} bytes/s  lag {}  by {}{hold}",
        short(records),
        short(bytes),
        short(lag as f64),
        view.order().name()
    )
}

fn draw_topics(frame: &mut Frame<'_>, area: Rect, (view, rows): (&View, Vec<TopicRow>)) {
    let heads = ["TOPIC", "PARTITIONS", "RECORDS/S", "BYTES/S", "BYTES"];
    let cells = rows.into_iter().map(|row| {
        [
            row.name,
            row.partitions.to_string(),
            shown(row.records_per_second),
            shown(row.bytes_per_second),
            shown(row.bytes.map(|bytes| bytes as f64)),
        ]
    });
    draw_table(frame, area, (view, Front::Topics), (heads, cells.collect()));
}

fn draw_groups(frame: &mut Frame<'_>, area: Rect, (view, rows): (&View, Vec<GroupRow>)) {
    let heads = ["GROUP", "STATE", "LAG", "LAG/S", "READS/S"];
    let cells = rows.into_iter().map(|row| {
        [
            row.name,
            row.state,
            shown(row.lag.map(|lag| lag as f64)),
            shown(row.lag_per_second),
            shown(row.reads_per_second),
        ]
    });
    draw_table(frame, area, (view, Front::Groups), (heads, cells.collect()));
}

fn draw_table(
    frame: &mut Frame<'_>,
    area: Rect,
    (view, of): (&View, Front),
    (heads, rows): ([&str; 5], Vec<[String; 5]>),
) {
    let is_in_front = view.front() == of;
    let scrolled = if is_in_front { view.scrolled() } else { 0 };
    let weight = if is_in_front { Modifier::BOLD } else { Modifier::DIM };
    let name = match of {
        Front::Topics => format!(" {} topics ", rows.len()),
        Front::Groups => format!(" {} groups ", rows.len()),
    };
    let rows = rows.into_iter().skip(scrolled).map(|cells| {
        let [name, second, rest @ ..] = cells;
        let right = rest.map(|text| Cell::from(Line::from(text).right_aligned()));
        Row::new([Cell::from(name), Cell::from(second)].into_iter().chain(right))
    });
    let heads = heads.into_iter().enumerate().map(|(at, head)| {
        let line = Line::from(head.to_owned());
        Cell::from(if at < 2 { line } else { line.right_aligned() })
    });
    let widths = [
        Constraint::Fill(1),
        Constraint::Length(19),
        Constraint::Length(10),
        Constraint::Length(10),
        Constraint::Length(10),
    ];
    let block = Block::bordered().title(name).border_style(Style::new().add_modifier(weight));
    let header = Row::new(heads).style(Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(Table::new(rows, widths).header(header).block(block), area);
}

fn shown(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), short)
}

/// At most six characters: 999, 1.5k, 12.0M.
fn short(number: f64) -> String {
    let sign = if number < 0.0 { "-" } else { "" };
    let mut rest = number.abs();
    for unit in ["", "k", "M", "G", "T"] {
        if rest < 999.95 {
            let digits = usize::from(!unit.is_empty() || (rest > 0.0 && rest < 9.95 && rest.fract() != 0.0));
            return format!("{sign}{rest:.digits$}{unit}");
        }
        rest /= 1000.0;
    }
    format!("{sign}{rest:.1}P")
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::view::Key;
    use super::super::view::tests::{sample, view};
    use super::*;

    fn picture(view: &View, (width, height): (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, view, "host:9092")).unwrap();
        let buffer = terminal.backend().buffer();
        let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn topics_and_groups_are_drawn_with_their_rates() {
        let samples = [
            sample(0, "orders-0=0 bills-0=7", "orders-0=0"),
            sample(2, "orders-0=3000 bills-0=7", "orders-0=1000"),
        ];
        let lines = picture(&view(&samples), (80, 12));
        assert_eq!(lines[0], "ottla top  host:9092  1.5k records/s  15.0k bytes/s  lag 2.0k  by busiest");
        assert!(lines[1].starts_with("┌ 2 topics ─"), "{lines:#?}");
        let words: Vec<&str> = lines[3].trim_matches('│').split_whitespace().collect();
        assert_eq!(words, ["orders", "1", "1.5k", "15.0k", "30.0k"]);
        let group = lines.iter().find(|line| line.contains("Stable")).unwrap();
        let words: Vec<&str> = group.trim_matches('│').split_whitespace().collect();
        assert_eq!(words, ["g", "Stable", "2.0k", "1.0k", "500"]);
        assert_eq!(lines[11], "q quit  Tab other table  s order  arrows scroll  space hold");
    }

    #[test]
    fn trouble_hold_and_a_tiny_terminal_are_drawn_too() {
        let mut shown = view(&[sample(0, "a-0=0 b-0=0", "")]);
        shown.on_key(Key::Down);
        shown.on_key(Key::Hold);
        shown.on_trouble("error: no");
        let lines = picture(&shown, (80, 12));
        assert!(lines[0].ends_with("HOLD") && lines[11] == "error: no", "{lines:#?}");
        assert!(lines[3].contains("b ") && !lines.iter().any(|line| line.contains("│a ")), "{lines:#?}");
        assert_eq!(picture(&shown, (1, 1)).len(), 1);
        assert!(picture(&View::new(), (80, 5))[0].ends_with("waiting for the cluster"));
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (0.5, "0.5"),
            (7.0, "7"),
            (999.0, "999"),
            (999.99, "1.0k"),
            (1500.0, "1.5k"),
            (-2_500_000.0, "-2.5M"),
            (1e18, "1000.0P"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
