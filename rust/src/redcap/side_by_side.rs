//! Operations on several projects side by side.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::error::{Error, Kind, Result};

/// How many run at a time. A server has to serve others too.
pub(crate) const AT_ONCE: usize = 25;

/// Runs operations, [`AT_ONCE`] at a time, begun in their order. Each has its own result, in their order, and the time
/// that it took; none ends another. When this is dropped all of them are.
pub(crate) async fn side_by_side<T, F>(operations: Vec<F>) -> Vec<(Result<T>, Duration)>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let broken = || Err(Error::new(Kind::Internal, "internal error"));
    let mut results: Vec<_> = operations.iter().map(|_| (broken(), Duration::ZERO)).collect();
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut running = JoinSet::new();
    for (n, operation) in operations.into_iter().enumerate() {
        let places = Arc::clone(&places);
        running.spawn(async move {
            let _place = places.acquire_owned().await;
            let begin = Instant::now();
            (n, operation.await, begin.elapsed())
        });
    }
    while let Some(done) = running.join_next().await {
        // One that panicked says nothing; its place has the error already.
        if let Ok((n, result, took)) = done {
            results[n] = (result, took);
        }
    }
    results
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn at_most_so_many_run_at_a_time_and_results_keep_their_order() {
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let operations = (0..100_u64).map(|n| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(5 + n % 7)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                if n % 10 == 3 { Err(Error::new(Kind::Timeout, n.to_string())) } else { Ok(n) }
            }
        });
        let results = side_by_side(operations.collect()).await;
        assert_eq!(most.load(Ordering::SeqCst), AT_ONCE);
        for (n, (result, took)) in results.into_iter().enumerate() {
            match result {
                Ok(value) => assert_eq!(value, n as u64),
                Err(error) => assert_eq!((error.message, n % 10), (n.to_string(), 3)),
            }
            assert!(took >= Duration::from_millis(5));
        }
        assert!(side_by_side(Vec::<std::future::Ready<Result<()>>>::new()).await.is_empty());
    }

    #[tokio::test]
    async fn one_that_panics_or_takes_long_does_not_end_or_hold_the_others() {
        let done = Arc::new(AtomicUsize::new(0));
        let operations = (0..60).map(|n| {
            let done = Arc::clone(&done);
            async move {
                if n == 0 {
                    while done.load(Ordering::SeqCst) < 58 {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                } else if n == 7 {
                    std::panic::resume_unwind(Box::new("made up"));
                }
                done.fetch_add(1, Ordering::SeqCst);
                Ok(n)
            }
        });
        let all = side_by_side(operations.collect());
        let results = tokio::time::timeout(Duration::from_secs(20), all).await.unwrap();
        let failed: Vec<_> = results.iter().enumerate().filter(|(_, (result, _))| result.is_err()).collect();
        assert_eq!(failed.len(), 1);
        assert_eq!((failed[0].0, failed[0].1.0.as_ref().unwrap_err().kind), (7, Kind::Internal));
    }

    #[tokio::test]
    async fn dropping_it_drops_all_that_run_and_all_that_wait() {
        struct Alive(Arc<AtomicUsize>);
        impl Drop for Alive {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let alive = Arc::new(AtomicUsize::new(60));
        let operations = (0..60).map(|_| {
            let alive = Alive(Arc::clone(&alive));
            async move {
                std::future::pending::<()>().await;
                drop(alive);
                Ok(())
            }
        });
        let all = side_by_side(operations.collect());
        assert!(tokio::time::timeout(Duration::from_millis(20), all).await.is_err());
        for _ in 0..400 {
            if alive.load(Ordering::SeqCst) == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{} are left", alive.load(Ordering::SeqCst));
    }
}
