//! The service that teams write by hand: tonic in front, sqlx behind, one thread, the table of the benchmarks.
//!
//! `tonic_sqlx URL` prints `listening on http://ADDRESS`.

#![allow(clippy::print_stdout, reason = "the address it listens on")]

use std::{
    convert::Infallible,
    error::Error,
    future::{Ready, ready},
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use sqlx_core::executor::Executor as _;
use sqlx_core::query::query;
use sqlx_core::row::Row as _;
use sqlx_core::types::time::PrimitiveDateTime;
use sqlx_mysql::{MySql, MySqlPool, MySqlPoolOptions, MySqlRow};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BY_KEY: &str =
    "SELECT id, name, email, category, city, price, stock, active, created_at, description FROM items WHERE id = ?";
const FIRST: &str = "SELECT id, name, email, category, city, price, stock, active, created_at, description FROM items \
                     ORDER BY id LIMIT ?";

#[derive(Clone, PartialEq, prost::Message)]
struct Item {
    #[prost(int64, tag = "1")]
    id: i64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    email: String,
    #[prost(int32, tag = "4")]
    category: i32,
    #[prost(string, tag = "5")]
    city: String,
    #[prost(double, tag = "6")]
    price: f64,
    #[prost(int64, tag = "7")]
    stock: i64,
    #[prost(bool, tag = "8")]
    active: bool,
    #[prost(message, optional, tag = "9")]
    created_at: Option<prost_types::Timestamp>,
    #[prost(string, tag = "10")]
    description: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GetRequest {
    #[prost(int64, tag = "1")]
    id: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListRequest {
    #[prost(int32, tag = "1")]
    page_size: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ListResponse {
    #[prost(message, repeated, tag = "1")]
    items: Vec<Item>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct CreateRequest {
    #[prost(message, optional, tag = "1")]
    item: Option<Item>,
}

/// Texts unchecked: sqlx takes a text that is compared by code point for bytes.
fn item(row: &MySqlRow) -> Result<Item, sqlx_core::Error> {
    let created: Option<PrimitiveDateTime> = row.try_get(8)?;
    let timestamp = |time: PrimitiveDateTime| {
        let time = time.assume_utc();
        prost_types::Timestamp { seconds: time.unix_timestamp(), nanos: time.nanosecond().cast_signed() }
    };
    Ok(Item {
        id: row.try_get(0)?,
        name: row.try_get_unchecked(1)?,
        email: row.try_get_unchecked(2)?,
        category: row.try_get(3)?,
        city: row.try_get_unchecked(4)?,
        price: row.try_get(5)?,
        stock: row.try_get(6)?,
        active: row.try_get(7)?,
        created_at: created.map(timestamp),
        description: row.try_get_unchecked(9)?,
    })
}

fn failed(error: sqlx_core::Error) -> Status {
    match error {
        sqlx_core::Error::RowNotFound => Status::not_found("no such item"),
        error => Status::unavailable(error.to_string()),
    }
}

type Answer<T> = Pin<Box<dyn Future<Output = Result<tonic::Response<T>, Status>> + Send>>;

struct Get(MySqlPool);

impl UnaryService<GetRequest> for Get {
    type Response = Item;
    type Future = Answer<Item>;

    fn call(&mut self, request: tonic::Request<GetRequest>) -> Self::Future {
        let pool = self.0.clone();
        Box::pin(async move {
            let query = query::<MySql>(BY_KEY).bind(request.into_inner().id);
            let row = query.fetch_one(&pool).await.map_err(failed)?;
            Ok(tonic::Response::new(item(&row).map_err(failed)?))
        })
    }
}

struct List(MySqlPool);

impl UnaryService<ListRequest> for List {
    type Response = ListResponse;
    type Future = Answer<ListResponse>;

    fn call(&mut self, request: tonic::Request<ListRequest>) -> Self::Future {
        let pool = self.0.clone();
        Box::pin(async move {
            let query = query::<MySql>(FIRST).bind(request.into_inner().page_size);
            let rows = query.fetch_all(&pool).await.map_err(failed)?;
            let items = rows.iter().map(item).collect::<Result<_, _>>().map_err(failed)?;
            Ok(tonic::Response::new(ListResponse { items }))
        })
    }
}

struct Create(MySqlPool);

impl UnaryService<CreateRequest> for Create {
    type Response = Item;
    type Future = Answer<Item>;

    fn call(&mut self, request: tonic::Request<CreateRequest>) -> Self::Future {
        let pool = self.0.clone();
        Box::pin(async move {
            let mut item = request.into_inner().item.unwrap_or_default();
            let text = "INSERT INTO items (name, email, category, city, price, stock, active, description, rowkeep_version) \
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1)";
            let query = query::<MySql>(text).bind(&item.name).bind(&item.email).bind(item.category).bind(&item.city);
            let query = query.bind(item.price).bind(item.stock).bind(item.active).bind(&item.description);
            let mut transaction = pool.begin().await.map_err(failed)?;
            let done = transaction.execute(query).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            item.id = done.last_insert_id().cast_signed();
            Ok(tonic::Response::new(item))
        })
    }
}

/// What a generated server does: finds the method by its path.
#[derive(Clone)]
struct Items(MySqlPool);

impl NamedService for Items {
    const NAME: &'static str = "bench.v1.ItemService";
}

impl tonic::codegen::Service<Request<Body>> for Items {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let pool = self.0.clone();
        match request.uri().path() {
            "/bench.v1.ItemService/GetItem" => Box::pin(async move {
                Ok(Grpc::new(ProstCodec::<Item, GetRequest>::default()).unary(Get(pool), request).await)
            }),
            "/bench.v1.ItemService/ListItems" => Box::pin(async move {
                Ok(Grpc::new(ProstCodec::<ListResponse, ListRequest>::default()).unary(List(pool), request).await)
            }),
            "/bench.v1.ItemService/CreateItem" => Box::pin(async move {
                Ok(Grpc::new(ProstCodec::<Item, CreateRequest>::default()).unary(Create(pool), request).await)
            }),
            _ => Box::pin(not_there()),
        }
    }
}

fn not_there() -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Status::new(Code::Unimplemented, "no such method").into_http()))
}

async fn serve(url: &str) -> Result<(), Box<dyn Error>> {
    let pool = MySqlPoolOptions::new().max_connections(32).connect(url).await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("listening on http://{}", listener.local_addr()?);
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_service(Items(pool)).serve_with_incoming(incoming).await?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).ok_or("usage: tonic_sqlx URL")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(&url))
}
