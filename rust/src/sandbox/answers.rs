//! From a request to its answer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use hyper::header::HeaderValue;

use super::API_PATH;
use super::contents::{self, Asked, Outcome};
use super::faults::Fault;
use super::front;
use super::post::Post;
use super::refusal::Refusal;
use super::sheet::{self, Format};
use super::time;
use super::world::World;
use crate::serve::{Answer, Call};

/// An answer before any fault.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

impl Reply {
    fn of(status: u16, format: Format, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: format.content_type().to_owned(), body: body.into() }
    }

    pub(super) fn into_answer(self) -> Answer {
        // A file's name may have letters beyond ASCII; they go out as they are, as PHP does it.
        let content_type = HeaderValue::from_bytes(self.content_type.as_bytes());
        let mut response = front::response(self.status, "application/octet-stream", self.body);
        let headers = response.headers_mut();
        if let Ok(value) = content_type {
            headers.insert(hyper::header::CONTENT_TYPE, value);
        }
        headers.insert(hyper::header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-cache"));
        Answer::Http(response)
    }
}

impl Refusal {
    fn reply(&self, format: Format) -> Reply {
        Reply::of(self.status, format, self.body(format))
    }
}

/// Answers one call.
pub(super) async fn answer(world: Rc<RefCell<World>>, mut call: Call) -> Answer {
    if call.path() != API_PATH {
        return elsewhere(&call);
    }
    {
        let mut world = world.borrow_mut();
        world.counts.arrived(call.peer);
        if let Some(fault) = world.faults.take_before_body() {
            world.counts.answered(&fault.name());
            return fault.spoil(Refusal::method().reply(Format::Xml), &Post::default(), Format::Xml);
        }
        if world.ban.refuses(call.peer.ip(), Instant::now()) {
            world.counts.answered("banned");
            return Answer::Http(front::html_response(403, front::banned()));
        }
    }
    let body = match call.body().await {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let post = Post::read(call.header("content-type").unwrap_or_default(), &body);
    let (late, fault) = {
        let mut world = world.borrow_mut();
        world.counts.read(post.text("content"), !post.text("token").is_empty());
        world.faults.take(post.text("content"))
    };
    tokio::time::sleep(late).await;
    let mut world = world.borrow_mut();
    let format = error_format(&post);
    let reply = if call.head.method == hyper::Method::POST {
        reply(&mut world, &post).unwrap_or_else(|refusal| refusal.reply(format))
    } else {
        Refusal::method().reply(format)
    };
    match fault {
        None => {
            world.counts.answered(&reply.status.to_string());
            reply.into_answer()
        }
        Some(fault) => {
            world.counts.answered(&fault.name());
            // An error is in the format of errors; what pretends to be data is in the format of data.
            let data = matches!(&fault, Fault::Echo { place: super::faults::Place::Data, .. });
            let format = if data { Format::parse(post.text("format")).unwrap_or(Format::Xml) } else { format };
            fault.spoil(reply, &post, format)
        }
    }
}

/// Paths that are not the API's.
fn elsewhere(call: &Call) -> Answer {
    let path = call.path();
    // As Apache does for a folder without its slash: most clients turn the POST into a GET on the way.
    if path == API_PATH.trim_end_matches('/') {
        let mut response = front::html_response(301, front::html(301));
        response.headers_mut().insert(hyper::header::LOCATION, HeaderValue::from_static(API_PATH));
        return Answer::Http(response);
    }
    let root = matches!(path, "/" | "/redcap" | "/redcap/");
    if root && call.head.method == hyper::Method::GET {
        return Answer::Http(front::html_response(200, front::welcome()));
    }
    let status = if root { 405 } else { 404 };
    Answer::Http(front::html_response(status, front::html(status)))
}

/// The format of error texts: `returnFormat`, else `format`, else XML.
fn error_format(post: &Post) -> Format {
    let named = |name| Some(post.text(name)).filter(|value| !value.is_empty()).and_then(Format::parse);
    named("returnFormat").or_else(|| named("format")).unwrap_or(Format::Xml)
}

/// What REDCap would say.
fn reply(world: &mut World, post: &Post) -> Result<Reply, Refusal> {
    let token = post.text("token");
    let (project, user) = world.tokens.find(token).ok_or_else(Refusal::token)?;
    let (project, user) = (project.to_owned(), user.to_owned());
    let today = time::date(time::day(SystemTime::now()));
    let asked_project = world.project(&project).filter(|_| !world.suspended.contains(&user));
    let asked_project = asked_project.ok_or_else(Refusal::token)?;
    let asked_user = asked_project.user(&user).filter(|user| !user.has_expired(&today));
    let asked_user = asked_user.ok_or_else(Refusal::token)?;
    let format = Format::parse(post.text("format"));
    let asked = Asked { redcap_version: &world.version, project: asked_project, user: asked_user, post };
    let done = contents::answer(&asked, format)?;
    if let Some(project) = world.project_mut(&project) {
        if let (Outcome::Switched(group), Some(user)) = (&done.outcome, project.user_mut(&user)) {
            user.group = group;
        }
        if let Some(data) = done.data {
            project.data = data;
        }
        for line in done.log {
            project.note(&user, line);
        }
    }
    Ok(written(done.outcome, format.unwrap_or(Format::Xml), error_format(post)))
}

/// An outcome as it goes out: data in their format, what became of an import in the format of errors.
fn written(outcome: Outcome, format: Format, returned: Format) -> Reply {
    const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>";
    match outcome {
        Outcome::Sheet(sheet) => Reply::of(200, format, sheet.write(format)),
        Outcome::Csv(bytes) => Reply::of(200, Format::Csv, bytes),
        // REDCap sends bare text as text/html, whatever the format was.
        Outcome::Bare(text) => {
            Reply { status: 200, content_type: "text/html; charset=utf-8".to_owned(), body: text.into() }
        }
        Outcome::Switched(_) => written(Outcome::Bare("1".to_owned()), format, returned),
        Outcome::Count(n) => {
            let body = match returned {
                Format::Csv => n.to_string(),
                Format::Json => format!("{{\"count\": {n}}}"),
                Format::Xml => format!("{XML}<hash><count>{n}</count></hash>"),
            };
            Reply::of(200, returned, body)
        }
        Outcome::Names(names) => {
            let body = match returned {
                Format::Csv => {
                    let mut out = "id\n".to_owned();
                    for name in &names {
                        sheet::csv_line(&mut out, ',', std::iter::once(name.as_str()));
                    }
                    out
                }
                Format::Json => serde_json::json!(names).to_string(),
                Format::Xml => {
                    let items: Vec<_> = names.iter().map(|name| sheet::xml_text(name)).collect();
                    let items =
                        if items.is_empty() { String::new() } else { format!("<id>{}</id>", items.join("</id><id>")) };
                    format!("{XML}<ids>{items}</ids>")
                }
            };
            Reply::of(200, returned, body)
        }
        Outcome::Nothing => {
            let body = match returned {
                Format::Csv => String::new(),
                Format::Json => "{}".to_owned(),
                Format::Xml => format!("{XML}<hash></hash>"),
            };
            Reply::of(200, returned, body)
        }
        Outcome::File { content_type, name, bytes } => {
            // What would end the name or the header is replaced.
            let name: String = name.chars().map(|c| if c.is_control() || c == '"' { '_' } else { c }).collect();
            Reply { status: 200, content_type: format!("{content_type}; name=\"{name}\""), body: bytes }
        }
    }
}
