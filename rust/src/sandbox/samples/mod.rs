//! The sample projects. Everything in them is made up from a fixed seed: names, numbers, dates.

mod classic;
mod longitudinal;
mod people;
mod random;
mod repeating;

use super::sample_tokens::SAMPLES;
use super::world::Project;

/// The groups of the projects that have groups: unique name, name, number.
const GROUPS: [(&str, &str, i64); 2] = [("north", "North", 101), ("south", "South", 102)];

/// All sample projects, in the order of [`SAMPLES`].
pub(super) fn projects() -> Vec<Project> {
    SAMPLES
        .iter()
        .map(|&sample| {
            let (design, rows) = match sample.kind {
                "longitudinal" => longitudinal::project(),
                "repeating" => repeating::project(),
                _ => classic::project(),
            };
            let grouped = rows.iter().any(|row| !row.group.is_empty());
            let groups = if grouped { GROUPS.to_vec() } else { Vec::new() };
            Project { sample, design, rows, groups, log: std::collections::VecDeque::new() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_data_is_the_same_every_time_and_fits_its_design() {
        let (one, other) = (projects(), projects());
        let mut records = 0;
        for (a, b) in one.iter().zip(&other) {
            assert_eq!(format!("{:?}", a.rows), format!("{:?}", b.rows));
            let columns = a.design.columns();
            for row in &a.rows {
                for name in row.values.keys() {
                    let column = columns.iter().find(|column| column.name == *name);
                    let form = column.map(|column| column.form);
                    assert!(form.is_some_and(|form| row.carries(&a.design, form)), "{name} in {row:?}");
                }
            }
            let distinct: std::collections::HashSet<_> = a.rows.iter().map(|row| &row.record).collect();
            records += distinct.len();
        }
        assert!((2000..5000).contains(&records), "{records}");
    }

    #[test]
    fn the_sample_data_has_what_breaks_careless_clients() {
        for project in projects() {
            let values: Vec<_> = project.rows.iter().flat_map(|row| row.values.values()).collect();
            for special in ["ü", "ß", "\"", "\r\n", "\n", ",", ";", "'", "  ", "€", "{", "%"] {
                assert!(values.iter().any(|value| value.contains(special)), "{special:?}");
            }
            assert!(values.iter().any(|value| value.starts_with(' ') || value.ends_with(' ')));
        }
    }

    #[test]
    fn nobody_in_the_sample_data_could_be_reached() {
        for project in projects() {
            for value in project.rows.iter().flat_map(|row| row.values.values()) {
                assert!(!value.contains('@') || value.ends_with("@example.org"), "{value}");
            }
        }
    }
}
