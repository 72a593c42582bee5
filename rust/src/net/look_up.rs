//! Host names to addresses, by the operating system's resolver.
//!
//! `getaddrinfo` cannot be cancelled: its thread lives until the resolver gives up. So there is at most one pending
//! look-up a host, however often a user interrupts and tries again; later callers wait for the same one.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::watch;

use super::origin::is_localhost;

/// Blocks until a host's addresses are known, or not.
pub(super) type LookUp = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The operating system's resolver.
pub(super) fn system() -> LookUp {
    Arc::new(|host| (host, 0).to_socket_addrs().map(Iterator::collect))
}

/// A name that has no address.
#[derive(Debug)]
pub(super) struct NotResolved;

impl fmt::Display for NotResolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name could not be resolved")
    }
}

impl std::error::Error for NotResolved {}

type Found = Option<Arc<[SocketAddr]>>;
type Pending = Arc<Mutex<HashMap<String, watch::Receiver<Option<Found>>>>>;

/// Looks names up, each once at a time. Clones share what is pending.
#[derive(Clone)]
pub(super) struct Resolver {
    look_up: LookUp,
    pending: Pending,
}

impl Resolver {
    pub(super) fn new(look_up: LookUp) -> Self {
        Self { look_up, pending: Pending::default() }
    }

    /// Whether a look-up of this host is under way.
    pub(super) fn is_pending(&self, host: &str) -> bool {
        locked(&self.pending).contains_key(host)
    }

    /// The result to come of the pending look-up of a host, which is started if there is none. The look-up outlives
    /// whoever waits for it.
    fn started(&self, host: String) -> watch::Receiver<Option<Found>> {
        let mut pending = locked(&self.pending);
        if let Some(receiver) = pending.get(&host) {
            return receiver.clone();
        }
        let (sender, receiver) = watch::channel(None);
        pending.insert(host.clone(), receiver.clone());
        // Taken out when the closure ends or is dropped, also one that never ran because the runtime ended.
        let entry = Entry { pending: Arc::clone(&self.pending), host };
        let look_up = Arc::clone(&self.look_up);
        tokio::task::spawn_blocking(move || {
            let found = look_up(&entry.host).ok().filter(|found| !found.is_empty()).map(Arc::from);
            drop(entry);
            sender.send_replace(Some(found));
        });
        receiver
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        if is_localhost(&host) {
            let here: Addrs = Box::new(std::iter::once(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))));
            return Box::pin(std::future::ready(Ok(here)));
        }
        let mut receiver = self.started(host);
        Box::pin(async move {
            let found = receiver.wait_for(Option::is_some).await.ok().and_then(|found| found.clone().flatten());
            let found: Vec<SocketAddr> = found.ok_or(NotResolved)?.to_vec();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// The place of a pending look-up.
struct Entry {
    pending: Pending,
    host: String,
}

impl Drop for Entry {
    fn drop(&mut self) {
        locked(&self.pending).remove(&self.host);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::time::Duration;

    fn run<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let result = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await });
        // A look-up that never returns must not keep the test from failing.
        runtime.shutdown_background();
        result.expect("hangs")
    }

    async fn resolve(resolver: &Resolver, host: &str) -> Option<Vec<SocketAddr>> {
        let found = resolver.resolve(host.parse().unwrap()).await;
        found.map(Iterator::collect).map_err(|error| assert!(error.is::<NotResolved>())).ok()
    }

    #[test]
    fn a_name_of_this_machine_is_resolved_without_asking_anybody() {
        let resolver = Resolver::new(Arc::new(|_| panic!("asked")));
        for host in ["localhost", "LocalHost", "redcap.localhost"] {
            let found = run(resolve(&resolver, host)).unwrap();
            assert_eq!(found, [SocketAddr::from(([127, 0, 0, 1], 0))], "{host}");
        }
    }

    #[test]
    fn a_host_has_one_pending_look_up_which_outlives_those_who_wait() {
        let (release, held) = mpsc::channel::<()>();
        let (held, asked) = (Mutex::new(held), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&asked);
        let resolver = Resolver::new(Arc::new(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            locked(&held).recv().unwrap();
            Ok(vec![([127, 0, 0, 9], 0).into()])
        }));
        run(async {
            for _ in 0..20 {
                let waiting = resolve(&resolver, "redcap.example");
                assert!(tokio::time::timeout(Duration::from_millis(2), waiting).await.is_err());
            }
            assert!(resolver.is_pending("redcap.example"));
            let (a, b, ()) =
                tokio::join!(resolve(&resolver, "redcap.example"), resolve(&resolver, "REDCap.example"), async {
                    release.send(()).unwrap();
                });
            assert_eq!(a, Some(vec![([127, 0, 0, 9], 0).into()]));
            assert_eq!(a, b);
            assert_eq!(asked.load(Ordering::SeqCst), 1);
            assert!(!resolver.is_pending("redcap.example"));
            // What is done is forgotten: the next one asks again.
            release.send(()).unwrap();
            resolve(&resolver, "redcap.example").await.unwrap();
            assert_eq!(asked.load(Ordering::SeqCst), 2);
        });
    }

    #[test]
    fn a_name_without_address_and_a_resolver_that_panics_are_the_same_error_and_nothing_stays_pending() {
        let resolver = Resolver::new(Arc::new(|host| match host {
            "none.example" => Ok(Vec::new()),
            "error.example" => Err(io::Error::other("no such name")),
            _ => std::panic::resume_unwind(Box::new("made up")),
        }));
        run(async {
            for host in ["none.example", "error.example", "panic.example"] {
                assert_eq!(resolve(&resolver, host).await, None, "{host}");
                assert!(!resolver.is_pending(host), "{host}");
            }
        });
    }
}
