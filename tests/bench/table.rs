//! Figures by row and subject, printed as a Markdown table with ratios.

use std::io::Write;

/// The collected figures.
#[derive(Default)]
pub struct Table {
    rows: Vec<(String, Vec<(&'static str, f64)>)>,
    subjects: Vec<&'static str>,
}

/// Prints a line.
pub fn say(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(std::io::stdout(), "{text}");
}

impl Table {
    /// Adds one figure; the unit stands in the row's name.
    pub fn add(&mut self, subject: &'static str, row: &str, value: f64) {
        say(&format!("  {subject}: {row}: {value:.1}"));
        if !self.subjects.contains(&subject) {
            self.subjects.push(subject);
        }
        match self.rows.iter_mut().find(|(name, _)| name == row) {
            Some((_, values)) => values.push((subject, value)),
            None => self.rows.push((row.to_owned(), vec![(subject, value)])),
        }
    }

    /// Prints the table.
    pub fn print(&self) {
        let ratio = self.subjects.len() == 2;
        say(&format!("\n| | {} |{}", self.subjects.join(" | "), if ratio { " ratio |" } else { "" }));
        say(&format!("|---|{}{}", "--:|".repeat(self.subjects.len()), if ratio { "--:|" } else { "" }));
        for (row, values) in &self.rows {
            let value =
                |subject: &str| values.iter().find(|(name, _)| *name == subject).map(|(_, value)| *value);
            let cells: Vec<String> = self
                .subjects
                .iter()
                .map(|subject| value(subject).map_or_else(|| "–".to_owned(), |value| format!("{value:.1}")))
                .collect();
            let both = self
                .subjects
                .first()
                .and_then(|first| value(first))
                .zip(self.subjects.get(1).and_then(|second| value(second)));
            let ratio = match (ratio, both) {
                (false, _) => String::new(),
                (true, Some((ours, theirs))) if ours > 0.0 => format!(" {:.2} |", theirs / ours),
                (true, _) => " – |".to_owned(),
            };
            say(&format!("| {row} | {} |{ratio}", cells.join(" | ")));
        }
        if ratio {
            say("\nratio: the second column divided by the first");
        }
    }
}
