//! The shop example, as everybody else uses it.

use std::path::PathBuf;

use rowkeep_schema::{Auto, CompileOptions, Generated, MethodKind, OnDelete, Schema, Storage, compile};

fn shop() -> Schema {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/shop.proto");
    compile(&CompileOptions { files: vec![file], includes: Vec::new() }).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn names_follow_from_the_messages() {
    let schema = shop();
    let names: Vec<[&str; 5]> = schema
        .entities
        .iter()
        .map(|e| [e.name.as_str(), &e.plural, &e.table, &e.rest_collection, &e.plural_snake])
        .collect();
    assert_eq!(
        names,
        [
            ["User", "Users", "users", "/v1/users", "users"],
            ["Product", "Products", "products", "/v1/products", "products"],
            ["Order", "Orders", "orders", "/v1/orders", "orders"],
            ["OrderItem", "OrderItems", "order_items", "/v1/orderItems", "order_items"],
        ]
    );
}

#[test]
fn columns_have_their_storage_and_who_fills_them() {
    let schema = shop();
    let user = schema.entity_by_name("User").unwrap();
    let id = user.column_by_field("id").unwrap();
    assert_eq!((id.storage, id.generated, id.nullable), (Storage::Int64, Some(Generated::AutoIncrement), false));
    assert!(user.column_by_field("city").unwrap().nullable);
    let created = user.column_by_field("created_at").unwrap();
    assert_eq!((created.storage, created.auto), (Storage::Timestamp, Some(Auto::CreateTime)));
    let product = schema.entity_by_name("shop.v1.Product").unwrap();
    let price = product.column_by_field("price").unwrap();
    assert_eq!(price.storage, Storage::Decimal { precision: 10, scale: 2 });
    assert_eq!(product.column_by_field("tags").unwrap().storage, Storage::Json);
    assert_eq!(product.soft_delete.unwrap().column, Some(product.column_by_field("deleted_at").unwrap().id));
    let order = schema.entity_by_name("Order").unwrap();
    assert!(matches!(order.column_by_field("status").unwrap().storage, Storage::Enum(_)));
    assert_eq!(order.column_by_field("etag").unwrap().auto, Some(Auto::Etag));
}

#[test]
fn rows_are_parallel_to_their_columns() {
    let schema = shop();
    for entity in &schema.entities {
        let message = schema.message(entity.message);
        assert_eq!(message.entity, Some(entity.id));
        let fields: Vec<&str> = message.fields.iter().map(|field| field.name.as_str()).collect();
        let columns: Vec<&str> = entity.columns.iter().map(|column| column.field.as_str()).collect();
        assert_eq!(fields, columns);
    }
}

#[test]
fn references_know_both_ends() {
    let schema = shop();
    let item = schema.entity_by_name("OrderItem").unwrap();
    let order = schema.entity_by_name("Order").unwrap();
    let reference = item.column_by_field("order_id").unwrap().references.unwrap();
    assert_eq!((reference.entity, reference.on_delete), (order.id, OnDelete::Cascade));
    assert_eq!(order.referenced_by, [(item.id, item.column_by_field("order_id").unwrap().id)]);
    assert_eq!(item.primary_key.len(), 2);
}

#[test]
fn indexes_and_lookups_are_named() {
    let schema = shop();
    let user = schema.entity_by_name("User").unwrap();
    let names: Vec<(&str, Option<&str>)> =
        user.indexes.iter().map(|index| (index.name.as_str(), index.lookup.as_deref())).collect();
    assert_eq!(names, [("idx_users_email", Some("Email")), ("idx_users_city_created_at", None)]);
    let methods: Vec<&str> = schema
        .methods
        .iter()
        .filter(|method| method.entity == Some(user.id))
        .map(|method| method.name.as_str())
        .collect();
    assert!(methods.contains(&"GetUserByEmail"), "{methods:?}");
    assert_eq!(schema.methods.last().map(|method| method.kind), Some(MethodKind::Commit));
}

#[test]
fn derived_messages_and_comments_are_in_the_schema() {
    let schema = shop();
    for name in ["shop.v1.ListUsersResponse", "rowkeep.v1.CommitRequest", "google.protobuf.FieldMask"] {
        assert!(schema.message_by_name(name).is_some(), "{name}");
    }
    let user = schema.entity_by_name("User").unwrap();
    assert_eq!(user.comment, "Somebody who buys.");
    assert_eq!(user.column_by_field("email").unwrap().comment, "Where receipts go.");
    assert_eq!((user.location.line, user.location.column), (11, 9));
}
