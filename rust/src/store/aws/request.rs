//! One request to Secrets Manager, one reply.

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use reqsign_aws_v4::RequestSigner;
use reqsign_core::{Context, SignRequest};
use reqwest::Method;
use zeroize::Zeroizing;

use super::answer::request_id;
use super::chain::Identity;
use super::json::room;
use super::trouble::{error, unreachable};
use crate::error::{Error, Kind, Result};
use crate::hex::hex;
use crate::net::{Client, Outbound, ServerUrl, WipedBody};

/// What a reply has at most: a secret has 64 KiB, and a character of it may take six in JSON.
const MOST: usize = 448 << 10;

/// What is asked of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Get,
    Create,
    Put,
    Delete,
}

impl Action {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GetSecretValue",
            Self::Create => "CreateSecret",
            Self::Put => "PutSecretValue",
            Self::Delete => "DeleteSecret",
        }
    }
}

pub(super) struct Service<'a> {
    pub(super) client: &'a Client,
    pub(super) server: &'a ServerUrl,
    pub(super) region: &'a str,
}

/// A reply. Its body may hold a secret.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) request_id: Option<String>,
}

impl Service<'_> {
    /// Asks, signed by an identity; unsigned without.
    pub(super) async fn ask(
        &self,
        action: Action,
        body: Zeroizing<Vec<u8>>,
        identity: Option<&Identity>,
    ) -> Result<Reply> {
        let internal = |what: &str| Error::new(Kind::Internal, format!("the request to AWS {what}"));
        let hash = hex(ring::digest::digest(&ring::digest::SHA256, &body).as_ref());
        let hash = HeaderValue::from_str(&hash).map_err(|_| internal("has no hash"))?;
        let target = format!("secretsmanager.{}", action.as_str());
        let request = http::Request::post(self.server.as_str())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/x-amz-json-1.1"))
            .header("x-amz-target", target)
            .header("x-amz-content-sha256", hash)
            .body(());
        let (mut parts, ()) = request.map_err(|_| internal("cannot be made"))?.into_parts();
        if let Some(identity) = identity {
            let signer = RequestSigner::new("secretsmanager", self.region);
            let done = signer.sign_request(&Context::new(), &mut parts, Some(identity.credential()), None).await;
            // What it would say may quote what it was given.
            done.map_err(|why| identity.not_signed(why.kind()))?;
        }
        let outbound = Outbound {
            method: Method::POST,
            url: self.server.url().clone(),
            headers: parts.headers,
            body: Some(WipedBody::new(body)),
        };
        let told = |fault: crate::net::Fault| unreachable(self.region, fault.error);
        let mut answer = self.client.send(self.server, outbound).await.map_err(told)?;
        let request_id = answer.header("x-amzn-requestid").and_then(request_id);
        let mut reply = room(MOST);
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            if reply.len() + chunk.len() > MOST {
                let message = format!("`{}` answered more than {} KiB", self.server.origin(), MOST >> 10);
                return Err(error("output", message).hint("keep the token in a secret of its own"));
            }
            reply.extend_from_slice(&chunk);
        }
        Ok(Reply { status: answer.status, body: reply, request_id })
    }
}

/// An id that makes a request that writes one that is done once, as AWS wants it: a UUID.
pub(super) fn once() -> Result<String> {
    let mut bytes = [0_u8; 16];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map_err(|_| Error::new(Kind::Internal, "the system gives no random numbers"))?;
    let text = hex(&bytes);
    Ok([&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]].join("-"))
}
