//! What stands before REDCap: the web server, the firewall, the gateway. None of it speaks REDCap's words.

use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

use crate::serve::{Body, whole};

/// A page of a front end, by status.
pub(super) fn html(status: u16) -> String {
    let (title, text) = match status {
        200 => ("Sign in", "Please sign in with your institution's account to continue."),
        403 => ("Forbidden", "The request was blocked by a security policy."),
        404 => ("Not Found", "The requested URL was not found on this server."),
        502 => ("Bad Gateway", "The proxy server received an invalid response from an upstream server."),
        503 => ("Service Unavailable", "The server is temporarily unable to service your request."),
        504 => ("Gateway Timeout", "The gateway did not receive a timely response from the upstream server."),
        _ => ("Error", "The request could not be served."),
    };
    page(title, text)
}

/// The page that a banned address gets.
pub(super) fn banned() -> String {
    page("Access denied", "Your address has been banned because of too many requests. Contact an administrator.")
}

/// The page at the sandbox's own address.
pub(super) fn welcome() -> String {
    page("keycap sandbox", "This is not REDCap. It is a stand-in with made-up data, to try and test keycap with.")
}

fn page(title: &str, text: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1><p>{text}</p></body></html>\n"
    )
}

/// A response of a status, a content type and a body.
pub(super) fn response(status: u16, content_type: &'static str, body: impl Into<bytes::Bytes>) -> Response<Body> {
    let mut response = Response::new(whole(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// A page as a response.
pub(super) fn html_response(status: u16, page: String) -> Response<Body> {
    response(status, "text/html; charset=utf-8", page)
}
