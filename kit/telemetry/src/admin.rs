//! The admin listener: `/metrics`, `/healthz`, `/readyz`, `/log-level` (GET shows it, PUT sets it), and the service's own
//! [pages](Page).
//!
//! On a port of its own, which should be bound to loopback; nothing here needs authentication, and changing the log
//! level is all that can be changed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use kit_core::{Error, Reply, ShutdownWatch};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::health::{Health, HealthStage};
use crate::logs::LogControl;
use crate::metrics::Registry;

/// Connections at the same time.
const MAX_CONNECTIONS: usize = 32;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A page of a service's own, which shows something and changes nothing.
pub trait Page: Send + Sync {
    /// What its paths begin with, slashes at both ends.
    fn prefix(&self) -> &'static str;

    /// The JSON for what follows the prefix, percent-encoded as it came.
    fn get(&self, rest: &str) -> Reply<'static, Result<String, Error>>;
}

/// What the admin listener serves.
#[derive(Clone)]
pub struct Admin {
    /// For `/metrics`.
    pub registry: Registry,
    /// For `/healthz` and `/readyz`.
    pub health: Health,
    /// For `/log-level`.
    pub logs: LogControl,
    /// What else.
    pub pages: Vec<Arc<dyn Page>>,
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    /// Serves until the process stops. It goes on while the process drains, so that the drain can be watched.
    ///
    /// # Errors
    /// If the listener cannot be used.
    pub async fn serve(self, listener: std::net::TcpListener, mut shutdown: ShutdownWatch) -> std::io::Result<()> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let admin = Arc::new(self);
        loop {
            let accepted = tokio::select! {
                () = shutdown.stopped() => return Ok(()),
                accepted = listener.accept() => accepted,
            };
            match (accepted, Arc::clone(&free).try_acquire_owned()) {
                (Ok((tcp, _)), Ok(place)) => {
                    let admin = Arc::clone(&admin);
                    tokio::spawn(async move {
                        admin.serve_connection(tcp).await;
                        drop(place);
                    });
                }
                (Ok(_), Err(_)) => tracing::debug!("too many connections to the admin listener"),
                (Err(error), _) => {
                    tracing::warn!(%error, "the admin listener cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    async fn serve_connection(self: Arc<Self>, tcp: TcpStream) {
        let service = service_fn(move |request| {
            let admin = Arc::clone(&self);
            async move { Ok::<_, Infallible>(admin.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(TIMEOUT)
            .serve_connection(TokioIo::new(tcp), service);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "admin connection failed");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let method = request.method().clone();
        let is_read = method == Method::GET || method == Method::HEAD;
        let path = request.uri().path();
        let page = self.pages.iter().find_map(|page| Some((page, path.strip_prefix(page.prefix())?)));
        if let Some((page, rest)) = page {
            return if is_read { shown(page.get(rest).await) } else { not_allowed("GET, HEAD") };
        }
        match path {
            "/metrics" if is_read => self.metrics(),
            "/healthz" if is_read => self.alive(),
            "/readyz" if is_read => self.ready(),
            "/log-level" if is_read => text(StatusCode::OK, self.logs.level()),
            "/log-level" if method == Method::PUT => self.set_level(request).await,
            "/log-level" => not_allowed("GET, HEAD, PUT"),
            "/metrics" | "/healthz" | "/readyz" => not_allowed("GET, HEAD"),
            _ => text(StatusCode::NOT_FOUND, "not found: try /metrics, /healthz, /readyz or /log-level".into()),
        }
    }

    fn metrics(&self) -> Answer {
        let mut response = text(StatusCode::OK, self.registry.scrape());
        let content_type = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    }

    fn alive(&self) -> Answer {
        match self.health.stage() {
            HealthStage::Failing => text(StatusCode::SERVICE_UNAVAILABLE, "failing".into()),
            HealthStage::Starting | HealthStage::Ready | HealthStage::Draining => text(StatusCode::OK, "ok".into()),
        }
    }

    fn ready(&self) -> Answer {
        match self.health.stage() {
            HealthStage::Ready => text(StatusCode::OK, "ready".into()),
            stage => text(StatusCode::SERVICE_UNAVAILABLE, format!("{stage:?}").to_lowercase()),
        }
    }

    async fn set_level(&self, request: Request<Incoming>) -> Answer {
        let body = Limited::new(request.into_body(), 1 << 10).collect();
        let Ok(Ok(body)) = tokio::time::timeout(TIMEOUT, body).await else {
            return text(StatusCode::BAD_REQUEST, "send the level as the body".into());
        };
        let body = body.to_bytes();
        let level = String::from_utf8_lossy(&body);
        match self.logs.set_level(level.trim()) {
            Ok(()) => text(StatusCode::OK, self.logs.level()),
            Err(error) => text(StatusCode::BAD_REQUEST, error.to_string()),
        }
    }
}

fn shown(page: Result<String, Error>) -> Answer {
    match page {
        Ok(json) => {
            let mut response = text(StatusCode::OK, json);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.code().http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            text(status, error.message().to_owned())
        }
    }
}

fn text(status: StatusCode, mut text: String) -> Answer {
    text.push('\n');
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn not_allowed(allow: &'static str) -> Answer {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("allowed: {allow}"));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

#[cfg(test)]
mod tests {
    use kit_core::Shutdown;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::logs::{LogConfig, init_logs};

    /// Shows what it is asked for, unless that is nothing.
    struct Echo;

    impl Page for Echo {
        fn prefix(&self) -> &'static str {
            "/echo/"
        }

        fn get(&self, rest: &str) -> Reply<'static, Result<String, Error>> {
            let missing = || Error::new(kit_core::Code::NotFound, "NOTHING", "ask for something");
            Reply::ready(Some(format!("\"{rest}\"")).filter(|_| !rest.is_empty()).ok_or_else(missing))
        }
    }

    async fn ask(address: std::net::SocketAddr, request: &str) -> String {
        let mut tcp = TcpStream::connect(address).await.unwrap();
        tcp.write_all(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn shows_metrics_and_health_and_sets_the_log_level() {
        let health = Health::default();
        let registry = Registry::new();
        registry.counter("things_total", "Things.", &[]).add(3);
        let logs = init_logs(&LogConfig::default()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let admin = Admin { registry, health: health.clone(), logs, pages: vec![Arc::new(Echo)] };
        let serving = tokio::spawn(admin.serve(listener, shutdown.watch()));

        assert!(ask(address, "GET /metrics HTTP/1.1").await.contains("\nthings_total 3\n"));
        assert!(ask(address, "GET /healthz HTTP/1.1").await.starts_with("HTTP/1.1 200"));
        assert!(ask(address, "GET /readyz HTTP/1.1").await.starts_with("HTTP/1.1 503"));
        health.set(HealthStage::Ready);
        assert!(ask(address, "GET /readyz HTTP/1.1").await.starts_with("HTTP/1.1 200"));
        let page = ask(address, "GET /echo/a%2Fb HTTP/1.1").await;
        assert!(page.contains("application/json") && page.ends_with("\"a%2Fb\"\n"), "{page}");
        let page = ask(address, "GET /echo/ HTTP/1.1").await;
        assert!(page.starts_with("HTTP/1.1 404") && page.ends_with("ask for something\n"), "{page}");
        assert!(ask(address, "PUT /echo/a HTTP/1.1").await.contains("allow: GET, HEAD"));
        assert!(ask(address, "GET /secrets HTTP/1.1").await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, "DELETE /metrics HTTP/1.1").await.contains("allow: GET, HEAD"));

        let put = |level: &str| format!("PUT /log-level HTTP/1.1\r\ncontent-length: {}", level.len());
        let mut tcp = TcpStream::connect(address).await.unwrap();
        let request = format!("{}\r\nhost: x\r\nconnection: close\r\n\r\ndebug", put("debug"));
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("debug\n"), "{answer}");
        assert!(ask(address, "GET /log-level HTTP/1.1").await.ends_with("debug\n"));

        shutdown.stop();
        serving.await.unwrap().unwrap();
    }
}
