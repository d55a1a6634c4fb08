//! `grpc.health.v1.Health`: Check, List and Watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::Stream;
use kit_core::{Code, Error};
use kit_net::{Response, unfold};
use prost::Message as _;
use tokio::sync::watch;
pub use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

use crate::{Call, Framed};

/// `grpc.health.v1.HealthListResponse`, which tonic-health does not have yet.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthListResponse {
    #[prost(btree_map = "string, message", tag = "1")]
    statuses: BTreeMap<String, HealthCheckResponse>,
}

type Statuses = BTreeMap<String, ServingStatus>;

#[derive(Debug, Clone, Default)]
struct State {
    statuses: Arc<Statuses>,
    is_closed: bool,
}

/// The health of the services of a process. Clones share it.
///
/// The empty name is the process as a whole.
#[derive(Debug, Clone)]
pub struct HealthService {
    state: watch::Sender<State>,
}

impl HealthService {
    /// Every service unknown to serve yet: `NOT_SERVING`.
    pub fn new<'a>(services: impl IntoIterator<Item = &'a str>) -> Self {
        let names = services.into_iter().chain([""]);
        let statuses = names.map(|name| (name.to_owned(), ServingStatus::NotServing)).collect();
        Self { state: watch::Sender::new(State { statuses: Arc::new(statuses), is_closed: false }) }
    }

    /// Sets the status of every service.
    pub fn set_all(&self, status: ServingStatus) {
        self.state.send_modify(|state| {
            Arc::make_mut(&mut state.statuses).values_mut().for_each(|known| *known = status);
        });
    }

    /// Makes these the services of the process, each with the status of the process as a whole.
    pub fn set_services<'a>(&self, services: impl IntoIterator<Item = &'a str>) {
        self.state.send_modify(|state| {
            let status = state.statuses.get("").copied().unwrap_or(ServingStatus::NotServing);
            let names = services.into_iter().chain([""]);
            state.statuses = Arc::new(names.map(|name| (name.to_owned(), status)).collect());
        });
    }

    /// Sets the status of one service, which becomes known by that.
    pub fn set(&self, service: &str, status: ServingStatus) {
        self.state.send_modify(|state| {
            Arc::make_mut(&mut state.statuses).insert(service.to_owned(), status);
        });
    }

    /// The process drains: everything is `NOT_SERVING`, and watches end after they have said so.
    pub fn close(&self) {
        self.set_all(ServingStatus::NotServing);
        self.state.send_modify(|state| state.is_closed = true);
    }

    /// Whether a path is a method of this service.
    pub fn is_path(path: &str) -> bool {
        path.starts_with("/grpc.health.v1.Health/")
    }

    /// Answers a call to `path`.
    pub async fn serve<B>(&self, path: &str, call: &Call, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes> + Unpin,
        B::Error: Into<kit_core::BoxError>,
    {
        let message = match call.read(body).await {
            Ok(message) => message,
            Err(error) => return call.fail(&error),
        };
        match self.answer(path, &message) {
            Ok(Answer::One(message)) => call.reply(message),
            Ok(Answer::Watch(service)) => call.stream(self.watch(service)),
            Err(error) => call.fail(&error),
        }
    }

    fn answer(&self, path: &str, message: &[u8]) -> Result<Answer, Error> {
        let statuses = || Arc::clone(&self.state.borrow().statuses);
        match path.rsplit('/').next().unwrap_or_default() {
            "Check" => {
                let status = *statuses().get(&service_of(message)?).ok_or_else(unknown_service)?;
                Ok(Answer::One(framed(status)))
            }
            "List" => {
                let response = |status: &ServingStatus| HealthCheckResponse { status: (*status).into() };
                let statuses = statuses().iter().map(|(name, status)| (name.clone(), response(status))).collect();
                Ok(Answer::One(Framed::copy_of(&HealthListResponse { statuses }.encode_to_vec())))
            }
            "Watch" => Ok(Answer::Watch(service_of(message)?)),
            _ => Err(Error::new(Code::Unimplemented, "UNKNOWN_METHOD", "grpc.health.v1.Health has no such method")),
        }
    }

    /// The status of a service now and whenever it changes.
    fn watch(&self, service: String) -> impl Stream<Item = Result<Framed, Error>> + use<> {
        let watch = Watch { service, states: self.state.subscribe(), last: None };
        unfold(watch, |mut watch| async move { Ok(watch.next().await?.map(|status| (framed(status), watch))) })
    }
}

enum Answer {
    One(Framed),
    Watch(String),
}

struct Watch {
    service: String,
    states: watch::Receiver<State>,
    last: Option<ServingStatus>,
}

impl Watch {
    async fn next(&mut self) -> Result<Option<ServingStatus>, Error> {
        loop {
            let (status, is_closed) = {
                let state = self.states.borrow_and_update();
                // The protocol has a status for a service that may become known later.
                let status = state.statuses.get(&self.service).copied().unwrap_or(ServingStatus::ServiceUnknown);
                (status, state.is_closed)
            };
            if self.last != Some(status) {
                self.last = Some(status);
                return Ok(Some(status));
            }
            if is_closed || self.states.changed().await.is_err() {
                return Err(Error::new(Code::Unavailable, "DRAINING", "the server is shutting down"));
            }
        }
    }
}

fn service_of(message: &[u8]) -> Result<String, Error> {
    let request = HealthCheckRequest::decode(message).map_err(|error| {
        Error::new(Code::InvalidArgument, "BAD_MESSAGE", "not a HealthCheckRequest").with_source(error)
    })?;
    Ok(request.service)
}

fn unknown_service() -> Error {
    Error::new(Code::NotFound, "UNKNOWN_SERVICE", "no service of that name is known here")
}

fn framed(status: ServingStatus) -> Framed {
    Framed::copy_of(&HealthCheckResponse { status: status.into() }.encode_to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_watch_sees_changes_and_ends_when_the_server_drains() {
        let health = HealthService::new(["shop.v1.UserService"]);
        let mut watch = Watch { service: "shop.v1.UserService".into(), states: health.state.subscribe(), last: None };
        assert_eq!(watch.next().await.unwrap(), Some(ServingStatus::NotServing));
        health.set_all(ServingStatus::Serving);
        health.set("other", ServingStatus::NotServing);
        assert_eq!(watch.next().await.unwrap(), Some(ServingStatus::Serving));
        health.close();
        assert_eq!(watch.next().await.unwrap(), Some(ServingStatus::NotServing));
        assert_eq!(watch.next().await.unwrap_err().code(), Code::Unavailable);
    }

    #[test]
    fn an_unknown_service_is_not_found_and_an_unknown_method_unimplemented() {
        let health = HealthService::new([]);
        let request = HealthCheckRequest { service: "nobody".into() }.encode_to_vec();
        let code = |path| health.answer(path, &request).err().map(|error| error.code());
        assert_eq!(code("/grpc.health.v1.Health/Check"), Some(Code::NotFound));
        assert_eq!(code("/grpc.health.v1.Health/Cure"), Some(Code::Unimplemented));
        assert_eq!(code("/grpc.health.v1.Health/List"), None);
    }
}
