//! The `.proto` files that every schema may import without having them.

/// The annotation grammar, as `rowkeep proto options` prints it.
pub const OPTIONS: &str = include_str!("../../../proto/rowkeep/v1/options.proto");
/// Writes across entities.
pub const STORE: &str = include_str!("../../../proto/rowkeep/v1/store.proto");

/// Import path of [`OPTIONS`].
pub(crate) const OPTIONS_PATH: &str = "rowkeep/v1/options.proto";
/// Import path of [`STORE`].
pub(crate) const STORE_PATH: &str = "rowkeep/v1/store.proto";

macro_rules! third_party {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../proto/third_party/", $path)))),*]
    };
}

/// Files of others; an include directory that has its own copy wins.
const THIRD_PARTY: &[(&str, &str)] = third_party![
    "buf/validate/validate.proto",
    "google/api/annotations.proto",
    "google/api/client.proto",
    "google/api/field_behavior.proto",
    "google/api/field_info.proto",
    "google/api/http.proto",
    "google/api/httpbody.proto",
    "google/api/launch_stage.proto",
    "google/api/resource.proto",
    "google/type/calendar_period.proto",
    "google/type/color.proto",
    "google/type/date.proto",
    "google/type/datetime.proto",
    "google/type/dayofweek.proto",
    "google/type/decimal.proto",
    "google/type/expr.proto",
    "google/type/fraction.proto",
    "google/type/interval.proto",
    "google/type/latlng.proto",
    "google/type/localized_text.proto",
    "google/type/money.proto",
    "google/type/month.proto",
    "google/type/phone_number.proto",
    "google/type/postal_address.proto",
    "google/type/quaternion.proto",
    "google/type/timeofday.proto",
];

/// Text of Rowkeep's own files, which nothing overrides.
pub(crate) fn own(path: &str) -> Option<&'static str> {
    match path {
        OPTIONS_PATH => Some(OPTIONS),
        STORE_PATH => Some(STORE),
        _ => None,
    }
}

/// Text of a file of others.
pub(crate) fn third_party(path: &str) -> Option<&'static str> {
    THIRD_PARTY.iter().find(|(name, _)| *name == path).map(|(_, text)| *text)
}

/// Whether a file is of these packages, and so not the user's, wherever it came from.
pub(crate) fn is_builtin(path: &str) -> bool {
    own(path).is_some() || third_party(path).is_some() || path.starts_with("google/protobuf/")
}

/// Import paths to suggest when one is misspelt.
pub(crate) fn paths() -> impl Iterator<Item = &'static str> {
    const GOOGLE: [&str; 7] = [
        "google/protobuf/any.proto",
        "google/protobuf/duration.proto",
        "google/protobuf/empty.proto",
        "google/protobuf/field_mask.proto",
        "google/protobuf/struct.proto",
        "google/protobuf/timestamp.proto",
        "google/protobuf/wrappers.proto",
    ];
    [OPTIONS_PATH, STORE_PATH].into_iter().chain(GOOGLE).chain(THIRD_PARTY.iter().map(|(path, _)| *path))
}
