//! The API while the database is being opened, which takes a while if it has to be migrated: the server runs,
//! but cannot do its work yet.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;

use super::error::{self, ApiError};
use super::{request_id, service};
use crate::model::RefusalCode;

/// `/healthz` as usual, and 503 for every other path.
pub fn router() -> Router {
    Router::new().route("/healthz", get(service::health)).fallback(not_yet).layer(from_fn(wrap))
}

async fn not_yet() -> ApiError {
    let why = "the server is starting: its database is being opened, and brought up to date where that is \
               needed; its log says how far it is";
    ApiError::new(RefusalCode::Unavailable, why).with_header("retry-after", "1")
}

async fn wrap(request: Request, next: Next) -> Response {
    let id = request_id(&request);
    error::finish(next.run(request).await, &id).await
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use serde_json::Value;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_server_is_alive_and_says_why_it_is_not_ready() {
        for (path, status) in [("/healthz", 200), ("/readyz", 503), ("/api/v1/machines", 503)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = router().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
            let retry = response.headers().get("retry-after").is_some();
            let body = to_bytes(response.into_body(), 9999).await.unwrap();
            let body: Value = serde_json::from_slice(&body).unwrap();
            let says_why = body["detail"].as_str().is_some_and(|why| why.contains("database"));
            assert_eq!((retry, says_why), (status == 503, status == 503), "{path} {body}");
        }
    }
}
