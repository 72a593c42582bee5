//! Made-up people and what is written about them.

use crate::sandbox::random::Random;

const FIRST: [&str; 16] = [
    "Anna",
    "Björn",
    "Çağla",
    "Dörte",
    "Émile",
    "Françoise",
    "Günther",
    "Håkon",
    "Ingeborg",
    "Jürgen",
    "Käthe",
    "Łukasz",
    "Mónica",
    "Søren",
    "Zoë",
    "Jean-Luc",
];
const LAST: [&str; 16] = [
    "Müller",
    "Schröder",
    "Weiß",
    "O'Neill",
    "Großmann",
    "Østergård",
    "D'Angelo",
    "Núñez",
    "Bäcker",
    "von der Höhe",
    "Łęcki",
    "Smith \"Smitty\" Jones",
    "Öztürk",
    "Lefèvre",
    "Jäger-Vogt",
    "Strauß",
];
const REMARKS: [&str; 16] = [
    "unauffällig",
    "Patient kam zu spät, wollte aber bleiben",
    "Erste Zeile\nzweite Zeile",
    "Windows-Zeile\r\nzweite Zeile\r\n\r\nvierte Zeile",
    "sagte: \"Es geht mir gut\"",
    "Kosten: 12,50 €; bar bezahlt",
    " vorn und hinten ein Leerzeichen ",
    "zwei  Leerzeichen und ein\tTabulator",
    "=1+1",
    "100 % sicher, {nicht} ausführen: %s %n <b>fett</b> & mehr",
    "NA",
    "'einfach' und \"doppelt\"",
    "日本語 und Ελληνικά",
    "C:\\Pfad\\mit\\Schrägstrichen",
    "0123456789012345678901234567890123456789",
    "-",
];

pub(super) fn first_name(random: &mut Random) -> &'static str {
    random.pick(&FIRST)
}

pub(super) fn last_name(random: &mut Random) -> &'static str {
    random.pick(&LAST)
}

pub(super) fn remark(random: &mut Random) -> &'static str {
    random.pick(&REMARKS)
}
