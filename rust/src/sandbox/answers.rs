//! From a request to its answer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use super::API_PATH;
use super::contents::{self, Asked, Outcome};
use super::faults::Fault;
use super::front;
use super::post::Post;
use super::refusal::Refusal;
use super::sheet::Format;
use super::world::World;
use crate::serve::{Answer, Call};

/// An answer before any fault.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Reply {
    pub(super) fn into_answer(self) -> Answer {
        let mut response = front::response(self.status, self.content_type, self.body);
        let headers = response.headers_mut();
        headers.insert(hyper::header::CACHE_CONTROL, hyper::header::HeaderValue::from_static("no-store, no-cache"));
        Answer::Http(response)
    }
}

impl Refusal {
    fn reply(&self, format: Format) -> Reply {
        Reply { status: self.status, content_type: format.content_type(), body: self.body(format).into_bytes() }
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
        response.headers_mut().insert(hyper::header::LOCATION, hyper::header::HeaderValue::from_static(API_PATH));
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
    let (asked_project, asked_user) = match (world.project(&project), world.user(&user)) {
        (Some(project), Some(user)) if !user.suspended => (project, user),
        _ => return Err(Refusal::token()),
    };
    let format = Format::parse(post.text("format"));
    let asked = Asked {
        redcap_version: &world.config.redcap_version,
        users: &world.users,
        project: asked_project,
        user: asked_user,
        post,
    };
    let outcome = contents::answer(&asked, format)?;
    let (action, details) = contents::log_line(post.text("content"));
    if let Some(project) = world.project_mut(&project) {
        project.note(&user, action, details);
    }
    let format = format.unwrap_or(Format::Xml);
    Ok(match outcome {
        Outcome::Sheet(sheet) => {
            Reply { status: 200, content_type: format.content_type(), body: sheet.write(format).into_bytes() }
        }
        // REDCap sends bare text as text/html, whatever the format was.
        Outcome::Bare(text) => Reply { status: 200, content_type: "text/html; charset=utf-8", body: text.into_bytes() },
    })
}
