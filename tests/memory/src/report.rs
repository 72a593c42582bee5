//! The table at the end.

/// A scenario's result.
pub struct Row {
    pub scenario: String,
    /// Copies of the token that were found outside the environment block.
    pub found: usize,
    /// How many there may be: none, or R's own from before.
    pub allowed: String,
    /// What the same scanner found where there was something to find.
    pub control: String,
    /// Why the row is bad, if it is.
    pub faults: Vec<String>,
}

/// Prints the rows; true when all are good.
pub fn print(rows: &[Row]) -> bool {
    let wide = |of: fn(&Row) -> usize, least: usize| rows.iter().map(of).max().unwrap_or(0).max(least);
    let scenario = wide(|row| row.scenario.len(), 8);
    let allowed = wide(|row| row.allowed.len(), 7);
    let control = wide(|row| row.control.len(), 7);
    let head = format!("{:scenario$}  found  {:>allowed$}  {:control$}", "scenario", "allowed", "control");
    println!("\n{}", head.trim_end());
    for row in rows {
        let line = format!(
            "{:scenario$}  {:>5}  {:>allowed$}  {:control$}",
            row.scenario, row.found, row.allowed, row.control
        );
        let verdict = if row.faults.is_empty() { String::new() } else { format!("  BAD: {}", row.faults.join("; ")) };
        println!("{}{verdict}", line.trim_end());
    }
    let bad = rows.iter().filter(|row| !row.faults.is_empty()).count();
    println!("\nmemory: {} scenarios, {bad} bad", rows.len());
    bad == 0
}
