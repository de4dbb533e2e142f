//! The edge serves any program: here one with its own state, codes and routes, which knows neither plans nor syncs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{FromRef, State};
use qs_scheduler::clock::SystemClock;
use qs_scheduler::http::edge::{
    self, Answer, ApiError, BodyRoom, Caller, Edge, Input, NotReady, RateLimiter, Readiness, Reply,
};
use qs_scheduler::identity::keys::SigningKey;
use qs_scheduler::identity::{Permission, Rules, Verifier};
use qs_scheduler::metrics::{self, Metrics};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::support::apiserver::{self, http_client};
use crate::support::iam::{AUDIENCE, ISSUER, claims};

/// The code that only this program has.
const KETTLE_EMPTY: u32 = 120_001;

/// What the handlers of this program share.
#[derive(Clone)]
struct Teapot {
    edge: Arc<Edge>,
    kettle: &'static str,
}

impl FromRef<Teapot> for Arc<Edge> {
    fn from_ref(teapot: &Teapot) -> Self {
        teapot.edge.clone()
    }
}

#[derive(Debug)]
struct Water(bool);

#[async_trait]
impl Readiness for Water {
    async fn check(&self) -> Vec<(&'static str, Option<NotReady>)> {
        let none = || NotReady { word: "unreachable", reason: "there is none".to_owned() };
        vec![("water", (!self.0).then(none))]
    }
}

/// Why there is no tea.
struct KettleEmpty;

impl From<KettleEmpty> for ApiError {
    fn from(_: KettleEmpty) -> Self {
        ApiError::new(StatusCode::CONFLICT, KETTLE_EMPTY, "the kettle is empty")
            .data(json!({ "litres": 0 }))
            .retry_after(Duration::from_millis(1_500))
            .cause("nobody filled it")
    }
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    cups: u32,
    sugar: Option<u32>,
}

#[derive(Serialize, ToSchema)]
struct Served {
    from: &'static str,
    cups: u32,
    sugar: u32,
}

/// Makes tea.
#[utoipa::path(
    post, path = "/tea/{pot}", tag = "tea", request_body = Order,
    responses(
        (status = 200, description = "Tea.", body = Served),
        (status = 409, description = "There is no water.", headers(("Retry-After"))),
    ),
    extensions(("x-query-or-body" = json!(true)))
)]
async fn make_tea(State(teapot): State<Teapot>, caller: Caller, order: Input<Order>) -> Answer {
    let order = order.read(caller.require(Permission::Read)?).await?;
    if order.cups > 10 {
        return Err(KettleEmpty.into());
    }
    Ok(Reply::new(Served { from: teapot.kettle, cups: order.cups, sugar: order.sugar.unwrap_or(0) }))
}

/// Never ends.
#[utoipa::path(get, path = "/wait", tag = "tea", security(()), responses((status = 200, description = "No.")))]
async fn wait() -> Answer {
    std::future::pending().await
}

/// Panics.
#[utoipa::path(get, path = "/panic", tag = "tea", security(()), responses((status = 200, description = "No.")))]
async fn panics() -> Answer {
    panic!("as the test says")
}

#[derive(OpenApi)]
#[openapi(info(title = "teapot"), tags((name = "tea", description = "Hot.")))]
struct Base;

fn program() -> OpenApiRouter<Teapot> {
    OpenApiRouter::with_openapi(Base::openapi())
        .routes(routes!(make_tea))
        .routes(routes!(wait))
        .routes(routes!(panics))
}

struct Server {
    base: String,
    key: Arc<SigningKey>,
}

impl Server {
    /// Listens with this readiness and limit of requests.
    async fn start(water: bool, open: bool, burst: u32) -> Self {
        let key = Arc::new(SigningKey::generate().unwrap());
        let leeway = Duration::ZERO;
        let rules = Rules { issuer: ISSUER.to_owned(), audience: AUDIENCE.to_owned(), leeway };
        let edge = Edge {
            verifier: Verifier::new(key.clone(), rules, Arc::new(SystemClock)),
            limiter: RateLimiter::new(u32::from(burst > 0), burst),
            metrics: Metrics::new(metrics::registry()),
            readiness: Box::new(Water(water)),
            open,
            request_timeout: Duration::from_secs(1),
            max_body: 64,
            body_timeout: Duration::from_secs(1),
            bodies: BodyRoom::default(),
        };
        let teapot = Teapot { edge: Arc::new(edge), kettle: "the blue one" };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = edge::router(program(), teapot);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { base, key }
    }

    async fn send(&self, method: Method, path: &str, role: Option<&str>, body: &str) -> apiserver::Reply {
        let token = |role| self.key.sign(&claims(&json!({ "roles": [role] }))).unwrap();
        let bearer = role.map(|role| format!("Bearer {}", token(role).expose()));
        let mut headers = vec![("x-request-id", "tea-1")];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        apiserver::send(&http_client(), method, &format!("{}{path}", self.base), &headers, body).await
    }

    async fn tea(&self, role: Option<&str>, body: &str) -> apiserver::Reply {
        self.send(Method::POST, "/tea/1", role, body).await
    }

    async fn text(&self, path: &str) -> String {
        http_client().get(format!("{}{path}", self.base)).send().await.unwrap().text().await.unwrap()
    }
}

#[tokio::test]
async fn callers_are_known_and_replies_have_one_form() {
    let server = Server::start(true, true, 0).await;
    let reply = server.tea(Some("viewer"), r#"{"cups":2}"#).await;
    let data = json!({ "from": "the blue one", "cups": 2, "sugar": 0 });
    let done = json!({ "code": 200, "message": "success", "data": data, "request_id": "tea-1" });
    assert_eq!((reply.status, &reply.body), (StatusCode::OK, &done));
    assert_eq!(reply.headers["x-request-id"], "tea-1");
    assert_eq!(reply.headers["content-type"], "application/json");

    for (role, body, status, code, message) in [
        (None, "{}", 401, 100_205, "the header Authorization is missing"),
        (Some("nobody"), r#"{"cups":2}"#, 403, 100_207, "the caller's roles do not allow to read (hint: "),
        (Some("viewer"), "[", 400, 100_003, "the body is not JSON: "),
        (Some("viewer"), r#"{"cups":2,"milk":1}"#, 400, 100_004, "milk: unknown field `milk`"),
        (Some("viewer"), &format!("{:65}", "{}"), 413, 110_413, "the body is too large"),
        (Some("viewer"), r#"{"cups":11}"#, 409, u64::from(KETTLE_EMPTY), "the kettle is empty"),
    ] {
        let reply = server.tea(role, body).await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{body}: {reply:?}");
        assert!(reply.message().starts_with(message), "{body}: {reply:?}");
        assert_eq!(reply.body["request_id"], "tea-1");
        assert!(!reply.body.to_string().contains("nobody filled it"), "{reply:?}");
        match status {
            401 => assert_eq!(reply.headers["www-authenticate"], "Bearer"),
            409 => assert_eq!(
                (&reply.headers["retry-after"], reply.data()),
                (&"2".parse().unwrap(), &json!({ "litres": 0 }))
            ),
            _ => {}
        }
    }
    let forged = format!("{}x", server.key.sign(&claims(&json!({}))).unwrap().expose());
    let bearer = format!("Bearer {forged}");
    let url = format!("{}/tea/1", server.base);
    let reply = apiserver::send(&http_client(), Method::POST, &url, &[("authorization", &bearer)], "").await;
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{reply:?}");
}

#[tokio::test]
async fn what_reaches_no_handler_or_leaves_none_has_the_same_form() {
    let server = Server::start(true, true, 0).await;
    for (method, path, status, code) in [
        (Method::GET, "/coffee", 404, 100_006),
        (Method::GET, "/tea/1", 405, 110_405),
        (Method::GET, "/panic", 500, 100_002),
    ] {
        let reply = server.send(method, path, None, "").await;
        assert_eq!((reply.status.as_u16(), reply.code()), (status, code), "{path}: {reply:?}");
        assert_eq!(reply.headers.get("allow").is_some(), status == 405, "{reply:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_never_ends_is_given_up() {
    let server = Server::start(true, true, 0).await;
    let reply = server.send(Method::GET, "/wait", None, "").await;
    assert_eq!((reply.status, reply.code()), (StatusCode::SERVICE_UNAVAILABLE, 110_503), "{reply:?}");
    assert_eq!(reply.headers["retry-after"], "5");
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let server = Server::start(true, true, 2).await;
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    let limited = loop {
        let reply = server.tea(Some("viewer"), r#"{"cups":2}"#).await;
        if reply.status != StatusCode::OK {
            break reply;
        }
        assert!(std::time::Instant::now() < deadline, "nothing held the caller back");
    };
    assert_eq!((limited.status, limited.code()), (StatusCode::TOO_MANY_REQUESTS, 110_429), "{limited:?}");
    assert_eq!(limited.headers["retry-after"], "1");
    let metrics = server.text("/metrics").await;
    for line in [
        "qs_rate_limited_total 1",
        r#"qs_http_requests_total{method="POST",route="/tea/{pot}",status="429"} 1"#,
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\nin\n{metrics}");
    }
    assert!(!metrics.contains("sync"), "{metrics}");
}

#[tokio::test]
async fn health_and_readiness_are_open() {
    for (water, status, word, check) in [
        (true, StatusCode::OK, "ready", "ok"),
        (false, StatusCode::SERVICE_UNAVAILABLE, "not ready", "unreachable"),
    ] {
        let server = Server::start(water, false, 0).await;
        let health = server.send(Method::GET, "/health", None, "").await;
        assert_eq!((health.status, &health.body["status"]), (StatusCode::OK, &json!("healthy")));
        let ready = server.send(Method::GET, "/ready", None, "").await;
        assert_eq!(
            (ready.status, ready.body),
            (status, json!({ "status": word, "checks": { "water": check } }))
        );
        for path in ["/metrics", "/openapi.json", "/docs"] {
            let refused = server.send(Method::GET, path, None, "").await;
            assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{path}: it may be reached from elsewhere");
        }
    }
}

#[tokio::test]
async fn the_document_is_the_program_s_own_and_complete() {
    let server = Server::start(true, true, 0).await;
    let document: Value = serde_json::from_str(&server.text("/openapi.json").await).unwrap();
    assert_eq!(document, edge::document(&program(), true));
    assert_eq!(document["info"]["title"], "teapot");
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    assert_eq!(tags, ["tea", "health", "observation"]);
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(
        paths,
        ["/docs", "/health", "/metrics", "/openapi.json", "/panic", "/ready", "/tea/{pot}", "/wait"]
    );

    let tea = &document["paths"]["/tea/{pot}"]["post"];
    assert_eq!(tea["security"], json!([{ "bearer": [] }]));
    let statuses: Vec<&String> = tea["responses"].as_object().unwrap().keys().collect();
    assert_eq!(
        statuses,
        ["200", "400", "401", "403", "408", "409", "413", "415", "429", "500", "501", "503"]
    );
    let parameters = tea["parameters"].as_array().unwrap();
    let named: Vec<Value> = parameters.iter().map(|p| json!([p["in"], p["name"]])).collect();
    assert_eq!(json!(named), json!([["path", "pot"], ["query", "cups"], ["query", "sugar"]]));
    for (status, header) in
        [("200", "X-Request-Id"), ("401", "WWW-Authenticate"), ("409", "Retry-After"), ("429", "Retry-After")]
    {
        assert_eq!(tea["responses"][status]["headers"][header]["required"], true, "{status} {header}");
    }
    let schema = |status: &str| &tea["responses"][status]["content"]["application/json"]["schema"];
    assert_eq!(schema("200")["properties"]["data"]["$ref"], "#/components/schemas/Served");
    assert_eq!(schema("409")["$ref"], "#/components/schemas/Error");
    assert_eq!(document["paths"]["/ready"]["get"]["security"], json!([{}]));
    assert_eq!(document["paths"]["/metrics"]["get"]["security"], json!([{}]));
    let elsewhere = edge::document(&program(), false);
    assert_eq!(elsewhere["paths"]["/metrics"]["get"]["security"], json!([{ "bearer": [] }]));
}
