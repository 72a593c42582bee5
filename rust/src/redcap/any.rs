//! Any call: what a user asks for by REDCap's own names becomes a request, or is refused before anything is looked up.

use std::path::PathBuf;

use super::method::{Answer, Method, method};
use super::request::{Expect, Parameter, Request, WITH_ACTION};
use crate::error::{Error, Kind, Result};

/// The longest name of a content, an action or a parameter.
const LONGEST: usize = 64;

/// Parameters that are lists, also where one value is given.
const LISTS: [&str; 8] = ["arms", "dags", "events", "fields", "forms", "records", "roles", "users"];

/// The formats of data.
const FORMATS: [&str; 3] = ["csv", "json", "xml"];

/// What an answer is to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A table of texts.
    Table,
    /// One text.
    Text,
    /// A file on disk.
    File,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Table => "data.frame",
            Self::Text => "text",
            Self::File => "file",
        }
    }
}

/// What a user asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ask {
    pub(crate) content: String,
    /// REDCap's parameters, `action` among them.
    pub(crate) parameters: Vec<(String, Parameter)>,
    /// What the answer is to become; without it, what suits it.
    pub(crate) shape: Option<Shape>,
    /// Where a file is to be written.
    pub(crate) to: Option<PathBuf>,
    /// The full path that the parameter `file` names.
    pub(crate) file: Option<PathBuf>,
}

/// What is to be done about it.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) request: Request,
    pub(crate) content: String,
    pub(crate) answer: Answer,
    pub(crate) shape: Shape,
    pub(crate) to: Option<PathBuf>,
    /// A file that is to be sent along.
    pub(crate) upload: Option<PathBuf>,
    /// Whether the headers of the columns are labels: any text.
    pub(crate) labels: bool,
}

fn wrong(name: &str, rule: &str) -> Error {
    Error::new(Kind::Argument, format!("`{name}` {rule}")).field("argument", name)
}

/// Whether a text is a name as REDCap has them.
fn is_name(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Whether a text is the name of a parameter: `fields`, or `fields[0]`.
fn is_parameter(text: &str) -> bool {
    let Some((name, index)) = text.split_once('[') else { return is_name(text) };
    let index = index.strip_suffix(']').unwrap_or("x");
    is_name(name) && (1..=9).contains(&index.len()) && index.bytes().all(|byte| byte.is_ascii_digit())
}

/// The parameters, as they are taken off one by one.
struct Parameters(Vec<(String, Parameter)>);

impl Parameters {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name || known.split('[').next() == Some(name))
    }

    /// Takes off a parameter that is one text.
    fn take(&mut self, name: &str) -> Result<Option<String>> {
        let Some(at) = self.0.iter().position(|(known, _)| known == name) else { return Ok(None) };
        match self.0.remove(at).1 {
            Parameter::Nothing => Ok(None),
            Parameter::Text(text) => Ok(Some(text)),
            _ => Err(wrong(name, "must be a single text")),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).and_then(|(_, value)| match value {
            Parameter::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }
}

impl Plan {
    /// Decides what a wish amounts to.
    ///
    /// # Errors
    /// `argument`: what of it cannot be sent, or makes no sense.
    pub(crate) fn new(ask: Ask) -> Result<Self> {
        let Ask { content, parameters, shape, to, file } = ask;
        if !is_name(&content) {
            return Err(wrong("content", "is one of REDCap's names, such as `record` or `metadata`"));
        }
        let mut parameters = checked(parameters)?;
        let given = parameters.take("action")?;
        if given.as_deref().is_some_and(|action| !is_name(action)) {
            return Err(wrong("action", "is one of REDCap's names, such as `export` or `import`"));
        }
        refuse_creation(&content, given.as_deref(), &parameters)?;
        let action = given.or_else(|| {
            // Data that come along are imported, whatever else was meant.
            let import = parameters.has("data") || parameters.has("file");
            let known = WITH_ACTION.contains(&content.as_str());
            if import { Some("import") } else { known.then_some("export") }.map(str::to_owned)
        });
        let known = method(&content, action.as_deref().unwrap_or_default());
        let answer = known.map_or(Answer::Anything, |method| method.answer);
        let writes = known.is_none_or(|method| method.writes);
        let shape = shape_of(shape, known, &content, to.is_some())?;
        let upload = upload(known, &content, &mut parameters, file)?;
        let (expect, format) = format(known, &content, shape, &mut parameters)?;
        let returned = returned(writes, &mut parameters)?;
        delimiter(shape, &parameters)?;
        let labels = parameters.text("rawOrLabelHeaders") == Some("label") || known.is_none();
        let mut request =
            Request::new(content.clone(), action, expect, writes).with("format", format).with("returnFormat", returned);
        for (name, value) in parameters.0 {
            request = request.with(name, value);
        }
        Ok(Self { request, content, answer, shape, to, upload, labels })
    }

    /// Whether the server may work at the answer, or send it, for longer than at others.
    pub(crate) fn takes_time(&self) -> bool {
        let slow = matches!(self.answer, Answer::Rows(_) | Answer::Xml | Answer::Bytes);
        slow && !self.request.writes
    }
}

/// Parameters with names that can be sent, each once, and values that say something.
fn checked(given: Vec<(String, Parameter)>) -> Result<Parameters> {
    let mut parameters = Parameters(Vec::with_capacity(given.len()));
    for (name, value) in given {
        if name.is_empty() {
            return Err(Error::new(Kind::Argument, "REDCap's parameters are given by name: `fields = \"age\"`"));
        }
        if !is_parameter(&name) {
            return Err(Error::new(
                Kind::Argument,
                "a parameter has no name of REDCap's: letters, digits and `_`, such as `fields` or `fields[0]`",
            ));
        }
        let plain = name.split('[').next().unwrap_or_default();
        if plain.eq_ignore_ascii_case("token") {
            return Err(wrong("token", "is not given to this function: keycap looks the token up by its name")
                .hint("leave `token` out; `view_project_token()` tells whether the token is set")
                .hint("if you typed a token, it stands in R's history now: regenerate it in REDCap"));
        }
        if plain == "content" {
            return Err(wrong("content", "is given twice"));
        }
        if parameters.0.iter().any(|(known, _)| *known == name) {
            return Err(wrong(&name, "is given twice; give one vector"));
        }
        let value = match value {
            Parameter::Nothing => continue,
            Parameter::Texts(texts) if texts.is_empty() => {
                return Err(wrong(&name, "is empty").hint("`NULL` leaves it out; REDCap takes that for \"all\""));
            }
            // Joined by commas, or alone in a field, one wrong name can bring everything.
            Parameter::Text(text) if LISTS.contains(&name.as_str()) => Parameter::Texts(vec![text]),
            value => value,
        };
        parameters.0.push((name, value));
    }
    Ok(parameters)
}

/// Creating a project takes a super token, and is answered with a new token.
fn refuse_creation(content: &str, action: Option<&str>, parameters: &Parameters) -> Result<()> {
    let reads = matches!(action, None | Some("export"));
    if content == "project" && !(reads && !parameters.has("data") && !parameters.has("odm")) {
        return Err(Error::new(Kind::Argument, "keycap does not create projects: REDCap takes a super token for that")
            .hint("create the project in REDCap itself, then `setup_project()` with its own token")
            .hint("to read what a project is: `project_info()`; to change its settings: content `project_settings`")
            .field("argument", "content"));
    }
    Ok(())
}

fn shape_of(wished: Option<Shape>, known: Option<&Method>, content: &str, to: bool) -> Result<Shape> {
    let shape = wished.unwrap_or(match known {
        _ if to => Shape::File,
        Some(Method { answer: Answer::Rows(_), .. }) => Shape::Table,
        Some(Method { answer: Answer::Bytes, .. }) => Shape::File,
        _ => Shape::Text,
    });
    let fits = known.is_none_or(|method| match method.answer {
        Answer::Rows(_) | Answer::Anything => true,
        Answer::Bytes | Answer::Xml => shape != Shape::Table,
        Answer::Version | Answer::Text => shape == Shape::Text,
    });
    if !fits {
        let rule = format!("cannot be \"{}\" here: the answer to `{content}` is no table", shape.name());
        let rule = if shape == Shape::File { rule.replace("no table", "a short text") } else { rule };
        return Err(wrong("as", &rule).hint("leave `as` out, and it suits the answer"));
    }
    match (shape, to) {
        (Shape::File, false) => Err(wrong("to", "is missing: the file or the folder that the answer goes to")),
        (Shape::Table | Shape::Text, true) => Err(wrong("to", "goes with `as = \"file\"`")),
        _ => Ok(shape),
    }
}

/// The file that goes along.
fn upload(
    known: Option<&Method>,
    content: &str,
    parameters: &mut Parameters,
    file: Option<PathBuf>,
) -> Result<Option<PathBuf>> {
    if !known.is_some_and(|method| method.uploads) {
        return if parameters.has("file") && matches!(content, "file" | "fileRepository") {
            Err(wrong("file", "goes with `action = \"import\"`"))
        } else {
            Ok(None)
        };
    }
    let missing = || wrong("file", "is missing: the path of the file to send");
    if parameters.take("file")?.is_none() {
        return Err(missing());
    }
    file.map(Some).ok_or_else(missing)
}

/// What kind of body answers, and the parameter `format`.
fn format(
    known: Option<&Method>,
    content: &str,
    shape: Shape,
    parameters: &mut Parameters,
) -> Result<(Expect, Option<String>)> {
    let given = parameters.take("format")?;
    let given = given.as_deref();
    let one_of_them = |odm: bool| match given {
        Some(format) if FORMATS.contains(&format) || (odm && format == "odm") => Ok(()),
        Some(_) if odm => Err(wrong("format", "is `csv`, `json`, `xml` or `odm`")),
        Some(_) => Err(wrong("format", "is `csv`, `json` or `xml`")),
        None => Ok(()),
    };
    let bare = |expect| match given {
        Some(_) => Err(wrong("format", &format!("has no meaning here: the answer to `{content}` has no format"))),
        None => Ok((expect, None)),
    };
    let in_csv = || match given {
        None | Some("csv") => Ok((Expect::Csv, Some("csv".to_owned()))),
        Some(_) => Err(wrong("format", "is not given for a data frame: keycap asks for CSV")
            .hint("`as = \"text\"` gives the answer as it comes, in any format")),
    };
    let Some(method) = known else {
        return match shape {
            Shape::Table => in_csv(),
            Shape::Text => one_of_them(true).map(|()| (Expect::Text, given.map(str::to_owned))),
            Shape::File => one_of_them(true).map(|()| (Expect::Bytes, given.map(str::to_owned))),
        };
    };
    if method.writes {
        one_of_them(content == "record")?;
        if given.is_none() && parameters.has("data") {
            return Err(wrong("format", "is missing: it says what `data` is, `csv`, `json` or `xml`"));
        }
        return Ok((Expect::Text, given.map(str::to_owned)));
    }
    match (method.answer, shape) {
        (Answer::Rows(_), Shape::Table) => in_csv(),
        (Answer::Rows(_), _) => {
            one_of_them(matches!(content, "record" | "report"))?;
            let format = given.unwrap_or("csv");
            let expect = match format {
                "csv" => Expect::Csv,
                "json" => Expect::Json,
                _ => Expect::Xml,
            };
            Ok((expect, Some(format.to_owned())))
        }
        (Answer::Version, _) => bare(Expect::Version),
        (Answer::Xml, _) => bare(Expect::Xml),
        (Answer::Bytes, _) => bare(Expect::Bytes),
        (Answer::Text | Answer::Anything, _) => bare(Expect::Text),
    }
}

/// The format of errors, and of what became of a write.
fn returned(writes: bool, parameters: &mut Parameters) -> Result<Option<String>> {
    match parameters.take("returnFormat")? {
        None if writes => Ok(Some("csv".to_owned())),
        None => Ok(Some("json".to_owned())),
        Some(_) if !writes => {
            Err(wrong("returnFormat", "is not given: it is the format of errors, which keycap reads")
                .hint("the format of data is `format`"))
        }
        Some(format) if FORMATS.contains(&format.as_str()) => Ok(Some(format)),
        Some(_) => Err(wrong("returnFormat", "is `csv`, `json` or `xml`")),
    }
}

/// A data frame is made of commas.
fn delimiter(shape: Shape, parameters: &Parameters) -> Result<()> {
    if shape == Shape::Table && parameters.text("csvDelimiter").is_some_and(|text| !matches!(text, "" | ",")) {
        return Err(wrong("csvDelimiter", "is not given for a data frame")
            .hint("`as = \"text\"` or `as = \"file\"` gives the answer with any delimiter"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::token::{FormRule, Secret};

    fn ask(content: &str, parameters: &[(&str, Parameter)]) -> Ask {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        Ask { content: content.to_owned(), parameters, ..Ask::default() }
    }

    fn plan(content: &str, parameters: &[(&str, Parameter)]) -> Result<Plan> {
        Plan::new(ask(content, parameters))
    }

    /// The body behind the token.
    fn body(plan: &Plan) -> String {
        let (secret, _) = Secret::seal(Zeroizing::new(vec![b'7'; 32]), &FormRule::Redcap);
        let body = String::from_utf8(plan.request.body(&secret).to_vec()).unwrap();
        body.split_once('&').unwrap().1.to_owned()
    }

    fn text(text: &str) -> Parameter {
        text.into()
    }

    #[test]
    fn the_action_is_export_where_one_is_known_and_data_are_imported() {
        for (content, parameters, sent, writes) in [
            ("record", vec![], "content=record&action=export&format=csv&returnFormat=json", false),
            ("metadata", vec![], "content=metadata&format=csv&returnFormat=json", false),
            ("version", vec![], "content=version&returnFormat=json", false),
            ("pdf", vec![("record", text("1"))], "content=pdf&returnFormat=json&record=1", false),
            (
                "dag",
                vec![("action", text("switch")), ("dag", text(""))],
                "content=dag&action=switch&returnFormat=csv&dag=",
                true,
            ),
            ("tableau", vec![], "content=tableau&returnFormat=csv", true),
            (
                "record",
                vec![("data", text("[]")), ("format", text("json"))],
                "content=record&action=import&format=json&returnFormat=csv&data=%5B%5D",
                true,
            ),
            (
                "metadata",
                vec![("data", text("a")), ("format", text("csv")), ("returnFormat", text("json"))],
                "content=metadata&action=import&format=csv&returnFormat=json&data=a",
                true,
            ),
        ] {
            let mut ask = ask(content, &parameters);
            if content == "pdf" {
                ask.to = Some("/tmp".into());
            }
            let plan = Plan::new(ask).unwrap();
            assert_eq!((body(&plan).as_str(), plan.request.writes), (sent, writes));
        }
    }

    #[test]
    fn a_list_is_indexed_also_where_it_has_one_value_and_what_is_nothing_is_left_out() {
        let parameters = [
            ("fields", text("a,b")),
            ("forms", Parameter::Texts(vec!["x".into(), "y".into()])),
            ("records[0]", text("7")),
            ("filterLogic", Parameter::Nothing),
            ("exportSurveyFields", true.into()),
        ];
        let sent = body(&plan("record", &parameters).unwrap());
        assert!(
            sent.ends_with(
                "&fields%5B0%5D=a%2Cb&forms%5B0%5D=x&forms%5B1%5D=y&records%5B0%5D=7&exportSurveyFields=true"
            ),
            "{sent}"
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused_and_no_value_is_repeated() {
        let secret = "hunter2";
        for (content, parameters, named) in [
            ("rec ord", vec![], "`content`"),
            ("", vec![], "`content`"),
            (&"x".repeat(65), vec![], "`content`"),
            ("record", vec![("", text(secret))], "by name"),
            ("record", vec![("a b", text(secret))], "no name of REDCap's"),
            ("record", vec![("a&token", text(secret))], "no name of REDCap's"),
            ("record", vec![("fields[", text(secret))], "no name of REDCap's"),
            ("record", vec![("fields[a]", text(secret))], "no name of REDCap's"),
            ("record", vec![("1a", text(secret))], "no name of REDCap's"),
            ("record", vec![("token", text(secret))], "`token`"),
            ("record", vec![("Token", text(secret))], "`token`"),
            ("record", vec![("token[0]", text(secret))], "`token`"),
            ("record", vec![("content", text("user"))], "`content`"),
            ("record", vec![("fields", text("a")), ("fields", text("b"))], "`fields`"),
            ("record", vec![("records", Parameter::Texts(Vec::new()))], "`records`"),
            ("record", vec![("action", text("a b"))], "`action`"),
            ("record", vec![("action", true.into())], "`action`"),
            ("record", vec![("format", text("json"))], "`format`"),
            ("record", vec![("returnFormat", text("json"))], "`returnFormat`"),
            ("record", vec![("csvDelimiter", text(";"))], "`csvDelimiter`"),
            ("record", vec![("data", text(secret))], "`format`"),
            ("record", vec![("data", text(secret)), ("format", text("yaml"))], "`format`"),
            ("version", vec![("format", text("json"))], "`format`"),
            ("file", vec![("file", text(secret)), ("action", text("export"))], "`to`"),
            ("file", vec![("action", text("import"))], "`file`"),
            ("pdf", vec![], "`to`"),
        ] {
            let error = plan(content, &parameters).unwrap_err();
            assert_eq!(error.kind, Kind::Argument);
            assert!(error.message.contains(named), "{}", error.message);
            assert!(!format!("{error:?}").contains(secret), "{error:?}");
        }
    }

    #[test]
    fn creating_a_project_is_refused_in_every_way_of_writing_it() {
        let data = ("data", text("[{\"project_title\":\"x\"}]"));
        let format = ("format", text("json"));
        for parameters in [
            vec![data.clone(), format.clone()],
            vec![("action", text("import"))],
            vec![("action", text("export")), data],
            vec![("data[0]", text("x")), format],
            vec![("odm", text("<ODM>"))],
        ] {
            let error = plan("project", &parameters).unwrap_err();
            assert_eq!(error.kind, Kind::Argument);
            assert!(error.message.contains("super token"), "{}", error.message);
        }
        assert!(plan("project", &[("action", text("export"))]).is_ok());
        assert!(plan("project", &[]).is_ok());
    }

    #[test]
    fn what_an_answer_becomes_suits_it_unless_it_is_said() {
        let shape = |content: &str, action: &str, shape, to: bool| {
            let parameters = [("action", Parameter::from(Some(action).filter(|action| !action.is_empty())))];
            let to = to.then(|| "/tmp".into());
            Plan::new(Ask { shape, to, ..ask(content, &parameters) }).map(|plan| plan.shape)
        };
        for (content, action, wished, to, became) in [
            ("record", "", None, false, Some(Shape::Table)),
            ("record", "", None, true, Some(Shape::File)),
            ("record", "", Some(Shape::Text), false, Some(Shape::Text)),
            ("record", "", Some(Shape::Table), true, None),
            ("record", "", Some(Shape::File), false, None),
            ("record", "delete", None, false, Some(Shape::Text)),
            ("record", "delete", Some(Shape::Table), false, None),
            ("record", "delete", Some(Shape::File), true, None),
            ("version", "", None, false, Some(Shape::Text)),
            ("version", "", Some(Shape::Table), false, None),
            ("pdf", "", None, true, Some(Shape::File)),
            ("pdf", "", Some(Shape::Text), false, Some(Shape::Text)),
            ("pdf", "", Some(Shape::Table), false, None),
            ("project_xml", "", None, false, Some(Shape::Text)),
            ("project_xml", "", None, true, Some(Shape::File)),
            ("tableau", "", None, false, Some(Shape::Text)),
            ("tableau", "", Some(Shape::Table), false, Some(Shape::Table)),
        ] {
            let done = shape(content, action, wished, to);
            let what = format!("{content} {action} {wished:?} {to}");
            match became {
                Some(became) => assert_eq!(done.unwrap(), became, "{what}"),
                None => assert_eq!(done.unwrap_err().kind, Kind::Argument, "{what}"),
            }
        }
    }

    #[test]
    fn the_kind_of_body_follows_from_format_and_shape() {
        for (content, format, shape, expect) in [
            ("record", None, Shape::Table, Expect::Csv),
            ("record", Some("csv"), Shape::Table, Expect::Csv),
            ("record", None, Shape::Text, Expect::Csv),
            ("record", Some("json"), Shape::Text, Expect::Json),
            ("record", Some("odm"), Shape::Text, Expect::Xml),
            ("user", Some("xml"), Shape::Text, Expect::Xml),
            ("project_xml", None, Shape::Text, Expect::Xml),
            ("surveyLink", None, Shape::Text, Expect::Text),
            ("tableau", Some("json"), Shape::Text, Expect::Text),
            ("tableau", None, Shape::Table, Expect::Csv),
        ] {
            let parameters = [("format", Parameter::from(format))];
            let plan = Plan::new(Ask { shape: Some(shape), ..ask(content, &parameters) }).unwrap();
            assert_eq!(plan.request.expect, expect, "{content} {format:?} {shape:?}");
        }
        let odm = Ask { shape: Some(Shape::Text), ..ask("user", &[("format", text("odm"))]) };
        assert!(Plan::new(odm).unwrap_err().message.contains("`format`"));
    }

    #[test]
    fn a_file_goes_along_with_an_import_of_files_only() {
        let file = Some(PathBuf::from("/tmp/x.pdf"));
        let parameters = [("file", text("x.pdf")), ("record", text("1"))];
        let plan = Plan::new(Ask { file: file.clone(), ..ask("file", &parameters) }).unwrap();
        assert_eq!((plan.upload, plan.request.action().as_str()), (file.clone(), "file/import?returnFormat&record"));
        let export = [("file", text("x.pdf")), ("action", text("export"))];
        let error = Plan::new(Ask { file, to: Some("/tmp".into()), ..ask("file", &export) }).unwrap_err();
        assert!(error.message.contains("goes with"), "{}", error.message);
    }
}
