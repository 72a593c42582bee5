//! The settings file of the institution: where only an administrator writes, and nothing that a user sets in a
//! session can move it.

use std::path::PathBuf;

/// The settings file of the institution. Not an argument, an option or a variable: a user could name another file.
#[cfg(not(windows))]
pub fn site_file() -> PathBuf {
    PathBuf::from(if cfg!(target_os = "macos") {
        "/Library/Application Support/keycap/config.toml"
    } else {
        "/etc/keycap/config.toml"
    })
}

/// The settings file of the institution, in the folder that Windows itself names for it: the variable `ProgramData`
/// is the user's to set.
#[cfg(windows)]
pub fn site_file() -> PathBuf {
    let folder = known_folders::get_known_folder_path(known_folders::KnownFolder::ProgramData);
    folder.unwrap_or_else(|| PathBuf::from("C:\\ProgramData")).join("keycap").join("config.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sites_file_is_where_an_administrator_writes() {
        let file = site_file();
        assert!(file.is_absolute() && file.ends_with("keycap/config.toml"), "{}", file.display());
        #[cfg(target_os = "linux")]
        assert_eq!(file, PathBuf::from("/etc/keycap/config.toml"));
    }
}
