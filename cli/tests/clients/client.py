"""A client of the shop as a Python programmer writes one: grpcio and what protoc made of `rowkeep proto --out`.

    client.py GENERATED ADDRESS SCENARIO
"""

import sys
import threading

sys.path.insert(0, sys.argv[1])

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, field_mask_pb2
from google.rpc import error_details_pb2
from google.type import decimal_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status

import shop_pb2 as shop
from rowkeep.v1 import options_pb2, store_pb2, store_pb2_grpc
from shop.v1 import shop_rowkeep_pb2 as api
from shop.v1 import shop_rowkeep_pb2_grpc as services


def new_user(users, name, **fields):
    return users.CreateUser(api.CreateUserRequest(user=shop.User(email=f"{name}@x.org", name=name, **fields)))


def refused(call, code, reason):
    """The call must fail so; answers its details by type."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, error
        status = rpc_status.from_call(error)
        assert status.code == code.value[0] and status.message == error.details(), status
        details = {}
        for packed in status.details:
            detail = getattr(error_details_pb2, packed.TypeName().rsplit(".")[-1])()
            assert packed.Unpack(detail)
            details[type(detail).__name__] = detail
        assert details["ErrorInfo"].reason == reason, details
        assert details["ErrorInfo"].domain == "rowkeep.dev"
        return details
    raise AssertionError(f"{code} was expected")


def rows_are_created_read_changed_and_deleted(channel):
    users = services.UserServiceStub(channel)
    ann = new_user(users, "ann", city="Oslo")
    assert ann.id > 0 and ann.HasField("created_at") and ann.city == "Oslo"
    assert users.GetUser(api.GetUserRequest(id=ann.id)) == ann
    assert users.GetUserByEmail(api.GetUserByEmailRequest(email="ann@x.org")) == ann
    mask = field_mask_pb2.FieldMask(paths=["name"])
    change = shop.User(id=ann.id, name="Anna", city="ignored")
    anna, call = users.UpdateUser.with_call(api.UpdateUserRequest(user=change, update_mask=mask))
    assert (anna.name, anna.city, anna.created_at) == ("Anna", "Oslo", ann.created_at)
    etag = dict(call.initial_metadata())["etag"]
    # Cleared: named by the mask, absent in the message.
    mask = field_mask_pb2.FieldMask(paths=["city"])
    cleared = users.UpdateUser(api.UpdateUserRequest(user=shop.User(id=ann.id), update_mask=mask, etag=etag))
    assert not cleared.HasField("city")
    only = users.GetUser(api.GetUserRequest(id=ann.id, read_mask=field_mask_pb2.FieldMask(paths=["email"])))
    assert only == shop.User(email="ann@x.org")
    stale = lambda: users.UpdateUser(api.UpdateUserRequest(user=change, update_mask=mask, etag=etag))
    refused(stale, grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    users.DeleteUser(api.DeleteUserRequest(id=ann.id))
    refused(lambda: users.GetUser(api.GetUserRequest(id=ann.id)), grpc.StatusCode.NOT_FOUND, "NOT_FOUND")


def lists_are_read_page_by_page(channel):
    users = services.UserServiceStub(channel)
    for number in range(25):
        new_user(users, f"u{number}", city="Rome" if number % 2 else "Oslo")
    seen, token, pages = [], "", 0
    while True:
        request = api.ListUsersRequest(page_size=4, page_token=token, filter='city = "Rome"', order_by="created_at desc")
        page = users.ListUsers(request)
        seen += [user.name for user in page.users]
        token, pages = page.next_page_token, pages + 1
        if not token:
            break
    assert seen == [f"u{number}" for number in range(23, 0, -2)], seen
    assert pages == 3
    total = users.ListUsers(api.ListUsersRequest(page_size=1, include_total_size=True)).total_size
    assert total == 25
    foreign = api.ListUsersRequest(page_token="AAAA")
    refused(lambda: users.ListUsers(foreign), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")


def packed(row):
    write = store_pb2.Write()
    write.create.Pack(row)
    return write


def batches_and_commits_are_all_or_nothing(channel):
    users, products = services.UserServiceStub(channel), services.ProductServiceStub(channel)
    create = lambda name: api.CreateUserRequest(user=shop.User(email=f"{name}@x.org", name=name))
    both = users.BatchCreateUsers(api.BatchCreateUsersRequest(requests=[create("a"), create("b")])).users
    assert [user.name for user in both] == ["a", "b"]
    twice = api.BatchCreateUsersRequest(requests=[create("c"), create("a")])
    refused(lambda: users.BatchCreateUsers(twice), grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    ids = [both[1].id, both[0].id, 999]
    found = users.BatchGetUsers(api.BatchGetUsersRequest(ids=ids, allow_missing=True))
    assert ([user.name for user in found.users], list(found.missing_ids)) == (["b", "a"], [999])

    store = store_pb2_grpc.StoreStub(channel)
    cup = shop.Product(sku="CUP-1", name="Cup", price=decimal_pb2.Decimal(value="9.50"), stock=3)
    order = shop.Order(user_id=both[0].id)
    request = store_pb2.CommitRequest(writes=[packed(cup), packed(order)], request_id="order-1")
    done = store.Commit(request)
    assert store.Commit(request) == done
    stored = shop.Product()
    assert done.results[0].row.Unpack(stored) and stored.stock == 3 and done.results[0].etag
    take = store_pb2.Write()
    take.update.row.Pack(shop.Product(id=stored.id))
    take.update.update_mask.SetInParent()
    take.update.transforms.add(field="stock", increment="-2")
    take.precondition.condition = "stock >= 2"
    item = shop.OrderItem(order_id=1, line=1, product_id=stored.id, quantity=2)
    store.Commit(store_pb2.CommitRequest(writes=[take, packed(item)]))
    item.line = 2
    again = lambda: store.Commit(store_pb2.CommitRequest(writes=[packed(item), take]))
    refused(again, grpc.StatusCode.FAILED_PRECONDITION, "CONDITION_FAILED")
    assert products.GetProduct(api.GetProductRequest(id=stored.id)).stock == 1
    items = services.OrderItemServiceStub(channel)
    assert len(items.ListOrderItems(api.ListOrderItemsRequest(filter="order_id = 1")).order_items) == 1


def errors_carry_their_details(channel):
    users = services.UserServiceStub(channel)
    wrong = api.CreateUserRequest(user=shop.User(email="nonsense", city="x" * 200))
    details = refused(lambda: users.CreateUser(wrong), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELDS")
    fields = [violation.field for violation in details["BadRequest"].field_violations]
    assert fields == ["user.email", "user.name", "user.city"], fields
    assert details["ErrorInfo"].metadata["applied"] == "false"
    new_user(users, "taken")
    details = refused(lambda: new_user(users, "taken"), grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    assert details["ResourceInfo"].resource_type == "shop.v1.User", details
    unknown = channel.unary_unary("/shop.v1.UserService/GetUsr")
    refused(lambda: unknown(b""), grpc.StatusCode.UNIMPLEMENTED, "UNKNOWN_METHOD")
    malformed = channel.unary_unary("/shop.v1.UserService/GetUser")
    try:
        malformed(b"\xff\xff")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
    # A deadline that has passed is the client's own; one that is far away is taken.
    try:
        users.GetUser(api.GetUserRequest(id=1), timeout=-1)
        raise AssertionError("no deadline")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    users.GetUser(api.GetUserRequest(id=1), timeout=30, compression=grpc.Compression.Gzip)


def the_schema_is_reflected_with_its_options(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    names = set(database.get_services())
    assert {"shop.v1.UserService", "rowkeep.v1.Store", "grpc.health.v1.Health"} <= names, names
    file = database.FindFileContainingSymbol("shop.v1.User")
    assert "shop.proto" == file.name
    pool = descriptor_pool.DescriptorPool(database)
    method = pool.FindServiceByName("shop.v1.UserService").FindMethodByName("CreateUser")
    assert method.input_type.full_name == "shop.v1.CreateUserRequest"
    # The options arrive as bytes and are read with the generated extensions.
    raw = descriptor_pb2.DescriptorProto.FromString(
        next(message for message in file.message_type if message.name == "User").SerializeToString()
    )
    assert raw.options.Extensions[options_pb2.entity].index[0].fields == "city, created_at"
    email = next(field for field in raw.field if field.name == "email")
    assert email.options.Extensions[options_pb2.column].unique


def health_is_told(channel):
    health = health_pb2_grpc.HealthStub(channel)
    for service in ["", "shop.v1.UserService", "rowkeep.v1.Store"]:
        answer = health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING, service
    try:
        health.Check(health_pb2.HealthCheckRequest(service="shop.v1.Nothing"))
        raise AssertionError("an unknown service is healthy")
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.NOT_FOUND, error
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def writes_until_the_server_is_gone(channel):
    """Prints every acknowledged name. The end may only be that nobody listens any more."""
    users = services.UserServiceStub(channel)
    one_at_a_time = threading.Lock()

    def tell(*words):
        with one_at_a_time:
            print(*words, flush=True)

    def work(worker):
        number = 0
        while True:
            name = f"g{worker}-{number}"
            try:
                new_user(users, name)
            except grpc.RpcError as error:
                gone = error.code() == grpc.StatusCode.UNAVAILABLE and "refused" in error.details()
                if not gone:
                    tell("failed", name, error.code(), error.details())
                return
            tell("ok", name)
            number += 1

    workers = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


with grpc.insecure_channel(sys.argv[2]) as open_channel:
    globals()[sys.argv[3]](open_channel)
