//! The generated client against a running server.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use prost::Name;
use prost_types::{Any, FieldMask};
use shop_client::google::r#type::Decimal;
use shop_client::rowkeep::v1::store_client::StoreClient;
use shop_client::rowkeep::v1::{CommitRequest, Precondition, Transform, Update, Write, transform, write};
use shop_client::shop::v1::user_service_client::UserServiceClient;
use shop_client::shop::v1::{
    BatchCreateUsersRequest, BatchGetUsersRequest, CreateUserRequest, DeleteUserRequest, GetUserRequest,
    ListUsersRequest, Product, UpdateUserRequest, User, WatchUsersRequest, watch_users_response::Event,
};
use testkit::Rowkeep;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

const SHOP: &str = "examples/shop/shop.proto";

async fn channel(server: &Rowkeep) -> Channel {
    Channel::from_shared(server.url()).unwrap().connect().await.unwrap()
}

fn new_user(name: &str) -> CreateUserRequest {
    let user = User { email: format!("{name}@x.org"), name: name.to_owned(), ..User::default() };
    CreateUserRequest { user: Some(user), ..CreateUserRequest::default() }
}

fn mask(fields: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: fields.iter().map(|&field| field.to_owned()).collect() })
}

fn reason_of(status: &Status) -> String {
    status.get_details_error_info().unwrap_or_else(|| panic!("{status:?} has no reason")).reason
}

#[test]
fn the_client_is_generated_from_what_the_binary_writes() {
    let directory = tempfile::tempdir().unwrap();
    let arguments = ["proto", SHOP, "--out", directory.path().to_str().unwrap()];
    assert!(testkit::command(&arguments).output().unwrap().status.success());
    let mut compiler = protox::Compiler::new([directory.path()]).unwrap();
    compiler.include_imports(true).include_source_info(true).open_file("shop/v1/shop_rowkeep.proto").unwrap();
    let is_same = compiler.encode_file_descriptor_set() == shop_client::DESCRIPTORS;
    assert!(is_same, "what is derived has changed; the snapshot of rowkeep-schema's tests says how");
}

#[tokio::test]
async fn rows_are_created_read_changed_and_deleted() {
    let server = Rowkeep::start(SHOP, &[]);
    let mut users = UserServiceClient::new(channel(&server).await);
    let ann = users.create_user(new_user("ann")).await.unwrap().into_inner();
    assert!(ann.id > 0 && ann.created_at.is_some());
    let by_id = GetUserRequest { id: ann.id, read_mask: None };
    assert_eq!(users.get_user(by_id.clone()).await.unwrap().into_inner(), ann);

    let user = User { id: ann.id, name: "Anna".to_owned(), city: Some("left alone".to_owned()), ..User::default() };
    let change = UpdateUserRequest { user: Some(user), update_mask: mask(&["name"]), ..UpdateUserRequest::default() };
    let answer = users.update_user(change).await.unwrap();
    let etag = answer.metadata().get("etag").unwrap().to_str().unwrap().to_owned();
    assert_eq!(*answer.get_ref(), User { name: "Anna".to_owned(), ..ann });

    let delete = DeleteUserRequest { id: ann.id, etag, ..DeleteUserRequest::default() };
    users.delete_user(delete).await.unwrap();
    let gone = users.get_user(by_id).await.unwrap_err();
    assert_eq!((gone.code(), reason_of(&gone).as_str()), (Code::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn rows_are_watched() {
    let server = Rowkeep::start(SHOP, &[]);
    let mut users = UserServiceClient::new(channel(&server).await);
    let ann = users.create_user(new_user("ann")).await.unwrap().into_inner();
    let request = WatchUsersRequest { snapshot: true, ..WatchUsersRequest::default() };
    let mut stream = users.watch_users(request).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().event, Some(Event::Changed(ann.clone())));
    let complete = stream.message().await.unwrap().unwrap();
    assert_eq!(complete.event, Some(Event::SnapshotComplete(true)));
    users.delete_user(DeleteUserRequest { id: ann.id, ..DeleteUserRequest::default() }).await.unwrap();
    let gone = Some(Event::Deleted(User { id: ann.id, ..User::default() }));
    assert_eq!(stream.message().await.unwrap().unwrap().event, gone);
    let request = WatchUsersRequest { resume_token: complete.resume_token, ..WatchUsersRequest::default() };
    let mut resumed = users.watch_users(request).await.unwrap().into_inner();
    assert_eq!(resumed.message().await.unwrap().unwrap().event, gone);
}

#[tokio::test]
async fn rows_are_read_by_their_keys_in_the_order_asked() {
    let server = Rowkeep::start(SHOP, &[]);
    let mut users = UserServiceClient::new(channel(&server).await);
    let mut ids = Vec::new();
    for name in ["a", "b"] {
        ids.push(users.create_user(new_user(name)).await.unwrap().get_ref().id);
    }
    let missing = ids[1] + 1;
    let mut request = BatchGetUsersRequest {
        ids: vec![ids[1], missing, ids[0]],
        allow_missing: true,
        read_mask: mask(&["id", "name"]),
    };
    let found = users.batch_get_users(request.clone()).await.unwrap().into_inner();
    let shown = |id: i64, name: &str| User { id, name: name.to_owned(), ..User::default() };
    assert_eq!(found.users, [shown(ids[1], "b"), shown(ids[0], "a")]);
    assert_eq!(found.missing_ids, [missing]);

    request.allow_missing = false;
    let refused = users.batch_get_users(request).await.unwrap_err();
    assert_eq!((refused.code(), reason_of(&refused).as_str()), (Code::NotFound, "NOT_FOUND"));
}

#[tokio::test]
async fn a_batch_is_written_and_listed_page_by_page() {
    let server = Rowkeep::start(SHOP, &[]);
    let mut users = UserServiceClient::new(channel(&server).await);
    let requests = ["a", "b", "c"].map(new_user).to_vec();
    let batch = BatchCreateUsersRequest { requests, ..BatchCreateUsersRequest::default() };
    assert_eq!(users.batch_create_users(batch).await.unwrap().get_ref().users.len(), 3);

    let mut request =
        ListUsersRequest { page_size: 2, order_by: "email desc".to_owned(), ..ListUsersRequest::default() };
    let first = users.list_users(request.clone()).await.unwrap().into_inner();
    request.page_token = first.next_page_token;
    let second = users.list_users(request).await.unwrap().into_inner();
    let names: Vec<_> = first.users.iter().chain(&second.users).map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["c", "b", "a"]);
    assert_eq!(second.next_page_token, "");
}

/// A row as `Commit` takes it.
fn packed(row: &impl Name) -> Any {
    Any::from_msg(row).unwrap()
}

#[tokio::test]
async fn a_commit_writes_rows_of_several_entities_or_none() {
    let server = Rowkeep::start(SHOP, &[]);
    let mut store = StoreClient::new(channel(&server).await);
    let price = Some(Decimal { value: "9.50".to_owned() });
    let cup = Product { sku: "CUP-1".to_owned(), name: "Cup".to_owned(), price, stock: 3, ..Product::default() };
    let create = |row: Any| Write { operation: Some(write::Operation::Create(row)), precondition: None };
    let user = new_user("ann").user.unwrap();
    let writes = vec![create(packed(&cup)), create(packed(&user))];
    let done = store.commit(CommitRequest { writes, ..CommitRequest::default() }).await.unwrap().into_inner();
    let stored = done.results[0].row.as_ref().unwrap().to_msg::<Product>().unwrap();
    assert_eq!((stored.stock, done.results[0].etag.is_empty()), (3, false));

    let take = |condition: &str| {
        let by = transform::Operation::Increment("-2".to_owned());
        let transforms = vec![Transform { field: "stock".to_owned(), operation: Some(by) }];
        let row = Some(packed(&Product { id: stored.id, ..Product::default() }));
        let update = Update { row, update_mask: mask(&[]), transforms, ..Update::default() };
        let precondition = Some(Precondition { condition: condition.to_owned(), ..Precondition::default() });
        let write = Write { operation: Some(write::Operation::Update(update)), precondition };
        CommitRequest { writes: vec![write], ..CommitRequest::default() }
    };
    let left = store.commit(take("stock >= 2")).await.unwrap().into_inner();
    assert_eq!(left.results[0].row.as_ref().unwrap().to_msg::<Product>().unwrap().stock, 1);
    let short = store.commit(take("stock >= 2")).await.unwrap_err();
    assert_eq!((short.code(), reason_of(&short).as_str()), (Code::FailedPrecondition, "CONDITION_FAILED"));
}

#[tokio::test]
async fn a_refusal_carries_its_details() {
    let server = Rowkeep::start(SHOP, &[]);
    let mut users = UserServiceClient::new(channel(&server).await);
    let wrong = User { email: "nonsense".to_owned(), city: Some("x".repeat(200)), ..User::default() };
    let request = Request::new(CreateUserRequest { user: Some(wrong), ..CreateUserRequest::default() });
    let refused = users.create_user(request).await.unwrap_err();
    assert_eq!((refused.code(), reason_of(&refused).as_str()), (Code::InvalidArgument, "INVALID_FIELDS"));
    let violations = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["user.email", "user.name", "user.city"]);
    assert_eq!(refused.get_details_error_info().unwrap().metadata["applied"], "false");
}
