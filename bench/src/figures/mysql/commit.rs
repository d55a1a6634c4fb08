//! Five writes over three tables in one go: `Commit` of a client of the shop beside the same statements in a transaction
//! by sqlx, without a service between. One client, one after the other.
//!
//! What speaks SQL runs on the server's core, be it Rowkeep or the transaction written by hand, so that both have the same
//! way to the database: waking another core takes longer than most statements.

use std::time::Instant;

use prost_types::{Any, FieldMask};
use shop_client::google::r#type::Decimal;
use shop_client::rowkeep::v1::store_client::StoreClient;
use shop_client::rowkeep::v1::{CommitRequest, Transform, Update, Write, transform, write};
use shop_client::shop::v1::{Order, OrderItem, Product};
use sqlx_core::{connection::Connection as _, executor::Executor as _, query::query};
use sqlx_mysql::{MySql, MySqlConnection};
use testkit::MariaDb;
use tonic::transport::{Channel, Endpoint};

use crate::{
    Result,
    host::{self, LOAD_CORE, SERVER_CORE, median},
    results::Line,
    server::Server,
};

/// Commits and transactions take turns in blocks of so many.
const BLOCK: u32 = 50;
/// Blocks that count; one of each before them does not.
const BLOCKS: u32 = 10;
/// Each way has an order of its own to add to, numbered from 1.
const COMMITTED: i64 = 1;
const BY_HAND: i64 = 2;

const ADD: &str = "INSERT INTO order_items (order_id, line, product_id, quantity, unit_price, rowkeep_version) VALUES (?, ?, ?, 1, ?, 1)";
const TAKE: &str = "UPDATE products SET stock = stock - 1, updated_at = UTC_TIMESTAMP(6), \
                    rowkeep_version = rowkeep_version + 1 WHERE id = ?";
const NOTE: &str = "UPDATE orders SET note = ?, updated_at = UTC_TIMESTAMP(6), rowkeep_version = rowkeep_version + 1 \
                    WHERE id = ?";

pub(crate) fn run() -> Result<Vec<Line>> {
    let database = MariaDb::start();
    host::pin(database.id(), LOAD_CORE)?;
    let shop = testkit::workspace_root().join("examples/shop/shop.proto");
    let server = Server::rowkeep_over(&shop, &[("ROWKEEP_DATABASE", &database.url())])?;
    fill(&server)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let [ours, by_hand] = runtime.block_on(measure(&server, &database.url()))?;
    check(&database)?;
    let ratio = ours / by_hand;
    Ok(vec![Line {
        figure: "MariaDB, Commit of 5 writes over 3 tables, p50, one client",
        value: format!("{ours:.0} us"),
        beside: format!("the statements in one transaction, sqlx without a service: {by_hand:.0} us"),
        ratio: format!("{ratio:.2}x"),
        bar: "<= 1.3x",
        met: ratio <= 1.3,
    }])
}

/// Two products and two orders.
fn fill(server: &Server) -> Result<()> {
    let product =
        |sku| format!(r#"{{"sku": "{sku}", "name": "Tea", "price": {{"value": "4.50"}}, "stock": "1000000"}}"#);
    let order = r#"{"user_id": "1", "note": "none"}"#.to_owned();
    for (collection, row) in [
        ("users", r#"{"email": "ann@example.com", "name": "Ann"}"#.to_owned()),
        ("products", product("TEA-1")),
        ("products", product("TEA-2")),
        ("orders", order.clone()),
        ("orders", order),
    ] {
        let created = testkit::http::json("POST", &format!("{}/v1/{collection}", server.url), &row);
        if created.status != 201 {
            return Err(format!("{collection}: {} {}", created.status, created.text()));
        }
    }
    Ok(())
}

/// Median latencies in microseconds: of `Commit`, of the transaction.
async fn measure(server: &Server, database: &str) -> Result<[f64; 2]> {
    let endpoint = Endpoint::from_shared(server.url.clone()).map_err(|error| error.to_string())?;
    let mut store = StoreClient::new(endpoint.connect().await.map_err(|error| error.to_string())?);
    let mut connection = MySqlConnection::connect(database).await.map_err(|error| error.to_string())?;
    let (mut commits, mut transactions) = (Vec::new(), Vec::new());
    let this = std::process::id();
    for block in 0..=BLOCKS {
        host::pin(this, LOAD_CORE)?;
        for number in block * BLOCK..(block + 1) * BLOCK {
            let started = Instant::now();
            commit(&mut store, number).await?;
            commits.push(micros(started));
        }
        host::pin(this, SERVER_CORE)?;
        for number in block * BLOCK..(block + 1) * BLOCK {
            let started = Instant::now();
            transaction(&mut connection, number).await.map_err(|error| error.to_string())?;
            transactions.push(micros(started));
        }
        if block == 0 {
            (commits, transactions) = (Vec::new(), Vec::new());
        }
    }
    host::pin(this, LOAD_CORE)?;
    Ok([median(commits), median(transactions)])
}

fn micros(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1e6
}

/// The lines that the n-th addition makes.
fn lines(number: u32) -> Result<[i32; 2]> {
    let last = i32::try_from(2 * number + 2).map_err(|error| error.to_string())?;
    Ok([last - 1, last])
}

async fn commit(store: &mut StoreClient<Channel>, number: u32) -> Result<()> {
    let mut writes = Vec::with_capacity(5);
    for (line, product_id) in lines(number)?.into_iter().zip([1, 2]) {
        let unit_price = Some(Decimal { value: "4.50".to_owned() });
        let item = OrderItem { order_id: COMMITTED, line, product_id, quantity: 1, unit_price };
        writes.push(write::Operation::Create(packed(&item)?));
        let less = Some(transform::Operation::Increment("-1".to_owned()));
        let transforms = vec![Transform { field: "stock".to_owned(), operation: less }];
        let row = Some(packed(&Product { id: product_id, ..Product::default() })?);
        let update_mask = Some(FieldMask::default());
        writes.push(write::Operation::Update(Update { row, update_mask, transforms, ..Update::default() }));
    }
    let row = Some(packed(&Order { id: COMMITTED, note: format!("addition {number}"), ..Order::default() })?);
    let update_mask = Some(FieldMask { paths: vec!["note".to_owned()] });
    writes.push(write::Operation::Update(Update { row, update_mask, ..Update::default() }));
    let writes = writes.into_iter().map(|operation| Write { operation: Some(operation), precondition: None }).collect();
    let done = store.commit(CommitRequest { writes, ..CommitRequest::default() }).await;
    let results = done.map_err(|status| format!("Commit: {status}"))?.into_inner().results.len();
    if results == 5 { Ok(()) } else { Err(format!("a commit of 5 writes has {results} results")) }
}

fn packed(row: &impl prost::Name) -> Result<Any> {
    Any::from_msg(row).map_err(|error| error.to_string())
}

async fn transaction(connection: &mut MySqlConnection, number: u32) -> std::result::Result<(), sqlx_core::Error> {
    let mut transaction = connection.begin().await?;
    let lines = lines(number).map_err(sqlx_core::Error::Protocol)?;
    for (line, product) in lines.into_iter().zip([1_i64, 2]) {
        let add = query::<MySql>(ADD).bind(BY_HAND).bind(line).bind(product).bind("4.50");
        transaction.execute(add).await?;
        transaction.execute(query::<MySql>(TAKE).bind(product)).await?;
    }
    let note = query::<MySql>(NOTE).bind(format!("addition {number}")).bind(BY_HAND);
    transaction.execute(note).await?;
    transaction.commit().await
}

/// Both ways must have written the same.
fn check(database: &MariaDb) -> Result<()> {
    let each = 2 * BLOCK * (BLOCKS + 1);
    let written = database.admin(
        "SELECT order_id, COUNT(*) FROM test.order_items GROUP BY order_id ORDER BY order_id; \
         SELECT note FROM test.orders ORDER BY id; SELECT 1000000 - stock FROM test.products ORDER BY id",
    );
    let last = BLOCK * (BLOCKS + 1) - 1;
    let expected = format!("1\t{each}\n2\t{each}\naddition {last}\naddition {last}\n{each}\n{each}");
    if written == expected { Ok(()) } else { Err(format!("not everything was written once:\n{written}")) }
}
