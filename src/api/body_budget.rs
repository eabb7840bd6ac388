//! A bound on the bytes of all bodies that are in memory at once. A request holds what it has read until it
//! is answered, because what was parsed from the bytes is held as long.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;
use crate::kernel::Error;

/// Most bytes of all bodies that are held at once: sixteen of the largest. Imports of leases have turns of
/// their own instead.
const BODIES_BYTES_MAX: usize = 64 << 20;

tokio::task_local! {
    /// What the request that this task answers has taken.
    static TAKEN: BodyShare;
}

/// The bytes that are left for bodies.
#[derive(Clone, Debug)]
pub struct BodyBudget(Arc<Semaphore>);

impl Default for BodyBudget {
    fn default() -> Self {
        BodyBudget::new(BODIES_BYTES_MAX)
    }
}

impl BodyBudget {
    pub fn new(bytes: usize) -> Self {
        BodyBudget(Arc::new(Semaphore::new(bytes)))
    }

    /// Answers a request. What it takes meanwhile is given back at the end.
    pub async fn answer<T>(&self, request: impl Future<Output = T>) -> T {
        TAKEN.scope(BodyShare { budget: Arc::clone(&self.0), taken: Mutex::default() }, request).await
    }
}

/// What one request has taken of the budget.
struct BodyShare {
    budget: Arc<Semaphore>,
    taken: Mutex<Option<OwnedSemaphorePermit>>,
}

impl BodyShare {
    fn take(&self, bytes: u32) -> bool {
        let Ok(more) = Arc::clone(&self.budget).try_acquire_many_owned(bytes) else { return false };
        match &mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(taken) => taken.merge(more),
            none => *none = Some(more),
        }
        true
    }
}

/// Takes the bytes of a piece of the body of the request that this task answers.
///
/// # Errors
/// 503 if the bodies of all requests have too many bytes now.
pub fn take(bytes: usize) -> Result<(), ApiError> {
    let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
    match TAKEN.try_with(|share| share.take(bytes)) {
        Ok(false) => {
            let most = BODIES_BYTES_MAX >> 20;
            let what = format!("the requests that are being answered have bodies of {most} MiB; try again");
            Err(Error::Busy(what).into())
        }
        Ok(true) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::HeaderMap;
    use axum::http::StatusCode;
    use axum::response::IntoResponse;
    use tokio::sync::oneshot;

    use super::*;
    use crate::api::body;

    async fn read(bytes: usize) -> Result<Vec<u8>, ApiError> {
        body::read_bytes(&HeaderMap::new(), Body::from(vec![b' '; bytes]), body::BODY_BYTES_MAX).await
    }

    #[tokio::test]
    async fn the_bodies_of_all_requests_have_a_bound_until_they_are_answered() {
        let budget = BodyBudget::new(1000);
        let (has_read, reading) = oneshot::channel();
        let (answer, answered) = oneshot::channel::<()>();
        let first = budget.clone();
        let first = tokio::spawn(async move {
            let request = async {
                assert_eq!(read(600).await.unwrap().len(), 600);
                has_read.send(()).unwrap();
                answered.await.unwrap();
            };
            first.answer(request).await;
        });
        reading.await.unwrap();
        let refused = budget.answer(read(600)).await.unwrap_err().into_response();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(budget.answer(read(400)).await.unwrap().len(), 400, "there is room for a small one");
        answer.send(()).unwrap();
        first.await.unwrap();
        assert_eq!(budget.answer(read(600)).await.unwrap().len(), 600, "the first one was answered");
    }
}
