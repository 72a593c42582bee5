//! The methods of REDCap's API: what each does, and what answers it.
//!
//! The table is closed. What it does not know counts as a write: nobody knows what it does, so it is never sent twice.

/// What a method answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// REDCap's version.
    Version,
    /// Rows, in the format that is asked for. The column of this name is always among theirs; blank: any may be.
    Rows(&'static str),
    /// A text without a format: a name, a link, a number. What writes is answered so.
    Text,
    /// One XML document.
    Xml,
    /// A file.
    Bytes,
    /// Not known.
    Anything,
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) content: &'static str,
    /// What is asked of the content; blank where it is not said.
    pub(crate) action: &'static str,
    /// Whether it changes something on the server.
    pub(crate) writes: bool,
    pub(crate) answer: Answer,
    /// Whether a file goes along.
    pub(crate) uploads: bool,
}

const fn read(content: &'static str, action: &'static str, answer: Answer) -> Method {
    Method { content, action, writes: false, answer, uploads: false }
}

const fn write(content: &'static str, action: &'static str) -> Method {
    Method { content, action, writes: true, answer: Answer::Text, uploads: false }
}

const fn upload(content: &'static str) -> Method {
    Method { uploads: true, ..write(content, "import") }
}

/// What is known.
const METHODS: [Method; 54] = [
    read("version", "", Answer::Version),
    read("project", "", Answer::Rows("project_id")),
    write("project_settings", "import"),
    read("project_xml", "", Answer::Xml),
    read("record", "export", Answer::Rows("")),
    write("record", "import"),
    write("record", "delete"),
    write("record", "rename"),
    write("record", "randomize"),
    read("report", "", Answer::Rows("")),
    read("metadata", "", Answer::Rows("field_name")),
    write("metadata", "import"),
    read("exportFieldNames", "", Answer::Rows("original_field_name")),
    read("instrument", "", Answer::Rows("instrument_name")),
    read("pdf", "", Answer::Bytes),
    read("arm", "export", Answer::Rows("arm_num")),
    write("arm", "import"),
    write("arm", "delete"),
    read("event", "export", Answer::Rows("unique_event_name")),
    write("event", "import"),
    write("event", "delete"),
    read("formEventMapping", "", Answer::Rows("unique_event_name")),
    write("formEventMapping", "import"),
    read("repeatingFormsEvents", "", Answer::Rows("form_name")),
    write("repeatingFormsEvents", "import"),
    read("file", "export", Answer::Bytes),
    upload("file"),
    write("file", "delete"),
    read("fileRepository", "list", Answer::Rows("name")),
    read("fileRepository", "export", Answer::Bytes),
    upload("fileRepository"),
    write("fileRepository", "delete"),
    write("fileRepository", "createFolder"),
    read("log", "", Answer::Rows("timestamp")),
    read("user", "export", Answer::Rows("username")),
    write("user", "import"),
    write("user", "delete"),
    read("userRole", "export", Answer::Rows("unique_role_name")),
    write("userRole", "import"),
    write("userRole", "delete"),
    read("userRoleMapping", "export", Answer::Rows("username")),
    write("userRoleMapping", "import"),
    read("dag", "export", Answer::Rows("unique_group_name")),
    write("dag", "import"),
    write("dag", "delete"),
    write("dag", "switch"),
    read("userDagMapping", "export", Answer::Rows("username")),
    write("userDagMapping", "import"),
    read("surveyLink", "", Answer::Text),
    read("surveyQueueLink", "", Answer::Text),
    read("surveyReturnCode", "", Answer::Text),
    read("surveyAccessCode", "", Answer::Text),
    read("participantList", "", Answer::Rows("email")),
    read("generateNextRecordName", "", Answer::Text),
];

/// The method that a content and an action amount to; `None` for what is not known.
pub(super) fn method(content: &str, action: &str) -> Option<&'static Method> {
    let find = |action: &str| METHODS.iter().find(|method| method.content == content && method.action == action);
    // Where no action is known, an export may be called one all the same.
    find(action).or_else(|| if action == "export" { find("") } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redcap::request::WITH_ACTION;

    #[test]
    fn no_method_stands_in_the_table_twice_and_files_go_along_with_imports_only() {
        for (n, one) in METHODS.iter().enumerate() {
            let same = |other: &Method| (other.content, other.action) == (one.content, one.action);
            assert!(!METHODS[..n].iter().any(same), "{one:?}");
            assert!(!one.uploads || (one.writes && one.action == "import"), "{one:?}");
        }
    }

    #[test]
    fn only_what_exports_or_lists_reads() {
        for method in METHODS {
            assert_eq!(method.writes, !matches!(method.action, "" | "export" | "list"), "{method:?}");
        }
    }

    #[test]
    fn each_content_that_knows_actions_has_its_export() {
        for content in WITH_ACTION {
            assert!(METHODS.iter().any(|m| m.content == content && m.action == "export"), "{content}");
        }
    }

    #[test]
    fn what_the_sandbox_answers_is_known_here() {
        for (content, action) in crate::sandbox::METHODS {
            let method = method(content, action);
            assert_eq!(method.map(|m| !m.writes), Some(matches!(action, "export" | "list")), "{content}/{action}");
        }
    }

    #[test]
    fn an_export_may_be_called_one_and_what_is_not_known_is_not_guessed() {
        assert_eq!(method("metadata", "export").map(|m| m.writes), Some(false));
        assert_eq!(method("pdf", "export").map(|m| m.action), Some(""));
        for (content, action) in [("pdf", "delete"), ("Record", "export"), ("tableau", ""), ("record", "")] {
            assert_eq!(method(content, action), None, "{content} {action}");
        }
    }
}
