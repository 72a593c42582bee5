//! `project_xml`: the project as one XML file. Only the head of it: what REDCap writes behind it (the whole
//! design, the data, the users) is left out.

use super::{Asked, Outcome};
use crate::sandbox::sheet::xml_text;

pub(super) fn document(asked: &Asked<'_>) -> Outcome {
    let title = xml_text(asked.project.sample.title).replace('"', "&quot;");
    let id = asked.project.sample.project_id;
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\n\
         <ODM xmlns=\"http://www.cdisc.org/ns/odm/v1.3\" xmlns:redcap=\"https://projectredcap.org\" \
         ODMVersion=\"1.3.1\" FileOID=\"000-00-0000\" FileType=\"Snapshot\" Description=\"{title}\" \
         SourceSystem=\"REDCap\" SourceSystemVersion=\"{}\">\n\
         <Study OID=\"Project.{id}\">\n<GlobalVariables>\n<StudyName>{title}</StudyName>\n\
         <StudyDescription>Only the head of a project's XML: the keycap sandbox writes no more.</StudyDescription>\n\
         <ProtocolName>{title}</ProtocolName>\n</GlobalVariables>\n</Study>\n</ODM>\n",
        asked.redcap_version
    );
    Outcome::File { content_type: "text/xml", name: format!("Project_{id}.REDCap.xml"), bytes: text.into() }
}
