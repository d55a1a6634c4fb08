//! A client of the one service that both Rowkeep and go-zero serve.

use std::time::Duration;

use tonic::{
    Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

use crate::Result;

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(2);

#[derive(Clone, PartialEq, prost::Message)]
struct GetItemRequest {
    #[prost(int64, tag = "1")]
    id: i64,
}

/// Of a row the key, and the field that is written.
#[derive(Clone, PartialEq, prost::Message)]
struct Item {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct UpdateItemRequest {
    #[prost(message, optional, tag = "1")]
    item: Option<Item>,
    #[prost(message, optional, tag = "2")]
    update_mask: Option<prost_types::FieldMask>,
}

/// One connection to one instance, which is opened anew when it breaks.
#[derive(Clone)]
pub(crate) struct Client(Channel);

impl Client {
    pub(crate) fn connect(url: &str) -> Result<Self> {
        let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| error.to_string())?;
        Ok(Self(endpoint.timeout(PATIENCE).connect_timeout(PATIENCE).connect_lazy()))
    }

    /// The number in the row's name; `None` for a name without one, as a row has at first.
    pub(crate) async fn read(&self, id: i64) -> std::result::Result<Option<u64>, Status> {
        let item: Item = self.call("/bench.v1.ItemService/GetItem", GetItemRequest { id }).await?;
        Ok(item.name.strip_prefix('v').and_then(|number| number.parse().ok()))
    }

    /// Writes a number into the row's name.
    pub(crate) async fn write(&self, id: i64, number: u64) -> std::result::Result<(), Status> {
        let item = Some(Item { id, name: format!("v{number}") });
        let update_mask = Some(prost_types::FieldMask { paths: vec!["name".to_owned()] });
        let path = "/bench.v1.ItemService/UpdateItem";
        self.call::<_, Item>(path, UpdateItemRequest { item, update_mask }).await.map(drop)
    }

    async fn call<Q, A>(&self, path: &'static str, request: Q) -> std::result::Result<A, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static(path);
        grpc.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await.map(tonic::Response::into_inner)
    }
}
