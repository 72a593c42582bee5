//! One request to a vault, one reply.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::trouble::{error, unreachable};
use super::{Raw, room};
use crate::error::{Error, Kind, Result};
use crate::net::{Client, Outbound, ServerUrl, WipedBody};

/// What a reply has at most. A secret with a token in it is a hundredth of this.
const MOST: usize = 64 << 10;

pub(super) struct Api<'a> {
    pub(super) client: &'a Client,
    pub(super) server: &'a ServerUrl,
    pub(super) namespace: Option<&'a str>,
}

/// A reply. Its body may hold a secret.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Api<'_> {
    pub(super) async fn get(&self, path: &str, version: Option<u32>, token: Option<&Raw>) -> Result<Reply> {
        let query = version.map(|version| format!("version={version}"));
        self.send(Method::GET, path, query.as_deref(), token, None).await
    }

    pub(super) async fn post(&self, path: &str, token: Option<&Raw>, body: Zeroizing<Vec<u8>>) -> Result<Reply> {
        self.send(Method::POST, path, None, token, Some(body)).await
    }

    pub(super) async fn delete(&self, path: &str, token: &Raw) -> Result<Reply> {
        self.send(Method::DELETE, path, None, Some(token), None).await
    }

    /// The state of the server, whatever the namespace; a standby counts as well.
    pub(super) async fn health(&self) -> Result<Reply> {
        let query = "standbyok=true&perfstandbyok=true";
        let root = Api { namespace: None, ..*self };
        root.send(Method::GET, "sys/health", Some(query), None, None).await
    }

    /// Whether the vault knows a token, where it can be told.
    pub(super) async fn knows(&self, token: &Raw) -> Option<bool> {
        match self.get("auth/token/lookup-self", None, Some(token)).await.ok()?.status {
            200 => Some(true),
            403 => Some(false),
            _ => None,
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        token: Option<&Raw>,
        body: Option<Zeroizing<Vec<u8>>>,
    ) -> Result<Reply> {
        let mut url = self.server.url().clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().push("v1").extend(path.split('/')),
            Err(()) => return Err(Error::new(Kind::Internal, "the address of the vault has no path")),
        };
        url.set_query(query);
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static("x-vault-request"), HeaderValue::from_static("true"));
        if let Some(namespace) = self.namespace {
            let namespace = HeaderValue::from_str(namespace)
                .map_err(|_| Error::new(Kind::Argument, "`vault.namespace` is not the name of a namespace"))?;
            headers.insert(HeaderName::from_static("x-vault-namespace"), namespace);
        }
        if let Some(token) = token {
            let mut copy = room(token.bytes().len());
            copy.extend_from_slice(token.bytes());
            let token = WipedBody::new(copy).header().ok_or_else(not_a_header)?;
            headers.insert(HeaderName::from_static("x-vault-token"), token);
        }
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let outbound = Outbound { method, url, headers, body: body.map(WipedBody::new) };
        let mut answer = self.client.send(self.server, outbound).await.map_err(|fault| unreachable(fault.error))?;
        let mut body = room(MOST);
        while let Some(chunk) = answer.chunk().await.map_err(|fault| unreachable(fault.error))? {
            if body.len() + chunk.len() > MOST {
                let message = format!("the vault at `{}` answered more than {} KiB", self.server.origin(), MOST >> 10);
                return Err(error("output", message).hint("keep the token in a secret of its own"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Reply { status: answer.status, body })
    }
}

fn not_a_header() -> Error {
    error("login", "the vault's own token holds characters that no token has")
        .hint("look for blanks, quotes or line breaks in `VAULT_TOKEN` or in the file that it comes from")
        .hint("`vault login` or `bao login` writes a new one")
}
