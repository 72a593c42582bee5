//! The sample projects. Everything in them is made up from a fixed seed: names, numbers, dates.

mod classic;
mod longitudinal;
mod people;
mod repeating;
mod sites;

use super::data::{Data, Kept, Stored};
use super::design::{Design, FieldType};
use super::reports::Report;
use super::rows::Row;
use super::sample_tokens::SAMPLES;
use super::users::{site_users, users};
use super::world::Project;
use super::{paper, time};

/// The names of the files in a project with a file field: one for each of the first rows.
const FILES: [&str; 2] = ["letter.pdf", "Größe und Gewicht.txt"];

/// The groups of the classic project: unique name, name, number.
const GROUPS: [(&str, &str, i64); 2] = [("north", "North", 101), ("south", "South", 102)];

/// The groups of the project of three sites.
const SITES: [(&str, &str, i64); 3] = [("site_a", "Site A", 201), ("site_b", "Site B", 202), ("site_c", "Site C", 203)];

/// All sample projects, in the order of [`SAMPLES`].
pub(super) fn projects() -> Vec<Project> {
    SAMPLES
        .iter()
        .map(|&sample| {
            let (design, rows) = match sample.kind {
                "longitudinal" => longitudinal::project(),
                "repeating" => repeating::project(),
                _ if sample.has_sites() => sites::project(),
                _ => classic::project(),
            };
            let grouped = rows.iter().any(|row| !row.group.is_empty());
            let mut users = users();
            let groups = if sample.has_sites() {
                users.extend(site_users(time::day(std::time::SystemTime::now())));
                SITES.to_vec()
            } else if grouped {
                GROUPS.to_vec()
            } else {
                Vec::new()
            };
            let mut data = data(rows, &design);
            data.repository = repository();
            let report = Report::of(sample.short_name, sample.project_id);
            let log = std::collections::VecDeque::new();
            Project { sample, design, data, generated: None, groups, users, report, log }
        })
        .collect()
}

/// What the file repository of each project has in it.
fn repository() -> Vec<Kept> {
    let kept = |id, folder, name: &str, bytes| Kept { id, folder, name: name.to_owned(), bytes };
    let protocol = paper::pdf(&["Protocol (made up)".to_owned()]);
    vec![
        kept(1, 0, "Protocols", None),
        kept(2, 0, "Größe und Gewicht.txt", Some("Größe: 1,80 m\r\n".into())),
        kept(3, 1, "protocol.pdf", Some(protocol.into())),
    ]
}

/// The rows with when they were made, and with a few files.
fn data(rows: Vec<Row>, design: &Design) -> Data {
    let mut data = Data { rows, ..Data::default() };
    for (n, row) in (0_i64..).zip(&data.rows) {
        // One row a minute, from the first of March 2024.
        let (day, minute) = (19_783 + n / 1440, n % 1440);
        let time = format!("{} {:02}:{:02}:00", time::date(day), minute / 60, minute % 60);
        data.changes.entry(row.place.record.clone()).or_insert_with(|| vec![time]);
    }
    let field = design.fields.iter().find(|field| field.kind == FieldType::File);
    let Some((field, rows)) = field
        .map(|field| (field, data.rows.iter_mut().filter(|row| row.carries(design, &field.form)).take(FILES.len())))
    else {
        return data;
    };
    for (row, name) in rows.zip(FILES) {
        let bytes = if name == FILES[0] {
            paper::pdf(&["Letter (made up)".to_owned(), format!("Record {}", row.place.record)])
        } else {
            "Größe: 1,80 m\r\n".as_bytes().to_vec()
        };
        row.values.insert(field.name.clone(), name.to_owned());
        data.files
            .insert((row.place.clone(), field.name.clone()), Stored { name: name.to_owned(), bytes: bytes.into() });
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_data_is_the_same_every_time_and_fits_its_design() {
        let (one, other) = (projects(), projects());
        let mut records = 0;
        for (a, b) in one.iter().zip(&other) {
            assert_eq!(format!("{:?}", a.data.rows), format!("{:?}", b.data.rows));
            let columns = a.design.columns();
            for row in &a.data.rows {
                for name in row.values.keys() {
                    let column = columns.iter().find(|column| column.name == *name);
                    let form = column.map(|column| column.form);
                    assert!(form.is_some_and(|form| row.carries(&a.design, form)), "{name} in {row:?}");
                }
            }
            let distinct: std::collections::HashSet<_> = a.data.rows.iter().map(|row| &row.place.record).collect();
            records += distinct.len();
        }
        assert!((2000..5000).contains(&records), "{records}");
    }

    #[test]
    fn the_sample_data_has_what_breaks_careless_clients() {
        for project in projects() {
            let values: Vec<_> = project.data.rows.iter().flat_map(|row| row.values.values()).collect();
            for special in ["ü", "ß", "\"", "\r\n", "\n", ",", ";", "'", "  ", "€", "{", "%"] {
                assert!(values.iter().any(|value| value.contains(special)), "{special:?}");
            }
            assert!(values.iter().any(|value| value.starts_with(' ') || value.ends_with(' ')));
        }
    }

    #[test]
    fn nobody_in_the_sample_data_could_be_reached() {
        for project in projects() {
            for value in project.data.rows.iter().flat_map(|row| row.values.values()) {
                assert!(!value.contains('@') || value.ends_with("@example.org"), "{value}");
            }
        }
    }
}
